"""The rules of rules.toml, the findings that they judge, and the comparison that collects them."""

from __future__ import annotations

import enum
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

from attrs import define, field, frozen

from tools.safe_output import printable
from tools.specdiff.schemas import WORDING_KEYS, component_classes
from tools.specdiff.spec import Spec, SpecLocation, canonical

# Who sees a value: `request` is for what callers send, `response` for what they read.
Side: TypeAlias = Literal["request", "response"]


class Level(enum.StrEnum):
    """What a change means for one kind of reader, worst first."""

    BREAKING = "breaking"
    COMPATIBLE = "compatible"
    WORDING = "wording"
    NONE = "none"


@frozen
class Rule:
    """What one kind of change means; docs/spec-diff.md explains the levels of the two readers."""

    id: str
    http: Level = field(converter=Level)
    importer: Level = field(converter=Level)
    what: str  # the change, as a format string
    effect: str  # the effect on callers
    note: str = ""  # when a finding departs from these levels


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
    """One change."""

    rule: Rule
    http: Level
    importer: Level
    subject: str  # what changed, as CHANGELOG.md names it
    what: str  # the change in one sentence
    old: SpecLocation  # or what it was added to
    new: SpecLocation  # or what it was removed from
    operations: tuple[str, ...] = ()  # those that it affects, as `POST /path`
    signatures: tuple[Signature, ...] = ()

    @property
    def level(self) -> Level:
        """The worse of both levels."""
        return min(self.http, self.importer, key=list(Level).index)


def shorten(value: Any, longest: int = 120) -> str:
    """Write a value for a sentence: strings as they are, others as JSON, on one line."""
    text = value if isinstance(value, str) else canonical(value)
    text = printable(text).replace("`", "'")
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


@define(eq=False)
class Comparison:
    """One comparison of two specs, and what it has found so far."""

    old: Spec
    new: Spec
    # The base paths of the servers, where only these moved into the paths or out of them.
    bases: tuple[str, str] = ("", "")
    # Whether no operation uses the schemas that are being compared: nothing changes over HTTP then.
    in_unused: bool = False
    # The classes that replace each other under another name, with their schemas.
    renamed: dict[tuple[str, str], Pair] = field(factory=dict)
    # The component schemas of the old spec that operations use.
    used: set[str] = field(factory=set)
    new_classes: dict[str, SpecLocation] = field(init=False)
    findings: dict[tuple[Any, ...], Finding] = field(factory=dict)
    _seen: set[tuple[Any, ...]] = field(factory=set)

    def __attrs_post_init__(self) -> None:
        self.new_classes = component_classes(self.new)

    def is_first(self, *key: Any) -> bool:
        """Tell whether a key comes up for the first time, which ends every circle."""
        if key in self._seen:
            return False
        self._seen.add(key)
        return True


@frozen(eq=False)
class Pair:
    """Two locations that are compared."""

    comparison: Comparison
    old: SpecLocation
    new: SpecLocation

    def of(self, old: SpecLocation | None = None, new: SpecLocation | None = None) -> Pair:
        """Give a pair with other locations."""
        return Pair(self.comparison, old or self.old, new or self.new)

    def add(self, rule_id: str, subject: str, /, **words: Any) -> None:
        """Add a finding once; `http` and `importer` replace the rule's levels, `words` fill it."""
        rule, found = rules()[rule_id], self.comparison
        http, importer = words.pop("http", None), words.pop("importer", None)
        words["subject"] = subject
        quoted = {name: f"`{shorten(each)}`" for name, each in words.items()}
        what = rule.what.format(**quoted)
        http = Level.NONE if found.in_unused else http or rule.http
        made = Finding(rule, http, importer or rule.importer, subject, what, self.old, self.new)
        found.findings.setdefault((rule_id, self.old.pointer, self.new.pointer, what), made)

    def is_first(self, kind: str) -> bool:
        """Tell whether the pair comes up for the first time, which ends every circle."""
        return self.comparison.is_first(kind, self.old.pointer, self.new.pointer)

    def differs(self, flag: str) -> bool:
        """Tell whether a flag is set on one side only."""
        return self.old.is_set(flag) != self.new.is_set(flag)

    def compare_wording(self, subject: str, *more: str) -> None:
        """Compare the documentation keys, and `more` keys, but nothing below them."""
        for key in self._differing_keys():
            if key.startswith("x-"):
                self._at(key).add("extension-changed", subject, detail=key)
            elif key in WORDING_KEYS or key in more:
                self._at(key).add("wording-changed", subject, detail=key)

    def compare_unknown(self, subject: str, known: set[str]) -> None:
        """Report changed keys that no rule knows, so that no change is silent."""
        for key in self._differing_keys():
            if key not in known | WORDING_KEYS | {"$ref"} and not key.startswith("x-"):
                self._at(key).add("not-judged", subject, detail=key)

    def compare_deprecation(self, subject: str) -> None:
        """Compare whether something is marked as deprecated."""
        if self.differs("deprecated"):
            rule = "deprecated" if self.new.is_set("deprecated") else "no-longer-deprecated"
            self._at("deprecated").add(rule, subject)

    def _at(self, key: str) -> Pair:
        return self.of(self.old.key(key), self.new.key(key))

    def _differing_keys(self) -> list[str]:
        ours, theirs = self.old.value, self.new.value
        if not isinstance(ours, dict) or not isinstance(theirs, dict):
            return []
        keys = sorted(ours.keys() | theirs.keys())
        return [key for key in keys if canonical(ours.get(key)) != canonical(theirs.get(key))]
