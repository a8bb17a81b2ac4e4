"""Strict reading of responses: values of the spec's types, or an error that names the field.

A decoder is a function of a decoded JSON value and the field that holds it, for the error. There is
one leniency: an integer may arrive as a string of decimal digits.
"""

from __future__ import annotations

import datetime
import json
import math
import re
from codecs import BOM_UTF8
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar

from .encode import has_surrogates
from .errors import InvalidResponseError
from .types import UNSET, Unset

# pytest shows the arguments of the last frame of an error, and here they are secrets.
__tracebackhide__ = True

if TYPE_CHECKING:
    from uuid import UUID

    from .response import RawResponse

T = TypeVar("T")
E = TypeVar("E", bound=Enum)
Decoder: TypeAlias = Callable[[object, str], T]

# A JSON integer of more digits than this is no lifetime, identifier or count; Python rejects
# conversions of thousands.
_MAX_DIGITS = 18

_JSON_NAMES: dict[type[object], str] = {
    dict: "an object",
    list: "an array",
    str: "a string",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    type(None): "null",
}


def _reject(field: str, problem: str) -> NoReturn:
    raise InvalidResponseError(f"{_name(field)} {problem}", field=field or None)


def _reject_type(field: str, wanted: str, value: object) -> NoReturn:
    found = _JSON_NAMES.get(type(value), "a number of too many digits")
    if isinstance(value, float) and not math.isfinite(value):
        found = "a number that JSON does not have"
    _reject(field, f"must be {wanted}, not {found}")


def _name(field: str) -> str:
    return f"field {field!r}" if field else "the body"


@cache
def text(*, pattern: str | None = None, min_length: int = 0) -> Decoder[str]:
    """Make a decoder of strings that UTF-8 can encode (JSON allows half of a surrogate pair)."""
    matches = re.compile(pattern, re.ASCII).fullmatch if pattern is not None else None

    def decode(value: object, field: str) -> str:
        if not isinstance(value, str):
            _reject_type(field, "a string", value)
        if len(value) < min_length:
            _reject(field, f"is shorter than {min_length}")
        if matches is not None and matches(value) is None:
            _reject(field, "has characters that are not allowed in it")
        if not value.isascii() and has_surrogates(value):
            _reject(field, "is not valid Unicode")
        return value

    return decode


@cache
def integer(*, minimum: int | None = None) -> Decoder[int]:
    """Make a decoder of integers of at most 18 digits, sent as a number or as digits in a string.

    It rejects booleans, fractions, and signs and spaces in a string.
    """

    def decode(value: object, field: str) -> int:
        if (
            isinstance(value, str)
            and 0 < len(value) <= _MAX_DIGITS
            and value.isascii()
            and value.isdecimal()
        ):
            value = int(value)
        if not isinstance(value, int) or isinstance(value, bool):
            _reject_type(field, "an integer", value)
        if abs(value) >= 10**_MAX_DIGITS:
            _reject(field, f"has more than {_MAX_DIGITS} digits")
        if minimum is not None and value < minimum:
            _reject(field, f"is less than {minimum}")
        return value

    return decode


@cache
def number(*, minimum: float | None = None) -> Decoder[float]:
    """Make a decoder of numbers. An integer is a number, too; a boolean is not."""

    def decode(value: object, field: str) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            _reject_type(field, "a number", value)
        if not abs(value) < float("inf"):
            _reject(field, "is not a finite number")
        if minimum is not None and value < minimum:
            _reject(field, f"is less than {minimum}")
        # An integer stays one: as a float it may be another number (2**53 + 1).
        return value

    return decode


def boolean(value: object, field: str) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        _reject_type(field, "a boolean", value)
    return value


def null(value: object, field: str) -> None:
    """Read null."""
    if value is not None:
        _reject_type(field, "null", value)


def anything(value: object, _field: str) -> Any:
    """Read a value of which the spec says nothing."""
    return value


def timestamp(value: object, field: str) -> datetime.datetime:
    """Read an ISO 8601 date and time that names its offset from UTC."""
    # Here and not above: the import is slow, and no response of today's spec holds a date.
    from dateutil.parser import isoparse

    try:
        moment = isoparse(text()(value, field))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        _reject(field, "is no ISO 8601 time with an offset")
    return moment


def calendar_date(value: object, field: str) -> datetime.date:
    """Read an ISO 8601 date."""
    written = text()(value, field)
    try:
        return datetime.date.fromisoformat(written)
    except ValueError:
        pass
    _reject(field, "is no ISO 8601 date")


def uuid(value: object, field: str) -> UUID:
    """Read a UUID."""
    from uuid import UUID  # here, as the import is slow

    written = text()(value, field)
    try:
        return UUID(written)
    except ValueError:
        pass
    _reject(field, "is no UUID")


def enumeration(members: type[E]) -> Decoder[E]:
    """Make a decoder of the values of an enumeration."""
    by_value = {(type(member.value), member.value): member for member in members}

    def decode(value: object, field: str) -> E:
        known = isinstance(value, str | int) and (type(value), value) in by_value
        if not known:
            _reject(field, "is none of the values that the spec names")
        return by_value[type(value), value]

    return decode


