"""What surrounds the endpoints: every request is logged, and meets a fault if one is planned.

A record is complete before any byte of the response is sent, so a client that has a response, or
has lost its connection, finds it complete.
"""

from __future__ import annotations

import asyncio
import http
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Collection
from typing import TypeAlias

import anyio
import anyio.lowlevel
import attrs
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.clock import Now
from pipedrive_oauth_client.sandbox.error_responses import WRONG_HOST, RequestRejectedError
from pipedrive_oauth_client.sandbox.fault_responses import RawResponse
from pipedrive_oauth_client.sandbox.faults import Fault, Faults
from pipedrive_oauth_client.sandbox.models import GRANT_TYPES, AppRegistry
from pipedrive_oauth_client.sandbox.request_log import (
    NOTHING_WAS_DONE,
    LogEntry,
    RequestLog,
    RequestRecord,
)
from pipedrive_oauth_client.sandbox.requests import (
    MAX_BODY_BYTES,
    credentials_of,
    parse_query,
    preview_form,
)
from pipedrive_oauth_client.sandbox.responses import json_response
from pipedrive_oauth_client.sandbox.urls import UNLOGGED_PATHS, host_name, is_loopback_name

Sleep: TypeAlias = Callable[[float], Awaitable[object]]

_METHODS = frozenset(http.HTTPMethod)
_UNKNOWN = "unknown"
_MAX_PATH_LENGTH = 200
_MAX_SEGMENT_LENGTH = 24  # all codes and tokens are longer

_CONNECTION_EXTENSION = "pipedrive_oauth_client.sandbox.connection"
# With no time to linger, closing a socket resets its connection. Windows has shorter numbers there.
_NO_LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)


class Connection:
    """A TCP connection that a fault can break."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    @classmethod
    def of(cls, scope: Scope) -> Connection:
        """Return the connection of a request, if the server has attached it."""
        connection = scope.get("extensions", {}).get(_CONNECTION_EXTENSION)
        if not isinstance(connection, Connection):
            raise ConfigurationError(
                "This fault breaks the connection, and there is none: serve the sandbox with "
                "sandbox.run, not through an ASGI transport or another server."
            )
        return connection

    def attached_to(self, scope: Scope) -> Scope:
        """Return the scope of a request with this connection in it."""
        extensions = {**scope.get("extensions", {}), _CONNECTION_EXTENSION: self}
        return {**scope, "extensions": extensions}

    def close(self) -> None:
        """Send what was written, then end the connection normally (TCP FIN)."""
        self._transport.close()

    def reset(self) -> None:
        """Break the connection at once (TCP RST)."""
        tcp_socket: socket.socket = self._transport.get_extra_info("socket")
        tcp_socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        self._transport.abort()


@attrs.define(eq=False)
class BodyPreview:
    """A request's body, read before the endpoint reads it, that can be read again.

    The body is at most one message longer than a form may be.
    """

    body: bytes = attrs.field(repr=False)
    is_disconnected: bool
    _messages: list[Message] = attrs.field(repr=False)
    _receive: Receive = attrs.field(repr=False)

    @classmethod
    async def of(cls, scope: Scope, receive: Receive) -> BodyPreview:
        """Read the body of a POST, as far as a form may go; leave other requests unread."""
        messages, size = list[Message](), 0
        more = scope["method"] == "POST"
        while more and size <= MAX_BODY_BYTES:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(message.get("body", b"") for message in messages)
        is_disconnected = bool(messages) and messages[-1]["type"] == "http.disconnect"
        return cls(body, is_disconnected, messages, receive)

    async def receive(self) -> Message:
        """Return what was read, then what comes after it."""
        return self._messages.pop(0) if self._messages else await self._receive()


class RequestRedactor:
    """Extracts from a request what may be logged: known names, and paths without secrets."""

    def __init__(self, paths: Collection[str], apps: AppRegistry) -> None:
        self._paths = paths
        self._apps = apps
        self._client_ids = frozenset(app.client_id for app in apps)

    def method(self, scope: Scope) -> str:
        """Return the method, if HTTP defines it."""
        method: str = scope["method"]
        return method if method in _METHODS else _UNKNOWN

    def path(self, path: str) -> str:
        """Return the path; of an unknown one, long segments and secrets are hidden."""
        if path in self._paths:
            return path
        # Hidden first and cut afterwards: half of a secret would not be recognized.
        shown = ("(hidden)" if self._is_secret(part) else part for part in path.split("/"))
        return "/".join(shown)[:_MAX_PATH_LENGTH]

    def client_id(self, scope: Scope) -> str | None:
        """Return the app that the credentials or the query name, or None where none is named."""
        credentials = credentials_of(scope)
        if credentials is not None:
            return _known(credentials.client_id, self._client_ids)
        try:
            query = parse_query(scope["query_string"])
        except RequestRejectedError:
            return None
        return _known(query.get("client_id"), self._client_ids)

    def grant_type(self, scope: Scope, body: bytes) -> str | None:
        """Return the form's `grant_type`, or None where there is no form or none in it."""
        form = preview_form(scope, body)
        return _known(form.get("grant_type"), GRANT_TYPES) if form is not None else None

    def _is_secret(self, part: str) -> bool:
        return len(part) > _MAX_SEGMENT_LENGTH or any(
            secret in part for secret in self._apps.secrets()
        )


