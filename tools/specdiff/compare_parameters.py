"""The parameters of an operation: its own, and those of its path."""

from __future__ import annotations

from typing import TypeAlias

from attrs import evolve

from tools.specdiff.compare_schemas import compare_schemas
from tools.specdiff.names import python_name
from tools.specdiff.rules import Level
from tools.specdiff.shapes import shape_of
from tools.specdiff.spec import Place, canonical
from tools.specdiff.walk import Walk

Key: TypeAlias = tuple[str, str]

_KNOWN = {"name", "in", "required", "schema", "deprecated", "style", "explode", "allowReserved",
          "content", "allowEmptyValue"}  # fmt: skip
_STYLES = {"query": "form", "cookie": "form", "path": "simple", "header": "simple"}

# Headers that OpenAPI tells tools to pass over count here all the same: the generated functions
# have an argument for each.


def compare_parameters(
    walk: Walk, old: tuple[Place, Place], new: tuple[Place, Place], renamed: dict[str, str]
) -> None:
    """Note what changed about an operation's parameters.

    Args:
        walk: The comparison.
        old: The old path item and operation.
        new: The new ones.
        renamed: The new names of path parameters, by their old ones.
    """
    before, after = _parameters(*old), _parameters(*new)
    pairs: list[tuple[Place, Place]] = []
    for key, place in list(before.items()):
        wanted = (key[0], renamed.get(key[1], key[1])) if key[0] == "path" else key
        if wanted in after:
            pairs.append((before.pop(key), after.pop(wanted)))
            if wanted != key:
                words = {"old": key[1], "new": wanted[1]}
                importer = _unless_same_name(key[1], wanted[1])
                walk.add("path-parameter-renamed", place, pairs[-1][1], key[1], importer=importer,
                         **words)  # fmt: skip
    for key, place in list(before.items()):
        twin = next((each for each in after if _same_argument(key, each)), None)
        moved = next((each for each in after if _moved(key, each)), None)
        if twin is not None:
            pairs.append((before.pop(key), after.pop(twin)))
            words = {"old": place.text("name"), "new": pairs[-1][1].text("name")}
            walk.add("parameter-renamed", place, pairs[-1][1], key[1], place=key[0], **words)
        elif moved is not None:
            pairs.append((before.pop(key), after.pop(moved)))
            importer = _unless_calls_stay(key[0], pairs[-1][1])
            words = {"old": key[0], "new": moved[0]}
            walk.add("parameter-moved", place, pairs[-1][1], key[1], importer=importer, **words)
    for (where, name), place in before.items():
        walk.add("parameter-removed", place, new[1], name, place=where)
    for (where, name), place in after.items():
        needed = place.get("required") is True
        rule = "parameter-required-added" if needed else "parameter-added"
        importer = _if_filled(place) if needed else None
        walk.add(rule, old[1], place, name, place=where, importer=importer)
    for one, other in pairs:
        compare_parameter(walk, one, other)


def _parameters(item: Place, operation: Place) -> dict[Key, Place]:
    """Give the parameters that count, by location and name; names of headers have no case."""
    found: dict[Key, Place] = {}
    for place in [*item.items("parameters"), *operation.items("parameters")]:
        where, name = place.text("in"), place.text("name")
        found[where, name.lower() if where == "header" else name] = place
    return found


def _same_argument(old: Key, new: Key) -> bool:
    """Tell whether another spelling of a name is the same argument in Python."""
    return old[0] == new[0] and python_name(old[1]) == python_name(new[1])


def _moved(old: Key, new: Key) -> bool:
    return old[0] != new[0] and old[1].lower() == new[1].lower()


def _if_filled(parameter: Place) -> Level | None:
    """Give the level for importers of a required parameter that has a default."""
    filled = shape_of(_schema(parameter)).default not in (None, "null")
    return Level.COMPATIBLE if filled else None


def _unless_same_name(old: str, new: str) -> Level | None:
    return Level.NONE if python_name(old) == python_name(new) else None


def _unless_calls_stay(old: str, new: Place) -> Level | None:
    """Give the level for importers where no call changes.

    Path parameters may be passed by position, all others by keyword only; `url()` takes those of
    path and query.
    """
    where, needed = new.text("in"), new.get("required") is True
    stays = (old, where) == ("query", "path") or (where == "query" and old != "path" and not needed)
    return Level.COMPATIBLE if stays else None


def compare_parameter(walk: Walk, old: Place, new: Place) -> None:
    """Note what changed about one parameter.

    Args:
        walk: The comparison.
        old: The old parameter.
        new: The new one.
    """
    name, where = new.text("name"), new.text("in")
    if not walk.first_time("parameter", old.pointer, new.pointer):
        return
    if old.text("name") != name and where == old.text("in") == "header":
        walk.add("header-case-changed", old, new, name, old=old.text("name"), new=name)
    ours, theirs = (_schema(each) for each in (old, new))
    if (old.get("required") is True) != (new.get("required") is True):
        needed = new.get("required") is True
        rule = "parameter-became-required" if needed else "parameter-became-optional"
        importer = _if_filled(new) if needed else None
        walk.add(rule, old, new, name, place=where, importer=importer)
    if old.text("in") == where:
        _compare_styles(walk, old, new)
    walk.deprecation(old, new, name)
    walk.wording(old, new, name)
    walk.rest(old, new, name, _KNOWN)
    compare_schemas(walk, ours, theirs, "request", name)


def _compare_styles(walk: Walk, old: Place, new: Place) -> None:
    before, after = _style(old), _style(new)
    changed = [key for key in before if before[key] != after[key]]
    if changed:
        detail = ", ".join(
            f"{key} {canonical(before[key])} → {canonical(after[key])}" for key in changed
        )
        # What may be written, too, but need not.
        looser = all(key.startswith("allow") and after[key] is True for key in changed)
        level = Level.COMPATIBLE if looser else None
        words = {"detail": detail, "http": level, "importer": level}
        walk.add("parameter-style-changed", old, new, new.text("name"), **words)


def _schema(parameter: Place) -> Place:
    """Give a parameter's schema, which stands in it or in its one media type."""
    found = parameter.at("schema")
    for media in parameter.entries("content").values():
        found = found or media.at("schema")
    return (found or evolve(parameter, value={})).named("", parameter.text("name"))


def _style(parameter: Place) -> dict[str, object]:
    """Give how a value is written, with what OpenAPI assumes where nothing is said."""
    style = parameter.get("style") or _STYLES.get(parameter.text("in"), "form")
    # Exploding changes only what has several parts.
    parts = shape_of(_schema(parameter)).types
    scalar = parts is not None and not parts & {"array", "object"}
    return {
        "style": style,
        "explode": False if scalar else parameter.get("explode", style == "form"),
        "allowReserved": parameter.get("allowReserved", False),
        "allowEmptyValue": parameter.get("allowEmptyValue", False),
        "content": sorted(parameter.entries("content")),
    }
