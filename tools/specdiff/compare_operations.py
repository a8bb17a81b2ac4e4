"""Compares the parameters, request bodies and responses of two operations."""

from __future__ import annotations

from fnmatch import fnmatch
from typing import Any, TypeAlias

from tools.specdiff.compare_schemas import Side, compare_schemas, importer_level
from tools.specdiff.findings import Level, Pair
from tools.specdiff.schemas import python_name, python_type, read_schema
from tools.specdiff.spec import SpecLocation, canonical

# A parameter's location (`in`) and name.
ParameterKey: TypeAlias = tuple[str, str]
_Parameters: TypeAlias = dict[ParameterKey, SpecLocation]
_Responses: TypeAlias = dict[str, SpecLocation]

_PARAMETER_KEYS = {"name", "in", "required", "schema", "deprecated", "style", "explode",
                   "allowReserved", "content", "allowEmptyValue"}  # fmt: skip
_STYLES = {"query": "form", "cookie": "form", "path": "simple", "header": "simple"}


def compare_parameters(pair: Pair, items: Pair, renamed: dict[str, str]) -> None:
    """Compare the parameters of operations and path items; `renamed` are those of the path."""
    before, after = _parameters(items.old, pair.old), _parameters(items.new, pair.new)
    arguments = {python_name(name) for _, name in before}
    matched: list[Pair] = []
    for key in list(before):
        wanted = (key[0], renamed.get(key[1], key[1])) if key[0] == "path" else key
        if wanted in after:
            matched.append(pair.of(before.pop(key), after.pop(wanted)))
            if wanted != key:
                old, new = key[1], wanted[1]
                importer = Level.NONE if python_name(old) == python_name(new) else None
                matched[-1].add("path-parameter-renamed", old, importer=importer, old=old, new=new)
    for key in list(before):
        found = _counterpart(key, after)
        if found is not None:
            matched.append(pair.of(before.pop(key), after.pop(found)))
            _add_moved(matched[-1], key[1])
    for (where, name), location in before.items():
        pair.of(old=location).add("parameter-removed", name, place=where)
    for (_, name), location in after.items():
        _add_parameter(pair.of(new=location), is_taken=python_name(name) in arguments)
    for each in matched:
        if each.is_first("parameter"):
            _compare_parameter(each)


def _add_parameter(pair: Pair, *, is_taken: bool) -> None:
    """Report a new parameter, whose argument may have the name of another (`is_taken`)."""
    required = pair.new.is_set("required")
    rule = "parameter-required-added" if required else "parameter-added"
    importer = importer_level(_parameter_schema(pair.new)) if required else None
    importer = Level.BREAKING if is_taken else importer
    pair.add(rule, pair.new.text("name"), place=pair.new.text("in"), importer=importer)


def _parameters(item: SpecLocation, operation: SpecLocation) -> _Parameters:
    """Give the effective parameters, those that OpenAPI tells tools to ignore as well."""
    found: _Parameters = {}
    for location in [*item.items("parameters"), *operation.items("parameters")]:
        where, name = location.text("in"), location.text("name")
        # Header names are case-insensitive.
        found[where, name.lower() if where == "header" else name] = location
    return found


def _counterpart(old: ParameterKey, candidates: _Parameters) -> ParameterKey | None:
    """Find another spelling that is the same argument in Python, or the name in another place."""
    same = [key for key in candidates if python_name(key[1]) == python_name(old[1])]
    moved = [key for key in candidates if key[1].lower() == old[1].lower()]
    found = [key for key in same if key[0] == old[0]] + [key for key in moved if key[0] != old[0]]
    return found[0] if found else None


def _add_moved(pair: Pair, subject: str) -> None:
    """Report a parameter with another spelling, or in another place."""
    old, new = pair.old.text("in"), pair.new.text("in")
    if old == new:
        names = pair.old.text("name"), pair.new.text("name")
        pair.add("parameter-renamed", subject, place=old, old=names[0], new=names[1])
        return
    # Path parameters may be passed by position, others by keyword; `url()` takes path and query.
    to_query = new == "query" and old != "path" and not pair.new.is_set("required")
    importer = Level.COMPATIBLE if (old, new) == ("query", "path") or to_query else None
    pair.add("parameter-moved", subject, importer=importer, old=old, new=new)


def _compare_parameter(pair: Pair) -> None:
    old, new = pair.old, pair.new
    name, where = new.text("name"), new.text("in")
    if old.text("name") != name and where == old.text("in") == "header":
        pair.add("header-case-changed", name, old=old.text("name"), new=name)
    if pair.differs("required"):
        required = new.is_set("required")
        rule = "parameter-became-required" if required else "parameter-became-optional"
        importer = importer_level(_parameter_schema(new)) if required else None
        pair.add(rule, name, place=where, importer=importer)
    if old.text("in") == where:
        _compare_styles(pair)
    pair.compare_deprecation(name)
    pair.compare_wording(name)
    pair.compare_unknown(name, _PARAMETER_KEYS)
    compare_schemas(pair.of(_parameter_schema(old), _parameter_schema(new)), "request", name)


