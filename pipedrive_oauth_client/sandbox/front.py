"""What every request passes first: it is noted in the log, and meets a fault if one is due.

A record is complete before any byte of the answer is sent, so a client that has an answer, or has
lost its connection, finds it so.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import anyio
import anyio.lowlevel
import attrs
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pipedrive_oauth_client.sandbox.addresses import UNNOTED_PATHS
from pipedrive_oauth_client.sandbox.clock import Now
from pipedrive_oauth_client.sandbox.connection import connection_of
from pipedrive_oauth_client.sandbox.fault import Fault
from pipedrive_oauth_client.sandbox.faults import Faults
from pipedrive_oauth_client.sandbox.peeking import ReadAhead, Sight
from pipedrive_oauth_client.sandbox.replies import Reply
from pipedrive_oauth_client.sandbox.request_log import (
    NOTHING_WAS_DONE,
    Entry,
    RequestLog,
    RequestRecord,
)

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
