"""What a comparison finds, one change at a time."""

from __future__ import annotations

from typing import Any

from attrs import field, frozen

from tools.specdiff.rules import Level, Rule, rules
from tools.specdiff.spec import Place, Pointer, canonical, pointer_text
from tools.specdiff.trouble import printable


@frozen
class Location:
    """Where something stands in one of the two specs.

    Attributes:
        pointer: The JSON pointer as keys.
        line: The line, from 1.
    """

    pointer: Pointer
    line: int

    def __str__(self) -> str:
        return pointer_text(self.pointer)


@frozen
class Signature:
    """A public name of the generated package that changed.

    Attributes:
        name: The name, from the package on.
        old: How it was declared, or nothing.
        new: How it is declared now, or nothing.
    """

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
        old: Where it stands in the old spec; what was added: where it would.
        new: Where it stands in the new spec; what was removed: where it would.
        operations: The operations that it reaches, as `POST /path`.
        signatures: What changed with it in the generated package.
    """

    rule: Rule
    http: Level
    importer: Level
    subject: str
    what: str
    old: Location
    new: Location
    operations: tuple[str, ...] = ()
    signatures: tuple[Signature, ...] = field(default=(), eq=False)

    @property
    def level(self) -> Level:
        """The worse of both levels."""
        return min(self.http, self.importer, key=lambda level: level.rank)

    @property
    def effect(self) -> str:
        """What the change does to callers, in one sentence."""
        return self.rule.effect


def location(place: Place) -> Location:
    """Say where a place is."""
    return Location(place.pointer, place.line)


def finding(
    rule_id: str,
    old: Place,
    new: Place,
    subject: str,
    /,
    *,
    http: Level | None = None,
    importer: Level | None = None,
    **words: Any,
) -> Finding:
    """Make a finding.

    Args:
        rule_id: The rule.
        old: Where it stands in the old spec.
        new: Where it stands in the new spec.
        subject: What changed.
        http: The level over HTTP, where it departs from the rule's.
        importer: The level for importers, where it departs from the rule's.
        **words: What fills the places of the rule's sentence; texts as they are, values as JSON, in
            backticks.
    """
    rule = rules()[rule_id]
    quoted = {key: f"`{shown(value)}`" for key, value in {**words, "subject": subject}.items()}
    return Finding(
        rule=rule,
        http=http or rule.http,
        importer=importer or rule.importer,
        subject=subject,
        what=rule.what.format(**quoted),
        old=location(old),
        new=location(new),
    )


def shown(value: Any, longest: int = 120) -> str:
    """Write a value into a sentence: texts as they are, on one line and not too long."""
    text = value if isinstance(value, str) else canonical(value)
    text = printable(text).replace("`", "'")
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
