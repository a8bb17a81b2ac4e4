"""The rules of rules.toml, and the levels that they give."""

from __future__ import annotations

import enum
import tomllib
from functools import cache
from pathlib import Path

from attrs import field, frozen


class Level(enum.StrEnum):
    """What a change means for one kind of reader, worst first."""

    BREAKING = "breaking"
    COMPATIBLE = "compatible"
    WORDING = "wording"
    NONE = "none"

    @property
    def rank(self) -> int:
        """Its place, from 0 for the worst."""
        return list(Level).index(self)


@frozen
class Rule:
    """What one kind of change means.

    Attributes:
        id: Its name, as CHANGELOG.md and the JSON report have it.
        http: The level for a program that speaks HTTP to the service by the old spec.
        importer: The level for a program that imports the generated client.
        what: The change, with places to fill.
        effect: What it does to callers.
        note: When a finding departs from these levels.
    """

    id: str
    http: Level = field(converter=Level)
    importer: Level = field(converter=Level)
    what: str
    effect: str
    note: str = ""


@cache
def rules() -> dict[str, Rule]:
    """Give every rule by its id, in the order of the file."""
    text = Path(__file__).with_name("rules.toml").read_text(encoding="utf-8")
    return {name: Rule(id=name, **entry) for name, entry in tomllib.loads(text).items()}


def rules_table() -> str:
    """Write the rules as the Markdown table of docs/spec-diff.md."""
    lines = ["| rule | over HTTP | for importers |", "|---|---|---|"]
    for rule in rules().values():
        note = f"; {rule.note}" if rule.note else ""
        lines.append(f"| `{rule.id}` | {rule.http} | {rule.importer}{note} |")
    return "\n".join(lines)
