"""Reading what a request carries: forms, queries and the Authorization header, strictly.

Nothing here knows a web framework, and nothing repeats what it could not read: it may be secret.

Source:
    RFC 6749 sections 3.1, 3.2 and appendix B; RFC 6750 section 2.1; RFC 7617 section 2.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import os
import re
import socket
import struct
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl

import attrs
from starlette.requests import Request
from starlette.types import Scope

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.error_responses import (
    MALFORMED,
    NO_CREDENTIALS,
    NOT_A_FORM,
    REPEATED_PARAMETER,
    TOO_LARGE,
    TWO_AUTHENTICATIONS,
    WRONG_CLIENT,
    RefusedError,
    missing_parameter,
)
from pipedrive_oauth_client.sandbox.models import App

_EXTENSION = "pipedrive_oauth_client.sandbox.requests"
# With no time to linger, closing a socket resets its connection. Windows has shorter numbers there.
_NO_LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Connection:
    """A TCP connection that can be broken off.

    Args:
        transport: The event loop's side of it.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def close(self) -> None:
        """Send what was written, then end the connection as if all were well (TCP FIN)."""
        self._transport.close()

    def reset(self) -> None:
        """Break the connection off at once (TCP RST)."""
        tcp_socket: socket.socket = self._transport.get_extra_info("socket")
        tcp_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()


def lend(connection: Connection, scope: Scope) -> Scope:
    """Return the scope of a request with its connection in it."""
    return {**scope, "extensions": {**scope.get("extensions", {}), _EXTENSION: connection}}


def connection_of(scope: Scope) -> Connection:
    """Return the connection of a request.

    Raises:
        ConfigurationError: The server lends none, or there is no server.
    """
    connection = scope.get("extensions", {}).get(_EXTENSION)
    if not isinstance(connection, Connection):
        raise ConfigurationError(
            "This fault breaks the connection, and here is none to break: serve the sandbox with "
            "sandbox.run, not through an ASGI transport or another server."
        )
    return connection


MAX_BODY_BYTES = 64 * 1024

_FORM = "pipedrive_oauth_client.sandbox.form"


def peek_form(scope: Scope, body: bytes, content_types: Sequence[str]) -> dict[str, str] | None:
    """Return the form in a body that was read ahead, and leave it in the scope for `read_form`.

    Args:
        scope: The request's scope.
        body: The whole body, or more of it than a form may have.
        content_types: The values of all Content-Type headers.

    Returns:
        The parameters, or None where `read_form` will refuse.
    """
    if len(body) > MAX_BODY_BYTES or not is_form(content_types):
        return None
    try:
        form = parse_form(body)
    except RefusedError:
        return None
    scope[_FORM] = form
    return form


async def read_form(request: Request) -> dict[str, str]:
    """Return the parameters of the form that a request sends.

    Raises:
        RefusedError: The content is no form, is larger than `MAX_BODY_BYTES`, is not correctly
            encoded or repeats a parameter.
    """
    peeked: dict[str, str] | None = request.scope.get(_FORM)
    if peeked is not None:
        return peeked
    if not is_form(request.headers.getlist("content-type")):
        raise RefusedError(NOT_A_FORM)
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY_BYTES:
            raise RefusedError(TOO_LARGE)
    return parse_form(bytes(raw))


def need(form: Mapping[str, str], name: str) -> str:
    """Return a parameter of a form.

    Raises:
        RefusedError: The form has it not, or has it without a value.
    """
    if name not in form:
        raise RefusedError(missing_parameter(name))
    return form[name]


_CREDENTIALS = "pipedrive_oauth_client.sandbox.credentials"


def credentials_of(scope: Scope) -> Credentials | None:
    """Return what a request's Authorization header says, read once for all who ask; or None."""
    known = scope.get(_CREDENTIALS)
    if isinstance(known, Credentials):
        return known
    credentials = basic_credentials(
        [
            value.decode("latin-1")
            for name, value in scope["headers"]
            if name.lower() == b"authorization"
        ]
    )
    if credentials is not None:
        scope[_CREDENTIALS] = credentials
    return credentials


class Clients:
    """The registered apps, as clients that prove who they are.

    Args:
        apps: The registered apps.
    """

    def __init__(self, apps: Sequence[App]) -> None:
        self._apps = {app.client_id: app for app in apps}

    def authenticate(self, request: Request, form: Mapping[str, str]) -> App:
        """Return the app whose credentials a request carries in its Authorization header.

        Raises:
            RefusedError: There are no credentials that can be read, there are some in the form as
                well, or they are wrong.
        """
        credentials = credentials_of(request.scope)
        if credentials is None:
            raise RefusedError(NO_CREDENTIALS)
        if "client_secret" in form:
            raise RefusedError(TWO_AUTHENTICATIONS)
        app = self._apps.get(credentials.client_id)
        if not _is_secret_right(credentials, app) or app is None:
            raise RefusedError(WRONG_CLIENT)
        return app


def _is_secret_right(credentials: Credentials, app: App | None) -> bool:
    """Compare in constant time, for an unknown client as well: the time tells nothing."""
    expected = app.client_secret if app is not None else "no such client"
    return hmac.compare_digest(credentials.client_secret.encode(), expected.encode())


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
