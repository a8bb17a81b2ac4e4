"""Compares the parameters, request bodies and responses of two operations."""

from __future__ import annotations

from typing import TypeAlias

from tools.specdiff.compare_schemas import compare_schemas, compatible_with_default
from tools.specdiff.findings import Comparison, Level
from tools.specdiff.python_names import python_name, python_type
from tools.specdiff.schemas import read_schema
from tools.specdiff.spec import SpecLocation, canonical

# A parameter's location (`in`) and name.
ParameterKey: TypeAlias = tuple[str, str]

_PARAMETER_KEYS = {"name", "in", "required", "schema", "deprecated", "style", "explode",
                   "allowReserved", "content", "allowEmptyValue"}  # fmt: skip
_STYLES = {"query": "form", "cookie": "form", "path": "simple", "header": "simple"}


def media_types(location: SpecLocation) -> dict[str, SpecLocation]:
    """Give the media types of a body, in one spelling."""
    return {
        ";".join(part.strip().lower() for part in name.split(";")): media
        for name, media in location.entries("content").items()
    }


def _schema(media: SpecLocation, operation: str, name: str) -> SpecLocation:
    return (media.at("schema") or media.empty()).named(operation, name)


# Parameters. Headers that OpenAPI tells tools to ignore count here all the same: the generated
# functions have an argument for each.


def compare_parameters(
    comparison: Comparison,
    old: tuple[SpecLocation, SpecLocation],
    new: tuple[SpecLocation, SpecLocation],
    renamed: dict[str, str],
) -> None:
    """Compare the parameters of path items and operations; `renamed` are those of the path."""
    before, after, add = _parameters(*old), _parameters(*new), comparison.add
    pairs: list[tuple[SpecLocation, SpecLocation]] = []

    def match(key: ParameterKey, wanted: ParameterKey) -> tuple[SpecLocation, SpecLocation]:
        pairs.append((before.pop(key), after.pop(wanted)))
        return pairs[-1]

    for key in list(before):
        wanted = (key[0], renamed.get(key[1], key[1])) if key[0] == "path" else key
        if wanted in after:
            pair = match(key, wanted)
            if wanted != key:
                same = python_name(key[1]) == python_name(wanted[1])
                words = {"old": key[1], "new": wanted[1]}
                importer = Level.NONE if same else None
                add("path-parameter-renamed", *pair, key[1], importer=importer, **words)
    for key in list(before):
        twin = next((each for each in after if _is_same_argument(key, each)), None)
        moved = next((each for each in after if _is_moved(key, each)), None)
        if twin is not None:
            pair = match(key, twin)
            words = {"old": pair[0].text("name"), "new": pair[1].text("name")}
            add("parameter-renamed", *pair, key[1], place=key[0], **words)
        elif moved is not None:
            pair = match(key, moved)
            importer = _level_of_move(key[0], pair[1])
            add("parameter-moved", *pair, key[1], importer=importer, old=key[0], new=moved[0])
    for (where, name), location in before.items():
        add("parameter-removed", location, new[1], name, place=where)
    for (where, name), location in after.items():
        required = location.is_set("required")
        rule = "parameter-required-added" if required else "parameter-added"
        importer = _level_with_default(location) if required else None
        add(rule, old[1], location, name, place=where, importer=importer)
    for pair in pairs:
        _compare_parameter(comparison, *pair)


def _parameters(item: SpecLocation, operation: SpecLocation) -> dict[ParameterKey, SpecLocation]:
    """Give the effective parameters; header names are case-insensitive."""
    found: dict[ParameterKey, SpecLocation] = {}
    for location in [*item.items("parameters"), *operation.items("parameters")]:
        where, name = location.text("in"), location.text("name")
        found[where, name.lower() if where == "header" else name] = location
    return found


