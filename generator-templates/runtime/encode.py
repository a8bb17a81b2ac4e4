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

# pytest shows the arguments of the last frame of an error, and here they are secrets.
__tracebackhide__ = True

T = TypeVar("T")


def plain(value: Any) -> Any:
    """Turn a value of a model into what JSON can hold."""
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
    from uuid import UUID  # here, as the import is slow, and today's spec has none

    return str(value) if isinstance(value, UUID) else value


def argument(name: str, value: T, expected: type | UnionType) -> T:
    """Return an argument of the expected type, and valid Unicode if it is a string."""
    if not isinstance(value, expected):
        wanted = getattr(expected, "__name__", expected)
        raise ConfigurationError(f"{name} must be {wanted}, not {type(value).__name__}.")
    if isinstance(value, str) and not value.isascii() and has_surrogates(value):
        raise ConfigurationError(f"{name} is not valid Unicode: it holds half of a surrogate pair.")
    return value


def has_surrogates(value: str) -> bool:
    """Tell whether a string cannot be encoded as UTF-8."""
    return any("\ud800" <= character <= "\udfff" for character in value)


def header(name: str, value: object) -> str:
    """Return a header's value: visible ASCII and inner spaces (RFC 9110, section 5.5)."""
    text = value if isinstance(value, str) else str(argument(name, value, str))
    if not text or not text.isascii() or not text.isprintable() or text != text.strip():
        raise ConfigurationError(
            f"{name} must be visible ASCII characters, with no line break and no space at an end."
        )
    return text


def word(value: object) -> str:
    """Write a value where one word is expected, in a header or a path, as JSON without quotes."""
    given = plain(value)
    if isinstance(given, bool):
        return "true" if given else "false"
    return str(given)


def checked_date(name: str, value: T) -> T:
    """Return a date that is no datetime, whose time would be lost."""
    if isinstance(value, datetime.datetime):
        raise ConfigurationError(f"{name} must be a date, not a datetime: use .date().")
    return argument(name, value, datetime.date)


def checked_time(name: str, value: T) -> T:
    """Return a datetime with a time zone; without one it would mean another time elsewhere."""
    argument(name, value, datetime.datetime)
    if isinstance(value, datetime.datetime) and value.utcoffset() is None:
        raise ConfigurationError(f"{name} must be a datetime with a time zone, such as UTC.")
    return value


def segment(name: str, value: object) -> str:
    """Turn an argument into a percent-encoded part of the path, which cannot change the rest.

    The items of a list are separated by commas (style `simple`).
    """
    words = [word(each) for each in value] if isinstance(value, list) else [word(value)]
    if not words or not all(words) or words in (["."], [".."]):
        raise ConfigurationError(
            f"{name} must not be empty or dots only: it is a part of the path."
        )
    return ",".join(quote(each, safe="") for each in words)


def address(url: str, params: Mapping[str, Any]) -> str:
    """Return the URL of a request with its query, percent-encoded as httpx sends it."""
    import httpx  # here, so that callers who send nothing do not import it

    try:
        return str(httpx.URL(url, params=params) if params else httpx.URL(url))
    except (httpx.InvalidURL, UnicodeError) as error:
        problem = type(error).__name__  # its text may repeat the URL
    raise ConfigurationError(f"The arguments do not make a valid URL ({problem}).")


def document(name: str, body: object) -> Any:
    """Turn the body of a request into what JSON can hold."""
    written = plain(body)
    try:
        json.dumps(written, allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        problem = type(error).__name__
    else:
        return written
    raise ConfigurationError(f"{name} holds what JSON cannot hold ({problem}).")


def form(name: str, body: object, expected: type) -> bytes:
    """Turn the body of a request into a form: fields in order, without those that are `UNSET`."""
    argument(name, body, expected)
    model: Any = body
    fields: Mapping[str, Any] = model.to_dict()
    return urlencode(
        [
            _form_field(name, key, value)
            for key, value in fields.items()
            if not isinstance(value, Unset)
        ]
    ).encode()


def _form_field(name: str, key: object, value: object) -> tuple[str, str]:
    if isinstance(value, bool):
        written = "true" if value else "false"
    elif isinstance(value, int | float) and abs(value) < 1e18:
        written = str(value)
    elif isinstance(value, str):
        written = value
    else:
        raise ConfigurationError(
            f"{key} of {name} must be a string or a number below 10**18,"
            f" not {type(value).__name__}."
        )
    if not written.isascii():
        argument(f"{key} of {name}", written, str)
    if isinstance(key, str) and key.isascii():
        return key, written
    return str(argument(f"a field name of {name}", key, str)), written
