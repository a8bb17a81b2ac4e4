"""The URL of the consent page, and the callback that comes back from it. No request is sent."""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import Any, Final, cast
from urllib.parse import parse_qsl, urlsplit

from attrs import field, frozen

from pipedrive_oauth_client._checks import is_vschar
from pipedrive_oauth_client.credentials import AppCredentials
from pipedrive_oauth_client.errors import (
    AuthorizationDeniedError,
    CallbackError,
    ConfigurationError,
    StateMismatchError,
)
from pipedrive_oauth_client.generated.api import oauth as endpoints
from pipedrive_oauth_client.generated.client import Client
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.generated.types import FrozenEquality

# pytest shows the arguments of the last frame of an error, and here they are secrets.
__tracebackhide__ = True

__all__ = [
    "NO_STATE",
    "AuthorizationRequest",
    "NoState",
    "authorization_url",
    "callback_fields",
    "is_expected_callback",
    "read_callback",
]

_STATE_BYTES: Final = 32  # 256 bits
_MAX_CALLBACK_CHARACTERS: Final = 16_384
_MAX_FIELDS: Final = 100
_ADVICE: Final = "Send the user to the authorization URL again."

# What every registered error code is made of. The NQSCHAR of RFC 6749, appendix A.7, would let HTML
# through.
_ERROR: Final = r"[A-Za-z0-9_.-]{1,64}"
_SCHEME: Final = r"[A-Za-z][A-Za-z0-9+.-]*:"
# `urlsplit` drops some of them, which would make another code or another state of what came.
_CONTROL: Final = r"[\x00-\x1f\x7f]"
# What Starlette, Flask and Django, then httpx, then aiohttp call "all values of a name".
_GET_ALL: Final = ("getlist", "get_list", "getall")


class NoState(Enum):
    """The type of `NO_STATE`."""

    NO_STATE = "NO_STATE"

    def __repr__(self) -> str:
        return self.value


NO_STATE: Final = NoState.NO_STATE
"""Pass it as `expected_state` for installs that begin in the Marketplace.

Pipedrive sends no state there. Nothing then ties the callback to a browser session, so an attacker
can make a user's browser call it with a code of the attacker's own: treat the result as an
install, never as a login.
"""


@frozen(eq=False)
class AuthorizationRequest(FrozenEquality):
    """The URL to send a user to, and the state to expect back.

    Attributes:
        url: The URL of the consent page; its query is hidden in `repr`.
        state: What the callback has to carry; keep it in the user's session. Hidden in `repr`.
    """

    url: str = field(repr=lambda url: repr(url.partition("?")[0] + "?..."))
    state: str = field(repr=lambda _: "<hidden>")


def authorization_url(
    credentials: AppCredentials, client: Client, state: str | None = None
) -> AuthorizationRequest:
    """Build the address of the consent page.

    Args:
        credentials: The app.
        client: Whose server it is.
        state: An unguessable value that is bound to the user's session; 256 random bits by
            default.

    Returns:
        The address and the state.

    Raises:
        ConfigurationError: `state` is empty, no string, or can't be encoded.

    Source:
        RFC 6749, sections 4.1.1 and 10.12.
    """
    if state is None:
        state = secrets.token_urlsafe(_STATE_BYTES)
    elif not argument("state", state, str):
        raise ConfigurationError(
            "state must be a non-empty string. Leave it out to get a random one."
        )
    url = endpoints.authorize.url(
        client=client,
        client_id=credentials.client_id,
        redirect_uri=credentials.redirect_uri,
        state=state,
    )
    return AuthorizationRequest(url=url, state=state)


def read_callback(callback: str | Mapping[str, Any], expected_state: str | NoState) -> str:
    """Read the authorization code out of a callback.

    The state is checked first: where it is wrong, nothing else of the callback is trusted.

    Args:
        callback: The URL that was called, its query, or its parameters as a mapping. A value of
            the mapping may be a string or a list of strings; the multi-dictionaries of Starlette,
            Flask, Django and httpx are read with their repetitions.
        expected_state: The state of the `AuthorizationRequest`, or `NO_STATE` for an install that
            begins in the Marketplace.

    Returns:
        The code, to be exchanged within five minutes.

    Raises:
        StateMismatchError: The state is missing, repeated or another one, or there is one although
            none is expected.
        AuthorizationDeniedError: The callback carries an error. No request may follow from it.
        CallbackError: The code is missing, repeated, empty or malformed, or the callback can't be
            read at all.
        ConfigurationError: `expected_state` is neither a string that is not empty nor `NO_STATE`.

    Source:
        RFC 6749, sections 4.1.2, 4.1.2.1 and 10.12; RFC 9700, section 4.7.
    """
    fields = _expected_fields(callback, expected_state)
    if "error" in fields:
        raise _denied(fields["error"], fields.get("error_description", []))
    codes = fields.get("code", [])
    if len(codes) != 1:
        found = "no code" if not codes else "more than one code"
        raise CallbackError(f"The callback carries {found}. {_ADVICE}")
    if not is_vschar(codes[0]):
        raise CallbackError(
            "The callback carries a code that is empty or contains characters that no code has."
            f" {_ADVICE}"
        )
    return codes[0]


