"""What goes into a request, checked before anything is sent. No error here repeats a value."""

import datetime
import json
from collections.abc import Mapping
from enum import Enum
from types import UnionType
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from .errors import ConfigurationError
from .types import Unset

T = TypeVar("T")


def plain(value: Any) -> Any:
    """Turn a value of a model into what JSON can hold.

    Args:
        value: A model, an enumeration's member, a date, a list of those, or a plain value.

    Returns:
        The plain value.
    """
    if type(value) is str:  # what most fields are
        return value
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime.date):
        return value.isoformat()
    return value if value is None or isinstance(value, int | float | dict) else _rare(value)


def _rare(value: object) -> object:
    from uuid import UUID  # here, as the import is dear, and today's spec has none

    return str(value) if isinstance(value, UUID) else value


def argument(name: str, value: T, expected: type | UnionType) -> T:
    """Check the type of an argument.

    Args:
        name: The argument's name, for the error.
        value: What was passed.
        expected: The type it has to have.

    Returns:
        The value.

    Raises:
        ConfigurationError: It is of another type, or a string that can't be encoded as UTF-8.
    """
    if not isinstance(value, expected):
        raise ConfigurationError(
            f"{name} must be {getattr(expected, '__name__', expected)}, not {type(value).__name__}."
        )
    if isinstance(value, str) and not _encodable(value):
        raise ConfigurationError(f"{name} is not valid Unicode: it holds half of a surrogate pair.")
    return value


def header(name: str, value: str) -> str:
    """Check the value of a header.

    Args:
        name: The argument's name, for the error.
        value: The header's value.

    Returns:
        The value.

    Raises:
        ConfigurationError: It is no string, or holds anything but visible ASCII characters and
            inner spaces (RFC 9110, section 5.5).
    """
    argument(name, value, str)
    if not value or not value.isascii() or not value.isprintable() or value != value.strip():
        raise ConfigurationError(
            f"{name} must be visible ASCII characters, with no line break and no blank at an end."
        )
    return value


def word(value: object) -> str:
    """Spell a value where there is room for one word: in a header, a path or a form.

    Args:
        value: A string, number, boolean, date, UUID or member of an enumeration.

    Returns:
        The value as JSON spells it, without quotes.
    """
    given = plain(value)
    if isinstance(given, bool):
        return "true" if given else "false"
    return str(given)


def segment(name: str, value: object, expected: type | UnionType) -> str:
    """Turn an argument into a part of the path.

    Args:
        name: The argument's name, for the error.
        value: What was passed.
        expected: The type it has to have.

    Returns:
        The value, percent-encoded.

    Raises:
        ConfigurationError: It is of another type, or would change the path around it.
    """
    written = word(argument(name, value, expected))
    if written in ("", ".", ".."):
        raise ConfigurationError(
            f"{name} must not be empty or dots only: it is a part of the path."
        )
    return quote(written, safe="")


def address(url: str, params: Mapping[str, Any]) -> str:
    """Put together the address of a request.

    Args:
        url: The address without its query.
        params: The query's fields.

    Returns:
        The address, percent-encoded as httpx sends it.

    Raises:
        ConfigurationError: There is no such address, for example since it is too long.
    """
    # Here, so that whoever sends nothing does not pay for the import.
    import httpx

    try:
        return str(httpx.URL(url, params=params) if params else httpx.URL(url))
    except (httpx.InvalidURL, UnicodeError) as error:
        problem = type(error).__name__  # its text may repeat the address
    raise ConfigurationError(f"The arguments make no address that can be used ({problem}).")


def document(name: str, body: object, expected: type | UnionType) -> Any:
    """Turn the body of a request into what JSON can hold.

    Args:
        name: The argument's name, for the error.
        body: The model.
        expected: The class it has to be of.

    Returns:
        The plain value.

    Raises:
        ConfigurationError: The body is of another class, or JSON can't hold it.
    """
    written = plain(argument(name, body, expected))
    try:
        json.dumps(written, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        problem = type(error).__name__
    else:
        return written
    raise ConfigurationError(f"{name} holds what JSON can't hold ({problem}).")


def form(name: str, body: object, expected: type) -> bytes:
    """Turn the body of a request into a form.

    Args:
        name: The argument's name, for the error.
        body: The model.
        expected: The class it has to be of.

    Returns:
        The fields in order, percent-encoded; a field that is `UNSET` is left out.

    Raises:
        ConfigurationError: The body is of another class, or a field can't stand in a form.
    """
    argument(name, body, expected)
    fields: Mapping[str, Any] = plain(body)
    return urlencode(
        [
            (argument(f"a field name of {name}", key, str), _form_value(f"{key} of {name}", value))
            for key, value in fields.items()
            if not isinstance(value, Unset)
        ]
    ).encode()


def _form_value(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float) and abs(value) < 1e18:
        return str(value)
    if not isinstance(value, str):
        raise ConfigurationError(
            f"{name} must be a string or a number below 10**18, not {type(value).__name__}."
        )
    return argument(name, value, str)


def _encodable(value: str) -> bool:
    return value.isascii() or not any("\ud800" <= character <= "\udfff" for character in value)
