"""`login` and `status`."""

from __future__ import annotations

import math
from typing import Annotated

import typer

from pipedrive_oauth_client.cli.options import (
    Account,
    BaseURL,
    ClientID,
    Debug,
    EnvFile,
    Json,
    RedirectURI,
    SecretFile,
    Store,
    StoreKeysFile,
    StoreName,
)
from pipedrive_oauth_client.cli.reports import Manners, one_line

__all__ = ["add"]

_SERVICE = "https://oauth.pipedrive.com"
_LOGIN = """\
Connect an account: consent in the browser, then its token in the store.

The browser comes back to the redirect URI. If that is an http:// address of this machine, the
command listens there, on the loopback interface alone; otherwise, or with --paste, it asks for the
address that the browser ends up at. The store is tried before anybody is asked for anything.

\b
Examples:
  pipedrive-oauth login
  pipedrive-oauth login --no-browser --timeout 600
  pipedrive-oauth login --paste                 (over SSH)
  pipedrive-oauth login --account acme --store sqlite:////srv/app/tokens.db
"""
_STATUS = """\
Show the accounts of a store. No token is shown, and nothing is sent.

\b
States:
  valid       the access token is good
  stale       it is renewed when it is next used
  ending      refresh it soon, or the grant lapses (60 days unused)
  lapsed      log in again
  unreadable  damaged, or encrypted with another key

\b
Examples:
  pipedrive-oauth status
  pipedrive-oauth status --json | jq -r '.accounts[] | select(.state == "lapsed").account'
"""


def add(app: typer.Typer) -> None:
    """Add the commands to an app.

    Args:
        app: The app.
    """
    app.command("login", help=_LOGIN)(login)
    app.command("status", help=_STATUS)(status)


def login(
    context: typer.Context,
    account: Annotated[
        str | None,
        typer.Option(
            "--account",
            help="The name to store the token under; by default company and user, as 123:456.",
            envvar="PIPEDRIVE_OAUTH_ACCOUNT",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Take the place of another company's token of that name.",
            envvar="PIPEDRIVE_OAUTH_REPLACE",
        ),
    ] = False,
    no_browser: Annotated[
        bool,
        typer.Option(
            "--no-browser",
            help="Print the address and open nothing.",
            envvar="PIPEDRIVE_OAUTH_NO_BROWSER",
        ),
    ] = False,
    paste: Annotated[
        bool,
        typer.Option(
            "--paste",
            help="Listen nowhere, and ask for the address that the browser ends up at.",
            envvar="PIPEDRIVE_OAUTH_PASTE",
        ),
    ] = False,
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout",
            help="How long to wait for the browser, in seconds.",
            envvar="PIPEDRIVE_OAUTH_TIMEOUT",
            min=1,
            max=86_400,
        ),
    ] = 300,
    client_id: ClientID = None,
    client_secret_file: SecretFile = None,
    redirect_uri: RedirectURI = None,
    base_url: BaseURL = _SERVICE,
    store: Store = None,
    store_name: StoreName = None,
    store_keys_file: StoreKeysFile = None,
    json: Json = False,
    env_file: EnvFile = None,
    debug: Debug = False,
) -> None:
    """Connect an account."""
    from pipedrive_oauth_client._checks import utc_now
    from pipedrive_oauth_client.cli.login import Login, arrival, check_store
    from pipedrive_oauth_client.cli.output import ask, can_ask, say, write, write_json
    from pipedrive_oauth_client.cli.sessions import app_settings, opened_flow, place_of
    from pipedrive_oauth_client.cli.status import standing_of

    manners: Manners = context.obj
    if not math.isfinite(timeout):
        raise typer.BadParameter("--timeout is a number of seconds.")
    place = place_of(manners, store, store_name, store_keys_file)
    settings = app_settings(manners, client_id, client_secret_file, redirect_uri)
    with opened_flow(settings, base_url, for_login=True) as oauth, place.opened() as tokens:
        check_store(tokens, account)
        with arrival(oauth, timeout=timeout, opens=not no_browser, paste=paste) as way:
            someone = ask if can_ask() else None
            connected = Login(oauth, tokens, way, account, replace, someone, say).run()
        if place.is_forgotten:
            say("The store is this command's memory: the token is gone now. Name another --store.")
        standing = standing_of(tokens, connected.account, utc_now())
    if json:
        write_json({"store": place.shown, **(standing.to_dict() if standing else {})})
        return
    names = (connected.owner.name, connected.owner.company_name) if connected.owner else ()
    whose = one_line(" of ".join(filter(None, names))) or connected.account
    expiry = f"; the access token {standing.expiry}" if standing else ""
    write(f"Logged in: {whose}. Saved as {connected.account} in {place.shown}{expiry}.\n")


def status(
    context: typer.Context,
    account: Account = None,
    store: Store = None,
    store_name: StoreName = None,
    store_keys_file: StoreKeysFile = None,
    json: Json = False,
    env_file: EnvFile = None,
    debug: Debug = False,
) -> None:
    """Show the accounts of a store."""
    from pipedrive_oauth_client.cli.output import write_json
    from pipedrive_oauth_client.cli.sessions import place_of
    from pipedrive_oauth_client.cli.status import print_status, standings

    place = place_of(context.obj, store, store_name, store_keys_file)
    with place.opened() as tokens:
        found = standings(tokens, account)
    if json:
        write_json({"store": place.shown, "accounts": [each.to_dict() for each in found]})
    else:
        print_status(found, place.shown)
