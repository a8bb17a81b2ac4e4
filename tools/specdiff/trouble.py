"""What is said where two specs can't be compared."""

from __future__ import annotations


class CannotCompareError(Exception):
    """One of the two specs can't be found, read or understood.

    Its text is one line that says what is wrong and where.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(" ".join(message.split())))


def printable(text: str) -> str:
    """Take out what a terminal would obey instead of showing it."""
    return "".join(each if each.isprintable() else " " for each in text)
