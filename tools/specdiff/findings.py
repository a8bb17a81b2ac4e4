"""The rules of rules.toml, the findings that they judge, and the comparison that collects them."""

from __future__ import annotations

import enum
import tomllib
from collections import deque
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

from attrs import define, evolve, field, frozen

from tools.specdiff.python_names import component_classes
from tools.specdiff.schemas import WORDING_KEYS, Schema
from tools.specdiff.spec import Pointer, Spec, SpecLocation, canonical
from tools.specdiff.spec_files import printable

# Who sees a value: `request` is for what callers send, `response` for what they read.
Side: TypeAlias = Literal["request", "response"]


class Level(enum.StrEnum):
    """What a change means for one kind of reader, worst first."""

    BREAKING = "breaking"
    COMPATIBLE = "compatible"
    WORDING = "wording"
    NONE = "none"

    @property
    def rank(self) -> int:
        """Its place in the order, from 0 for the worst."""
        return list(Level).index(self)


@frozen
class Rule:
    """What one kind of change means.

    Attributes:
        id: Its name, as CHANGELOG.md and the JSON report have it.
        http: The level for a program that speaks HTTP to the service by the old spec.
        importer: The level for a program that imports the generated client.
        what: The change, as a format string.
        effect: The effect on callers.
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


@frozen
class Signature:
    """A public name of the generated package, and its declarations; empty where it is missing."""

    name: str
    old: str
    new: str


@frozen
class Finding:
    """One change.

    Attributes:
        rule: The rule that judges it.
        http: The level for a program that speaks HTTP.
        importer: The level for a program that imports the client.
        subject: What changed, as CHANGELOG.md names it.
        what: The change in one sentence.
        old: Where it stands in the old spec, or what it was added to.
        new: Where it stands in the new spec, or what it was removed from.
        operations: The operations that it affects, as `POST /path`.
        signatures: What changed with it in the generated package.
    """

    rule: Rule
    http: Level
    importer: Level
    subject: str
    what: str
    old: SpecLocation
    new: SpecLocation
    operations: tuple[str, ...] = ()
    signatures: tuple[Signature, ...] = ()

    @property
    def level(self) -> Level:
        """The worse of both levels."""
        return min(self.http, self.importer, key=lambda level: level.rank)


def make_finding(
    rule_id: str,
    old: SpecLocation,
    new: SpecLocation,
    subject: str,
    /,
    *,
    http: Level | None = None,
    importer: Level | None = None,
    **words: Any,
) -> Finding:
    """Make a finding; levels that are not given are the rule's, `words` fill its format string."""
    rule = rules()[rule_id]
    quoted = {key: f"`{shorten(value)}`" for key, value in {**words, "subject": subject}.items()}
    what = rule.what.format(**quoted)
    return Finding(rule, http or rule.http, importer or rule.importer, subject, what, old, new)


def shorten(value: Any, longest: int = 120) -> str:
    """Write a value for a sentence: strings as they are, others as JSON, on one line."""
    text = value if isinstance(value, str) else canonical(value)
    text = printable(text).replace("`", "'")
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


@define(eq=False)
class Comparison:
    """One comparison of two specs, and what it has found so far.

    Attributes:
        old: The old spec.
        new: The new spec.
        in_unused: Whether the schemas that are being compared are used by no operation, so that
            nothing changes over HTTP.
        renamed: The classes that replace each other under another name, with their schemas.
        new_classes: The classes that are generated for the new spec's components.
        used: The component schemas of the old spec that operations led to.
    """

    old: Spec
    new: Spec
    in_unused: bool = False
    renamed: dict[tuple[str, str], tuple[SpecLocation, SpecLocation]] = field(factory=dict)
    used: set[str] = field(factory=set)
    new_classes: dict[str, SpecLocation] = field(init=False)
    _found: dict[tuple[Any, ...], Finding] = field(factory=dict)
    _seen: set[tuple[Any, ...]] = field(factory=set)

    def __attrs_post_init__(self) -> None:
        self.new_classes = component_classes(self.new)

    @property
    def findings(self) -> list[Finding]:
        """The findings so far, each change once."""
        return list(self._found.values())

    def add(
        self, rule: str, old: SpecLocation, new: SpecLocation, subject: str, /, **words: Any
    ) -> None:
        """Add a finding with the arguments of `make_finding`, unless it is there already."""
        made = make_finding(rule, old, new, subject, **words)
        if self.in_unused:
            made = evolve(made, http=Level.NONE)
        key = (rule, made.old.pointer, made.new.pointer, made.what)
        self._found.setdefault(key, made)

    def is_first(self, *key: Any) -> bool:
        """Tell whether a pair of locations comes up for the first time, which ends every circle."""
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def compare_wording(
        self, old: SpecLocation, new: SpecLocation, subject: str, *, more: Pointer = ()
    ) -> None:
        """Compare the documentation keys of two locations, and `more` keys, but not below them."""
        for key in _differing_keys(old, new):
            if key.startswith("x-"):
                self.add("extension-changed", old.key(key), new.key(key), subject, detail=key)
            elif key in WORDING_KEYS or key in more:
                self.add("wording-changed", old.key(key), new.key(key), subject, detail=key)

    def compare_unknown(
        self, old: SpecLocation, new: SpecLocation, subject: str, known: set[str]
    ) -> None:
        """Report changed keys that no rule knows, so that no change is silent."""
        for key in _differing_keys(old, new):
            if key not in known | WORDING_KEYS | {"$ref"} and not key.startswith("x-"):
                self.add("not-judged", old.key(key), new.key(key), subject, detail=key)

    def compare_deprecation(self, old: SpecLocation, new: SpecLocation, subject: str) -> None:
        """Compare whether something is marked as deprecated."""
        if old.is_set("deprecated") != new.is_set("deprecated"):
            rule = "deprecated" if new.is_set("deprecated") else "no-longer-deprecated"
            self.add(rule, old.key("deprecated"), new.key("deprecated"), subject)


def _differing_keys(old: SpecLocation, new: SpecLocation) -> list[str]:
    """Give the keys in which two mappings differ."""
    if not isinstance(old.value, dict) or not isinstance(new.value, dict):
        return []
    keys = sorted(old.value.keys() | new.value.keys())
    return [key for key in keys if canonical(old.get(key)) != canonical(new.get(key))]


@frozen(eq=False)
class SchemaPair:
    """Two schemas that are compared.

    Attributes:
        comparison: The comparison that they belong to.
        old: The old schema.
        new: The new one.
        side: Who sees the values.
        subject: What to call the value.
        waiting: The queue of the schemas below them.
    """

    comparison: Comparison
    old: Schema
    new: Schema
    side: Side
    subject: str
    waiting: deque[tuple[SpecLocation, SpecLocation, str]]

    def add(self, change: str, **words: Any) -> None:
        """Add a finding by the rule for this side."""
        self.add_for_all(f"{self.side}-{change}", **words)

    def add_for_all(self, rule: str, **words: Any) -> None:
        """Add a finding by a rule that is the same for both sides."""
        old, new = self.old.location, self.new.location
        self.comparison.add(rule, old, new, self.subject, **words)

    def enqueue(self, old: SpecLocation, new: SpecLocation, subject: str) -> None:
        """Have two schemas compared that are parts of these."""
        self.waiting.append((old, new, subject))
