"""The requests that the sandbox received, to look at and to count in tests; no secret is kept.

Of a request only the attributes of its record are kept. Names that the sandbox does not know, such
as those of other clients and grant types, are not kept either: a client that confuses its settings
sends a secret in their place.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from typing import TypedDict, Unpack

import attrs
from starlette.types import Scope

from pipedrive_oauth_client.errors import ConfigurationError

# In the scope of a request whose response is below 400 and yet no success: nothing was done.
NOTHING_WAS_DONE = "pipedrive_oauth_client.sandbox.nothing_was_done"

_MAX_RECORDS = 10_000
_ENTRY_KEY = "pipedrive_oauth_client.sandbox.entry"


@attrs.frozen(kw_only=True)
class RequestRecord:
    """One request and its outcome.

    Attributes:
        time: When its headers arrived, by the sandbox's clock; an aware UTC datetime.
        method: The HTTP method; `unknown` for one that HTTP does not define.
        path: The path, without the query; parts that may be secrets are hidden.
        status: The status that was sent; None where none was, or not yet.
        grant_type: `grant_type` of the form; `unknown` for an unsupported one, None for none.
        client_id: The app that the request named; `unknown` for one that isn't registered.
        outcome: What the sandbox did with it: `ok`, the error code of its error response such as
            `invalid_grant`, or None where it did nothing, or nothing yet.
        fault: The name of the fault that it met, or None.
    """

    time: datetime
    method: str
    path: str
    status: int | None = None
    grant_type: str | None = None
    client_id: str | None = None
    outcome: str | None = None
    fault: str | None = None


class Conditions(TypedDict, total=False):
    """Attributes of a record, any number of them."""

    method: str
    path: str
    status: int | None
    grant_type: str | None
    client_id: str | None
    outcome: str | None
    fault: str | None


class RequestLog:
    """The last 10,000 requests, oldest first. Every sandbox has one; any thread may use it.

    A request is in the log from the moment its headers arrived; its record is completed before the
    first byte of its response is sent, or before its connection is broken.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: OrderedDict[int, RequestRecord] = OrderedDict()
        self._last = 0

    def __len__(self) -> int:
        with self._lock:
            return len(self._records)

    def __iter__(self) -> Iterator[RequestRecord]:
        with self._lock:
            return iter(list(self._records.values()))

    def __getitem__(self, index: int) -> RequestRecord:
        return list(self)[index]

    def __repr__(self) -> str:
        return f"<RequestLog of {len(self)} requests>"

    def select(self, **conditions: Unpack[Conditions]) -> list[RequestRecord]:
        """Return the records with these values, oldest first.

        Args:
            conditions: Attributes of the records, such as `path="/oauth/token"` or `status=None`;
                an attribute that is left out may have any value.

        Raises:
            ConfigurationError: A record has no such attribute to select by.
        """
        unknown = conditions.keys() - Conditions.__annotations__.keys()
        if unknown:
            raise ConfigurationError(f"A record has no {', '.join(sorted(unknown))} to select by.")
        return [
            record
            for record in self
            if all(getattr(record, name) == value for name, value in conditions.items())
        ]

    def count(self, **conditions: Unpack[Conditions]) -> int:
        """Return how many requests have these values: those that `select` returns."""
        return len(self.select(**conditions))

    def newest(self, most: int) -> list[RequestRecord]:
        """Return the last requests, newest first.

        Args:
            most: The largest number of requests to return.
        """
        with self._lock:
            return list(itertools.islice(reversed(self._records.values()), most))

    def clear(self) -> None:
        """Remove all requests; one that is being processed now does not come back."""
        with self._lock:
            self._records.clear()

    def begin(self, record: RequestRecord) -> LogEntry:
        """Add a record and return the entry through which it is completed."""
        with self._lock:
            self._last += 1
            self._records[self._last] = record
            if len(self._records) > _MAX_RECORDS:
                self._records.popitem(last=False)
            return LogEntry(self, self._last)

    def complete(self, number: int, changes: Conditions) -> None:
        """Change a record, unless it was removed."""
        with self._lock:
            record = self._records.get(number)
            if record is not None:
                self._records[number] = attrs.evolve(record, **changes)


@attrs.frozen
class LogEntry:
    """The place of one request in the log."""

    log: RequestLog
    number: int

    def update(self, **changes: Unpack[Conditions]) -> None:
        """Complete the record with what is known now."""
        self.log.complete(self.number, changes)

    def attach_to(self, scope: Scope) -> None:
        """Let `record_error` find the entry by the request's scope."""
        scope[_ENTRY_KEY] = self


def record_error(scope: Scope, error: str) -> None:
    """Put the code of an error response into the request's record, if the request has one."""
    entry = scope.get(_ENTRY_KEY)
    if isinstance(entry, LogEntry):
        entry.update(outcome=error)
