"""The app's credentials, and the HTTP header that they travel in (RFC 7617)."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote_plus, urlsplit

from attrs import field, frozen

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.generated.types import FrozenEquality

# pytest shows the arguments of the last frame of an error, and here they are secrets.
__tracebackhide__ = True

__all__ = ["AppCredentials", "basic_auth_header"]

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_ENVIRONMENT: Final = {
    "client_id": "PIPEDRIVE_CLIENT_ID",
    "client_secret": "PIPEDRIVE_CLIENT_SECRET",
    "redirect_uri": "PIPEDRIVE_REDIRECT_URI",
}


def basic_auth_header(client_id: str, client_secret: str, *, form_encode: bool = False) -> str:
    """Return the value of the `Authorization` header that authenticates an app.

    Args:
        client_id: The app's client ID.
        client_secret: The app's client secret.
        form_encode: Percent-encode both parts first, as RFC 6749 asks and Pipedrive does not: its
            documentation joins them as they are. It makes a difference only for characters other
            than letters, digits, `_`, `.`, `-` and `~`.

    Returns:
        `Basic` and the Base64 form of `client_id:client_secret` in UTF-8.

    Raises:
        ConfigurationError: A part is not a string, is empty or blank, holds a control character, or
            can't be encoded; or the client ID holds a colon, which would move the border between
            the two parts.

    Source:
        RFC 7617, section 2; RFC 6749, section 2.3.1.
    """
    user_id = _not_blank("client_id", client_id)
    password = _not_blank("client_secret", client_secret)
    if form_encode:
        user_id, password = quote_plus(user_id), quote_plus(password)
    if ":" in user_id:
        raise ConfigurationError(
            "client_id must not hold a colon (RFC 7617, section 2). Copy it again from Pipedrive's"
            " Developer Hub."
        )
    return f"Basic {base64.b64encode(f'{user_id}:{password}'.encode()).decode('ascii')}"


@frozen(eq=False)
class AppCredentials(FrozenEquality):
    """What Pipedrive's Developer Hub shows for a registered app.

    Attributes:
        client_id: The app's client ID.
        client_secret: The app's client secret; hidden in `repr`.
        redirect_uri: The callback URL that is registered for the app, character for character.

    Raises:
        ConfigurationError: A value is empty or not a string, the client ID or secret can't be in a
            Basic header, or `redirect_uri` is not an absolute URL without fragment.

    Source:
        RFC 6749, sections 2.2, 2.3.1 and 3.1.2.
    """

    client_id: str
    client_secret: str = field(repr=lambda _: "<hidden>")
    redirect_uri: str

    def __attrs_post_init__(self) -> None:
        for name in _ENVIRONMENT:
            value = _not_blank(name, getattr(self, name))
            if value != value.strip():
                raise ConfigurationError(
                    f"{name} has a space at its start or end. Copy it again from the Developer Hub."
                )
        basic_auth_header(self.client_id, self.client_secret)
        if not _is_absolute_url(self.redirect_uri):
            raise ConfigurationError(
                "redirect_uri must be an absolute URL without user, space or fragment, for example"
                " https://app.example.com/callback, exactly as it is registered for the app."
            )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> AppCredentials:
        """Read the credentials from environment variables.

        Args:
            environ: The variables; the process's own by default.

        Returns:
            The values of `PIPEDRIVE_CLIENT_ID`, `PIPEDRIVE_CLIENT_SECRET` and
            `PIPEDRIVE_REDIRECT_URI`.

        Raises:
            ConfigurationError: A variable is not set, empty or blank (the message names each of
                them), or its value is not valid.
        """
        variables = os.environ if environ is None else environ
        missing = [name for name in _ENVIRONMENT.values() if not variables.get(name, "").strip()]
        if missing:
            raise ConfigurationError(
                f"Set {', '.join(missing)} in the environment: Pipedrive's Developer Hub shows the"
                " values."
            )
        return cls(**{field_name: variables[name] for field_name, name in _ENVIRONMENT.items()})

    @property
    def basic_auth_header(self) -> str:
        """The `Authorization` header of these credentials; see the function of the same name."""
        return basic_auth_header(self.client_id, self.client_secret)


def _not_blank(name: str, value: str) -> str:
    argument(name, value, str)
    if not value.strip():
        raise ConfigurationError(
            f"{name} is {'blank' if value else 'empty'}. Most likely the variable or setting that"
            f" it comes from is not set, for example {_ENVIRONMENT[name]}."
        )
    # CTL of RFC 5234, forbidden in both parts by RFC 7617; usually the line break that ends a file.
    if _CONTROL.search(value):
        raise ConfigurationError(
            f"{name} contains a control character, perhaps a line break at its end. Remove it."
        )
    return value


def _is_absolute_url(value: str) -> bool:
    if any(character.isspace() or character in "\\#" for character in value):
        return False
    try:
        parts = urlsplit(value)
        return bool(parts.scheme and parts.hostname) and "@" not in parts.netloc and parts.port != 0
    except ValueError:
        return False