def _is_same_argument(old: ParameterKey, new: ParameterKey) -> bool:
    """Tell whether another spelling of a name is the same argument in Python."""
    return old[0] == new[0] and python_name(old[1]) == python_name(new[1])


def _is_moved(old: ParameterKey, new: ParameterKey) -> bool:
    return old[0] != new[0] and old[1].lower() == new[1].lower()


def _level_with_default(parameter: SpecLocation) -> Level | None:
    """Give the importers' level of a required parameter that has a default."""
    return compatible_with_default(_parameter_schema(parameter))


def _level_of_move(old: str, new: SpecLocation) -> Level | None:
    """Give the importers' level where no call changes.

    Path parameters may be passed by position, all others by keyword only; `url()` takes those of
    path and query.
    """
    where, required = new.text("in"), new.is_set("required")
    to_query = where == "query" and old != "path" and not required
    return Level.COMPATIBLE if (old, where) == ("query", "path") or to_query else None


def _compare_parameter(comparison: Comparison, old: SpecLocation, new: SpecLocation) -> None:
    name, where = new.text("name"), new.text("in")
    if not comparison.is_first("parameter", old.pointer, new.pointer):
        return
    if old.text("name") != name and where == old.text("in") == "header":
        comparison.add("header-case-changed", old, new, name, old=old.text("name"), new=name)
    if old.is_set("required") != new.is_set("required"):
        required = new.is_set("required")
        rule = "parameter-became-required" if required else "parameter-became-optional"
        importer = _level_with_default(new) if required else None
        comparison.add(rule, old, new, name, place=where, importer=importer)
    if old.text("in") == where:
        _compare_styles(comparison, old, new)
    comparison.compare_deprecation(old, new, name)
    comparison.compare_wording(old, new, name)
    comparison.compare_unknown(old, new, name, _PARAMETER_KEYS)
    schemas = _parameter_schema(old), _parameter_schema(new)
    compare_schemas(comparison, *schemas, "request", name)


def _compare_styles(comparison: Comparison, old: SpecLocation, new: SpecLocation) -> None:
    before, after = _style(old), _style(new)
    changed = [key for key in before if before[key] != after[key]]
    if changed:
        detail = ", ".join(
            f"{key} {canonical(before[key])} → {canonical(after[key])}" for key in changed
        )
        # Permission to write more, without an obligation.
        looser = all(key.startswith("allow") and after[key] is True for key in changed)
        level = Level.COMPATIBLE if looser else None
        rule, name = "parameter-style-changed", new.text("name")
        comparison.add(rule, old, new, name, detail=detail, http=level, importer=level)


def _parameter_schema(parameter: SpecLocation) -> SpecLocation:
    """Give a parameter's schema, which stands in it or in its one media type."""
    found = parameter.at("schema")
    for media in parameter.entries("content").values():
        found = found or media.at("schema")
    return (found or parameter.empty()).named("", parameter.text("name"))


def _style(parameter: SpecLocation) -> dict[str, object]:
    """Give how a value is serialized, with OpenAPI's defaults."""
    style = parameter.get("style") or _STYLES.get(parameter.text("in"), "form")
    # `explode` changes only what has several parts.
    types = read_schema(_parameter_schema(parameter)).types
    scalar = types is not None and not types & {"array", "object"}
    return {
        "style": style,
        "explode": False if scalar else parameter.get("explode", style == "form"),
        "allowReserved": parameter.get("allowReserved", False),
        "allowEmptyValue": parameter.get("allowEmptyValue", False),
        "content": sorted(parameter.entries("content")),
    }


# Request bodies.


