"""All commands with their options and help.

Help has to be quick: what a command needs for its work is imported when it runs.
"""

from __future__ import annotations

import math
import os
from typing import Annotated

import typer

from pipedrive_oauth_client.cli.exit_codes import ExitCode
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
from pipedrive_oauth_client.cli.output import OutputOptions, one_line, write

__all__ = ["app"]

_SERVICE = "https://oauth.pipedrive.com"
_HELP = """\
Connect Pipedrive accounts from a terminal, and get their tokens into scripts.

The app's credentials come from PIPEDRIVE_CLIENT_ID, PIPEDRIVE_CLIENT_SECRET and
PIPEDRIVE_REDIRECT_URI, or from prompts. Every other option has an environment variable, too; --help
of each command names it.

\b
Examples:
  pipedrive-oauth sandbox                       (in another terminal; all its data is made up)
  pipedrive-oauth login
  pipedrive-oauth status
  curl -H "Authorization: Bearer $(pipedrive-oauth token)" ...
"""
_LOGIN = """\
Connect an account: consent in the browser, then store its token.

The browser returns to the redirect URI. If that is an http:// URL of this machine, the command
listens there, on the loopback interface only; otherwise, or with --paste, it prompts for the URL
that the browser shows at the end. The store is checked before the browser opens.

\b
Examples:
  pipedrive-oauth login
  pipedrive-oauth login --no-browser --timeout 600
  pipedrive-oauth login --paste                 (over SSH)
  pipedrive-oauth login --account acme --store sqlite:////srv/app/tokens.db
"""
_STATUS = """\
Show the accounts of a store. No token is shown, and no request is sent.

\b
States:
  valid       the access token is valid
  stale       it is refreshed at the next use
  ending      refresh it soon, or the grant lapses (60 days unused)
  lapsed      log in again
  unreadable  damaged, or encrypted with another key

\b
Examples:
  pipedrive-oauth status
  pipedrive-oauth status --json | jq -r '.accounts[] | select(.state == "lapsed").account'
"""
_TOKEN = """\
Print a valid access token and nothing else; a stale one is refreshed and saved first.

Anyone with the token can use the account until it expires. Use a pipe or a variable to keep it off
the screen.

\b
Examples:
  curl -H "Authorization: Bearer $(pipedrive-oauth token)" \\
    https://acme.pipedrive.com/api/v1/users/me
  pipedrive-oauth token 123:456 --json | jq -r .expires_at
"""
_HEADER = """\
Print the Basic header of the app (RFC 7617), for your own requests to the OAuth service.

It contains the client secret, encoded but not encrypted.

\b
Example:
  curl -H "Authorization: $(pipedrive-oauth header)" -d grant_type=refresh_token \\
    -d refresh_token=... https://oauth.pipedrive.com/oauth/token
"""
_REFRESH = """\
Refresh tokens now: of one account, or of all accounts that were not used for a while.

A refresh token lapses when it is not used for 60 days. Run this regularly, from any number of
machines: only one of them refreshes each account.

\b
Examples:
  pipedrive-oauth refresh 123:456
  pipedrive-oauth refresh --all --older-than 30d
"""
_REVOKE = """\
End an account's grant: at Pipedrive, which uninstalls the app, and in the store.

It asks for confirmation. If Pipedrive is unreachable, nothing is changed.

\b
Examples:
  pipedrive-oauth revoke 123:456
  pipedrive-oauth revoke 123:456 --yes
"""
_SANDBOX = """\
Serve a sandbox of Pipedrive's OAuth service on this machine, and print how to use it.

It prints its client secret, too, which is made up, the same in every copy of this package, and
valid only for sandboxes. Never replace it with an app's real secret.

\b
Examples:
  pipedrive-oauth sandbox
  pipedrive-oauth sandbox --port 8900 --json
"""
_CHECK = """\
Check the setup: credentials, service, clock and store. Nothing is changed.

It prints a line for each check: ok, failed, unknown or skipped. It asks for the consent page, and
for a refresh with a made-up token, which touches no grant. In the store it saves and deletes a
made-up token under a name of its own.

\b
Examples:
  pipedrive-oauth check
  pipedrive-oauth check --json | jq -r '.checks[] | select(.status == "failed").message'
"""
_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {code.meaning}" for code in ExitCode)

# Plain help fits any terminal, and does not import Rich.
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
        from importlib.metadata import version

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


