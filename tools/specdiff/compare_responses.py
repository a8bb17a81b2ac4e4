"""The answers of an operation: statuses, media types, headers, bodies."""

from __future__ import annotations

from attrs import evolve

from tools.specdiff.compare_bodies import media_types
from tools.specdiff.compare_schemas import compare_schemas
from tools.specdiff.names import python_type
from tools.specdiff.rules import Level
from tools.specdiff.shapes import shape_of
from tools.specdiff.spec import Place
from tools.specdiff.walk import Walk


def compare_responses(walk: Walk, old: Place, new: Place, operation: str) -> None:
    """Note what changed about the answers of an operation.

    A status that one spec lists and the other leaves to its range (`4XX`) or to `default` is
    compared with what it was left to.

    Args:
        walk: The comparison.
        old: The old operation.
        new: The new one.
        operation: What the generated module is called.
    """
    before, after = _answers(old), _answers(new)
    # What the functions may give that they could not, unless a finding of its own says so.
    fresh: list[tuple[str, Place]] = []
    for status in sorted(before.keys() | after.keys()):
        ours, theirs = _effective(before, status), _effective(after, status)
        if ours is not None and theirs is not None:
            if ours != theirs:
                words = {"old": ours, "new": theirs}
                rule = "response-status-regrouped"
                walk.add(rule, before[ours], after[theirs], status, **words)
            _compare_answer(walk, before[ours], after[theirs], status, operation)
            if not _read(before[ours], status, operation):
                fresh += _typed(after[theirs], status, operation)
        elif ours is not None:
            rule = "response-status-removed" if _good(status) else "response-error-removed"
            walk.add(rule, before[ours], new, status)
        elif theirs is not None:
            place = after[theirs]
            walk.add(_rule_of_added(before, place, status, operation), old, place, status)
            fresh += _typed(place, status, operation)
    known = {
        kind for status, place in before.items() for kind, _ in _typed(place, status, operation)
    }
    known |= {after_ for before_, after_ in walk.renamed if before_ in known}
    for kind, place in fresh:
        if kind not in known:
            walk.add("result-type-widened", old, place, kind)


def _answers(operation: Place) -> dict[str, Place]:
    return {
        status.upper() if status != "default" else status: place
        for status, place in operation.entries("responses").items()
        if not status.startswith("x-")
    }


def _effective(answers: dict[str, Place], status: str) -> str | None:
    """Find what describes a status: itself, its range, or the default."""
    for key in (status, f"{status[0]}XX", "default"):
        if key in answers:
            return key
    return None


def _good(status: str) -> bool:
    return status.startswith("2")


def _rule_of_added(before: dict[str, Place], place: Place, status: str, operation: str) -> str:
    if not _good(status):
        return "response-error-added"
    kinds = {
        kind
        for key, each in before.items()
        if _good(key)
        for kind, _ in _typed(each, key, operation)
    }
    known = all(kind in kinds for kind, _ in _typed(place, status, operation))
    return "response-same-status-added" if known else "response-status-added"


def _is_json(media: str) -> bool:
    main = media.partition(";")[0]
    return main == "application/json" or main.endswith("+json")


def _read(answer: Place, status: str, operation: str) -> list[Place]:
    """Give the schema that the client reads an answer's body by, if there is one.

    The generator takes the first media type that it knows; of these, the client reads JSON.
    """
    for name, media in media_types(answer).items():
        schema = media.at("schema")
        if _is_json(name):
            return [] if schema is None else [schema.named(operation, f"response_{status}")]
        if name.startswith("text/") or name == "application/octet-stream":
            return []
    return []


def _typed(answer: Place, status: str, operation: str) -> list[tuple[str, Place]]:
    """Give what the client reads an answer's body by, with the Python type of it."""
    return [(python_type(shape_of(body)), body) for body in _read(answer, status, operation)]


def _compare_answer(walk: Walk, old: Place, new: Place, status: str, operation: str) -> None:
    if not walk.first_time("response", old.pointer, new.pointer):
        return
    # Links tell what may be called next, and change nothing about this call.
    walk.wording(old, new, status, more=("links",))
    walk.rest(old, new, status, {"content", "headers", "links"})
    _compare_headers(walk, old, new, status)
    before, after = media_types(old), media_types(new)
    ours, theirs = _read(old, status, operation), _read(new, status, operation)
    if ours and not theirs and any(map(_is_json, after)):
        first = next(iter(after))
        walk.add("response-no-longer-read", ours[0], after[first], first, place=status)
    for name in before.keys() - after.keys():
        importer = None if ours and _is_json(name) else Level.COMPATIBLE
        rule = "response-media-type-removed"
        walk.add(rule, before[name], new, name, place=status, importer=importer)
    for name in after.keys() - before.keys():
        rule = "response-media-type-added" if before else "response-body-added"
        walk.add(rule, old, after[name], name, place=status)
    for name in before.keys() & after.keys():
        walk.wording(before[name], after[name], f"{status} {name}")
        walk.rest(before[name], after[name], f"{status} {name}", {"schema"})
        schemas = [_schema(each[name], status, operation) for each in (before, after)]
        compare_schemas(walk, schemas[0], schemas[1], "response", f"{operation}.{status}")


def _schema(media: Place, status: str, operation: str) -> Place:
    found = media.at("schema") or evolve(media, value={})
    return found.named(operation, f"response_{status}")


def _compare_headers(walk: Walk, old: Place, new: Place, status: str) -> None:
    before, after = (
        {name.lower(): (name, place) for name, place in each.entries("headers").items()}
        for each in (old, new)
    )
    for key in sorted(before.keys() | after.keys() - {"content-type"}):
        if key not in after:
            walk.add("response-header-removed", before[key][1], new, before[key][0], place=status)
        elif key not in before:
            walk.add("response-header-added", old, after[key][1], after[key][0], place=status)
        else:
            _compare_header(walk, before[key][1], after[key][1], after[key][0], status)


def _compare_header(walk: Walk, old: Place, new: Place, name: str, status: str) -> None:
    if not walk.first_time("header", old.pointer, new.pointer):
        return
    if (old.get("required") is True) != (new.get("required") is True):
        rule = "required" if new.get("required") is True else "optional"
        walk.add(f"response-header-became-{rule}", old, new, name, place=status)
    walk.wording(old, new, name)
    walk.deprecation(old, new, name)
    walk.rest(old, new, name, {"required", "deprecated", "schema"})
    ours, theirs = (each.at("schema") or evolve(each, value={}) for each in (old, new))
    compare_schemas(walk, ours, theirs, "response", name)
