"""The faults that are still to come, by route, in the order in which they were added."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import TypeAlias

import attrs

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox import fault_replies
from pipedrive_oauth_client.sandbox.fault_replies import (
    Reply,
    any_reply,
    check_delay,
    check_fields,
    check_header,
    check_status,
    cut_short,
    override_fields,
    oversized_reply,
    page_reply,
    redirect_reply,
    refusal_reply,
    status_reply,
)
from pipedrive_oauth_client.sandbox.models import GRANT_TYPES
from pipedrive_oauth_client.sandbox.settings import need_count

# Gets the sandbox's own answer, or one without anything where it did no work, and the time.
Change: TypeAlias = Callable[[Reply, datetime], Reply]


@attrs.frozen(eq=False)
class Fault:
    """A fault: a wrong, late, damaged or missing answer. Its class methods make the kinds.

    A fault with an answer of its own comes in place of the work. After `after_work()` it lets the
    work be done and loses only the answer: the code is spent, the token rotated. A fault that
    damages the right answer always lets the work be done.

    Attributes:
        name: The kind, as the request log names it.
        works_first: Whether the sandbox does what was asked before the fault comes.
        delay_seconds: How late the answer is.
        breaks_connection: Whether it needs a real connection, to break it.
    """

    name: str
    change: Change = attrs.field(repr=False)
    works_first: bool = False
    delay_seconds: float = 0
    breaks_connection: bool = False

    def after_work(self) -> Fault:
        """Return the same fault, played after the sandbox did what was asked."""
        return attrs.evolve(self, works_first=True)

    def delayed(self, seconds: float) -> Fault:
        """Return the same fault, its answer late by so many seconds, at most a day."""
        return attrs.evolve(self, delay_seconds=check_delay(seconds))

    @classmethod
    def latency(cls, seconds: float) -> Fault:
        """Return a late answer: right, but only after so many seconds or when the client left."""
        return cls("latency", lambda reply, _now: reply, works_first=True).delayed(seconds)

    @classmethod
    def status(
        cls,
        status: int,
        *,
        retry_after: int | str | None = None,
        retry_after_form: fault_replies.RetryAfterForm = "seconds",
    ) -> Fault:
        """Return an answer of this status with its usual body.

        That is a maintenance page for 503, a content delivery network's for 520 to 526, else JSON.

        Args:
            status: From 200 to 599.
            retry_after: Seconds to wait, counted by the sandbox's clock, or text for the
                `Retry-After` header as it is; no header unless given.
            retry_after_form: How seconds are written: as they are or as a date (RFC 9110).
        """
        check_status(status)
        fault_replies.check(retry_after, retry_after_form)
        return cls(
            f"status {status}",
            lambda _reply, now: status_reply(
                status, retry_after=retry_after, form=retry_after_form, now=now
            ),
        )

    @classmethod
    def refusal(cls, name: str, *, status: int | None = None, rfc_fields: bool = False) -> Fault:
        """Return a documented error answer.

        Args:
            name: One of the names in `sandbox.REFUSALS`, such as `missing_grant_type`.
            status: Another status than the documented one, such as 401 for `client_invalid`.
            rfc_fields: Whether to describe the error in `error_description`, as RFC 6749 section
                5.2 has it, in place of Pipedrive's `message` and `success`.
        """
        return cls._giving(
            f"refusal {name}", refusal_reply(name, status=status, rfc_fields=rfc_fields)
        )

    @classmethod
    def page(cls, status: int = 200) -> Fault:
        """Return a web page in place of JSON."""
        return cls._giving(f"page {status}", page_reply(status))

    @classmethod
    def answer(
        cls,
        status: int,
        body: bytes | str,
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Fault:
        """Return any answer: this status, body and type, and these headers beside."""
        return cls._giving(f"answer {status}", any_reply(status, body, content_type, headers or {}))

    @classmethod
    def garbage(cls) -> Fault:
        """Return 200 with a body that says it is JSON and is not."""
        return attrs.evolve(cls.answer(200, b'{"access_token": \xff'), name="garbage")

    @classmethod
    def redirect(cls, location: str, *, status: int = 302) -> Fault:
        """Return a redirect to anywhere."""
        return cls._giving(f"redirect {status}", redirect_reply(location, status))

    @classmethod
    def oversized(cls, size_bytes: int, *, announced: bool = False) -> Fault:
        """Return 200 with a JSON body of so many bytes, sent piece by piece.

        Args:
            size_bytes: The size of the body, at most 1 GiB.
            announced: Whether a Content-Length header says so before.
        """
        return cls._giving("oversized", oversized_reply(size_bytes, announced=announced))

    @classmethod
    def reset(cls) -> Fault:
        """Return no answer: the connection is reset (TCP RST). Needs a real connection."""
        return cls._giving("reset", Reply(None, ending="reset"))

    @classmethod
    def closed(cls) -> Fault:
        """Return no answer: the connection is closed without a word. Needs a real connection."""
        return cls._giving("closed", Reply(None, ending="closed"))

    @classmethod
    def truncated(cls, sent_bytes: int | None = None) -> Fault:
        """Return the right answer cut off in its body. Needs a real connection.

        Args:
            sent_bytes: How much of the body is sent, half of it unless given; Content-Length
                always says more.
        """
        if sent_bytes is not None and sent_bytes < 0:
            raise ConfigurationError("sent_bytes must be 0 or more.")
        return cls(
            "truncated",
            lambda reply, _now: cut_short(reply, sent_bytes),
            works_first=True,
            breaks_connection=True,
        )

    @classmethod
    def content_type(cls, content_type: str) -> Fault:
        """Return the right answer under another Content-Type."""
        value = check_header(content_type)
        return cls(
            "content_type",
            lambda reply, _now: reply.with_header("content-type", value),
            works_first=True,
        )

    @classmethod
    def override(
        cls, fields: Mapping[str, object] | None = None, *, without: Iterable[str] = ()
    ) -> Fault:
        """Return the right answer with other fields in its JSON body; an error answer stays.

        Args:
            fields: Fields to add or replace, such as `{"expires_in": "3600"}`.
            without: Names of fields to leave out, such as `["api_domain"]`.
        """
        added, removed = dict(fields or {}), frozenset(without)
        check_fields(added)
        return cls(
            "override",
            lambda reply, _now: override_fields(reply, added, removed),
            works_first=True,
        )

    @classmethod
    def _giving(cls, name: str, reply: Reply) -> Fault:
        """Return a fault that gives this answer, whatever the right one is."""
        breaks = reply.ending != "complete"
        return cls(name, lambda _reply, _now: reply, breaks_connection=breaks)


@attrs.define(eq=False)
class _Planned:
    path: str
    grant_type: str | None
    fault: Fault
    remaining: int


class Faults:
    """What will go wrong, and how often. Every sandbox has one; any thread may use it.

    Each request takes at most one fault: the first one added for its route that is not used up.

    Args:
        paths: The paths that the sandbox has.
    """

    def __init__(self, paths: Collection[str]) -> None:
        self._paths = tuple(paths)
        self._lock = threading.Lock()
        self._planned: list[_Planned] = []

    def __repr__(self) -> str:
        return f"<Faults, {self.remaining()} to come>"

    def add(
        self, path: str, fault: Fault, *, times: int = 1, grant_type: str | None = None
    ) -> None:
        """Let the next requests of a route meet a fault.

        Args:
            path: The route's exact path; `/oauth/token` and `/oauth/token/` are two routes.
            fault: What goes wrong.
            times: How many requests meet it.
            grant_type: Only requests with this `grant_type` in their form; all unless given.

        Raises:
            ConfigurationError: The sandbox has no such path or grant type, or `times` is not at
                least 1.
        """
        if path not in self._paths:
            raise ConfigurationError(
                "The sandbox has no such path; one of: " + ", ".join(self._paths)
            )
        need_count("times", times)
        if grant_type not in {None, *GRANT_TYPES}:
            raise ConfigurationError("grant_type must be one of " + ", ".join(GRANT_TYPES) + ".")
        with self._lock:
            self._planned.append(_Planned(path, grant_type, fault, times))

    def remaining(self, path: str | None = None) -> int:
        """Return how many requests are still to meet a fault, of one path or of all."""
        with self._lock:
            return sum(each.remaining for each in self._planned if path in {None, each.path})

    def clear(self) -> None:
        """Forget all faults that are still to come."""
        with self._lock:
            self._planned.clear()

    def take(self, path: str, grant_type: str | None) -> Fault | None:
        """Use up and return the fault that a request meets, or None."""
        with self._lock:
            for each in self._planned:
                if each.path == path and each.grant_type in {None, grant_type}:
                    each.remaining -= 1
                    if not each.remaining:
                        self._planned.remove(each)
                    return each.fault
            return None