@app.command("check", help=_CHECK)
def check(
    context: typer.Context,
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
    """Check the setup."""
    from attrs import evolve

    from pipedrive_oauth_client.cli.check import report_setup
    from pipedrive_oauth_client.cli.settings import app_settings, store_url_from

    output: OutputOptions = context.obj
    report_setup(
        # It says what is missing, and prompts for nothing.
        lambda: evolve(app_settings(output, client_id, client_secret_file, redirect_uri), ask=None),
        base_url,
        lambda: store_url_from(output, store, store_name, store_keys_file),
        output,
        in_json=json,
    )


@app.command("login", help=_LOGIN)
def login(
    context: typer.Context,
    account: Annotated[
        str | None,
        typer.Option(
            "--account",
            help="The name to store the token under; by default company and user, such as 123:456.",
            envvar="PIPEDRIVE_OAUTH_ACCOUNT",
            show_default=False,
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Replace another company's token of that name.",
            envvar="PIPEDRIVE_OAUTH_REPLACE",
        ),
    ] = False,
    no_browser: Annotated[
        bool,
        typer.Option(
            "--no-browser",
            help="Print the URL instead of opening a browser.",
            envvar="PIPEDRIVE_OAUTH_NO_BROWSER",
        ),
    ] = False,
    paste: Annotated[
        bool,
        typer.Option(
            "--paste",
            help="Do not listen; prompt for the URL that the browser shows at the end.",
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
    from pipedrive_oauth_client.cli.login import Login, check_store, open_callback_source
    from pipedrive_oauth_client.cli.output import ask, can_ask, say, write, write_json
    from pipedrive_oauth_client.cli.settings import app_settings, open_oauth, store_url_from
    from pipedrive_oauth_client.cli.status import status_of

    output: OutputOptions = context.obj
    if not math.isfinite(timeout):
        raise typer.BadParameter("--timeout must be a finite number of seconds.")
    store_url = store_url_from(output, store, store_name, store_keys_file)
    settings = app_settings(output, client_id, client_secret_file, redirect_uri)
    with open_oauth(settings, base_url, for_login=True) as oauth, store_url.open() as token_store:
        check_store(token_store, account)
        with open_callback_source(
            oauth, timeout=timeout, opens=not no_browser, paste=paste
        ) as source:
            prompt = ask if can_ask() else None
            result = Login(oauth, token_store, source, account, replace, prompt, say).run()
        if store_url.is_temporary:
            say("A memory store ends with the command: the token is gone now. Use another --store.")
        account_status = status_of(token_store, result.account, utc_now())
    if json:
        details = account_status.to_dict() if account_status else {}
        write_json({"store": store_url.redacted, **details})
        return
    names = (result.owner.name, result.owner.company_name) if result.owner else ()
    owner = one_line(" of ".join(filter(None, names))) or result.account
    expiry = f"; the access token {account_status.expiry}" if account_status else ""
    write(f"Logged in: {owner}. Saved as {result.account} in {store_url.redacted}{expiry}.\n")


@app.command("status", help=_STATUS)
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
    from pipedrive_oauth_client.cli.settings import store_url_from
    from pipedrive_oauth_client.cli.status import list_statuses, print_status

    store_url = store_url_from(context.obj, store, store_name, store_keys_file)
    with store_url.open() as token_store:
        accounts = list_statuses(token_store, account)
    if json:
        write_json({"store": store_url.redacted, "accounts": [each.to_dict() for each in accounts]})
    else:
        print_status(accounts, store_url.redacted)


@app.command("token", help=_TOKEN)
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
    from pipedrive_oauth_client.cli.settings import app_settings, open_oauth, store_url_from

    store_url = store_url_from(context.obj, store, store_name, store_keys_file)
    settings = app_settings(context.obj, client_id, client_secret_file)
    with store_url.open() as token_store:
        name = chosen_account(token_store, account, store_url.redacted)
        with open_oauth(settings, base_url) as oauth:
            access = valid_token(oauth, token_store, name)
    if json:
        write_json(
            {
                "account": name,
                "access_token": access.access_token,
                "token_type": access.token_type,
                "expires_at": access.expires_at.isoformat(),
                "api_domain": access.api_domain,
            }
        )
    else:
        write(f"{access.access_token}\n")


@app.command("header", help=_HEADER)
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
    from pipedrive_oauth_client.cli.settings import app_settings

    value = app_settings(context.obj, client_id, client_secret_file).header()
    if json:
        write_json({"authorization": value})
    else:
        write(f"{value}\n")


@app.command("refresh", help=_REFRESH)
def refresh(
    context: typer.Context,
    account: Account = None,
    all_accounts: Annotated[
        bool,
        typer.Option(
            "--all",
            help="All accounts that were last refreshed longer ago than --older-than.",
            envvar="PIPEDRIVE_OAUTH_ALL",
        ),
    ] = False,
    older_than: Annotated[
        str,
        typer.Option(
            "--older-than",
            help="With --all: how long ago, such as 12h, 30d or 6w.",
            envvar="PIPEDRIVE_OAUTH_OLDER_THAN",
        ),
    ] = "30d",
    concurrency: Annotated[
        int,
        typer.Option(
            "--concurrency",
            help="With --all: how many to refresh at the same time.",
            envvar="PIPEDRIVE_OAUTH_CONCURRENCY",
            min=1,
            max=64,
        ),
    ] = 8,
    per_second: Annotated[
        float,
        typer.Option(
            "--per-second",
            help="With --all: how many to start in a second at most.",
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
    """Refresh tokens now."""
    from pipedrive_oauth_client.cli.accounts import chosen_account, refresh_many, refresh_one
    from pipedrive_oauth_client.cli.settings import app_settings, open_oauth, store_url_from
    from pipedrive_oauth_client.cli.status import parse_duration

    if all_accounts and account == os.environ.get("PIPEDRIVE_OAUTH_ACCOUNT"):
        account = None  # an option takes precedence over the environment
    if all_accounts and account is not None:
        raise typer.BadParameter("Name an account or pass --all, not both.")
    if not math.isfinite(per_second):
        raise typer.BadParameter("--per-second must be a finite number.")
    min_age = parse_duration(older_than)
    store_url = store_url_from(context.obj, store, store_name, store_keys_file)
    settings = app_settings(context.obj, client_id, client_secret_file)
    with store_url.open() as token_store:
        name = None if all_accounts else chosen_account(token_store, account, store_url.redacted)
        with open_oauth(settings, base_url) as oauth:
            if name is not None:
                refresh_one(oauth, token_store, name, in_json=json)
            else:
                refresh_many(
                    oauth,
                    token_store,
                    min_age,
                    concurrency=concurrency,
                    per_second=per_second,
                    in_json=json,
                )


@app.command("revoke", help=_REVOKE)
def revoke(
    context: typer.Context,
    account: Account = None,
    yes: Annotated[
        bool,
        typer.Option(
            "--yes", "-y", help="Do not ask for confirmation.", envvar="PIPEDRIVE_OAUTH_YES"
        ),
    ] = False,
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
    """End an account's grant."""
    from pipedrive_oauth_client.cli.accounts import chosen_account, end_grant
    from pipedrive_oauth_client.cli.exit_codes import CommandError, ExitCode
    from pipedrive_oauth_client.cli.output import ask, can_ask, write, write_json
    from pipedrive_oauth_client.cli.settings import app_settings, open_oauth, store_url_from

    store_url = store_url_from(context.obj, store, store_name, store_keys_file)
    settings = app_settings(context.obj, client_id, client_secret_file)
    with store_url.open() as token_store:
        name = chosen_account(token_store, account, store_url.redacted)
        if not yes and not can_ask():
            raise CommandError(
                "revoke asks for confirmation, which needs a terminal. Pass --yes.", ExitCode.USAGE
            )
        question = f"Revoke the grant of {name}, and uninstall the app there? [y/N]"
        if not yes and ask(question).lower() not in ("y", "yes"):
            raise CommandError("Nothing was changed.", ExitCode.DECLINED)
        with open_oauth(settings, base_url) as oauth:
            end_grant(oauth, token_store, name)
    if json:
        write_json({"account": name, "revoked": True})
    else:
        write(f"Revoked {name}; its token is deleted from {store_url.redacted}.\n")


@app.command("sandbox", help=_SANDBOX)
def sandbox(
    port: Annotated[
        int,
        typer.Option(
            "--port",
            help="The port; 0 chooses a free one.",
            envvar="PIPEDRIVE_OAUTH_SANDBOX_PORT",
            min=0,
            max=65_535,
        ),
    ] = 0,
    redirect_uri: Annotated[
        str,
        typer.Option(
            "--redirect-uri",
            help="The callback URL that is registered for the sandbox's app.",
            envvar="PIPEDRIVE_OAUTH_SANDBOX_REDIRECT_URI",
        ),
    ] = "http://127.0.0.1:8123/callback",
    json: Json = False,
    env_file: EnvFile = None,
    debug: Debug = False,
) -> None:
    """Serve a sandbox."""
    from pipedrive_oauth_client.cli.output import write, write_json
    from pipedrive_oauth_client.cli.sandbox_command import announcement, exports, serve_sandbox

    serve_sandbox(
        port,
        redirect_uri,
        lambda server: write_json(exports(server)) if json else write(announcement(server)),
    )
