"""A strict local stand-in for Pipedrive's OAuth service, to develop and test against.

    from pipedrive_oauth_client import sandbox

    with sandbox.run() as server:
        callback_url = server.visit(authorization_url)

It is written from the RFCs and Pipedrive's documentation and shares no code with the client, so a
mistake of the client's is not repeated here. Its parts, from the inside out: `records` (apps and
users), `state` (codes and tokens), `requests` and `answers` (reading and writing HTTP), `consent`,
`token_endpoint` and `api` (the endpoints), `application` (all of it as ASGI), `server` and
`browser` (a real port and somebody to press the button).
"""

from __future__ import annotations

try:
    from pipedrive_oauth_client.sandbox.application import Sandbox, create_app
    from pipedrive_oauth_client.sandbox.records import (
        DEFAULT_APP,
        DEFAULT_USER,
        OTHER_USER,
        App,
        User,
    )
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
    "App",
    "Sandbox",
    "SandboxServer",
    "User",
    "create_app",
    "run",
    "serve",
]
