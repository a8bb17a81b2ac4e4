"""A place for records that end: kept in the order of their ends, taken away when these pass."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Generic, Protocol, TypeVar


class Ending(Protocol):
    """Anything with an end."""

    @property
    def expires_at(self) -> datetime:
        """When it ends; an aware UTC datetime."""
        ...


RecordT = TypeVar("RecordT", bound=Ending)


class Shelf(Generic[RecordT]):
    """Records by a secret key; the secret is in no `repr`.

    All records of one shelf live equally long, so the oldest one is the first to end, and each
    new record makes room by taking the ended ones off the front. The shelf therefore never holds
    more than what came in during one lifetime and the time that ended records are kept.

    Reading does not look at the time: whoever reads a record decides whether it has ended.

    Args:
        keep_ended: How long a record stays after its end.
    """

    def __init__(self, keep_ended: timedelta = timedelta(0)) -> None:
        self._keep_ended = keep_ended
        self._records: OrderedDict[str, RecordT] = OrderedDict()

    def __len__(self) -> int:
        return len(self._records)

    def __repr__(self) -> str:
        return f"<Shelf of {len(self)} records>"

    def put(self, key: str, record: RecordT, *, now: datetime) -> None:
        """Add a record, or move a known one to the end, and drop those whose time is over."""
        self.drop_ended(now)
        self._records[key] = record
        self._records.move_to_end(key)

    def drop_ended(self, now: datetime) -> None:
        """Drop the records whose time is over."""
        while self._records:
            oldest = next(iter(self._records.values()))
            if oldest.expires_at + self._keep_ended > now:
                break
            self._records.popitem(last=False)

    def drop_all_but(self, count: int) -> None:
        """Drop the oldest records until there are no more than so many."""
        while len(self._records) > count:
            self._records.popitem(last=False)

    def newest_first(self) -> Iterator[tuple[str, RecordT]]:
        """Return keys and records, those not yet dropped; change nothing while they are read."""
        return reversed(self._records.items())

    def get(self, key: str) -> RecordT | None:
        """Return the record, ended or not, or None."""
        return self._records.get(key)

    def pop(self, key: str) -> RecordT | None:
        """Take the record off the shelf and return it, or None."""
        return self._records.pop(key, None)
