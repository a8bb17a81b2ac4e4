"""The fields of a callback, however a framework hands them over."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, cast
from urllib.parse import parse_qsl, urlsplit

from pipedrive_oauth_client.errors import CallbackError

__all__ = ["callback_fields"]

_MAX_CALLBACK_CHARACTERS: Final = 16_384
_ADVICE: Final = "Send the person to the authorization URL again."
_MAX_FIELDS: Final = 100

# What Starlette, Flask and Django, then httpx, then aiohttp call "all values of a name".
_GET_ALL: Final = ("getlist", "get_list", "getall")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
# `urlsplit` drops some of them, which would make another code or another state of what came.
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def callback_fields(callback: object) -> Iterable[tuple[str, str]]:
    """Give the fields of a callback one by one, repetitions included.

    Args:
        callback: The URL that was called, its query, or its parameters as a mapping.

    Returns:
        Names and values, decoded.

    Raises:
        CallbackError: It is none of these, too long, or not decodable, or it holds a control
            character; nothing of it is repeated.
    """
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
    if _CONTROL.search(callback):
        raise CallbackError(
            "The callback holds a control character. Remove it, if it is a line break at the end."
        )
    fields: list[tuple[str, str]] | None = None
    try:
        if callback.startswith("/") or _SCHEME.match(callback):
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
        raise CallbackError(f"The callback is no URL or query that can be read. {_ADVICE}")
    return fields


def _fields_of_mapping(callback: Mapping[object, object]) -> Iterable[tuple[str, str]]:
    for key in list(callback):
        # Multi-dictionaries give one value of several when asked like any mapping.
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
