"""The app's credentials and the store, from options, environment, files or prompts.

The client secret is never the value of an option: other users of a machine can see the arguments of
its processes, and shells keep a history of them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from attrs import field, frozen

from pipedrive_oauth_client.cli.output import OutputOptions, ask, ask_hidden, can_ask
from pipedrive_oauth_client.cli.store_url import StoreURL, default_url
from pipedrive_oauth_client.credentials import AppCredentials, basic_auth_header
from pipedrive_oauth_client.errors import ConfigurationError

if TYPE_CHECKING:
    from pipedrive_oauth_client.oauth import PipedriveOAuth

__all__ = [
    "AppSettings",
    "app_settings",
    "load_env_file",
    "open_oauth",
    "read_secret_file",
    "store_url_from",
]

_MAX_BYTES: Final = 64 * 1024
_PREFIX: Final = "PIPEDRIVE_"
# Refreshing and revoking send no redirect URI, but credentials must have one.
_UNUSED_REDIRECT_URI: Final = "http://127.0.0.1/not-sent"


@frozen(eq=False)
class AppSettings:
    """What is known about the app. `ask` is None where the command cannot prompt for the rest."""

    client_id: str | None
    client_secret: str | None = field(repr=lambda _: "<hidden>")
    redirect_uri: str | None
    ask: Callable[[str], str] | None
    ask_hidden: Callable[[str], str]

    def credentials(self, *, for_login: bool) -> AppCredentials:
        """Return the app's credentials; only a login needs the redirect URI."""
        client_id, secret = self._id_and_secret(for_login=for_login)
        uri = self.redirect_uri or (None if for_login else _UNUSED_REDIRECT_URI)
        if uri is None and self.ask is not None:
            uri = self.ask("Redirect URI (the app's callback URL in the Developer Hub):")
        return AppCredentials(client_id, secret, uri or "")

    def header(self) -> str:
        """Return the app's Basic `Authorization` header."""
        client_id, secret = self._id_and_secret(for_login=False)
        return basic_auth_header(client_id, secret)

    def _id_and_secret(self, *, for_login: bool) -> tuple[str, str]:
        missing = [
            name
            for name, value, is_needed in (
                ("PIPEDRIVE_CLIENT_ID", self.client_id, True),
                ("PIPEDRIVE_CLIENT_SECRET", self.client_secret, True),
                ("PIPEDRIVE_REDIRECT_URI", self.redirect_uri, for_login),
            )
            if is_needed and not value
        ]
        if missing and self.ask is None:
            raise ConfigurationError(
                f"Set {', '.join(missing)}; Pipedrive's Developer Hub shows the values. They may"
                " also be in a .env file that --env-file names, and the secret in a file of its"
                " own: --client-secret-file."
            )
        client_id = self.client_id or (self.ask("Client ID:") if self.ask else "")
        secret = self.client_secret or self.ask_hidden("Client secret (not shown):")
        return client_id, secret


def read_secret_file(path: Path, what: str) -> str:
    """Read a secret from a file, without the line break at its end."""
    try:
        with path.open("rb") as opened:
            text = opened.read(_MAX_BYTES + 1).decode()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConfigurationError(f"Cannot read {path}, the file with {what}: {reason}.") from error
    except UnicodeDecodeError:
        text = ""  # the error would hold the content of the file
    if not text.strip() or len(text) > _MAX_BYTES:
        raise ConfigurationError(f"{path}, the file with {what}, is empty, too long or not text.")
    return text.rstrip("\r\n")


def load_env_file(path: Path) -> None:
    """Set the PIPEDRIVE_ variables of a `.env` file that the environment does not have."""
    from dotenv import dotenv_values  # noqa: PLC0415 - only where such a file is named

    text = read_secret_file(path, "the variables (--env-file)")
    if "\0" in text:
        raise ConfigurationError(
            f"{path}, the file with the variables (--env-file), contains a NUL character."
        )
    # Without interpolation: a secret may contain `$`.
    for name, value in dotenv_values(stream=StringIO(text), interpolate=False).items():
        if name.startswith(_PREFIX) and value is not None and not os.environ.get(name):
            os.environ[name] = value


def store_url_from(
    output: OutputOptions,
    url: str | None,
    name: str | None,
    keys_file: Path | None = None,
    *,
    keys_variable: str = "PIPEDRIVE_OAUTH_STORE_KEYS",
) -> StoreURL:
    """Return the store that the options name, and register its secrets in `output`."""
    text = os.environ.get(keys_variable, "")
    if keys_file is not None:
        text = read_secret_file(keys_file, "the store's keys")
    keys = tuple(re.split(r"[\s,]+", text.strip())) if text.strip() else ()
    store_url = StoreURL(url or default_url(), name or None, keys)
    output.secrets += keys
    # Everything between the user's name and the last @ may be the password.
    for password in re.findall(r"://[^:/@]*:(.*)@", store_url.url):
        output.secrets += {password, unquote(password)}
    for password in re.findall(r"[?&]password=([^&#]*)", store_url.url):
        output.secrets += {password, unquote(password)}
    return store_url


def app_settings(
    output: OutputOptions,
    client_id: str | None,
    secret_file: Path | None,
    redirect_uri: str | None = None,
) -> AppSettings:
    """Return what is known about the app, and register its secret in `output`."""
    secret = os.environ.get("PIPEDRIVE_CLIENT_SECRET")
    if secret_file is not None:
        secret = read_secret_file(secret_file, "the client secret")

    def ask_secret(prompt: str) -> str:
        secret = ask_hidden(prompt)
        output.secrets.append(secret)
        return secret

    if secret:
        output.secrets.append(secret)
    return AppSettings(client_id, secret, redirect_uri, ask if can_ask() else None, ask_secret)


@contextmanager
def open_oauth(
    settings: AppSettings, base_url: str, *, for_login: bool = False
) -> Generator[PipedriveOAuth]:
    """Open the OAuth client of the app, and close its connections at the end."""
    from pipedrive_oauth_client.oauth import PipedriveOAuth  # noqa: PLC0415 - help needs no HTTP

    with PipedriveOAuth(settings.credentials(for_login=for_login), base_url=base_url) as oauth:
        yield oauth
