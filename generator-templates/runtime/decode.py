"""Strict reading of answers: of the type that the spec says, or an error that names the field.

A decoder is a function of a decoded JSON value and the field it stands in, for the error. There is
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

from .errors import InvalidResponseError
from .types import UNSET, Unset

if TYPE_CHECKING:
    from uuid import UUID

    from .response import RawResponse

T = TypeVar("T")
E = TypeVar("E", bound=Enum)
Decoder: TypeAlias = Callable[[object, str], T]

# A JSON integer of more digits than this is no lifetime, identifier or count; Python refuses to
# convert thousands.
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


def _refuse(field: str, wanted: str, value: object) -> NoReturn:
    found = _JSON_NAMES.get(type(value), "a number of too many digits")
    if isinstance(value, float) and not math.isfinite(value):
        found = "a number that JSON does not have"
    raise InvalidResponseError(
        f"{_place(field)} must be {wanted}, not {found}", field=field or None
    )


def _place(field: str) -> str:
    return f"field {field!r}" if field else "the body"


@cache
def text(*, pattern: str | None = None, min_length: int = 0) -> Decoder[str]:
    """Make a decoder of strings.

    Args:
        pattern: A regular expression that the whole string has to match.
        min_length: The least number of characters.

    Returns:
        The decoder. It refuses strings that can't be encoded as UTF-8 (JSON lets a lone surrogate
        through).
    """
    matches = re.compile(pattern).fullmatch if pattern is not None else None

    def decode(value: object, field: str) -> str:
        if not isinstance(value, str):
            _refuse(field, "a string", value)
        if len(value) < min_length:
            raise InvalidResponseError(
                f"{_place(field)} is shorter than {min_length}", field=field or None
            )
        if matches is not None and matches(value) is None:
            raise InvalidResponseError(
                f"{_place(field)} has characters that may not be in it", field=field or None
            )
        if not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value):
            raise InvalidResponseError(f"{_place(field)} is not valid Unicode", field=field or None)
        return value

    return decode


@cache
def integer(*, minimum: int | None = None) -> Decoder[int]:
    """Make a decoder of integers, sent as a number or as decimal digits in a string.

    Args:
        minimum: The least value.

    Returns:
        The decoder. It refuses booleans, fractions, signs and blanks in a string, and more than 18
        digits.
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
            _refuse(field, "an integer", value)
        if abs(value) >= 10**_MAX_DIGITS:
            raise InvalidResponseError(
                f"{_place(field)} has more than {_MAX_DIGITS} digits", field=field or None
            )
        if minimum is not None and value < minimum:
            raise InvalidResponseError(
                f"{_place(field)} is less than {minimum}", field=field or None
            )
        return value

    return decode


@cache
def number(*, minimum: float | None = None) -> Decoder[float]:
    """Make a decoder of numbers.

    Args:
        minimum: The least value.

    Returns:
        The decoder. An integer is a number, too; a boolean is not.
    """

    def decode(value: object, field: str) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            _refuse(field, "a number", value)
        if not abs(value) < float("inf"):
            raise InvalidResponseError(
                f"{_place(field)} is not a finite number", field=field or None
            )
        if minimum is not None and value < minimum:
            raise InvalidResponseError(
                f"{_place(field)} is less than {minimum}", field=field or None
            )
        return float(value)

    return decode


def boolean(value: object, field: str) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        _refuse(field, "a boolean", value)
    return value


def null(value: object, field: str) -> None:
    """Read null."""
    if value is not None:
        _refuse(field, "null", value)


def anything(value: object, _field: str) -> Any:
    """Read a value of which the spec says nothing."""
    return value


def timestamp(value: object, field: str) -> datetime.datetime:
    """Read an ISO 8601 date and time that names its offset from UTC."""
    # Here and not above: the import is dear, and no answer of today's spec holds a date.
    from dateutil.parser import isoparse

    try:
        moment = isoparse(text()(value, field))
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise InvalidResponseError(
            f"{_place(field)} is no ISO 8601 time with an offset", field=field or None
        )
    return moment


def calendar_date(value: object, field: str) -> datetime.date:
    """Read an ISO 8601 date."""
    written = text()(value, field)
    try:
        return datetime.date.fromisoformat(written)
    except ValueError:
        pass
    raise InvalidResponseError(f"{_place(field)} is no ISO 8601 date", field=field or None)


def uuid(value: object, field: str) -> UUID:
    """Read a UUID."""
    from uuid import UUID  # here, as the import is dear

    written = text()(value, field)
    try:
        return UUID(written)
    except ValueError:
        pass
    raise InvalidResponseError(f"{_place(field)} is no UUID", field=field or None)


def enumeration(members: type[E]) -> Decoder[E]:
    """Make a decoder of the values of an enumeration.

    Args:
        members: The enumeration.

    Returns:
        The decoder.
    """
    by_value = {(type(member.value), member.value): member for member in members}

    def decode(value: object, field: str) -> E:
        known = isinstance(value, str | int) and (type(value), value) in by_value
        if not known:
            raise InvalidResponseError(
                f"{_place(field)} is none of the values that the spec names", field=field or None
            )
        return by_value[type(value), value]

    return decode