def _compare_styles(pair: Pair) -> None:
    before, after = _style(pair.old), _style(pair.new)
    changed = [key for key in before if before[key] != after[key]]
    if changed:
        changes = [f"{key} {canonical(before[key])} → {canonical(after[key])}" for key in changed]
        # Permission to write more, without an obligation.
        looser = all(key.startswith("allow") and after[key] is True for key in changed)
        level = Level.COMPATIBLE if looser else None
        rule, name, detail = "parameter-style-changed", pair.new.text("name"), ", ".join(changes)
        pair.add(rule, name, detail=detail, http=level, importer=level)


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


def media_types(location: SpecLocation) -> dict[str, SpecLocation]:
    """Give the media types of a body, in one spelling; JSON is UTF-8 whether it says so or not."""
    found: dict[str, SpecLocation] = {}
    for name, media in location.entries("content").items():
        parts = [part.strip().lower().replace('"', "") for part in name.split(";")]
        kept = [part for part in parts if part != "charset=utf-8" or not _is_json(parts[0])]
        found[";".join(kept)] = media
    return found


def _compare_media_types(
    pair: Pair, side: Side, *, is_read: bool = False, **words: Any
) -> dict[str, Pair]:
    """Compare the media types of two bodies; give those that both have, also in a range."""
    before, after = media_types(pair.old), media_types(pair.new)
    matched = {name: pair.of(before[name], after[name]) for name in before if name in after}
    for media in matched.values():
        if ("charset" in media.old.pointer[-1]) != ("charset" in media.new.pointer[-1]):
            added = media.new.pointer[-1]
            media.add(f"{side}-media-type-added", added, importer=Level.NONE, **words)
    for name in before.keys() - after.keys():
        covering = next((each for each in after if "*" in each and fnmatch(name, each)), None)
        if covering is not None:
            matched[name] = pair.of(before[name], after[covering])
        if covering is None or covering in before:
            unread = side == "response" and not (is_read and _is_json(name))
            level = Level.COMPATIBLE if covering else None
            importer = Level.COMPATIBLE if covering or unread else None
            rule, removed = f"{side}-media-type-removed", pair.of(old=before[name])
            removed.add(rule, name, http=level, importer=importer, **words)
    for name in after.keys() - before.keys():
        rule = "response-body" if side == "response" and not before else f"{side}-media-type"
        pair.of(new=after[name]).add(f"{rule}-added", name, **words)
    return matched


def _compare_media_schemas(pair: Pair, side: Side, operation: str, name: str) -> None:
    """Compare the schemas of two media types; `name` is what the generator calls the value."""
    ours, theirs = (_schema(each).named(operation, name) for each in (pair.old, pair.new))
    subject = f"{operation}.{name.removeprefix('response_')}"
    compare_schemas(pair.of(ours, theirs), side, subject)


def _schema(location: SpecLocation) -> SpecLocation:
    return location.at("schema") or location.empty()


def compare_bodies(pair: Pair, operation: str) -> None:
    """Compare the request bodies of two operations."""
    before, after = pair.old.at("requestBody"), pair.new.at("requestBody")
    bodies = pair.of(before, after)
    if before is None and after is not None:
        required = "-required" if after.is_set("required") else ""
        bodies.add(f"request-body{required}-added", operation)
    elif before is not None and after is None:
        bodies.add("request-body-removed", operation)
    elif before is not None and after is not None:
        if bodies.differs("required"):
            change = "required" if after.is_set("required") else "optional"
            bodies.add(f"request-body-became-{change}", operation)
        bodies.compare_wording(f"{operation}.body")
        bodies.compare_unknown(f"{operation}.body", {"content", "required"})
        _compare_body_content(bodies, operation)


def _compare_body_content(pair: Pair, operation: str) -> None:
    before, after = media_types(pair.old), media_types(pair.new)
    matched = _compare_media_types(pair, "request")
    if not matched and len(before) == len(after) == 1:
        # The same fields in another format: importers of the client see only the fields.
        matched[""] = pair.of(*before.values(), *after.values())
    for name, media in matched.items():
        if not media.is_first("request media"):
            continue
        subject = name or "the body"
        media.compare_wording(subject)
        if name and media.old.get("encoding") != media.new.get("encoding"):
            media.add("request-media-type-changed", name)
        media.compare_unknown(subject, {"schema", "encoding"})
        _compare_media_schemas(media, "request", operation, "body")


