"""What every request passes first: it is noted in the log, and meets a fault if one is due.

A record is complete before any byte of the answer is sent, so a client that has an answer, or has
lost its connection, finds it so.
"""

from __future__ import annotations

import http
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeAlias

import anyio
import anyio.lowlevel
import attrs
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipedrive_oauth_client.sandbox.clock import Now
from pipedrive_oauth_client.sandbox.error_responses import RefusedError
from pipedrive_oauth_client.sandbox.fault_replies import Reply
from pipedrive_oauth_client.sandbox.faults import Fault, Faults
from pipedrive_oauth_client.sandbox.models import GRANT_TYPES, App
from pipedrive_oauth_client.sandbox.request_log import (
    NOTHING_WAS_DONE,
    Entry,
    RequestLog,
    RequestRecord,
)
from pipedrive_oauth_client.sandbox.requests import (
    MAX_BODY_BYTES,
    connection_of,
    credentials_of,
    parse_query,
    peek_form,
)
from pipedrive_oauth_client.sandbox.urls import UNNOTED_PATHS

_METHODS = frozenset(http.HTTPMethod)
_UNKNOWN = "unknown"
_LONGEST_PATH = 200
_LONGEST_PART = 24  # all codes and tokens are longer


@attrs.define(eq=False)
class ReadAhead:
    """A request's body, read before anybody asked for it, that can be read again.

    Attributes:
        body: The body; no more than a byte beyond what a form may have.
        is_disconnected: Whether the client left before the body was there.
    """

    body: bytes = attrs.field(repr=False)
    is_disconnected: bool
    _messages: list[Message] = attrs.field(repr=False)
    _receive: Receive = attrs.field(repr=False)

    @classmethod
    async def of(cls, scope: Scope, receive: Receive) -> ReadAhead:
        """Read the body of a POST, as far as a form may go; other requests are left unread."""
        messages, size = list[Message](), 0
        more = scope["method"] == "POST"
        while more and size <= MAX_BODY_BYTES:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            more = message.get("more_body", False)
        body = b"".join(message.get("body", b"") for message in messages)
        left = bool(messages) and messages[-1]["type"] == "http.disconnect"
        return cls(body, left, messages, receive)

    async def receive(self) -> Message:
        """Give what was read, then what comes after it."""
        return self._messages.pop(0) if self._messages else await self._receive()


@attrs.frozen
class Sight:
    """What may be noted of a request.

    Args:
        paths: The sandbox's paths.
        apps: The registered apps.
    """

    paths: Collection[str]
    apps: Sequence[App] = attrs.field(repr=False)
    _client_ids: frozenset[str] = attrs.field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_client_ids", frozenset(app.client_id for app in self.apps))

    def method(self, scope: Scope) -> str:
        """Return the method, if it is one of HTTP's."""
        method: str = scope["method"]
        return method if method in _METHODS else _UNKNOWN

    def path(self, path: str) -> str:
        """Return the path; of one that the sandbox has not, long parts and secrets are hidden."""
        if path in self.paths:
            return path
        # Hidden first and cut afterwards: half of a secret is not known as one.
        shown = ("(hidden)" if self._is_secret(part) else part for part in path.split("/"))
        return "/".join(shown)[:_LONGEST_PATH]

    def client_id(self, scope: Scope) -> str | None:
        """Return the app named by the credentials or by the query, or None where none is."""
        credentials = credentials_of(scope)
        if credentials is not None:
            return _known(credentials.client_id, self._client_ids)
        try:
            query = parse_query(scope["query_string"])
        except RefusedError:
            return None
        return _known(query.get("client_id"), self._client_ids)

    def grant_type(self, scope: Scope, body: bytes) -> str | None:
        """Return the form's `grant_type`, or None where there is no form or none in it."""
        form = peek_form(scope, body, _headers(scope, b"content-type"))
        return _known(form.get("grant_type"), GRANT_TYPES) if form is not None else None

    def _is_secret(self, part: str) -> bool:
        return len(part) > _LONGEST_PART or any(app.client_secret in part for app in self.apps)


def _known(name: str | None, names: Collection[str]) -> str | None:
    return name if name is None or name in names else _UNKNOWN


def _headers(scope: Scope, name: bytes) -> Sequence[str]:
    return [value.decode("latin-1") for key, value in scope["headers"] if key.lower() == name]


Sleep: TypeAlias = Callable[[float], Awaitable[object]]

_ENTRY = "pipedrive_oauth_client.sandbox.entry"


