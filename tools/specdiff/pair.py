"""Two schemas that stand for each other, and who sees their values."""

from __future__ import annotations

from collections import deque
from typing import Any, TypeAlias

from attrs import frozen

from tools.specdiff.shapes import Shape
from tools.specdiff.spec import Place
from tools.specdiff.walk import Side, Walk

# Two schemas that are to be compared, and what to call the value.
Waiting: TypeAlias = deque[tuple[Place, Place, str]]


@frozen(eq=False)
class Pair:
    """Two schemas side by side.

    Attributes:
        walk: The comparison that they belong to.
        old: The old schema.
        new: The new one.
        side: Who sees the values: `request` for what callers send, `response` for what they read.
        subject: What to call the value.
        waiting: Where schemas below them wait for their turn.
    """

    walk: Walk
    old: Shape
    new: Shape
    side: Side
    subject: str
    waiting: Waiting

    def add(self, change: str, **words: Any) -> None:
        """Note a change by the rule for this side.

        Args:
            change: The rule's id without `request-` or `response-`.
            **words: What `tools.specdiff.findings.finding` takes.
        """
        rule = f"{self.side}-{change}"
        self.walk.add(rule, self.old.place, self.new.place, self.subject, **words)

    def add_for_all(self, rule: str, **words: Any) -> None:
        """Note a change by a rule that is the same for both sides."""
        self.walk.add(rule, self.old.place, self.new.place, self.subject, **words)

    def below(self, old: Place, new: Place, subject: str) -> None:
        """Have two schemas compared that are parts of these."""
        self.waiting.append((old, new, subject))