def array(item: Decoder[T]) -> Decoder[list[T]]:
    """Make a decoder of arrays from the decoder of their items."""

    def decode(value: object, field: str) -> list[T]:
        if not isinstance(value, list):
            _reject_type(field, "an array", value)
        return [item(each, f"{field}[{index}]") for index, each in enumerate(value)]

    return decode


def model(from_dict: Callable[[Mapping[str, Any]], T]) -> Decoder[T]:
    """Make a decoder of objects; its errors name a field inside the object by path: `data.id`."""

    def decode(value: object, field: str) -> T:
        if not isinstance(value, Mapping):
            _reject_type(field, "an object", value)
        try:
            return from_dict(value)
        except InvalidResponseError as error:
            if not field:
                raise
            path = f"{field}.{error.field}"
            problem = error.problem.replace(_name(error.field or ""), _name(path), 1)
            raise InvalidResponseError(problem, field=path) from None

    return decode


def one_of(*decoders: Decoder[Any]) -> Decoder[Any]:
    """Make a decoder that takes the first of several, in the order of the spec, that fits."""

    def decode(value: object, field: str) -> Any:
        for decoder in decoders:
            try:
                return decoder(value, field)
            except InvalidResponseError:
                continue
        _reject(field, "is of none of the types that the spec allows")

    return decode


# What is left in `source` in the end are the fields that the spec does not name.
def required(source: dict[str, Any], field: str, decoder: Decoder[T]) -> T:
    """Take a field that must be present out of an object."""
    if field not in source:
        _reject(field, "is missing")
    return decoder(source.pop(field), field)


def optional(source: dict[str, Any], field: str, decoder: Decoder[T]) -> T | Unset:
    """Take a field that may be absent out of an object."""
    return decoder(source.pop(field), field) if field in source else UNSET


def fields_of(source: object) -> dict[str, Any]:
    """Copy an object, so that `required` and `optional` can empty the copy."""
    if not isinstance(source, Mapping):
        _reject_type("", "an object", source)
    return dict(source)


def json_body(response: RawResponse, decoder: Decoder[T]) -> T:
    """Read the body of a successful response, which must be the JSON that the spec describes."""
    parsed, problem = _parse(response.content)
    if problem is None:
        return _decode(parsed, response, decoder)
    if problem == _NO_NUMBER:
        _decode(parsed, response, decoder)  # to name the field, where the spec has one
    raise InvalidResponseError(
        f"the body is not JSON ({problem})",
        status_code=response.status_code,
        headers=response.headers,
        response=response,
    )


def json_error_body(response: RawResponse, decoder: Decoder[T]) -> T | None:
    """Read the body of an error response; None where it is not JSON but a page of some server."""
    parsed, problem = _parse(response.content)
    return None if problem is not None else _decode(parsed, response, decoder)


def json_object(response: RawResponse) -> dict[str, Any] | None:
    """Read the body as a JSON object of any content, for what is to be used of a wrong response.

    None where it is no JSON object. NaN and the infinities are let through.
    """
    parsed, _problem = _parse(response.content)
    return parsed if isinstance(parsed, dict) else None


_NO_NUMBER = "it holds a number that JSON does not have"


class _NoNumberError(Exception):
    """JSON holds NaN or an infinity, which RFC 8259 does not have."""


def _parse(content: bytes) -> tuple[object, str | None]:
    """Parse JSON as RFC 8259 defines it: in UTF-8, without NaN and infinity.

    Returns what was parsed, and what is wrong with it. The exceptions of `json` keep the whole
    document, and so every token in it: only their messages are passed on.
    """
    try:
        document = content.removeprefix(BOM_UTF8).decode()
        try:
            return _STRICT.decode(document), None
        except _NoNumberError:
            return _LENIENT.decode(document), _NO_NUMBER
    except UnicodeDecodeError:
        return None, "it is not UTF-8"
    except json.JSONDecodeError as error:
        return None, f"{error.msg} at character {error.pos}" if content else "it is empty"
    except RecursionError:
        return None, "it is nested too deep"


def _reject_constant(_name: str) -> NoReturn:
    raise _NoNumberError


def _parse_int(digits: str) -> object:
    if len(digits) < 1000:
        return int(digits)
    # Python makes no integers of some thousand digits. No field of the spec takes this type.
    from decimal import Decimal

    return Decimal(digits)


# Made once: making them takes longer than reading most documents.
_STRICT = json.JSONDecoder(parse_int=_parse_int, parse_constant=_reject_constant)
_LENIENT = json.JSONDecoder(parse_int=_parse_int)


def _decode(parsed: object, response: RawResponse, decoder: Decoder[T]) -> T:
    try:
        return decoder(parsed, "")
    except InvalidResponseError as error:
        raise InvalidResponseError(
            error.problem,
            field=error.field,
            status_code=response.status_code,
            headers=response.headers,
            response=response,
        ) from None
