"""A strict local stand-in for Pipedrive's OAuth service, to develop and test against.

    from pipedrive_oauth_client import sandbox

    with sandbox.run() as server:
        callback_url = server.visit(authorization_url)
        server.faults.add("/oauth/token", sandbox.Fault.status(429, retry_after=30), times=2)
        ...
        assert server.requests.count(path="/oauth/token", status=429) == 2

It is written from the RFCs and Pipedrive's documentation and shares no code with the client, so a
mistake of the client's is not repeated here. Its parts, from the inside out: `records` (apps and
users), `grants` and `state` (codes and tokens), `requests` and `answers` (reading and writing
HTTP), `consent`, `token_endpoint`, `revocation_endpoint` and `api` (the endpoints), `home` (what
happened, for a person to look at), `fault`, `faults` and `request_log` (what goes wrong and what
was asked), `front` (what every request passes first), `application` (all of it as ASGI), `server`
and `browser` (a real port and somebody to press the button), `notices` (what an app is told when it
is uninstalled).
"""

from __future__ import annotations

try:
    from pipedrive_oauth_client.sandbox.app import Sandbox, create_app
    from pipedrive_oauth_client.sandbox.clock import Clock
    from pipedrive_oauth_client.sandbox.error_responses import REFUSALS, Refusal
    from pipedrive_oauth_client.sandbox.faults import Fault, Faults
    from pipedrive_oauth_client.sandbox.models import (
        DEFAULT_APP,
        DEFAULT_USER,
        OTHER_USER,
        App,
        User,
    )
    from pipedrive_oauth_client.sandbox.notices import UninstallNotice
    from pipedrive_oauth_client.sandbox.request_log import RequestLog, RequestRecord
    from pipedrive_oauth_client.sandbox.server import SandboxServer, run, serve
except ModuleNotFoundError as error:
    if (error.name or "").partition(".")[0] not in {"starlette", "uvicorn", "jinja2"}:
        raise
    from pipedrive_oauth_client.sandbox.extra import SandboxExtraMissingError

    raise SandboxExtraMissingError from error

__all__ = [
    "DEFAULT_APP",
    "DEFAULT_USER",
    "OTHER_USER",
    "REFUSALS",
    "App",
    "Clock",
    "Fault",
    "Faults",
    "Refusal",
    "RequestLog",
    "RequestRecord",
    "Sandbox",
    "SandboxServer",
    "UninstallNotice",
    "User",
    "create_app",
    "run",
    "serve",
]
