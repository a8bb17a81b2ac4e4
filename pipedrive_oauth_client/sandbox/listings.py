"""The first of many: what a page shows, and how many there are in all."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from typing import Generic, TypeVar

import attrs

RowT = TypeVar("RowT")
ShownT = TypeVar("ShownT")


@attrs.frozen
class Listing(Generic[RowT]):
    """A bounded number of rows.

    Attributes:
        rows: Those that are shown.
        total: How many there are.
        is_exact: Whether there are just so many; otherwise at most.
    """

    rows: tuple[RowT, ...]
    total: int
    is_exact: bool = True

    @property
    def is_cut(self) -> bool:
        """Whether there are more than those shown."""
        return self.total > len(self.rows)

    def shown_as(self, show: Callable[[RowT], ShownT]) -> Listing[ShownT]:
        """Return the same listing with each row in another form."""
        return Listing(tuple(map(show, self.rows)), self.total, self.is_exact)


def first_of(records: Collection[RowT], most: int) -> Listing[RowT]:
    """List the first records, at most so many."""
    return Listing(tuple(itertools.islice(records, most)), len(records))
