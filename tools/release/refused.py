"""How a part of the check says that this is not to be released."""

from __future__ import annotations

from collections.abc import Iterable


class RefusedError(Exception):
    """Says what is wrong, a line for each fault."""

    def __init__(self, faults: Iterable[str]) -> None:
        self.faults = list(faults)
        super().__init__("\n".join(self.faults))


def refuse(faults: Iterable[str]) -> None:
    """Raise `RefusedError` if there is any fault."""
    found = list(faults)
    if found:
        raise RefusedError(found)
