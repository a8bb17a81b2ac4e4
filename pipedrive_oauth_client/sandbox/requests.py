"""Reads what a request carries, strictly: forms, queries and the Authorization header.

No error repeats what could not be read, as that may be a secret.

Source:
    RFC 6749 sections 3.1, 3.2 and appendix B; RFC 6750 section 2.1; RFC 7617 section 2.
"""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

import attrs
from starlette.requests import Request
from starlette.types import Scope

from pipedrive_oauth_client.sandbox.error_responses import (
    MALFORMED,
    NO_CREDENTIALS,
    NOT_A_FORM,
    REPEATED_PARAMETER,
    TOO_LARGE,
    TWO_AUTHENTICATIONS,
    WRONG_CLIENT,
    RequestRejectedError,
    missing_parameter,
)
from pipedrive_oauth_client.sandbox.models import App, AppRegistry

MAX_BODY_BYTES = 64 * 1024

_MAX_PARAMETERS = 100
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_BASIC = re.compile(r"basic +([A-Za-z0-9+/]+={0,2})", re.IGNORECASE)
_BEARER = re.compile(r"bearer +(\S+)", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

# Where a request's scope keeps what was read of it once.
_FORM_KEY = "pipedrive_oauth_client.sandbox.form"
_CREDENTIALS_KEY = "pipedrive_oauth_client.sandbox.credentials"


def header_values(scope: Scope, name: bytes) -> list[str]:
    """Return the values of all headers of a name, which is in lower case."""
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


def parse_query(raw: bytes) -> dict[str, str]:
    """Return a query's parameters; one without a value counts as left out.

    A value's bytes may be anything: those that aren't UTF-8 are kept as lone surrogates, which
    `with_query` turns back into the same bytes.
    """
    return _parse_parameters(raw, strict=False)


def parse_form(raw: bytes) -> dict[str, str]:
    """Return the parameters of a form in UTF-8; one without a value counts as left out."""
    return _parse_parameters(raw, strict=True)


def _parse_parameters(raw: bytes, *, strict: bool) -> dict[str, str]:
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
        raise RequestRejectedError(MALFORMED) from None
    if _BAD_ESCAPE.search(text):
        raise RequestRejectedError(MALFORMED)
    parameters = dict(pairs)
    if len(parameters) != len(pairs):
        raise RequestRejectedError(REPEATED_PARAMETER)
    return {name: value for name, value in parameters.items() if value}


def is_form(content_types: Sequence[str]) -> bool:
    """Tell whether there is exactly one Content-Type, and it is that of a form."""
    if len(content_types) != 1:
        return False
    media_type, _, _ = content_types[0].partition(";")
    return media_type.strip().lower() == "application/x-www-form-urlencoded"


def preview_form(scope: Scope, body: bytes) -> dict[str, str] | None:
    """Return the form in a body that was read ahead, and keep it in the scope for `read_form`.

    The body may be larger than a form may be. The result is None where `read_form` will reject.
    """
    if len(body) > MAX_BODY_BYTES or not is_form(header_values(scope, b"content-type")):
        return None
    try:
        form = parse_form(body)
    except RequestRejectedError:
        return None
    scope[_FORM_KEY] = form
    return form


async def read_form(request: Request) -> dict[str, str]:
    """Return the parameters of the form that a request sends; reject any other content."""
    previewed: dict[str, str] | None = request.scope.get(_FORM_KEY)
    if previewed is not None:
        return previewed
    if not is_form(request.headers.getlist("content-type")):
        raise RequestRejectedError(NOT_A_FORM)
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY_BYTES:
            raise RequestRejectedError(TOO_LARGE)
    return parse_form(bytes(raw))


def require_parameter(form: Mapping[str, str], name: str) -> str:
    """Return a parameter of a form; reject a form without it."""
    if name not in form:
        raise RequestRejectedError(missing_parameter(name))
    return form[name]


@attrs.frozen
class Credentials:
    """A client's identifier and secret, as HTTP Basic carried them."""

    client_id: str
    client_secret: str = attrs.field(repr=False)


def basic_credentials(authorization: Sequence[str]) -> Credentials | None:
    """Return the credentials in the values of a request's Authorization headers.

    There must be exactly one header, of the Basic scheme, that can be read: Base64 with its
    padding, UTF-8, a colon, no control characters.
    """
    found = _BASIC.fullmatch(authorization[0]) if len(authorization) == 1 else None
    if found is None:
        return None
    try:
        pair = base64.b64decode(found[1])
        text = pair.decode("utf-8")
    except ValueError:
        return None
    # The decoder accepts too much padding, and stray bits at the end.
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


def credentials_of(scope: Scope) -> Credentials | None:
    """Return the credentials of a request, which are read once and kept in its scope; or None."""
    known = scope.get(_CREDENTIALS_KEY)
    if isinstance(known, Credentials):
        return known
    credentials = basic_credentials(header_values(scope, b"authorization"))
    if credentials is not None:
        scope[_CREDENTIALS_KEY] = credentials
    return credentials


class ClientAuthenticator:
    """Authenticates the registered apps by the credentials of a request."""

    def __init__(self, apps: AppRegistry) -> None:
        self._apps = apps

    def authenticate(self, request: Request, form: Mapping[str, str]) -> App:
        """Return the app whose credentials are in the Authorization header, and nowhere else."""
        credentials = credentials_of(request.scope)
        if credentials is None:
            raise RequestRejectedError(NO_CREDENTIALS)
        if "client_secret" in form:
            raise RequestRejectedError(TWO_AUTHENTICATIONS)
        app = self._apps.get(credentials.client_id)
        if not _is_secret_right(credentials, app) or app is None:
            raise RequestRejectedError(WRONG_CLIENT)
        return app


def _is_secret_right(credentials: Credentials, app: App | None) -> bool:
    """Compare in constant time, also for an unknown client, so that the time reveals nothing."""
    expected = app.client_secret if app is not None else "no such client"
    return hmac.compare_digest(credentials.client_secret.encode(), expected.encode())