def compare_responses(pair: Pair, operation: str) -> None:
    """Compare the responses of two operations, where one is missing with its range or default."""
    before, after = _responses(pair.old), _responses(pair.new)
    # New types of results that no finding of their own reports.
    results: list[tuple[str, SpecLocation]] = []
    for status in sorted(before.keys() | after.keys()):
        ours, theirs = _effective(before, status), _effective(after, status)
        responses = pair.of(before.get(ours or ""), after.get(theirs or ""))
        if ours is not None and theirs is not None:
            if ours != theirs:
                responses.add("response-status-regrouped", status, old=ours, new=theirs)
            if responses.is_first("response"):
                _compare_response(responses, status, operation)
            if _parsed(before[ours], status, operation) is None:
                results += _results(after[theirs], status, operation).items()
        elif ours is not None:
            kind = "status" if status.startswith("2") else "error"
            responses.add(f"response-{kind}-removed", status)
        elif theirs is not None:
            responses.add(_rule_of_added(before, after[theirs], status, operation), status)
            results += _results(after[theirs], status, operation).items()
    known = {name for key, each in before.items() for name in _results(each, key, operation)}
    known |= {new for old, new in pair.comparison.renamed if old in known}
    for name, location in results:
        if name not in known:
            pair.of(new=location).add("result-type-widened", name)


def _responses(operation: SpecLocation) -> _Responses:
    responses = operation.entries("responses").items()
    return {key.replace("x", "X"): each for key, each in responses if not key.startswith("x-")}


def _effective(responses: _Responses, status: str) -> str | None:
    """Find what describes a status: itself, its range, or the default."""
    keys = (status, f"{status[0]}XX", "default")
    return next((key for key in keys if key in responses), None)


def _rule_of_added(before: _Responses, added: SpecLocation, status: str, operation: str) -> str:
    if not status.startswith("2"):
        return "response-error-added"
    known = [_results(each, key, operation) for key, each in before.items() if key.startswith("2")]
    same = _results(added, status, operation).keys() <= {name for each in known for name in each}
    return "response-same-status-added" if same else "response-status-added"


def _is_json(media: str) -> bool:
    main = media.partition(";")[0]
    return main == "application/json" or main.endswith("+json")


def _parsed(response: SpecLocation, status: str, operation: str) -> SpecLocation | None:
    """Give the schema that the client parses a response's body by."""
    # The generator takes the first media type that it knows; of these, the client parses JSON.
    for name, media in media_types(response).items():
        if _is_json(name):
            schema = media.at("schema")
            return schema and schema.named(operation, f"response_{status}")
        if name.startswith("text/") or name == "application/octet-stream":
            return None
    return None


def _results(response: SpecLocation, status: str, operation: str) -> dict[str, SpecLocation]:
    """Give the schema that the client parses a response's body by, under its Python type."""
    schema = _parsed(response, status, operation)
    return {python_type(read_schema(schema)): schema} if schema else {}


def _compare_response(pair: Pair, status: str, operation: str) -> None:
    # Links say what may be called next, and change nothing about this call.
    pair.compare_wording(status, "links")
    pair.compare_unknown(status, {"content", "headers", "links"})
    _compare_headers(pair, status)
    ours, theirs = (_parsed(each, status, operation) for each in (pair.old, pair.new))
    after = media_types(pair.new)
    if ours and not theirs and any(_is_json(name) or "*" in name for name in after):
        first = next(iter(after))
        pair.of(ours, after[first]).add("response-no-longer-read", first, place=status)
    matched = _compare_media_types(pair, "response", is_read=ours is not None, place=status)
    for name, media in matched.items():
        media.compare_wording(f"{status} {name}")
        media.compare_unknown(f"{status} {name}", {"schema"})
        _compare_media_schemas(media, "response", operation, f"response_{status}")


def _compare_headers(pair: Pair, status: str) -> None:
    headers = (each.entries("headers") for each in (pair.old, pair.new))
    before, after = ({name.lower(): (name, at) for name, at in each.items()} for each in headers)
    for key in sorted(before.keys() | after.keys() - {"content-type"}):
        (name, old), (new_name, new) = before.get(key, ("", None)), after.get(key, ("", None))
        header = pair.of(old, new)
        if new is None:
            header.add("response-header-removed", name, place=status)
        elif old is None:
            header.add("response-header-added", new_name, place=status)
        elif header.is_first("header"):
            if header.differs("required"):
                change = "required" if new.is_set("required") else "optional"
                header.add(f"response-header-became-{change}", new_name, place=status)
            header.compare_wording(new_name)
            header.compare_deprecation(new_name)
            header.compare_unknown(new_name, {"required", "deprecated", "schema"})
            compare_schemas(header.of(_schema(old), _schema(new)), "response", new_name)
