"""`revoke`."""

from __future__ import annotations

from typing import Annotated

import typer

from pipedrive_oauth_client.cli.options import (
    Account,
    BaseURL,
    ClientID,
    Debug,
    EnvFile,
    Json,
    SecretFile,
    Store,
    StoreKeysFile,
    StoreName,
)

__all__ = ["add"]

_REVOKE = """\
End an account's grant: at Pipedrive, where the app is then uninstalled, and in the store.

It asks first. If Pipedrive can't be reached, nothing is changed.

\b
Examples:
  pipedrive-oauth revoke 123:456
  pipedrive-oauth revoke 123:456 --yes
"""


def add(app: typer.Typer) -> None:
    """Add the command to an app.

    Args:
        app: The app.
    """
    app.command("revoke", help=_REVOKE)(revoke)


def revoke(
    context: typer.Context,
    account: Account = None,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Do not ask.", envvar="PIPEDRIVE_OAUTH_YES"),
    ] = False,
    client_id: ClientID = None,
    client_secret_file: SecretFile = None,
    base_url: BaseURL = "https://oauth.pipedrive.com",
    store: Store = None,
    store_name: StoreName = None,
    store_keys_file: StoreKeysFile = None,
    json: Json = False,
    env_file: EnvFile = None,
    debug: Debug = False,
) -> None:
    """End an account's grant."""
    from pipedrive_oauth_client.cli.accounts import chosen_account, end_grant
    from pipedrive_oauth_client.cli.exit_codes import CommandError, ExitCode
    from pipedrive_oauth_client.cli.output import ask, can_ask, write, write_json
    from pipedrive_oauth_client.cli.sessions import app_settings, opened_flow, place_of

    place = place_of(context.obj, store, store_name, store_keys_file)
    settings = app_settings(context.obj, client_id, client_secret_file)
    with place.opened() as tokens:
        name = chosen_account(tokens, account, place.shown)
        if not yes and not can_ask():
            raise CommandError(
                "revoke asks first, and nobody can be asked here. Say --yes.", ExitCode.USAGE
            )
        question = f"Revoke the grant of {name}, and uninstall the app there? [y/N]"
        if not yes and ask(question).lower() not in ("y", "yes"):
            raise CommandError("Nothing was changed.", ExitCode.DECLINED)
        with opened_flow(settings, base_url) as oauth:
            end_grant(oauth, tokens, name)
    if json:
        write_json({"account": name, "revoked": True})
    else:
        write(f"Revoked {name}; its token is deleted from {place.shown}.\n")
