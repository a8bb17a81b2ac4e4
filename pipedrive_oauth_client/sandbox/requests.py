"""Reading what a request carries: forms, queries and the Authorization header, strictly.

Nothing here knows a web framework, and nothing repeats what it could not read: it may be secret.

Source:
    RFC 6749 sections 3.1, 3.2 and appendix B; RFC 6750 section 2.1; RFC 7617 section 2.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from urllib.parse import parse_qsl

import attrs

from pipedrive_oauth_client.sandbox.refusals import MALFORMED, REPEATED_PARAMETER, RefusedError

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BASIC = re.compile(r"basic +([A-Za-z0-9+/]+={0,2})", re.IGNORECASE)
_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_MAX_PARAMETERS = 100


@attrs.frozen
class Credentials:
    """A client's identifier and secret, as HTTP Basic carried them."""

    client_id: str
    client_secret: str = attrs.field(repr=False)


def is_form(content_types: Sequence[str]) -> bool:
    """Tell whether a request's Content-Type headers are one, and that one announces a form."""
    if len(content_types) != 1:
        return False
    media_type, _, _ = content_types[0].partition(";")
    return media_type.strip().lower() == "application/x-www-form-urlencoded"


def parse_form(raw: bytes) -> dict[str, str]:
    """Return a form's parameters; one without a value counts as left out.

    Raises:
        RefusedError: The form is not correctly encoded UTF-8, or repeats a parameter.
    """
    return _parse(raw, strict=True)


def parse_query(raw: bytes) -> dict[str, str]:
    """Return a query's parameters; one without a value counts as left out.

    A value's bytes may be anything: those that aren't UTF-8 are kept as lone surrogates, which
    `with_query` turns back into the same bytes.

    Raises:
        RefusedError: A percent sign is not followed by two digits, or a parameter is repeated.
    """
    return _parse(raw, strict=False)


def basic_credentials(authorization: Sequence[str]) -> Credentials | None:
    """Return the credentials in a request's Authorization headers.

    Args:
        authorization: The values of all its Authorization headers.

    Returns:
        The credentials, or None when there isn't exactly one header, of the Basic scheme, that can
        be read: Base64 with its padding, UTF-8, a colon, no control characters.
    """
    found = _BASIC.fullmatch(authorization[0]) if len(authorization) == 1 else None
    if found is None:
        return None
    try:
        pair = base64.b64decode(found[1])
        text = pair.decode("utf-8")
    except ValueError:
        return None
    # The decoder lets too much padding and stray bits at the end pass.
    if base64.b64encode(pair).decode() != found[1]:
        return None
    client_id, colon, client_secret = text.partition(":")
    if not colon or _CONTROL.search(text):
        return None
    return Credentials(client_id, client_secret)


def bearer_token(authorization: Sequence[str]) -> str | None:
    """Return the bearer token in a request's Authorization headers, or None without exactly one."""
    found = _BEARER.fullmatch(authorization[0]) if len(authorization) == 1 else None
    return found[1] if found is not None else None


def _parse(raw: bytes, *, strict: bool) -> dict[str, str]:
    try:
        text = raw.decode("ascii")
        pairs = parse_qsl(
            text,
            keep_blank_values=True,
            strict_parsing=strict and bool(text),
            errors="strict" if strict else "surrogateescape",
            max_num_fields=_MAX_PARAMETERS,
        )
    except ValueError:
        # Without its cause, whose text would repeat a part of the form.
        raise RefusedError(MALFORMED) from None
    if _BAD_ESCAPE.search(text):
        raise RefusedError(MALFORMED)
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise RefusedError(REPEATED_PARAMETER)
    return {name: value for name, value in parameters.items() if value}
