"""The program that serves a sandbox, with its options and what it announces.

There is one, behind two commands: `pipedrive-oauth sandbox`, and, where the extra `cli` is not
installed, `python -m pipedrive_oauth_client.sandbox`.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence

import attrs

from pipedrive_oauth_client.sandbox.app import create_app
from pipedrive_oauth_client.sandbox.models import DEFAULT_APP
from pipedrive_oauth_client.sandbox.server import SandboxServer, serve

__all__ = ["OPTIONS", "Option", "announcement", "exports", "serve_sandbox"]

REDIRECT_URI = "http://127.0.0.1:8123/callback"


@attrs.frozen
class Option:
    """An option of the program, with the variable that stands in for it."""

    flag: str
    variable: str
    default: str
    help: str


OPTIONS = {
    "host": Option(
        "--host",
        "PIPEDRIVE_OAUTH_SANDBOX_HOST",
        "127.0.0.1",
        "The IP address to listen on. An address other than loopback, such as 0.0.0.0 in a"
        " container, needs --allowed-host.",
    ),
    "port": Option(
        "--port", "PIPEDRIVE_OAUTH_SANDBOX_PORT", "0", "The port; 0 chooses a free one."
    ),
    "allowed_host": Option(
        "--allowed-host",
        "PIPEDRIVE_OAUTH_SANDBOX_ALLOWED_HOSTS",
        "",
        "A host that the sandbox accepts requests for besides localhost, without port; repeat it"
        " for several (in the variable: separated by spaces). The first one is printed.",
    ),
    "redirect_uri": Option(
        "--redirect-uri",
        "PIPEDRIVE_OAUTH_SANDBOX_REDIRECT_URI",
        REDIRECT_URI,
        "The callback URL that is registered for the sandbox's app.",
    ),
}


def exports(server: SandboxServer) -> dict[str, str]:
    """Return the environment variables with which apps and the other commands use a sandbox."""
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


def serve_sandbox(
    *,
    host: str,
    port: int,
    allowed_hosts: Sequence[str],
    redirect_uri: str,
    announce: Callable[[SandboxServer], None],
) -> None:
    """Serve a sandbox until Ctrl-C."""
    try:
        app = attrs.evolve(DEFAULT_APP, redirect_uri=redirect_uri)
        serve(
            create_app(apps=[app]),
            host=host,
            port=port,
            allowed_hosts=allowed_hosts,
            announce=announce,
        )
    except KeyboardInterrupt:
        pass  # the way to stop it
