"""`sandbox`: the stand-in for Pipedrive's service, and how to use the other commands with it."""

from __future__ import annotations

import shlex
from collections.abc import Callable

from attrs import evolve

from pipedrive_oauth_client.sandbox import DEFAULT_APP, SandboxServer, create_app, serve

__all__ = ["announcement", "exports", "serve_sandbox"]


def exports(server: SandboxServer) -> dict[str, str]:
    """Give the variables that make the other commands talk to a sandbox.

    Args:
        server: The sandbox.

    Returns:
        Names and values. The secret is made up, the same everywhere, and good for nothing else.
    """
    app = server.app
    return {
        "PIPEDRIVE_CLIENT_ID": app.client_id,
        "PIPEDRIVE_CLIENT_SECRET": app.client_secret,
        "PIPEDRIVE_REDIRECT_URI": app.redirect_uri,
        "PIPEDRIVE_OAUTH_BASE_URL": server.base_url,
        "PIPEDRIVE_OAUTH_STORE": "file:sandbox-tokens",
    }


def announcement(server: SandboxServer) -> str:
    """Say where a sandbox is, and how to use it.

    Args:
        server: The sandbox.

    Returns:
        Some lines, of which those with `export` can be pasted into a shell.
    """
    lines = "\n".join(
        f"  export {name}={shlex.quote(value)}" for name, value in exports(server).items()
    )
    return f"""\
A sandbox of Pipedrive's OAuth service is at {server.base_url} (nothing in it is real).

In another terminal:

{lines}
  pipedrive-oauth login

Open {server.base_url}/ to see what happens. Press Ctrl-C to stop.
"""


def serve_sandbox(port: int, redirect_uri: str, announce: Callable[[SandboxServer], None]) -> None:
    """Serve a sandbox until Ctrl-C.

    Args:
        port: A TCP port; 0 takes a free one.
        redirect_uri: The callback URL of its app.
        announce: Called with the server when clients can connect.
    """
    try:
        app = evolve(DEFAULT_APP, redirect_uri=redirect_uri)
        serve(create_app(apps=[app]), port=port, announce=announce)
    except KeyboardInterrupt:
        pass  # that is how it is ended
