"""Looking at a request before it is answered: the start of its body, and what of it may be noted.

What may be a secret is never noted. A name that the sandbox does not know is one of these: a
client whose settings are mixed up sends its secret as client ID.
"""

from __future__ import annotations

import http
from collections.abc import Collection, Sequence

import attrs
from starlette.types import Message, Receive, Scope

from pipedrive_oauth_client.sandbox.bodies import MAX_BODY_BYTES, peek_form
from pipedrive_oauth_client.sandbox.clients import credentials_of
from pipedrive_oauth_client.sandbox.records import App
from pipedrive_oauth_client.sandbox.refusals import RefusedError
from pipedrive_oauth_client.sandbox.requests import parse_query

GRANT_TYPES = ("authorization_code", "refresh_token")

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
