"""The app's credentials, from the environment, files or a question.

The client secret is never an option's value: other users of a machine see the arguments of its
processes, and shells keep them.
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
    "open_oauth",
    "read_secret_file",
    "store_url_from",
    "take_env_file",
]

_MOST_BYTES: Final = 64 * 1024
_PREFIX: Final = "PIPEDRIVE_"
# Refreshing and revoking send no redirect URI, and credentials have to have one.
_NOT_SENT: Final = "http://127.0.0.1/not-sent"


@frozen
class AppSettings:
    """What was said about the app; what is missing is asked for where somebody can be asked.

    Attributes:
        client_id: The app's client ID, or None.
        client_secret: The app's client secret, or None.
        redirect_uri: The registered callback URL, or None.
        ask: Asks for a line; None where nobody can be asked.
        ask_hidden: Asks for a line that is not shown.
    """

    client_id: str | None
    client_secret: str | None = field(repr=lambda _: "<hidden>")
    redirect_uri: str | None
    ask: Callable[[str], str] | None
    ask_hidden: Callable[[str], str]

    def credentials(self, *, for_login: bool) -> AppCredentials:
        """Give the app's credentials.

        Args:
            for_login: Whether the redirect URI is needed.

        Returns:
            The credentials.

        Raises:
            ConfigurationError: Something is missing, or can't be right.
        """
        client_id, secret = self._pair(for_login=for_login)
        uri = self.redirect_uri or (None if for_login else _NOT_SENT)
        if uri is None and self.ask is not None:
            uri = self.ask("Redirect URI (the app's callback URL in the Developer Hub):")
        return AppCredentials(client_id, secret, uri or "")

    def header(self) -> str:
        """Give the Basic header of the app.

        Returns:
            The value of the `Authorization` header.

        Raises:
            ConfigurationError: Something is missing, or can't be right.
        """
        client_id, secret = self._pair(for_login=False)
        return basic_auth_header(client_id, secret)

    def _pair(self, *, for_login: bool) -> tuple[str, str]:
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
                f"Set {', '.join(missing)} in the environment: Pipedrive's Developer Hub shows what"
                " belongs there. Or name a file: --client-secret-file, --env-file."
            )
        client_id = self.client_id or (self.ask("Client ID:") if self.ask else "")
        secret = self.client_secret or self.ask_hidden("Client secret (not shown):")
        return client_id, secret


def read_secret_file(path: Path, what: str) -> str:
    """Read a secret from a file.

    Args:
        path: The file; the line break at its end is no part of the secret.
        what: What it holds, for the error.

    Returns:
        The secret.

    Raises:
        ConfigurationError: It can't be read, is empty, or no text.
    """
    try:
        with path.open("rb") as opened:
            text = opened.read(_MOST_BYTES + 1).decode()
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ConfigurationError(f"The file with {what}, {path}, can't be read: {why}.") from error
    except UnicodeDecodeError:
        text = ""  # its error would hold what is in the file
    if not text.strip() or len(text) > _MOST_BYTES:
        raise ConfigurationError(f"The file with {what}, {path}, is empty, too long, or no text.")
    return text.rstrip("\r\n")


def take_env_file(path: Path) -> None:
    """Take the variables of a file into the environment, those of this command alone.

    Args:
        path: The file, in the form that `.env` files have.

    Raises:
        ConfigurationError: It can't be read.
    """
    from dotenv import dotenv_values  # noqa: PLC0415 - only where such a file is named

    text = read_secret_file(path, "the environment")
    if "\0" in text:
        raise ConfigurationError(f"The file with the environment, {path}, holds a NUL character.")
    # Nothing is put in place of `$`: a secret may have one.
    for name, value in dotenv_values(stream=StringIO(text), interpolate=False).items():
        if name.startswith(_PREFIX) and value is not None and not os.environ.get(name):
            os.environ[name] = value


def store_url_from(
    output: OutputOptions, url: str | None, name: str | None, keys_file: Path | None = None
) -> StoreURL:
    """Give the store that the options name.

    Args:
        output: Is told what must not be written anywhere.
        url: Its address, or None for the default one.
        name: The table or the prefix of keys, or None.
        keys_file: A file with keys, or None.

    Returns:
        The place, not opened yet.

    Raises:
        ConfigurationError: The file can't be read.
    """
    text = os.environ.get("PIPEDRIVE_OAUTH_STORE_KEYS", "")
    if keys_file is not None:
        text = read_secret_file(keys_file, "the store's keys")
    keys = tuple(re.split(r"[\s,]+", text.strip())) if text.strip() else ()
    place = StoreURL(url or default_url(), name or None, keys)
    output.secrets += keys
    # All between the user's name and the last @ may be the password.
    for password in re.findall(r"://[^:/@]*:(.*)@", place.url):
        output.secrets += {password, unquote(password)}
    for password in re.findall(r"[?&]password=([^&#]*)", place.url):
        output.secrets += {password, unquote(password)}
    return place


def app_settings(
    output: OutputOptions,
    client_id: str | None,
    secret_file: Path | None,
    redirect_uri: str | None = None,
) -> AppSettings:
    """Give what is known of the app.

    Args:
        output: Is told what must not be written anywhere.
        client_id: The client ID, or None.
        secret_file: A file with the client secret, or None for the environment.
        redirect_uri: The redirect URI, or None.

    Returns:
        The settings.

    Raises:
        ConfigurationError: The file can't be read.
    """
    secret = os.environ.get("PIPEDRIVE_CLIENT_SECRET")
    if secret_file is not None:
        secret = read_secret_file(secret_file, "the client secret")

    def hidden(question: str) -> str:
        answer = ask_hidden(question)
        output.secrets.append(answer)
        return answer

    if secret:
        output.secrets.append(secret)
    return AppSettings(client_id, secret, redirect_uri, ask if can_ask() else None, hidden)


@contextmanager
def open_oauth(
    settings: AppSettings, base_url: str, *, for_login: bool = False
) -> Generator[PipedriveOAuth]:
    """Make the flow of the app, and close its connections at the end.

    Args:
        settings: The app.
        base_url: Root of the service.
        for_login: Whether the redirect URI is needed.

    Yields:
        The flow.
    """
    from pipedrive_oauth_client.oauth import PipedriveOAuth  # noqa: PLC0415 - help needs no flow

    with PipedriveOAuth(settings.credentials(for_login=for_login), base_url=base_url) as oauth:
        yield oauth
