"""The last requests that the sandbox got, to look at and to count in tests; no secret is kept.

Of a request only what this module's record names is kept. Names that the sandbox does not know,
such as those of other clients and grant types, are not kept either: a client that mixes up its
settings sends a secret in their place.
"""

from __future__ import annotations

import itertools
import threading
from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime
from typing import TypedDict, Unpack

import attrs

from pipedrive_oauth_client.errors import ConfigurationError

_MOST_RECORDS = 10_000

# Put into a request's scope by an answer below 400 that is no success: nothing was done for it.
NOTHING_WAS_DONE = "pipedrive_oauth_client.sandbox.nothing_was_done"


@attrs.frozen(kw_only=True)
class RequestRecord:
    """One request and what became of it.

    Attributes:
        time: When its headers arrived, by the sandbox's clock; an aware UTC datetime.
        method: The HTTP method; `unknown` for one that HTTP has not.
        path: The path, without the query; parts that may be secrets are hidden.
        status: The status that was sent; None where none was, or not yet.
        grant_type: `grant_type` of the form; `unknown` for one that there is not, None for none.
        client_id: The app that the request named; `unknown` for one that isn't registered.
        outcome: What the sandbox did with it: `ok`, the error code of its refusal such as
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

    A request is in here from the moment its headers arrived; its record is completed before the
    first byte of its answer is sent, or before its connection is broken off.
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
                what isn't given may be anything.

        Raises:
            ConfigurationError: A record has no such attribute to ask for.
        """
        unknown = conditions.keys() - Conditions.__annotations__.keys()
        if unknown:
            raise ConfigurationError(f"A record has no {', '.join(sorted(unknown))} to ask for.")
        return [
            record
            for record in self
            if all(getattr(record, name) == value for name, value in conditions.items())
        ]

    def count(self, **conditions: Unpack[Conditions]) -> int:
        """Return how many requests have these values, which are those that `select` takes."""
        return len(self.select(**conditions))

    def newest(self, most: int) -> list[RequestRecord]:
        """Return the last requests, newest first.

        Args:
            most: How many are returned, if there are so many.
        """
        with self._lock:
            return list(itertools.islice(reversed(self._records.values()), most))

    def clear(self) -> None:
        """Forget all requests; one that is being answered now does not come back."""
        with self._lock:
            self._records.clear()

    def begin(self, record: RequestRecord) -> Entry:
        """Add a record and return the hand that completes it."""
        with self._lock:
            self._last += 1
            self._records[self._last] = record
            if len(self._records) > _MOST_RECORDS:
                self._records.popitem(last=False)
            return Entry(self, self._last)

    def complete(self, number: int, changes: Conditions) -> None:
        """Complete a record, unless it is gone by now."""
        with self._lock:
            record = self._records.get(number)
            if record is not None:
                self._records[number] = attrs.evolve(record, **changes)


@attrs.frozen
class Entry:
    """The hand of whoever answers a request on the record of it."""

    log: RequestLog
    number: int

    def note(self, **changes: Unpack[Conditions]) -> None:
        """Complete the record with what is known now."""
        self.log.complete(self.number, changes)
