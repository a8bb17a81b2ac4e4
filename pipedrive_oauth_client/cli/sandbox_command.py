"""`sandbox`: serves the sandbox, and prints how to use the other commands with it."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from attrs import evolve

from pipedrive_oauth_client.sandbox import DEFAULT_APP, SandboxServer, create_app, serve

__all__ = ["announcement", "exports", "serve_sandbox"]


def exports(server: SandboxServer) -> dict[str, str]:
    """Return the environment variables with which the other commands use a sandbox."""
    app = server.app
    return {
        "PIPEDRIVE_CLIENT_ID": app.client_id,
        "PIPEDRIVE_CLIENT_SECRET": app.client_secret,
        "PIPEDRIVE_REDIRECT_URI": app.redirect_uri,
        "PIPEDRIVE_BASE_URL": server.base_url,
        "PIPEDRIVE_OAUTH_STORE": "file:sandbox-tokens",
    }


def announcement(server: SandboxServer) -> str:
    """Return the text that says where a sandbox is and how to use it."""
    lines = "\n".join(
        f"  export {name}={shlex.quote(value)}" for name, value in exports(server).items()
    )
    return f"""\
A sandbox of Pipedrive's OAuth service runs at {server.base_url} (all its data is made up).

In another terminal:

{lines}
  pipedrive-oauth login

Open {server.base_url}/ to see its requests. Press Ctrl-C to stop.
"""


def serve_sandbox(port: int, redirect_uri: str, announce: Callable[[SandboxServer], None]) -> None:
    """Serve a sandbox until Ctrl-C."""
    try:
        app = evolve(DEFAULT_APP, redirect_uri=redirect_uri)
        serve(create_app(apps=[app]), port=port, announce=announce)
    except KeyboardInterrupt:
        pass  # the way to stop it