def _known(name: str | None, names: Collection[str]) -> str | None:
    return name if name is None or name in names else _UNKNOWN


@attrs.frozen
class Middleware:
    """The outermost part of a sandbox, around its endpoints `app`."""

    app: ASGIApp
    faults: Faults
    requests: RequestLog
    redactor: RequestRedactor
    clock: Now
    sleep: Sleep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Process one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = _path_below_mount(scope)
        if path in UNLOGGED_PATHS and scope["method"] in {"GET", "HEAD"}:
            await self.app(scope, receive, send)
            return
        entry = self.requests.begin(
            RequestRecord(
                time=self.clock(),
                method=self.redactor.method(scope),
                path=self.redactor.path(path),
                client_id=self.redactor.client_id(scope),
            )
        )
        preview = await BodyPreview.of(scope, receive)
        if preview.is_disconnected:
            return
        grant_type = self.redactor.grant_type(scope, preview.body)
        if grant_type is not None:
            entry.update(grant_type=grant_type)
        entry.attach_to(scope)
        fault = self.faults.take(path, grant_type)
        if fault is None:
            await self.app(scope, preview.receive, _recording(entry, scope, send))
        else:
            entry.update(fault=fault.name)
            await self._apply(fault, entry, scope, preview.receive, send)

    async def _apply(
        self, fault: Fault, entry: LogEntry, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if fault.breaks_connection:
            Connection.of(scope)  # without one, the request must not be processed either
        response = RawResponse(None)
        if fault.works_first:
            response = await _response_of(self.app, entry, scope, receive)
        if fault.delay_seconds and not await self._wait(fault.delay_seconds, receive):
            return
        response = fault.change(response, self.clock())
        entry.update(status=response.status)
        await _send_response(response, scope, receive, send)

    async def _wait(self, seconds: float, receive: Receive) -> bool:
        """Wait so long or until the client disconnects, and tell whether it is still connected."""
        is_connected = True
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                nonlocal is_connected
                await _until_disconnected(receive)
                is_connected = False
                group.cancel_scope.cancel()

            group.start_soon(watch)
            await self.sleep(seconds)
            group.cancel_scope.cancel()
        return is_connected


@attrs.frozen
class HostCheck:
    """Rejects requests for other hosts than loopback names and the given ones, as `host_name` does.

    A web page can have its own name resolved to this machine (DNS rebinding). The browser then
    takes the sandbox for that page's own site; but the Host header still has the page's name.

    Source:
        RFC 9110 sections 7.2 and 15.5.20.
    """

    app: ASGIApp
    names: Collection[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or reject it."""
        if scope["type"] != "http" or self._is_allowed(scope):
            await self.app(scope, receive, send)
            return
        response = json_response(WRONG_HOST.body(), status=WRONG_HOST.status)
        await response(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        given = [value for name, value in scope["headers"] if name == b"host"]
        name = host_name(given[0].decode("latin-1")) if len(given) == 1 else None
        return name is not None and (is_loopback_name(name) or name in self.names)


def _path_below_mount(scope: Scope) -> str:
    """Return the path without that at which another application has mounted the sandbox."""
    path: str = scope["path"]
    root_path: str = scope.get("root_path", "")
    return path.removeprefix(root_path.rstrip("/"))


def _recording(entry: LogEntry, scope: Scope, send: Send) -> Send:
    """Return a `send` that records the response's status before it is sent."""

    async def record_and_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            status: int = message["status"]
            if _is_success(status, scope):
                entry.update(status=status, outcome="ok")
            else:
                entry.update(status=status)
        await send(message)

    return record_and_send


async def _response_of(
    app: ASGIApp, entry: LogEntry, scope: Scope, receive: Receive
) -> RawResponse:
    """Let the endpoints process the request, and return their response without sending it."""
    start: Message = {}
    chunks = list[bytes]()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            if _is_success(message["status"], scope):
                entry.update(outcome="ok")
            start.update(message)
        else:
            chunks.append(message.get("body", b""))

    await app(scope, receive, keep)
    headers = tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, value in start["headers"]
    )
    return RawResponse(start["status"], headers, chunks)


def _is_success(status: int, scope: Scope) -> bool:
    return status < 400 and NOTHING_WAS_DONE not in scope


async def _send_response(response: RawResponse, scope: Scope, receive: Receive, send: Send) -> None:
    """Send a response, and break the connection where that is how it ends."""
    connection = Connection.of(scope) if response.ending != "complete" else None
    if response.status is not None:
        headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in response.headers
        ]
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        for chunk in response.body:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await anyio.lowlevel.checkpoint()  # otherwise a disconnected client is not noticed
    if connection is None:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    if response.ending == "reset":
        connection.reset()
    else:
        connection.close()
    # If the application returned before its connection is closed, the server would log an error.
    await _until_disconnected(receive)


async def _until_disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
