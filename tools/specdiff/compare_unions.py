"""Two values that may take several forms (`oneOf`, `anyOf`), form by form."""

from __future__ import annotations

import json

from attrs import evolve

from tools.specdiff.names import python_type
from tools.specdiff.pair import Pair
from tools.specdiff.shapes import WORDS, Shape, shape_of
from tools.specdiff.spec import Place, canonical


def compare_unions(pair: Pair) -> bool:
    """Note what changed about the forms of a value.

    Args:
        pair: The two schemas.

    Returns:
        Whether nothing else is to be compared about the two.
    """
    lone = [each for each in (pair.old, pair.new) if not each.union]
    if len(lone) == 2:
        return False
    if lone and lone[0].says_nothing:
        verdict, anything = ("narrowed", "old") if lone[0] is pair.old else ("widened", "new")
        words = {"old": "one of several forms", "new": "one of several forms", anything: "any"}
        pair.add(f"type-{verdict}", **words)
    elif lone and not all(_is_bare(each) for each in (pair.old, pair.new) if each.union):
        pair.add_for_all("not-judged", detail="oneOf or anyOf")
    else:
        _compare_forms(pair)
    return bool(lone)


def _compare_forms(pair: Pair) -> None:
    """Find which form became which.

    Forms that mean the same stand for each other, then those of one class or component, then the
    only two that are left. What is left after that was added or removed; if there is both, nobody
    can tell.
    """
    ours, theirs = (list(each.union or (_bare(each.place),)) for each in (pair.old, pair.new))
    for same in (_alike, _related):
        for before in list(ours):
            after = next((each for each in theirs if same(before, each)), None)
            if after is not None:
                ours.remove(before)
                theirs.remove(after)
                pair.below(before, after, pair.subject)
    if len(ours) == len(theirs) == 1 and _same_kind(ours[0], theirs[0]):
        pair.below(ours.pop(), theirs.pop(), pair.subject)
    if ours and theirs:
        pair.add_for_all("not-judged", detail="oneOf or anyOf")
        return
    for before in ours:
        kind = python_type(shape_of(before))
        rule = f"{pair.side}-variant-removed"
        pair.walk.add(rule, before, pair.new.place, pair.subject, old=kind)
    for after in theirs:
        kind = python_type(shape_of(after))
        rule = f"{pair.side}-variant-added"
        pair.walk.add(rule, pair.old.place, after, pair.subject, new=kind)


def _bare(place: Place) -> Place:
    """Leave out the words, which were compared with those of the whole."""
    return evolve(place, value={k: v for k, v in place.value.items() if k not in WORDS})


def _is_bare(shape: Shape) -> bool:
    """Tell whether a schema says nothing beside its forms."""
    return shape.says_nothing or (
        shape.types is not None and not shape.fields and not shape.limits and not shape.hard
    )


def _alike(one: Place, other: Place) -> bool:
    return fingerprint(one) == fingerprint(other)


def _related(one: Place, other: Place) -> bool:
    if one.component and one.component == other.component:
        return True
    names = [python_type(shape_of(each)) for each in (one, other)]
    return names[0] == names[1] and names[0] != "Any"


def _same_kind(one: Place, other: Place) -> bool:
    return shape_of(one).types == shape_of(other).types


def fingerprint(place: Place, above: tuple[tuple[str, ...], ...] = ()) -> str:
    """Write what a schema means, names and wording aside, so that equal meanings are equal text."""
    shape = shape_of(place)
    here = shape.place.pointer
    if here in above:
        return f"circle {len(above) - above.index(here)}"
    inside = (*above, here)

    def inner(each: Place | bool | None) -> object:
        return fingerprint(each, inside) if isinstance(each, Place) else each

    return json.dumps(
        [
            None if shape.types is None else sorted(shape.types),
            None if shape.enum is None else sorted(shape.enum),
            sorted(shape.formats),
            {name: inner(each) for name, each in shape.fields.items()},
            sorted(shape.required),
            inner(shape.others),
            inner(shape.item),
            sorted(str(inner(each)) for each in shape.union),
            canonical({key: sorted(v) if isinstance(v, frozenset) else v
                       for key, v in shape.limits.items()}),
            sorted(shape.flags - {"deprecated"}),
            shape.default,
            shape.hard,
        ],
        sort_keys=True,
    )  # fmt: skip
