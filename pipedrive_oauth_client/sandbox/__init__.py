"""A strict local stand-in for Pipedrive's OAuth service, to develop and test against.

    from pipedrive_oauth_client import sandbox

    with sandbox.run() as server:
        callback_url = server.visit(authorization_url)
        server.faults.add("/oauth/token", sandbox.Fault.status(429, retry_after=30), times=2)
        ...
        assert server.requests.count(path="/oauth/token", status=429) == 2

It is written from the RFCs and Pipedrive's documentation and shares no code with the client but the
errors, so that a mistake of the client is not repeated here. Its modules, from the inside out:

    clock, settings, urls, models    the time, checked settings, addresses, apps and users
    error_responses                  every error response, as data
    state                            codes, grants and tokens in memory; knows no HTTP
    requests, responses, pages       reading and writing HTTP; the templates of the web pages
    authorize_endpoint, token_endpoint, api_endpoint
    fault_responses, faults          the faults that a test can inject
    request_log, middleware          what surrounds the endpoints: the log, and the faults at work
    app                              `create_app`: all of it as one ASGI application
    notices, browser, server         what is sent to apps, the user's browser, a real port
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
    from pipedrive_oauth_client.sandbox.notices import ServiceRequest, UninstallNotice
    from pipedrive_oauth_client.sandbox.request_log import RequestLog, RequestRecord
    from pipedrive_oauth_client.sandbox.server import SandboxServer, run, serve
except ModuleNotFoundError as error:
    package = (error.name or "").partition(".")[0]
    if package not in {"starlette", "uvicorn", "jinja2"}:
        raise
    from pipedrive_oauth_client.errors import MissingExtraError

    raise MissingExtraError(
        "The sandbox needs starlette, uvicorn and jinja2. "
        'Install them with: pip install "pipedrive-oauth-client[sandbox]"',
        name=package,
    ) from error

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
    "ServiceRequest",
    "UninstallNotice",
    "User",
    "create_app",
    "run",
    "serve",
]
