"""What others wrote, made safe to show: on a terminal, in the log of a job, in a summary."""

from __future__ import annotations

import re

# GitHub runs a line of a job's output that begins with two colons, blanks before them aside, and
# one that has the other mark anywhere.
_COMMAND = re.compile(r"^(\s*):(?=:)|##(?=\[)", re.MULTILINE)


def printable(text: str) -> str:
    """Replace the characters that a terminal would interpret instead of showing them.

    Line breaks are among them, as are the characters that reverse the direction of writing.
    """
    return "".join(char if char.isprintable() else " " for char in text)


def printable_lines(text: str) -> str:
    """Make a text of several lines safe to print: each is `printable`, and no command of a job."""
    lines = text.split("\n")
    return without_commands("\n".join(printable(line.replace("\t", "    ")) for line in lines))


def without_commands(text: str) -> str:
    """Put a backslash, which Markdown does not show, where a job would read a command."""
    return _COMMAND.sub(lambda mark: mark[1] + "\\:" if mark[1] is not None else "##\\", text)
