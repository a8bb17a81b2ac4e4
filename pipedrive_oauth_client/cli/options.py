"""The options that several commands share, each with its environment variable."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from pipedrive_oauth_client.cli.completion import complete_account
from pipedrive_oauth_client.cli.output import OutputOptions
from pipedrive_oauth_client.cli.settings import load_env_file

__all__ = [
    "Account",
    "BaseURL",
    "ClientID",
    "Company",
    "Debug",
    "EnvFile",
    "Json",
    "RedirectURI",
    "SecretFile",
    "Store",
    "StoreKeysFile",
    "StoreName",
    "Yes",
]


def _set_json(context: typer.Context, value: bool) -> bool:
    output = context.find_object(OutputOptions)
    if output is not None:
        output.json = value
    return value


def _set_debug(context: typer.Context, value: bool) -> bool:
    output = context.find_object(OutputOptions)
    if output is not None:
        output.debug = value
    return value


def _load_env_file(context: typer.Context, value: Path | None) -> Path | None:
    # During shell completion no file is read.
    if value is not None and not context.resilient_parsing:
        load_env_file(value)
    return value


# Eager options are read before all others, so that errors in those are reported as requested.
Json: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print JSON. An error is then a JSON object on the last line of standard error.",
        envvar="PIPEDRIVE_OAUTH_JSON",
        is_eager=True,
        callback=_set_json,
    ),
]
Debug: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="Print a traceback with an error, without the values of variables.",
        envvar="PIPEDRIVE_OAUTH_DEBUG",
        is_eager=True,
        callback=_set_debug,
    ),
]
EnvFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--env-file",
        help=(
            "A .env file. Of its variables, those that begin with PIPEDRIVE_ and are not set yet"
            " are used."
        ),
        envvar="PIPEDRIVE_OAUTH_ENV_FILE",
        is_eager=True,
        callback=_load_env_file,
        show_default=False,
    ),
]
ClientID: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--client-id",
        help="The app's client ID.",
        envvar="PIPEDRIVE_CLIENT_ID",
        show_default=False,
    ),
]
SecretFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--client-secret-file",
        help="A file with the client secret; by default PIPEDRIVE_CLIENT_SECRET, or a prompt.",
        envvar="PIPEDRIVE_CLIENT_SECRET_FILE",
        show_default=False,
    ),
]
RedirectURI: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--redirect-uri",
        help="The app's callback URL, exactly as registered in the Developer Hub.",
        envvar="PIPEDRIVE_REDIRECT_URI",
        show_default=False,
    ),
]
BaseURL: TypeAlias = Annotated[
    str,
    typer.Option(
        "--base-url",
        help="The root URL of the OAuth service; change it for a sandbox.",
        # The second is the name of before; the frameworks of `web` read the first as well.
        envvar=["PIPEDRIVE_BASE_URL", "PIPEDRIVE_OAUTH_BASE_URL"],
    ),
]
Store: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--store",
        help=(
            "Where tokens are stored: memory:, file:///folder, sqlite:////folder/tokens.db,"
            " postgresql+psycopg://user@host/name, redis://host:6379/0. By default a folder of"
            " this user. Set a URL with a password in the variable, not on the command line."
        ),
        envvar="PIPEDRIVE_OAUTH_STORE",
        show_default=False,
    ),
]
StoreName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--store-name",
        help="The table in a database, or the prefix of Redis keys.",
        envvar="PIPEDRIVE_OAUTH_STORE_NAME",
        show_default=False,
    ),
]
StoreKeysFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--store-keys-file",
        help=(
            "A file with Fernet keys to encrypt tokens with, the newest first, separated by commas,"
            " spaces or line breaks; by default PIPEDRIVE_OAUTH_STORE_KEYS, in the same form."
        ),
        envvar="PIPEDRIVE_OAUTH_STORE_KEYS_FILE",
        show_default=False,
    ),
]
Account: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        help="The account; not needed if the store holds only one.",
        envvar="PIPEDRIVE_OAUTH_ACCOUNT",
        autocompletion=complete_account,
        show_default=False,
    ),
]
Company: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--company",
        help="All accounts of a company, by its ID, in place of one: those named 123:...",
        envvar="PIPEDRIVE_OAUTH_COMPANY",
        min=1,
        show_default=False,
    ),
]
Yes: TypeAlias = Annotated[
    bool,
    typer.Option("--yes", "-y", help="Do not ask for confirmation.", envvar="PIPEDRIVE_OAUTH_YES"),
]