def is_expected_callback(callback: str | Mapping[str, Any], expected_state: str | NoState) -> bool:
    """Tell whether a callback can be read and carries the expected state, whatever else it says."""
    try:
        _expected_fields(callback, expected_state)
    except CallbackError:
        return False
    return True


def _expected_fields(
    callback: str | Mapping[str, Any], expected_state: str | NoState
) -> dict[str, list[str]]:
    """Give the fields of a callback whose state is the expected one."""
    if not _is_state(expected_state):
        raise ConfigurationError(
            "expected_state must be the state that was sent. For installs that begin in the"
            " Marketplace, which carry none, pass NO_STATE."
        )
    fields: dict[str, list[str]] = {}
    for name, value in callback_fields(callback):
        fields.setdefault(name, []).append(value)
    _check_state(fields.get("state", []), expected_state)
    return fields


def _is_state(value: object) -> bool:
    return value is NO_STATE or (isinstance(value, str) and value != "")


def _check_state(states: list[str], expected_state: str | NoState) -> None:
    if isinstance(expected_state, NoState):
        if states:
            raise StateMismatchError(
                "The callback carries a state although none is expected: it belongs to an"
                " authorization that began in the app. Check it against the state in the user's"
                " session."
            )
        return
    if len(states) == 1:
        given = states[0].encode("utf-8", "surrogatepass")
        if hmac.compare_digest(given, expected_state.encode("utf-8", "surrogatepass")):
            return
        found = "another state than the one that was sent"
    else:
        found = "more than one state" if states else "no state"
    raise StateMismatchError(
        f"The callback carries {found}, so it may come from an attacker. Don't use it. {_ADVICE}"
    )


def _denied(errors: list[str], descriptions: list[str]) -> AuthorizationDeniedError:
    error = errors[0]
    # An attacker can write a callback: only what looks like an error code is repeated.
    shown = f" ({error})" if re.fullmatch(_ERROR, error) else ""
    return AuthorizationDeniedError(
        f"The authorization was not granted{shown}. Tell the user, and offer to start again.",
        error=error,
        description=descriptions[0] if descriptions else None,
    )


def callback_fields(callback: object) -> Iterable[tuple[str, str]]:
    """Give the decoded fields of a URL, a query or a mapping one by one, repetitions included."""
    if isinstance(callback, str):
        return _fields_of_text(callback)
    if not isinstance(callback, Mapping):
        raise CallbackError(
            "A callback is read from a URL, a query or a mapping, not from"
            f" {type(callback).__name__}."
        )
    return _fields_of_mapping(cast(Mapping[object, object], callback))


def _fields_of_text(callback: str) -> list[tuple[str, str]]:
    if len(callback) > _MAX_CALLBACK_CHARACTERS:
        raise CallbackError(
            f"The callback is longer than {_MAX_CALLBACK_CHARACTERS} characters, so it is not read."
            f" {_ADVICE}"
        )
    if re.search(_CONTROL, callback):
        raise CallbackError(
            "The callback contains a control character. If it is a line break at the end, remove"
            " it."
        )
    fields: list[tuple[str, str]] | None = None
    try:
        if callback.startswith("/") or re.match(_SCHEME, callback):
            query = urlsplit(callback).query
        else:
            query = callback.removeprefix("?").partition("#")[0]
        # A name with a question mark is a URL that was not taken for one; it hides a field.
        if not any("?" in pair.partition("=")[0] for pair in query.split("&")):
            fields = parse_qsl(
                query, keep_blank_values=True, errors="strict", max_num_fields=_MAX_FIELDS
            )
    except ValueError:
        pass  # its text, and that of a UnicodeDecodeError, may repeat the code
    if fields is None:
        raise CallbackError(f"The callback is not a URL or query that can be read. {_ADVICE}")
    return fields


def _fields_of_mapping(callback: Mapping[object, object]) -> Iterable[tuple[str, str]]:
    for key in list(callback):
        # `[]` of a multi-dictionary gives one value of several.
        many = next(filter(None, (getattr(callback, name, None) for name in _GET_ALL)), None)
        value = many(key) if callable(many) else callback[key]
        values = cast("Sequence[object]", value) if isinstance(value, list | tuple) else [value]
        for each in values:
            if not isinstance(key, str) or not isinstance(each, str):
                raise CallbackError(
                    "A parameter of the callback is neither a string nor a list of strings. Pass"
                    " the query parameters as the framework gives them."
                )
            yield key, each
