"""`token`, `header` and `refresh`."""

from __future__ import annotations

import math
import os
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

_SERVICE = "https://oauth.pipedrive.com"
_TOKEN = """\
Print a valid access token and nothing else; it is renewed and saved if it is time.

Whoever sees it can use the account until it expires. A pipe or a variable keeps it from the screen.

\b
Examples:
  curl -H "Authorization: Bearer $(pipedrive-oauth token)" \\
    https://acme.pipedrive.com/api/v1/users/me
  pipedrive-oauth token 123:456 --json | jq -r .expires_at
"""
_HEADER = """\
Print the Basic header of the app (RFC 7617), for requests to the OAuth service by hand.

It holds the client secret, in a form that anybody can read.

\b
Example:
  curl -H "Authorization: $(pipedrive-oauth header)" -d grant_type=refresh_token \\
    -d refresh_token=... https://oauth.pipedrive.com/oauth/token
"""
_REFRESH = """\
Renew tokens now: of one account, or of all that nobody has used for a while.

A refresh token lapses when it is not used for 60 days. Run this from time to time, from as many
machines as you like: each account is renewed by one of them.

\b
Examples:
  pipedrive-oauth refresh 123:456
  pipedrive-oauth refresh --all --older-than 30d
"""


def add(app: typer.Typer) -> None:
    """Add the commands to an app.

    Args:
        app: The app.
    """
    app.command("token", help=_TOKEN)(token)
    app.command("header", help=_HEADER)(header)
    app.command("refresh", help=_REFRESH)(refresh)


def token(
    context: typer.Context,
    account: Account = None,
    client_id: ClientID = None,
    client_secret_file: SecretFile = None,
    base_url: BaseURL = _SERVICE,
    store: Store = None,
    store_name: StoreName = None,
    store_keys_file: StoreKeysFile = None,
    json: Json = False,
    env_file: EnvFile = None,
    debug: Debug = False,
) -> None:
    """Print a valid access token."""
    from pipedrive_oauth_client.cli.accounts import chosen_account, valid_token
    from pipedrive_oauth_client.cli.output import write, write_json
    from pipedrive_oauth_client.cli.sessions import app_settings, opened_flow, place_of

    place = place_of(context.obj, store, store_name, store_keys_file)
    settings = app_settings(context.obj, client_id, client_secret_file)
    with place.opened() as tokens:
        name = chosen_account(tokens, account, place.shown)
        with opened_flow(settings, base_url) as oauth:
            found = valid_token(oauth, tokens, name)
    if json:
        write_json(
            {
                "account": name,
                "access_token": found.access_token,
                "token_type": found.token_type,
                "expires_at": found.expires_at.isoformat(),
                "api_domain": found.api_domain,
            }
        )
    else:
        write(f"{found.access_token}\n")


def header(
    context: typer.Context,
    client_id: ClientID = None,
    client_secret_file: SecretFile = None,
    json: Json = False,
    env_file: EnvFile = None,
    debug: Debug = False,
) -> None:
    """Print the Basic header of the app."""
    from pipedrive_oauth_client.cli.output import write, write_json
    from pipedrive_oauth_client.cli.sessions import app_settings

    value = app_settings(context.obj, client_id, client_secret_file).header()
    if json:
        write_json({"authorization": value})
    else:
        write(f"{value}\n")


def refresh(
    context: typer.Context,
    account: Account = None,
    all_accounts: Annotated[
        bool,
        typer.Option(
            "--all",
            help="All accounts that were last renewed longer ago than --older-than.",
            envvar="PIPEDRIVE_OAUTH_ALL",
        ),
    ] = False,
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than",
            help="With --all: how long ago, as 12h, 30d or 6w.",
            envvar="PIPEDRIVE_OAUTH_OLDER_THAN",
        ),
    ] = "30d",
    concurrency: Annotated[
        int,
        typer.Option(
            "--concurrency",
            help="With --all: how many at the same time.",
            envvar="PIPEDRIVE_OAUTH_CONCURRENCY",
            min=1,
            max=64,
        ),
    ] = 8,
    per_second: Annotated[
        float,
        typer.Option(
            "--per-second",
            help="With --all: how many are begun in a second at most.",
            envvar="PIPEDRIVE_OAUTH_PER_SECOND",
            min=0.01,
        ),
    ] = 10,
    client_id: ClientID = None,
    client_secret_file: SecretFile = None,
    base_url: BaseURL = _SERVICE,
    store: Store = None,
    store_name: StoreName = None,
    store_keys_file: StoreKeysFile = None,
    json: Json = False,
    env_file: EnvFile = None,
    debug: Debug = False,
) -> None:
    """Renew tokens now."""
    from pipedrive_oauth_client.cli.accounts import chosen_account, refresh_many, refresh_one
    from pipedrive_oauth_client.cli.sessions import app_settings, opened_flow, place_of
    from pipedrive_oauth_client.cli.status import read_span

    if all_accounts and account == os.environ.get("PIPEDRIVE_OAUTH_ACCOUNT"):
        account = None  # what was said now counts more
    if all_accounts and account is not None:
        raise typer.BadParameter("Name an account, or say --all.")
    if not math.isfinite(per_second):
        raise typer.BadParameter("--per-second is a number.")
    span = read_span(older_than)
    place = place_of(context.obj, store, store_name, store_keys_file)
    settings = app_settings(context.obj, client_id, client_secret_file)
    with place.opened() as tokens:
        name = None if all_accounts else chosen_account(tokens, account, place.shown)
        with opened_flow(settings, base_url) as oauth:
            if name is not None:
                refresh_one(oauth, tokens, name, in_json=json)
            else:
                refresh_many(
                    oauth,
                    tokens,
                    span,
                    concurrency=concurrency,
                    per_second=per_second,
                    in_json=json,
                )
