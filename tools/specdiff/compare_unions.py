"""Two values that may take several forms (`oneOf`, `anyOf`), form by form."""

from __future__ import annotations

from attrs import evolve

from tools.specdiff.names import python_type
from tools.specdiff.pair import Pair
from tools.specdiff.shapes import WORDS, Shape, shape_of
from tools.specdiff.spec import Place, Pointer


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
    """Tell whether two schemas mean the same, names and wording aside."""
    return _same(one, other, set())


def _related(one: Place, other: Place) -> bool:
    if one.component and one.component == other.component:
        return True
    names = [python_type(shape_of(each)) for each in (one, other)]
    return names[0] == names[1] and names[0] != "Any"


def _same_kind(one: Place, other: Place) -> bool:
    return shape_of(one).types == shape_of(other).types


def _same(one: Place, other: Place, taken: set[tuple[Pointer, Pointer]]) -> bool:
    """Compare two schemas and what is below; pairs in a circle are taken for the same."""
    waiting = [(one, other)]
    while waiting:
        ours, theirs = (shape_of(each) for each in waiting.pop())
        pair = (ours.place.pointer, theirs.place.pointer)
        if pair in taken:
            continue
        taken.add(pair)
        if _own(ours) != _own(theirs) or not _same_forms(ours, theirs, taken):
            return False
        waiting += [(place, theirs.fields[name]) for name, place in ours.fields.items()]
        for inner, counterpart in ((ours.others, theirs.others), (ours.item, theirs.item)):
            if isinstance(inner, Place) and isinstance(counterpart, Place):
                waiting.append((inner, counterpart))
            elif inner != counterpart:
                return False
    return True


def _same_forms(one: Shape, other: Shape, taken: set[tuple[Pointer, Pointer]]) -> bool:
    left = list(other.union)
    for form in one.union:
        found = next((each for each in left if _same(form, each, set(taken))), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def _own(shape: Shape) -> tuple[object, ...]:
    """Give what a schema says without what is below it."""
    return (
        shape.types,
        None if shape.enum is None else sorted(shape.enum),
        shape.formats,
        shape.fields.keys(),
        shape.required,
        shape.limits,
        shape.flags - {"deprecated"},
        shape.default,
        shape.hard,
    )
