"""The options that several commands have, each with its environment variable."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from pipedrive_oauth_client.cli.completion import complete_account
from pipedrive_oauth_client.cli.output import OutputOptions
from pipedrive_oauth_client.cli.settings import take_env_file

__all__ = [
    "Account",
    "BaseURL",
    "ClientID",
    "Debug",
    "EnvFile",
    "Json",
    "RedirectURI",
    "SecretFile",
    "Store",
    "StoreKeysFile",
    "StoreName",
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


def _take_env_file(context: typer.Context, value: Path | None) -> Path | None:
    # While a shell completes a line, nothing is read.
    if value is not None and not context.resilient_parsing:
        take_env_file(value)
    return value


# Those that are eager are read before all others, and before anything can be found wrong with them.
Json: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print JSON. An error is then a JSON object, the last line of standard error.",
        envvar="PIPEDRIVE_OAUTH_JSON",
        is_eager=True,
        callback=_set_json,
    ),
]
Debug: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--debug",
        help="Show where an error comes from, without the values of variables.",
        envvar="PIPEDRIVE_OAUTH_DEBUG",
        is_eager=True,
        callback=_set_debug,
    ),
]
EnvFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--env-file",
        help="Read PIPEDRIVE_ variables from a .env file. What is set already counts more.",
        envvar="PIPEDRIVE_OAUTH_ENV_FILE",
        is_eager=True,
        callback=_take_env_file,
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
        help="A file with the client secret. Without it: PIPEDRIVE_CLIENT_SECRET, or a question.",
        envvar="PIPEDRIVE_CLIENT_SECRET_FILE",
        show_default=False,
    ),
]
RedirectURI: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--redirect-uri",
        help="The app's callback URL, letter for letter as it is registered.",
        envvar="PIPEDRIVE_REDIRECT_URI",
        show_default=False,
    ),
]
BaseURL: TypeAlias = Annotated[
    str,
    typer.Option(
        "--base-url",
        help="The service, for a sandbox.",
        envvar="PIPEDRIVE_OAUTH_BASE_URL",
    ),
]
Store: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--store",
        help=(
            "Where tokens are kept: memory:, file:///folder, sqlite:////folder/tokens.db,"
            " postgresql+psycopg://user@host/name, redis://host:6379/0. By default a folder of"
            " this user. Put an address with a password into the variable, not on the command line."
        ),
        envvar="PIPEDRIVE_OAUTH_STORE",
        show_default=False,
    ),
]
StoreName: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--store-name",
        help="The table in a database, or what Redis keys begin with.",
        envvar="PIPEDRIVE_OAUTH_STORE_NAME",
        show_default=False,
    ),
]
StoreKeysFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        "--store-keys-file",
        help=(
            "A file with Fernet keys, the newest first, that tokens are encrypted with. Or put"
            " the keys into PIPEDRIVE_OAUTH_STORE_KEYS."
        ),
        envvar="PIPEDRIVE_OAUTH_STORE_KEYS_FILE",
        show_default=False,
    ),
]
Account: TypeAlias = Annotated[
    str | None,
    typer.Argument(
        help="The account; not needed where the store holds only one.",
        envvar="PIPEDRIVE_OAUTH_ACCOUNT",
        autocompletion=complete_account,
        show_default=False,
    ),
]
