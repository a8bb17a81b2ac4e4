"""Two objects: the fields that the spec names, and those that it does not."""

from __future__ import annotations

from attrs import evolve

from tools.specdiff.names import class_name
from tools.specdiff.pair import Pair
from tools.specdiff.rules import Level
from tools.specdiff.shapes import shape_of
from tools.specdiff.spec import Place
from tools.specdiff.walk import Side

# What a field may be that the other side never sees.
_HIDDEN = {"request": "readOnly", "response": "writeOnly"}


def compare_fields(pair: Pair) -> None:
    """Note what changed about the fields of objects.

    Args:
        pair: The two schemas.
    """
    old, new = pair.old, pair.new
    owner = class_name(old) or pair.subject
    for name in dict.fromkeys([*old.fields, *new.fields]):
        before, after = old.fields.get(name), new.fields.get(name)
        if after is not None and name in new.required - old.required:
            _compare_model(pair, before, after, f"{owner}.{name}")
        if before is not None and after is not None:
            _compare_field(pair, name, before, after, f"{owner}.{name}")
        elif before is not None and _seen(before, pair.side):
            pair.walk.add(f"{pair.side}-field-removed", before, new.place, f"{owner}.{name}")
        elif after is not None and _seen(after, pair.side):
            _added(pair, name, after, f"{owner}.{name}")
    for name in sorted((old.required ^ new.required) - old.fields.keys() - new.fields.keys()):
        rule = f"{pair.side}-field-became-{'required' if name in new.required else 'optional'}"
        pair.walk.add(rule, old.place, new.place, f"{owner}.{name}")
    if old.is_object and new.is_object:
        _compare_others(pair, owner)


def _compare_model(pair: Pair, before: Place | None, after: Place, subject: str) -> None:
    """Note a field that nobody sends and the generated model asks for all the same."""
    if pair.side == "request" and not _seen(after, "request") and _filled(after) is None:
        pair.walk.add("request-field-read-only-required", before or pair.old.place, after, subject)


def _seen(field: Place, side: Side) -> bool:
    return _HIDDEN[side] not in shape_of(field).flags


def _added(pair: Pair, name: str, place: Place, subject: str) -> None:
    old, add = pair.old, pair.walk.add
    if pair.side == "response":
        closed = old.others is not True
        add(f"response-field-added{'-to-closed' * closed}", old.place, place, subject)
    elif name in pair.new.required:
        add("request-field-required-added", old.place, place, subject, importer=_filled(place))
    else:
        add("request-field-added", old.place, place, subject)


def _filled(field: Place) -> Level | None:
    """Give the level of a required field for importers, whose model fills in a default."""
    return Level.COMPATIBLE if shape_of(field).default not in (None, "null") else None


def _compare_field(pair: Pair, name: str, before: Place, after: Place, subject: str) -> None:
    side, add = pair.side, pair.walk.add
    was_seen, is_seen = _seen(before, side), _seen(after, side)
    was_needed, is_needed = name in pair.old.required, name in pair.new.required
    mark = "read-only" if side == "request" else "write-only"
    if was_seen and not is_seen:
        add(f"{side}-field-became-{mark}", before, after, subject)
    elif is_seen and not was_seen:
        add(f"{side}-field-no-longer-{mark}", before, after, subject)
        if side == "request" and is_needed:
            add("request-field-required-added", before, after, subject)
    if not was_seen or not is_seen:
        pair.walk.wording(before, after, subject)
        return
    if is_needed and not was_needed:
        importer = _filled(after) if side == "request" else None
        add(f"{side}-field-became-required", before, after, subject, importer=importer)
    elif was_needed and not is_needed:
        add(f"{side}-field-became-optional", before, after, subject)
    pair.below(before, after, subject)


def _compare_others(pair: Pair, owner: str) -> None:
    before, after = pair.old.others, pair.new.others
    if before is False or after is False or (before is True and after is True):
        if isinstance(before, Place) or before != after:
            rule = f"{pair.side}-unknown-fields-{'refused' if after is False else 'allowed'}"
            pair.walk.add(rule, pair.old.place, pair.new.place, owner)
        return
    # Fields of any kind, compared as fields of a kind.
    ours = before if isinstance(before, Place) else evolve(pair.old.place, value={})
    theirs = after if isinstance(after, Place) else evolve(pair.new.place, value={})
    pair.below(ours, theirs, f"{owner}.*")
