"""What a comparison keeps while it walks through two specs side by side."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

from attrs import define, evolve, field

from tools.specdiff.findings import Finding, finding
from tools.specdiff.names import component_classes
from tools.specdiff.rules import Level
from tools.specdiff.shapes import WORDS
from tools.specdiff.spec import Place, Pointer, Spec, canonical

Side: TypeAlias = Literal["request", "response"]


@define(eq=False)
class Walk:
    """One comparison.

    Attributes:
        old: The old spec.
        new: The new spec.
        unused: Whether the walk is among schemas that no operation uses, so that nothing changes
            over HTTP.
        renamed: The classes of schemas that stand for each other, where they have other names, and
            where that was seen first.
        new_classes: The classes that are made of the new spec's components.
        reached: The schemas among the components of the old spec that operations led to.
    """

    old: Spec
    new: Spec
    unused: bool = False
    renamed: dict[tuple[str, str], tuple[Place, Place]] = field(factory=dict)
    reached: set[str] = field(factory=set)
    new_classes: dict[str, Place] = field(init=False)
    _found: dict[tuple[Any, ...], Finding] = field(factory=dict)
    _seen: set[tuple[Any, ...]] = field(factory=set)

    def __attrs_post_init__(self) -> None:
        self.new_classes = component_classes(self.new)

    @property
    def findings(self) -> list[Finding]:
        """What was found so far, each change once."""
        return list(self._found.values())

    def add(self, rule: str, old: Place, new: Place, subject: str, /, **words: Any) -> None:
        """Note a change; one that is found again on another way counts once.

        Args:
            rule: The rule's id.
            old: Where it stands in the old spec.
            new: Where it stands in the new spec.
            subject: What changed.
            **words: What `tools.specdiff.findings.finding` takes.
        """
        made = finding(rule, old, new, subject, **words)
        if self.unused:
            made = evolve(made, http=Level.NONE)
        key = (rule, made.old.pointer, made.new.pointer, made.what)
        self._found.setdefault(key, made)

    def first_time(self, *key: Any) -> bool:
        """Tell whether a pair of places comes up for the first time, which ends every circle."""
        if key in self._seen:
            return False
        self._seen.add(key)
        return True

    def wording(self, old: Place, new: Place, subject: str, *, more: Pointer = ()) -> None:
        """Note what reads differently at two places, without what is below them.

        Args:
            old: The place in the old spec.
            new: Its counterpart.
            subject: What to call it.
            more: Further keys that are wording here.
        """
        if not isinstance(old.value, dict) or not isinstance(new.value, dict):
            return
        for key in sorted(old.value.keys() | new.value.keys()):
            extension = key.startswith("x-")
            if not extension and key not in WORDS and key not in more:
                continue
            if canonical(old.get(key)) != canonical(new.get(key)):
                rule = "extension-changed" if extension else "wording-changed"
                self.add(rule, _at(old, key), _at(new, key), subject, detail=key)

    def rest(self, old: Place, new: Place, subject: str, known: set[str]) -> None:
        """Note what no rule knows, so that no change goes by in silence."""
        if not isinstance(old.value, dict) or not isinstance(new.value, dict):
            return
        for key in sorted((old.value.keys() | new.value.keys()) - known - WORDS - {"$ref"}):
            if not key.startswith("x-") and canonical(old.get(key)) != canonical(new.get(key)):
                self.add("not-judged", _at(old, key), _at(new, key), subject, detail=key)

    def deprecation(self, old: Place, new: Place, subject: str) -> None:
        """Note that something is marked as deprecated, or no longer."""
        before, after = (each.get("deprecated") is True for each in (old, new))
        if before != after:
            rule = "deprecated" if after else "no-longer-deprecated"
            self.add(rule, _at(old, "deprecated"), _at(new, "deprecated"), subject)


def _at(place: Place, key: str) -> Place:
    """Point at a key, or at the place itself where the key is missing."""
    if not isinstance(place.value, dict) or key not in place.value:
        return place
    return evolve(place, value=place.value[key], pointer=(*place.pointer, key))
