"""The body of a request."""

from __future__ import annotations

from attrs import evolve

from tools.specdiff.compare_schemas import compare_schemas
from tools.specdiff.spec import Place
from tools.specdiff.walk import Walk


def compare_bodies(walk: Walk, old: Place, new: Place, operation: str) -> None:
    """Note what changed about the request body of an operation.

    Args:
        walk: The comparison.
        old: The old operation.
        new: The new one.
        operation: What the generated module is called.
    """
    before, after = old.at("requestBody"), new.at("requestBody")
    if before is None and after is None:
        return
    if before is None and after is not None:
        needed = "-required" if after.get("required") is True else ""
        walk.add(f"request-body{needed}-added", old, after, operation)
    elif after is None and before is not None:
        walk.add("request-body-removed", before, new, operation)
    elif before is not None and after is not None:
        if (before.get("required") is True) != (after.get("required") is True):
            rule = "required" if after.get("required") is True else "optional"
            walk.add(f"request-body-became-{rule}", before, after, operation)
        walk.wording(before, after, f"{operation}.body")
        walk.rest(before, after, f"{operation}.body", {"content", "required"})
        _compare_content(walk, before, after, operation)


def _compare_content(walk: Walk, old: Place, new: Place, operation: str) -> None:
    before, after = media_types(old), media_types(new)
    for name in before.keys() - after.keys():
        walk.add("request-media-type-removed", before[name], new, name)
    for name in after.keys() - before.keys():
        walk.add("request-media-type-added", old, after[name], name)
    pairs = [(before[name], after[name], name) for name in before if name in after]
    if not pairs and len(before) == len(after) == 1:
        # The same fields in another form: whoever imports the client notices only the fields.
        pairs = [(next(iter(before.values())), next(iter(after.values())), "")]
    for one, other, name in pairs:
        if not walk.first_time("request media", one.pointer, other.pointer):
            continue
        walk.wording(one, other, name or "the body")
        if name and one.get("encoding") != other.get("encoding"):
            walk.add("request-media-type-changed", one, other, name)
        walk.rest(one, other, name or "the body", {"schema", "encoding"})
        ours, theirs = (_schema(each, operation) for each in (one, other))
        compare_schemas(walk, ours, theirs, "request", f"{operation}.body")


def _schema(media: Place, operation: str) -> Place:
    return (media.at("schema") or evolve(media, value={})).named(operation, "body")


def media_types(place: Place) -> dict[str, Place]:
    """Give the media types of a body, spelled in one way."""
    return {
        ";".join(part.strip().lower() for part in name.split(";")): media
        for name, media in place.entries("content").items()
    }
