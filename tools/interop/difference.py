"""How a part says that something is not as it should be."""

from __future__ import annotations

LAST_LINES = 60


class DifferenceError(Exception):
    """Says in one line what differs.

    Args:
        line: What differs.
        output: What the other program printed; the end of it is shown above the line.
    """

    def __init__(self, line: str, output: str = "") -> None:
        super().__init__(line)
        self.output = "\n".join(output.splitlines()[-LAST_LINES:])


def expect(condition: bool, otherwise: str, output: str = "") -> None:
    """Raise `DifferenceError` unless a condition holds."""
    if not condition:
        raise DifferenceError(otherwise, output)


def expect_equal(found: object, wanted: object, what: str, output: str = "") -> None:
    """Raise `DifferenceError`, with both values, unless they are equal."""
    expect(found == wanted, f"{what}: {wanted!r} expected, {found!r} found", output)