def compare_bodies(
    comparison: Comparison, old: SpecLocation, new: SpecLocation, operation: str
) -> None:
    """Compare the request bodies of two operations."""
    before, after = old.at("requestBody"), new.at("requestBody")
    if before is None and after is not None:
        rule = "request-body-required-added" if after.is_set("required") else "request-body-added"
        comparison.add(rule, old, after, operation)
    elif before is not None and after is None:
        comparison.add("request-body-removed", before, new, operation)
    elif before is not None and after is not None:
        if before.is_set("required") != after.is_set("required"):
            change = "required" if after.is_set("required") else "optional"
            comparison.add(f"request-body-became-{change}", before, after, operation)
        subject = f"{operation}.body"
        comparison.compare_wording(before, after, subject)
        comparison.compare_unknown(before, after, subject, {"content", "required"})
        _compare_body_content(comparison, before, after, operation)


def _compare_body_content(
    comparison: Comparison, old: SpecLocation, new: SpecLocation, operation: str
) -> None:
    before, after = media_types(old), media_types(new)
    for name in before.keys() - after.keys():
        comparison.add("request-media-type-removed", before[name], new, name)
    for name in after.keys() - before.keys():
        comparison.add("request-media-type-added", old, after[name], name)
    pairs = [(before[name], after[name], name) for name in before if name in after]
    if not pairs and len(before) == len(after) == 1:
        # The same fields in another format: importers of the client see only the fields.
        pairs = [(next(iter(before.values())), next(iter(after.values())), "")]
    for one, other, name in pairs:
        if not comparison.is_first("request media", one.pointer, other.pointer):
            continue
        subject = name or "the body"
        comparison.compare_wording(one, other, subject)
        if name and one.get("encoding") != other.get("encoding"):
            comparison.add("request-media-type-changed", one, other, name)
        comparison.compare_unknown(one, other, subject, {"schema", "encoding"})
        ours, theirs = (_schema(each, operation, "body") for each in (one, other))
        compare_schemas(comparison, ours, theirs, "request", f"{operation}.body")


# Responses.


def compare_responses(
    comparison: Comparison, old: SpecLocation, new: SpecLocation, operation: str
) -> None:
    """Compare the responses of two operations.

    A status that one spec lists and the other leaves to its range (`4XX`) or to `default` is
    compared with that.
    """
    before, after, add = _responses(old), _responses(new), comparison.add
    # New types of results that no finding of their own reports.
    results: list[tuple[str, SpecLocation]] = []
    for status in sorted(before.keys() | after.keys()):
        ours, theirs = _effective(before, status), _effective(after, status)
        if ours is not None and theirs is not None:
            if ours != theirs:
                words = {"old": ours, "new": theirs}
                add("response-status-regrouped", before[ours], after[theirs], status, **words)
            _compare_response(comparison, before[ours], after[theirs], status, operation)
            if not _parsed(before[ours], status, operation):
                results += _results(after[theirs], status, operation)
        elif ours is not None:
            kind = "status" if _is_success(status) else "error"
            add(f"response-{kind}-removed", before[ours], new, status)
        elif theirs is not None:
            location = after[theirs]
            add(_rule_of_added(before, location, status, operation), old, location, status)
            results += _results(location, status, operation)
    known = {
        name
        for status, location in before.items()
        for name, _ in _results(location, status, operation)
    }
    known |= {new_name for old_name, new_name in comparison.renamed if old_name in known}
    for name, location in results:
        if name not in known:
            add("result-type-widened", old, location, name)


def _responses(operation: SpecLocation) -> dict[str, SpecLocation]:
    return {
        status.upper() if status != "default" else status: location
        for status, location in operation.entries("responses").items()
        if not status.startswith("x-")
    }


def _effective(responses: dict[str, SpecLocation], status: str) -> str | None:
    """Find what describes a status: itself, its range, or the default."""
    for key in (status, f"{status[0]}XX", "default"):
        if key in responses:
            return key
    return None


def _is_success(status: str) -> bool:
    return status.startswith("2")


def _rule_of_added(
    before: dict[str, SpecLocation], location: SpecLocation, status: str, operation: str
) -> str:
    if not _is_success(status):
        return "response-error-added"
    known = {
        name
        for key, each in before.items()
        if _is_success(key)
        for name, _ in _results(each, key, operation)
    }
    same = all(name in known for name, _ in _results(location, status, operation))
    return "response-same-status-added" if same else "response-status-added"


