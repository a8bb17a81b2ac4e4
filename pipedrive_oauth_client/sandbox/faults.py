"""Faults: wrong, late, damaged or missing responses, and the queue of those still to come."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import datetime
from typing import TypeAlias

import attrs

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.fault_responses import (
    RawResponse,
    RetryAfterForm,
    check_delay,
    check_fields,
    check_header,
    check_retry_after,
    check_status,
    custom_response,
    oversized_response,
    page_response,
    redirect_response,
    refusal_response,
    status_response,
)
from pipedrive_oauth_client.sandbox.models import GRANT_TYPES
from pipedrive_oauth_client.sandbox.settings import require_count

# Takes the sandbox's own response, or an empty one where the sandbox did not process the request,
# and the time.
Change: TypeAlias = Callable[[RawResponse, datetime], RawResponse]


@attrs.frozen(eq=False)
class Fault:
    """A fault: a wrong, late, damaged or missing response. Its class methods make the kinds.

    A fault with a response of its own replaces the processing of the request. With `after_work()`
    the sandbox processes the request and only the response is lost: the code is spent, the token
    rotated. Before a fault that damages the right response, the request is always processed.

    Attributes:
        name: The kind, as the request log names it.
        change: Makes the response; internal.
        works_first: Whether the sandbox processes the request before the fault.
        delay_seconds: The delay of the response.
        breaks_connection: Whether it needs a real connection, to break it.
    """

    name: str
    change: Change = attrs.field(repr=False)
    works_first: bool = False
    delay_seconds: float = 0
    breaks_connection: bool = False

    def after_work(self) -> Fault:
        """Return the same fault, but after the sandbox has processed the request."""
        return attrs.evolve(self, works_first=True)

    def delayed(self, seconds: float) -> Fault:
        """Return the same fault, its response delayed by so many seconds, at most a day."""
        return attrs.evolve(self, delay_seconds=check_delay(seconds))

    @classmethod
    def latency(cls, seconds: float) -> Fault:
        """Return a late response: the right one, sent after so many seconds."""
        return cls("latency", lambda response, _now: response, works_first=True).delayed(seconds)

    @classmethod
    def status(
        cls,
        status: int,
        *,
        retry_after: int | str | None = None,
        retry_after_form: RetryAfterForm = "seconds",
    ) -> Fault:
        """Return a response of this status with its usual body.

        That is a maintenance page for 503, a content delivery network's for 520 to 526, else JSON.

        Args:
            status: From 200 to 599.
            retry_after: Seconds to wait, counted by the sandbox's clock, or text for the
                `Retry-After` header as it is; no header unless given.
            retry_after_form: The form of seconds: as they are or as a date (RFC 9110).
        """
        check_status(status)
        check_retry_after(retry_after, retry_after_form)
        return cls(
            f"status {status}",
            lambda _response, now: status_response(
                status, retry_after=retry_after, form=retry_after_form, now=now
            ),
        )

    @classmethod
    def refusal(cls, name: str, *, status: int | None = None, rfc_fields: bool = False) -> Fault:
        """Return a documented error response.

        Args:
            name: One of the names in `sandbox.REFUSALS`, such as `missing_grant_type`.
            status: Another status than the documented one, such as 401 for `client_invalid`.
            rfc_fields: Whether to describe the error in `error_description`, as RFC 6749 section
                5.2 has it, in place of Pipedrive's `message` and `success`.
        """
        return cls._sending(
            f"refusal {name}", refusal_response(name, status=status, rfc_fields=rfc_fields)
        )

    @classmethod
    def page(cls, status: int = 200) -> Fault:
        """Return a web page in place of JSON."""
        return cls._sending(f"page {status}", page_response(status))

    @classmethod
    def answer(
        cls,
        status: int,
        body: bytes | str,
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> Fault:
        """Return any response: this status, body and content type, and these headers besides."""
        response = custom_response(status, body, content_type, headers or {})
        return cls._sending(f"answer {status}", response)

    @classmethod
    def garbage(cls) -> Fault:
        """Return 200 with a body that is announced as JSON and is not."""
        return attrs.evolve(cls.answer(200, b'{"access_token": \xff'), name="garbage")

    @classmethod
    def redirect(cls, location: str, *, status: int = 302) -> Fault:
        """Return a redirect to any address."""
        return cls._sending(f"redirect {status}", redirect_response(location, status))

    @classmethod
    def oversized(cls, size_bytes: int, *, announced: bool = False) -> Fault:
        """Return 200 with a JSON body of so many bytes, sent piece by piece.

        Args:
            size_bytes: The size of the body, at most 1 GiB.
            announced: Whether a Content-Length header announces the size.
        """
        return cls._sending("oversized", oversized_response(size_bytes, announced=announced))

    @classmethod
    def reset(cls) -> Fault:
        """Return no response: the connection is reset (TCP RST). Needs a real connection."""
        return cls._sending("reset", RawResponse(None, ending="reset"))

    @classmethod
    def closed(cls) -> Fault:
        """Return no response: the connection is closed (TCP FIN). Needs a real connection."""
        return cls._sending("closed", RawResponse(None, ending="closed"))

    @classmethod
    def truncated(cls, sent_bytes: int | None = None) -> Fault:
        """Return the right response, cut off in its body. Needs a real connection.

        Args:
            sent_bytes: How much of the body is sent, half of it by default; Content-Length always
                announces more.
        """
        if sent_bytes is not None and sent_bytes < 0:
            raise ConfigurationError("sent_bytes must be 0 or more.")
        return cls(
            "truncated",
            lambda response, _now: response.cut_short(sent_bytes),
            works_first=True,
            breaks_connection=True,
        )

    @classmethod
    def content_type(cls, content_type: str) -> Fault:
        """Return the right response under another Content-Type."""
        value = check_header(content_type)
        return cls(
            "content_type",
            lambda response, _now: response.with_header("content-type", value),
            works_first=True,
        )

    @classmethod
    def override(
        cls, fields: Mapping[str, object] | None = None, *, without: Iterable[str] = ()
    ) -> Fault:
        """Return a right response with other fields in its JSON body; an error response stays.

        Args:
            fields: Fields to add or replace, such as `{"expires_in": "3600"}`.
            without: Names of fields to leave out, such as `["api_domain"]`.
        """
        added, removed = dict(fields or {}), frozenset(without)
        check_fields(added)
        return cls(
            "override",
            lambda response, _now: response.with_fields(added, removed),
            works_first=True,
        )

    @classmethod
    def _sending(cls, name: str, response: RawResponse) -> Fault:
        """Return a fault that sends this response, whatever the right one is."""
        breaks = response.ending != "complete"
        return cls(name, lambda _response, _now: response, breaks_connection=breaks)


@attrs.define(eq=False)
class _PlannedFault:
    path: str
    grant_type: str | None
    fault: Fault
    remaining: int


class Faults:
    """The faults still to come. Every sandbox has one such queue; any thread may use it.

    Each request meets at most one fault: the first one added for its path that is not used up.

    Args:
        paths: The paths that the sandbox has.
        same: Paths that meet the faults of another one as well, each with that one.
    """

    def __init__(self, paths: Collection[str], same: Mapping[str, str] | None = None) -> None:
        self._paths = tuple(paths)
        self._same = dict(same or {})
        self._lock = threading.Lock()
        self._planned: list[_PlannedFault] = []

    def __repr__(self) -> str:
        return f"<Faults, {self.remaining()} to come>"

    def add(
        self, path: str, fault: Fault, *, times: int = 1, grant_type: str | None = None
    ) -> None:
        """Let the next requests to a path meet a fault.

        Args:
            path: The exact path. A fault at `/oauth/token` is met at `/oauth/token/` as well, where
                this client refreshes, unless the sandbox redirects from there; a fault at
                `/oauth/token/` only there.
            fault: The fault.
            times: How many requests meet it.
            grant_type: Only requests with this `grant_type` in their form; all by default.

        Raises:
            ConfigurationError: The sandbox has no such path or grant type, or `times` is not at
                least 1.
        """
        if path not in self._paths:
            raise ConfigurationError(
                "The sandbox has no such path; one of: " + ", ".join(self._paths)
            )
        require_count("times", times)
        if grant_type not in {None, *GRANT_TYPES}:
            raise ConfigurationError("grant_type must be one of " + ", ".join(GRANT_TYPES) + ".")
        with self._lock:
            self._planned.append(_PlannedFault(path, grant_type, fault, times))

    def remaining(self, path: str | None = None) -> int:
        """Return how many requests will still meet a fault, of one path or of all."""
        with self._lock:
            return sum(each.remaining for each in self._planned if path in {None, each.path})

    def clear(self) -> None:
        """Remove all faults that are still to come."""
        with self._lock:
            self._planned.clear()

    def take(self, path: str, grant_type: str | None) -> Fault | None:
        """Use up and return the fault that a request meets, or None."""
        paths = {path, self._same.get(path)}
        with self._lock:
            for each in self._planned:
                if each.path in paths and each.grant_type in {None, grant_type}:
                    each.remaining -= 1
                    if not each.remaining:
                        self._planned.remove(each)
                    return each.fault
            return None
