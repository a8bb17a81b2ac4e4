"""`sandbox`."""

from __future__ import annotations

from typing import Annotated

import typer

from pipedrive_oauth_client.cli.options import Debug, EnvFile, Json

__all__ = ["add"]

_SANDBOX = """\
Serve a stand-in for Pipedrive's OAuth service on this machine, and print how to use it.

Its client secret is printed, too: it is made up, it is the same in every copy of this package, and
it is good for nothing but sandboxes. Never put an app's real secret in its place.

\b
Examples:
  pipedrive-oauth sandbox
  pipedrive-oauth sandbox --port 8900 --json
"""


def add(app: typer.Typer) -> None:
    """Add the command to an app.

    Args:
        app: The app.
    """
    app.command("sandbox", help=_SANDBOX)(sandbox)


def sandbox(
    port: Annotated[
        int,
        typer.Option(
            "--port",
            help="The port; 0 takes a free one.",
            envvar="PIPEDRIVE_OAUTH_SANDBOX_PORT",
            min=0,
            max=65_535,
        ),
    ] = 0,
    redirect_uri: Annotated[
        str,
        typer.Option(
            "--redirect-uri",
            help="The callback URL that is registered for its app.",
            envvar="PIPEDRIVE_OAUTH_SANDBOX_REDIRECT_URI",
        ),
    ] = "http://127.0.0.1:8123/callback",
    json: Json = False,
    env_file: EnvFile = None,
    debug: Debug = False,
) -> None:
    """Serve a sandbox."""
    from pipedrive_oauth_client.cli.output import write, write_json
    from pipedrive_oauth_client.cli.sandbox_run import announcement, exports, serve_sandbox

    serve_sandbox(
        port,
        redirect_uri,
        lambda server: write_json(exports(server)) if json else write(announcement(server)),
    )
