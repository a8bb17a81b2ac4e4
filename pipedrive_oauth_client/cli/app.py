"""The command line as a whole. Nothing here imports what the commands need to do their work."""

from __future__ import annotations

from typing import Annotated

import typer

from pipedrive_oauth_client.cli.commands import connect, end, try_out, use
from pipedrive_oauth_client.cli.exit_codes import ExitCode
from pipedrive_oauth_client.cli.output import write

__all__ = ["app"]

_HELP = """\
Connect Pipedrive accounts from a terminal, and get their tokens into scripts.

The app's credentials come from PIPEDRIVE_CLIENT_ID, PIPEDRIVE_CLIENT_SECRET and
PIPEDRIVE_REDIRECT_URI, or are asked for. Every other option has a variable, too; --help of each
command names it.

\b
Examples:
  pipedrive-oauth sandbox                       (in another terminal; nothing in it is real)
  pipedrive-oauth login
  pipedrive-oauth status
  curl -H "Authorization: Bearer $(pipedrive-oauth token)" ...
"""
_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {code.meaning}" for code in ExitCode)

# Plain help: it fits any terminal, and spares the import of what would draw it.
app = typer.Typer(
    help=_HELP,
    epilog=_CODES,
    invoke_without_command=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:
    if value:
        from importlib.metadata import version  # noqa: PLC0415 - only for this

        write(f"pipedrive-oauth {version('pipedrive-oauth-client')}\n")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Connect Pipedrive accounts from a terminal."""
    if context.invoked_subcommand is None:
        write(f"{context.get_help()}\n")


for each in (connect, use, end, try_out):
    each.add(app)