def array(item: Decoder[T]) -> Decoder[list[T]]:
    """Make a decoder of arrays.

    Args:
        item: The decoder of each item.

    Returns:
        The decoder.
    """

    def decode(value: object, field: str) -> list[T]:
        if not isinstance(value, list):
            _refuse(field, "an array", value)
        return [item(each, f"{field}[{index}]") for index, each in enumerate(value)]

    return decode


def model(from_dict: Callable[[Mapping[str, Any]], T]) -> Decoder[T]:
    """Make a decoder of objects.

    Args:
        from_dict: The reader of the model.

    Returns:
        The decoder. A field at fault inside the object is named with the way to it, as in
        `data.id`.
    """

    def decode(value: object, field: str) -> T:
        if not isinstance(value, Mapping):
            _refuse(field, "an object", value)
        try:
            return from_dict(value)
        except InvalidResponseError as error:
            if not field:
                raise
            path = f"{field}.{error.field}"
            problem = error.problem.replace(_place(error.field or ""), _place(path), 1)
            raise InvalidResponseError(problem, field=path) from None

    return decode


def one_of(*decoders: Decoder[Any]) -> Decoder[Any]:
    """Make a decoder that takes the first of several that fits.

    Args:
        decoders: The decoders, in the order of the spec.

    Returns:
        The decoder.
    """

    def decode(value: object, field: str) -> Any:
        for decoder in decoders:
            try:
                return decoder(value, field)
            except InvalidResponseError:
                continue
        raise InvalidResponseError(
            f"{_place(field)} is of none of the types that the spec allows", field=field or None
        )

    return decode


def required(source: dict[str, Any], field: str, decoder: Decoder[T]) -> T:
    """Take a field that has to be there out of an object.

    Args:
        source: The object; what is left in it in the end are the fields that the spec does not
            name.
        field: The name of the field.
        decoder: The decoder of its value.

    Returns:
        The decoded value.
    """
    if field not in source:
        raise InvalidResponseError(f"{_place(field)} is missing", field=field)
    return decoder(source.pop(field), field)


def optional(source: dict[str, Any], field: str, decoder: Decoder[T]) -> T | Unset:
    """Take a field that may be absent out of an object.

    Args:
        source: The object; what is left in it in the end are the fields that the spec does not
            name.
        field: The name of the field.
        decoder: The decoder of its value.

    Returns:
        The decoded value, or `UNSET`.
    """
    return decoder(source.pop(field), field) if field in source else UNSET


def fields_of(source: object) -> dict[str, Any]:
    """Copy an object before its fields are taken out.

    Args:
        source: What should be an object.

    Returns:
        A copy that `required` and `optional` may empty.
    """
    if not isinstance(source, Mapping):
        _refuse("", "an object", source)
    return dict(source)


def json_body(answer: RawResponse, decoder: Decoder[T]) -> T:
    """Read the body of a successful answer.

    Args:
        answer: The answer.
        decoder: The decoder of the whole body.

    Returns:
        The decoded body.

    Raises:
        InvalidResponseError: The body is not JSON, or not what the spec describes.
    """
    parsed, problem = _parse(answer.content)
    if problem is None:
        return _decode(parsed, answer, decoder)
    if problem == _NO_NUMBER:
        _decode(parsed, answer, decoder)  # to name the field, where the spec has one
    raise InvalidResponseError(
        f"the body is not JSON ({problem})", status_code=answer.status_code, headers=answer.headers
    )


def json_error_body(answer: RawResponse, decoder: Decoder[T]) -> T | None:
    """Read the body of an error answer, which may be a page of some server on the way.

    Args:
        answer: The answer.
        decoder: The decoder of the whole body.

    Returns:
        The decoded body, or None where the body is not JSON: the status says enough.

    Raises:
        InvalidResponseError: The body is JSON, but not what the spec describes.
    """
    parsed, problem = _parse(answer.content)
    return None if problem is not None else _decode(parsed, answer, decoder)


_NO_NUMBER = "it holds a number that JSON does not have"


class _NoNumberError(Exception):
    """JSON holds NaN or an infinity, which RFC 8259 does not have."""


def _parse(content: bytes) -> tuple[object, str | None]:
    """Parse JSON as RFC 8259 has it: in UTF-8, without NaN and infinity.

    Returns:
        What was parsed, and what is wrong with it. The exceptions of `json` keep the whole
        document, and so every token in it: only their words go on.
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


def _refuse_constant(_name: str) -> NoReturn:
    raise _NoNumberError


def _parse_int(digits: str) -> object:
    if len(digits) < 1000:
        return int(digits)
    # Python makes no integers of some thousand digits. No field of the spec takes this type.
    from decimal import Decimal

    return Decimal(digits)


# Made once: what makes them is dearer than most documents.
_STRICT = json.JSONDecoder(parse_int=_parse_int, parse_constant=_refuse_constant)
_LENIENT = json.JSONDecoder(parse_int=_parse_int)


def _decode(parsed: object, answer: RawResponse, decoder: Decoder[T]) -> T:
    try:
        return decoder(parsed, "")
    except InvalidResponseError as error:
        raise InvalidResponseError(
            error.problem, field=error.field, status_code=answer.status_code, headers=answer.headers
        ) from None