def note_refusal(scope: Scope, error: str) -> None:
    """Note the error code of a refusal in the request's record, if the request has one."""
    entry = scope.get(_ENTRY)
    if isinstance(entry, Entry):
        entry.note(outcome=error)


@attrs.frozen
class Front:
    """The outermost part of a sandbox.

    Args:
        app: The sandbox's endpoints.
        faults: What is to go wrong.
        requests: Where requests are noted.
        sight: What may be noted of a request.
        clock: Tells the time.
        sleep: Waits for so many seconds.
    """

    app: ASGIApp
    faults: Faults
    requests: RequestLog
    sight: Sight
    clock: Now
    sleep: Sleep

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = _own_path(scope)
        if path in UNNOTED_PATHS and scope["method"] in {"GET", "HEAD"}:
            await self.app(scope, receive, send)
            return
        entry = self.requests.begin(
            RequestRecord(
                time=self.clock(),
                method=self.sight.method(scope),
                path=self.sight.path(path),
                client_id=self.sight.client_id(scope),
            )
        )
        ahead = await ReadAhead.of(scope, receive)
        if ahead.is_disconnected:
            return
        grant_type = self.sight.grant_type(scope, ahead.body)
        if grant_type is not None:
            entry.note(grant_type=grant_type)
        scope[_ENTRY] = entry
        fault = self.faults.take(path, grant_type)
        if fault is None:
            await self.app(scope, ahead.receive, _noting(entry, scope, send))
        else:
            entry.note(fault=fault.name)
            await self._play(fault, entry, scope, ahead.receive, send)

    async def _play(
        self, fault: Fault, entry: Entry, scope: Scope, receive: Receive, send: Send
    ) -> None:
        if fault.breaks_connection:
            connection_of(scope)  # where there is none, nothing is done either
        reply = Reply(None)
        if fault.works_first:
            reply = await _reply_of(self.app, entry, scope, receive)
        if fault.delay_seconds and not await self._wait(fault.delay_seconds, receive):
            return
        reply = fault.change(reply, self.clock())
        entry.note(status=reply.status)
        await _send_reply(reply, scope, receive, send)

    async def _wait(self, seconds: float, receive: Receive) -> bool:
        """Wait so long or until the client has left, and tell whether it is still there."""
        is_there = True
        async with anyio.create_task_group() as group:

            async def watch() -> None:
                nonlocal is_there
                await _until_gone(receive)
                is_there = False
                group.cancel_scope.cancel()

            group.start_soon(watch)
            await self.sleep(seconds)
            group.cancel_scope.cancel()
        return is_there


def _own_path(scope: Scope) -> str:
    """Return the path without that under which the sandbox was mounted in another application."""
    path: str = scope["path"]
    root_path: str = scope.get("root_path", "")
    return path.removeprefix(root_path.rstrip("/"))


def _noting(entry: Entry, scope: Scope, send: Send) -> Send:
    """Return a `send` that notes the answer's status before it goes out."""

    async def note_and_send(message: Message) -> None:
        if message["type"] == "http.response.start":
            status: int = message["status"]
            if status < 400 and NOTHING_WAS_DONE not in scope:
                entry.note(status=status, outcome="ok")
            else:
                entry.note(status=status)
        await send(message)

    return note_and_send


async def _reply_of(app: ASGIApp, entry: Entry, scope: Scope, receive: Receive) -> Reply:
    """Let the endpoints do their work, and keep their answer."""
    start: Message = {}
    chunks = list[bytes]()

    async def keep(message: Message) -> None:
        if message["type"] == "http.response.start":
            if message["status"] < 400 and NOTHING_WAS_DONE not in scope:
                entry.note(outcome="ok")
            start.update(message)
        else:
            chunks.append(message.get("body", b""))

    await app(scope, receive, keep)
    headers = tuple(
        (name.decode("latin-1").lower(), value.decode("latin-1"))
        for name, value in start["headers"]
    )
    return Reply(start["status"], headers, chunks)


async def _send_reply(reply: Reply, scope: Scope, receive: Receive, send: Send) -> None:
    """Send an answer, and break the connection where that is how it ends."""
    connection = connection_of(scope) if reply.ending != "complete" else None
    if reply.status is not None:
        headers = [
            (name.encode("latin-1"), value.encode("latin-1")) for name, value in reply.headers
        ]
        await send({"type": "http.response.start", "status": reply.status, "headers": headers})
        for chunk in reply.body:
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await anyio.lowlevel.checkpoint()  # else a client that has left is not noticed
    if connection is None:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return
    if reply.ending == "reset":
        connection.reset()
    else:
        connection.close()
    # An application that is done before its connection is gone has not answered, says the server.
    await _until_gone(receive)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
