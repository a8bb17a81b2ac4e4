"""Two schemas, seen by who sends such values (`request`) or by who reads them (`response`)."""

from __future__ import annotations

from collections import deque

from attrs import evolve

from tools.specdiff.compare_fields import compare_fields
from tools.specdiff.compare_unions import compare_unions
from tools.specdiff.compare_values import compare_values
from tools.specdiff.names import class_name
from tools.specdiff.pair import Pair, Waiting
from tools.specdiff.shapes import TYPES, Shape, shape_of
from tools.specdiff.spec import Place, canonical
from tools.specdiff.walk import Side, Walk


def compare_schemas(walk: Walk, old: Place, new: Place, side: Side, subject: str) -> None:
    """Note what changed between two schemas and below them.

    Args:
        walk: The comparison.
        old: The old schema.
        new: The new one.
        side: Who sees it: `request` for what callers send, `response` for what they read.
        subject: What to call the value.
    """
    # A queue, since schemas lead to schemas further down than Python can call itself.
    waiting: Waiting = deque([(old, new, subject)])
    while waiting:
        old, new, subject = waiting.popleft()
        pair = Pair(walk, shape_of(old), shape_of(new), side, subject, waiting)
        _compare(pair, old, new)


def _compare(pair: Pair, old: Place, new: Place) -> None:
    walk, before, after, side = pair.walk, pair.old, pair.new, pair.side
    walk.reached |= {old.component, before.place.component}
    key = [(each.pointer, canonical(each.get("allOf"))) for each in (old, new)]
    if not walk.first_time("schema", *key, side, walk.unused):
        return
    _compare_wording(walk, (old, before.place), (new, after.place), pair.subject)
    _compare_classes(pair)
    # What has a class of its own goes by it, so that a change is one finding wherever it is used.
    subject = (before.place.component and class_name(before)) or pair.subject
    pair = evolve(pair, subject=subject)
    if compare_unions(pair) or not _compare_types(pair):
        return
    compare_values(pair)
    compare_fields(pair)
    if before.item or after.item:
        ours, theirs = (each.item or evolve(each.place, value={}) for each in (before, after))
        pair.below(ours, theirs, f"{subject}[]")


def _compare_wording(
    walk: Walk, old: tuple[Place, Place], new: tuple[Place, Place], subject: str
) -> None:
    """Compare what is said of two schemas; what is said around them, in an `allOf`, goes first."""
    walk.wording(_with_words(*old), _with_words(*new), subject)


def _with_words(outer: Place, inner: Place) -> Place:
    values = [each.value if isinstance(each.value, dict) else {} for each in (inner, outer)]
    return evolve(inner, value={**values[0], **values[1]})


def _compare_classes(pair: Pair) -> None:
    before, after = class_name(pair.old), class_name(pair.new)
    kinds = {each.enum is None for each in (pair.old, pair.new)}
    if not before or not after or before == after or len(kinds) > 1:
        return
    if before in pair.walk.new_classes:
        pair.add_for_all("schema-replaced", old=before, new=after)
    else:
        places = (pair.old.place, pair.new.place)
        pair.walk.renamed.setdefault((before, after), places)


def _compare_types(pair: Pair) -> bool:
    """Compare types; give whether values are still alike enough to look further."""
    before, after = _values(pair.old), _values(pair.new)
    if pair.old.types is not None and pair.new.types is not None:
        if ("null" in before) != ("null" in after):
            pair.add("null-allowed" if "null" in after else "null-refused")
        before, after = before - {"null"}, after - {"null"}
    if before == after:
        return True
    verdict = "narrowed" if after < before else "widened" if before < after else "changed"
    pair.add(f"type-{verdict}", old=_text(pair.old), new=_text(pair.new))
    return bool(before & after) and verdict != "changed"


def _values(shape: Shape) -> frozenset[str]:
    types = TYPES if shape.types is None else shape.types
    return types | {"integer"} if "number" in types else types


def _text(shape: Shape) -> str:
    return "any" if shape.types is None else " or ".join(sorted(shape.types))
