"""Single values of two schemas: formats, enums, limits, defaults, marks."""

from __future__ import annotations

from tools.specdiff.limits import compare_limit, limit_text
from tools.specdiff.names import TYPED_FORMATS
from tools.specdiff.pair import Pair
from tools.specdiff.rules import Level

# What a value of a format keeps as well.
_SIZES = {"int32": {"int32", "int64"}, "float": {"float", "double"}}


def compare_values(pair: Pair) -> None:
    """Note what changed about single values.

    Args:
        pair: The two schemas.
    """
    old, new = pair.old, pair.new
    _compare_formats(pair)
    _compare_enums(pair)
    for key in sorted(old.limits.keys() | new.limits.keys()):
        before, after = old.limits.get(key), new.limits.get(key)
        verdict = compare_limit(key, before, after)
        if verdict is not None:
            words = {"old": limit_text(key, before), "new": limit_text(key, after)}
            pair.add(f"limit-{verdict}", limit=key, **words)
    _compare_defaults(pair)
    if old.secret != new.secret:
        pair.add_for_all("secret-marked" if new.secret else "secret-unmarked")
    if ("deprecated" in old.flags) != ("deprecated" in new.flags):
        marked = "deprecated" in new.flags
        pair.add_for_all("deprecated" if marked else "no-longer-deprecated")
    for key in sorted(old.hard.keys() | new.hard.keys()):
        if old.hard.get(key) != new.hard.get(key):
            pair.add_for_all("not-judged", detail=key)


def _compare_formats(pair: Pair) -> None:
    old, new = pair.old.formats, pair.new.formats
    if old == new:
        return
    before, after = (
        frozenset[str]().union(*(_SIZES.get(name, {name}) for name in each)) for each in (old, new)
    )
    verdict = "narrowed" if before < after else "widened" if after < before else "changed"
    retyped = old & TYPED_FORMATS != new & TYPED_FORMATS
    importer = Level.BREAKING if retyped else None
    pair.add(f"format-{verdict}", importer=importer, old=_names(old), new=_names(new))


def _names(formats: frozenset[str]) -> str:
    return " and ".join(sorted(formats)) or "none"


def _compare_enums(pair: Pair) -> None:
    old, new = pair.old.enum, pair.new.enum
    if old is None and new is not None:
        pair.add("enum-introduced", new=", ".join(new))
    elif old is not None and new is None:
        pair.add("enum-dropped", old=", ".join(old))
    elif old is not None and new is not None:
        for value in old:
            if value not in new:
                pair.add("enum-value-removed", old=value)
        for value in new:
            if value not in old:
                pair.add("enum-value-added", new=value)


def _compare_defaults(pair: Pair) -> None:
    old, new = pair.old.default, pair.new.default
    if old == new:
        return
    verdict = "changed"
    if pair.side == "request" and (old is None or new is None):
        verdict = "added" if old is None else "removed"
    pair.add(f"default-{verdict}", old=old or "none", new=new or "none")
