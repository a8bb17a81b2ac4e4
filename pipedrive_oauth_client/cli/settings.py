"""The app's credentials, from the environment, files or a question.

The client secret is never an option's value: other users of a machine see the arguments of its
processes, and shells keep them.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Final

from attrs import field, frozen

from pipedrive_oauth_client.credentials import AppCredentials, basic_auth_header
from pipedrive_oauth_client.errors import ConfigurationError

__all__ = ["AppSettings", "read_secret_file", "take_env_file"]

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