def _is_json(media: str) -> bool:
    main = media.partition(";")[0]
    return main == "application/json" or main.endswith("+json")


def _parsed(response: SpecLocation, status: str, operation: str) -> list[SpecLocation]:
    """Give the schema that the client parses a response's body by, if there is one.

    The generator takes the first media type that it knows; of these, the client parses JSON.
    """
    for name, media in media_types(response).items():
        if _is_json(name):
            schema = media.at("schema")
            return [] if schema is None else [schema.named(operation, f"response_{status}")]
        if name.startswith("text/") or name == "application/octet-stream":
            return []
    return []


def _results(response: SpecLocation, status: str, operation: str) -> list[tuple[str, SpecLocation]]:
    """Give the Python type that the client parses a response's body into, with its schema."""
    schemas = _parsed(response, status, operation)
    return [(python_type(read_schema(schema)), schema) for schema in schemas]


def _compare_response(
    comparison: Comparison, old: SpecLocation, new: SpecLocation, status: str, operation: str
) -> None:
    add = comparison.add
    if not comparison.is_first("response", old.pointer, new.pointer):
        return
    # Links say what may be called next, and change nothing about this call.
    comparison.compare_wording(old, new, status, more=("links",))
    comparison.compare_unknown(old, new, status, {"content", "headers", "links"})
    _compare_headers(comparison, old, new, status)
    before, after = media_types(old), media_types(new)
    ours, theirs = _parsed(old, status, operation), _parsed(new, status, operation)
    if ours and not theirs and any(map(_is_json, after)):
        first = next(iter(after))
        add("response-no-longer-read", ours[0], after[first], first, place=status)
    for name in before.keys() - after.keys():
        importer = None if ours and _is_json(name) else Level.COMPATIBLE
        add("response-media-type-removed", before[name], new, name, place=status, importer=importer)
    for name in after.keys() - before.keys():
        rule = "response-media-type-added" if before else "response-body-added"
        add(rule, old, after[name], name, place=status)
    for name in before.keys() & after.keys():
        subject = f"{status} {name}"
        comparison.compare_wording(before[name], after[name], subject)
        comparison.compare_unknown(before[name], after[name], subject, {"schema"})
        parts = (before[name], after[name])
        mine, yours = (_schema(each, operation, f"response_{status}") for each in parts)
        compare_schemas(comparison, mine, yours, "response", f"{operation}.{status}")


def _compare_headers(
    comparison: Comparison, old: SpecLocation, new: SpecLocation, status: str
) -> None:
    before, after = (
        {name.lower(): (name, location) for name, location in each.entries("headers").items()}
        for each in (old, new)
    )
    for key in sorted(before.keys() | after.keys() - {"content-type"}):
        if key not in after:
            name, location = before[key]
            comparison.add("response-header-removed", location, new, name, place=status)
        elif key not in before:
            name, location = after[key]
            comparison.add("response-header-added", old, location, name, place=status)
        else:
            _compare_header(comparison, before[key][1], after[key][1], after[key][0], status)


def _compare_header(
    comparison: Comparison, old: SpecLocation, new: SpecLocation, name: str, status: str
) -> None:
    if not comparison.is_first("header", old.pointer, new.pointer):
        return
    if old.is_set("required") != new.is_set("required"):
        change = "required" if new.is_set("required") else "optional"
        comparison.add(f"response-header-became-{change}", old, new, name, place=status)
    comparison.compare_wording(old, new, name)
    comparison.compare_deprecation(old, new, name)
    comparison.compare_unknown(old, new, name, {"required", "deprecated", "schema"})
    ours, theirs = (each.at("schema") or each.empty() for each in (old, new))
    compare_schemas(comparison, ours, theirs, "response", name)
