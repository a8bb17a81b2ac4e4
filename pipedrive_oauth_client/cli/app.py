"""All commands with their options and help.

Help has to be quick: what a command needs for its work is imported when it runs.
"""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Annotated

import typer

from pipedrive_oauth_client.cli.exit_codes import ExitCode
from pipedrive_oauth_client.cli.options import (
    Account,
    BaseURL,
    ClientID,
    Company,
    Debug,
    EnvFile,
    Json,
    RedirectURI,
    SecretFile,
    Store,
    StoreKeysFile,
    StoreName,
    Yes,
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
  pipedrive-oauth sandbox                  (in another terminal, to try it)
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
  lapsed      not used for 60 days: log in again
  ended       Pipedrive has rejected the refresh token: log in again
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
machines: only one of them refreshes each account. Accounts whose grants have ended are skipped, and
status names them; --force tries to refresh them once more.

\b
Examples:
  pipedrive-oauth refresh 123:456
  pipedrive-oauth refresh --all --older-than 30d
"""
_REVOKE = """\
End an account's grant: at Pipedrive, which uninstalls the app, and in the store.

It asks for confirmation. If Pipedrive is unreachable, nothing is changed; then --local deletes only
the stored token.

\b
Examples:
  pipedrive-oauth revoke 123:456
  pipedrive-oauth revoke --company 123 --yes
"""
_DELETE = """\
Delete a stored token, even one that cannot be read. No request is sent: the grant at Pipedrive
stays, and the app stays installed there. To end the grant as well, use revoke.

\b
Examples:
  pipedrive-oauth delete 123:456
  pipedrive-oauth delete --company 123 --yes
"""
_WHOAMI = """\
Ask Pipedrive whose token it is: the user, the company, and what the app may do.

\b
Examples:
  pipedrive-oauth whoami
  pipedrive-oauth whoami 123:456 --json | jq -r .name
"""
_COPY = """\
Copy the tokens of all accounts to another store, each under its lock.

Nothing is overwritten without --replace. An interrupted copy can be repeated: accounts that are
already there are skipped. Copies are encrypted with the same keys unless --to-keys-file or
--to-clear says otherwise. Stop the app before you copy, and start it with the new store: two stores
in use at the same time would refresh the same grant.

\b
Examples:
  pipedrive-oauth copy --to sqlite:////srv/app/tokens.db
  pipedrive-oauth copy --store file:///srv/tokens --to redis://host:6379/0 --to-keys-file keys
"""
_ROTATE = """\
Encrypt all stored tokens with the newest key.

Give the programs that use the store the new key first, followed by the old one; run this; then
remove the old key everywhere. --seal-clear also encrypts tokens that are not encrypted yet: use it
once, when you begin to encrypt.

\b
Examples:
  pipedrive-oauth rotate --store-keys-file keys
  pipedrive-oauth rotate --seal-clear
"""
_SANDBOX = """\
Serve a sandbox of Pipedrive's OAuth service on this machine, and print how to use it.

It prints its client secret, too, which is made up, the same in every copy of this package, and
valid only for sandboxes. Never replace it with an app's real secret.

\b
Examples:
  pipedrive-oauth sandbox
  pipedrive-oauth sandbox --port 8900 --json
  pipedrive-oauth sandbox --host 0.0.0.0 --allowed-host localhost     (in a container)
"""
_CHECK = """\
Check the setup: credentials, service, clock and store. Nothing is changed.

It prints a line for each check: ok, failed, unknown or skipped. It requests the consent page, and a
refresh with a made-up token, which affects no grant. In the store, it saves and deletes a made-up
token under a separate name.

\b
Examples:
  pipedrive-oauth check
  pipedrive-oauth check --json | jq -r '.checks[] | select(.status == "failed").message'
"""

# Plain help fits any terminal, and does not import Rich.
app = typer.Typer(
    help=_HELP,
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


@app.command("check", help=_CHECK, short_help="Check credentials, service and store.")
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


@app.command("login", help=_LOGIN, short_help="Connect an account in the browser.")
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


@app.command("status", help=_STATUS, short_help="Show the accounts of a store.")
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
        accounts = list_statuses(token_store, account, store_url.redacted)
    if json:
        write_json({"store": store_url.redacted, "accounts": [each.to_dict() for each in accounts]})
    else:
        print_status(accounts, store_url.redacted)


@app.command("token", help=_TOKEN, short_help="Print a valid access token.")
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
    from pipedrive_oauth_client.cli.accounts import readable_account, valid_token
    from pipedrive_oauth_client.cli.output import write, write_json
    from pipedrive_oauth_client.cli.settings import app_settings, open_oauth, store_url_from

    store_url = store_url_from(context.obj, store, store_name, store_keys_file)
    settings = app_settings(context.obj, client_id, client_secret_file)
    with store_url.open() as token_store:
        name = readable_account(token_store, account, store_url.redacted)
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


@app.command("header", help=_HEADER, short_help="Print the Basic header of the app.")
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


@app.command("refresh", help=_REFRESH, short_help="Refresh tokens now.")
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
            help="With --all: how long ago, such as 12h, 30d or 6w; at least an hour.",
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
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Also try grants that are known to have ended.",
            envvar="PIPEDRIVE_OAUTH_FORCE",
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
    """Refresh tokens now."""
    from pipedrive_oauth_client.cli.accounts import (
        ended_accounts,
        readable_account,
        refresh_many,
        refresh_one,
        retry_ended_grants,
    )
    from pipedrive_oauth_client.cli.settings import app_settings, open_oauth, store_url_from
    from pipedrive_oauth_client.cli.status import parse_duration

    if all_accounts and account == os.environ.get("PIPEDRIVE_OAUTH_ACCOUNT"):
        account = None  # an option takes precedence over the environment
    if all_accounts and account is not None:
        raise typer.BadParameter("Name an account or pass --all, not both.")
    for option in ("older_than", "concurrency", "per_second"):
        source = context.get_parameter_source(option)
        if not all_accounts and source is not None and source.name == "COMMANDLINE":
            raise typer.BadParameter(f"--{option.replace('_', '-')} applies only with --all.")
    if not math.isfinite(per_second):
        raise typer.BadParameter("--per-second must be a finite number.")
    min_age = parse_duration(older_than)
    store_url = store_url_from(context.obj, store, store_name, store_keys_file)
    settings = app_settings(context.obj, client_id, client_secret_file)
    with store_url.open() as token_store:
        name = None if all_accounts else readable_account(token_store, account, store_url.redacted)
        with open_oauth(settings, base_url) as oauth:
            if force:
                accounts = ended_accounts(token_store) if name is None else [name]
                retry_ended_grants(token_store, accounts)
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


@app.command("revoke", help=_REVOKE, short_help="End a grant, and delete its token.")
def revoke(
    context: typer.Context,
    account: Account = None,
    company: Company = None,
    local: Annotated[
        bool,
        typer.Option(
            "--local",
            help="Send no request: delete only the stored token, as the command delete does.",
            envvar="PIPEDRIVE_OAUTH_LOCAL",
        ),
    ] = False,
    yes: Yes = False,
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
    from pipedrive_oauth_client.cli.accounts import chosen_accounts, delete_tokens, end_grants
    from pipedrive_oauth_client.cli.settings import app_settings, open_oauth, store_url_from

    account = _account_or_company(account, company)
    store_url = store_url_from(context.obj, store, store_name, store_keys_file)
    settings = None if local else app_settings(context.obj, client_id, client_secret_file)
    with store_url.open() as token_store:
        names = chosen_accounts(token_store, account, company, store_url.redacted)
        if settings is None:
            _confirm(names, _DELETE_QUESTION, "revoke", yes=yes)
            delete_tokens(token_store, names, store_url.redacted, in_json=json)
            return
        _confirm(names, "Revoke the grant of {}, and uninstall the app there?", "revoke", yes=yes)
        with open_oauth(settings, base_url) as oauth:
            end_grants(oauth, token_store, names, store_url.redacted, in_json=json)


_DELETE_QUESTION = "Delete the stored token of {}? The grant at Pipedrive stays."


@app.command("delete", help=_DELETE, short_help="Delete a stored token without revoking the grant.")
def delete(
    context: typer.Context,
    account: Account = None,
    company: Company = None,
    yes: Yes = False,
    store: Store = None,
    store_name: StoreName = None,
    store_keys_file: StoreKeysFile = None,
    json: Json = False,
    env_file: EnvFile = None,
    debug: Debug = False,
) -> None:
    """Delete a stored token."""
    from pipedrive_oauth_client.cli.accounts import chosen_accounts, delete_tokens
    from pipedrive_oauth_client.cli.settings import store_url_from

    account = _account_or_company(account, company)
    store_url = store_url_from(context.obj, store, store_name, store_keys_file)
    with store_url.open() as token_store:
        names = chosen_accounts(token_store, account, company, store_url.redacted)
        _confirm(names, _DELETE_QUESTION, "delete", yes=yes)
        delete_tokens(token_store, names, store_url.redacted, in_json=json)


def _account_or_company(account: str | None, company: int | None) -> str | None:
    if company is not None and account == os.environ.get("PIPEDRIVE_OAUTH_ACCOUNT"):
        return None  # an option takes precedence over the environment
    if company is not None and account is not None:
        raise typer.BadParameter("Name an account or pass --company, not both.")
    return account


def _confirm(accounts: list[str], question: str, command: str, *, yes: bool) -> None:
    from pipedrive_oauth_client.cli.exit_codes import CommandError
    from pipedrive_oauth_client.cli.output import ask, can_ask

    if yes:
        return
    if not can_ask():
        raise CommandError(
            f"{command} asks for confirmation, which needs a terminal. Pass --yes.", ExitCode.USAGE
        )
    named = ", ".join(accounts[:5]) + (f" and {len(accounts) - 5} more" if accounts[5:] else "")
    if ask(f"{question.format(named)} [y/N]").lower() not in ("y", "yes"):
        raise CommandError("Nothing was changed.", ExitCode.DECLINED)


@app.command("whoami", help=_WHOAMI, short_help="Show whose token it is.")
def whoami(
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
    """Show whose token it is."""
    from pipedrive_oauth_client.cli.accounts import readable_account, show_user
    from pipedrive_oauth_client.cli.settings import app_settings, open_oauth, store_url_from

    store_url = store_url_from(context.obj, store, store_name, store_keys_file)
    settings = app_settings(context.obj, client_id, client_secret_file)
    with store_url.open() as token_store:
        name = readable_account(token_store, account, store_url.redacted)
        with open_oauth(settings, base_url) as oauth:
            show_user(oauth, token_store, name, in_json=json)


@app.command("copy", help=_COPY, short_help="Copy all tokens to another store.")
def copy(
    context: typer.Context,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            help="The store to copy to, in the same form as --store.",
            envvar="PIPEDRIVE_OAUTH_TO",
            show_default=False,
        ),
    ] = None,
    to_name: Annotated[
        str | None,
        typer.Option(
            "--to-name",
            help="Like --store-name, of the store to copy to.",
            envvar="PIPEDRIVE_OAUTH_TO_NAME",
            show_default=False,
        ),
    ] = None,
    to_keys_file: Annotated[
        Path | None,
        typer.Option(
            "--to-keys-file",
            help=(
                "Like --store-keys-file, of the store to copy to; by default"
                " PIPEDRIVE_OAUTH_TO_KEYS, or the keys of the store that is copied."
            ),
            envvar="PIPEDRIVE_OAUTH_TO_KEYS_FILE",
            show_default=False,
        ),
    ] = None,
    to_clear: Annotated[
        bool,
        typer.Option(
            "--to-clear",
            help="Store the copies without encryption.",
            envvar="PIPEDRIVE_OAUTH_TO_CLEAR",
        ),
    ] = False,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Replace tokens of the same account in the store to copy to.",
            envvar="PIPEDRIVE_OAUTH_REPLACE",
        ),
    ] = False,
    store: Store = None,
    store_name: StoreName = None,
    store_keys_file: StoreKeysFile = None,
    json: Json = False,
    env_file: EnvFile = None,
    debug: Debug = False,
) -> None:
    """Copy all tokens to another store."""
    from attrs import evolve

    from pipedrive_oauth_client.cli.settings import store_url_from
    from pipedrive_oauth_client.cli.transfer import copy_accounts

    if not to:
        raise typer.BadParameter("Name the store to copy to: --to URL.")
    source = store_url_from(context.obj, store, store_name, store_keys_file)
    target = store_url_from(
        context.obj, to, to_name, to_keys_file, keys_variable="PIPEDRIVE_OAUTH_TO_KEYS"
    )
    if to_clear and target.keys:
        raise typer.BadParameter("Pass keys or --to-clear, not both.")
    if not target.keys and not to_clear:
        target = evolve(target, keys=source.keys)
    copy_accounts(source, target, replace=replace, in_json=json)


@app.command("rotate", help=_ROTATE, short_help="Encrypt tokens with the newest key.")
def rotate(
    context: typer.Context,
    seal_clear: Annotated[
        bool,
        typer.Option(
            "--seal-clear",
            help="Encrypt tokens that are stored in the clear as well.",
            envvar="PIPEDRIVE_OAUTH_SEAL_CLEAR",
        ),
    ] = False,
    store: Store = None,
    store_name: StoreName = None,
    store_keys_file: StoreKeysFile = None,
    json: Json = False,
    env_file: EnvFile = None,
    debug: Debug = False,
) -> None:
    """Encrypt all tokens with the newest key."""
    from pipedrive_oauth_client.cli.settings import store_url_from
    from pipedrive_oauth_client.cli.transfer import rotate_keys

    store_url = store_url_from(context.obj, store, store_name, store_keys_file)
    rotate_keys(store_url, seal_clear=seal_clear, in_json=json)


@app.command("sandbox", help=_SANDBOX, short_help="Serve a sandbox on this machine.")
def sandbox(
    host: Annotated[
        str,
        typer.Option(
            "--host",
            help=(
                "The IP address to listen on. An address other than loopback, such as 0.0.0.0 in a"
                " container, needs --allowed-host."
            ),
            envvar="PIPEDRIVE_OAUTH_SANDBOX_HOST",
        ),
    ] = "127.0.0.1",
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
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            help=(
                "A host that the sandbox accepts requests for besides localhost, without port;"
                " repeat it for several (in the variable: separated by spaces). The first one is"
                " printed."
            ),
            envvar="PIPEDRIVE_OAUTH_SANDBOX_ALLOWED_HOSTS",
        ),
    ] = None,
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
    from pipedrive_oauth_client.sandbox.program import announcement, exports, serve_sandbox

    serve_sandbox(
        host=host,
        port=port,
        allowed_hosts=allowed_host or [],
        redirect_uri=redirect_uri,
        announce=lambda server: (
            write_json(exports(server)) if json else write(announcement(server))
        ),
    )
