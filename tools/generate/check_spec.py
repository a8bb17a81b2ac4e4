"""The walk over the whole spec, which rejects what is not on the list of constructs.py.

The list says which keywords there are; the checks here say what may stand together.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tools.generate.constructs import FORMATS, LIMITS, REFERENCES, TABLES, Rule
from tools.generate.document import METHODS, ConstructError, Document, Pointer

_PARSED_FORMATS = ("date", "date-time", "uuid")
_KINDS = ("object", "array", "string", "integer", "number", "boolean")
_ONLY_FOR = {
    "pattern": ("string",), "minLength": ("string",), "minimum": ("integer", "number"),
    "properties": ("object",), "required": ("object",), "additionalProperties": ("object",),
    "items": ("array",), "format": ("string", "integer", "number"), "enum": ("string", "integer"),
}  # fmt: skip
_SCALARS = ("string", "integer", "number", "boolean")
_STYLES = {"path": ("simple", False), "header": ("simple", False), "query": ("form", True)}
_FORM = "application/x-www-form-urlencoded"


def check_document(document: Document) -> None:
    """Reject everything in a spec that the templates are not known to write correctly.

    Raises:
        ConstructError: With the first such place and what to write instead.
    """
    _Walk(document).visit("OpenAPI", document.content, ())


class _Walk:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._is_31 = str(document.content.get("openapi", "")).startswith("3.1")
        self._checks = {
            "OpenAPI": self._check_openapi,
            "PathItem": self._check_path_item,
            "Operation": self._check_operation,
            "Parameter": self._check_parameter,
            "RequestBody": self._check_request_body,
            "Response": self._check_response,
            "Schema": self._check_schema,
        }

    def visit(self, name: str, node: Any, at: Pointer) -> None:
        """Check an object of OpenAPI and everything in it."""
        if not isinstance(node, Mapping):
            raise ConstructError(at, f"must be an object ({name}), not {_kind_of_json(node)}")
        if "$ref" in node and name in REFERENCES:
            if at[:1] == ("components",) and len(at) == 3:
                raise ConstructError(at, "is only another name: refer to the component itself")
            self._check_reference(name, node, at)
            return
        table = TABLES[name]
        for key, value in node.items():
            here = (*at, key)
            rule = table.get(key)
            if rule is None and key.startswith("x-"):
                continue
            if rule is None:
                raise ConstructError(
                    here, f"{key!r} is no keyword of {name} that the templates know: leave it out"
                )
            self._visit_value(rule, key, value, here)
        check = self._checks.get(name)
        if check is not None:
            check(node, at)

    def _visit_value(self, rule: Rule, key: str, value: Any, at: Pointer) -> None:
        if key in LIMITS and _of_parameter(at):
            return  # sent as it is, and judged by the service
        _check_shape(rule, key, value, at)
        if rule.kind == "object" or (rule.kind == "flag or schema" and isinstance(value, Mapping)):
            self.visit(rule.detail, value, at)
        elif rule.kind == "list":
            for index, each in enumerate(value):
                self.visit(rule.detail, each, (*at, index))
        elif rule.kind == "map":
            for name, each in value.items():
                here = (*at, name)
                _check_printable(name, here)
                if (
                    name.startswith("x-")
                    and key in ("paths", "responses")
                    and at[:1] != ("components",)
                ):
                    raise ConstructError(here, "extensions are not supported here: leave it out")
                self.visit(rule.detail, each, here)

    def _check_reference(self, name: str, node: Mapping[str, Any], at: Pointer) -> None:
        reference, section = node["$ref"], REFERENCES[name]
        here = (*at, "$ref")
        if not isinstance(reference, str):
            raise ConstructError(here, "must be text")
        if set(node) - {"$ref"}:
            hint = "write `allOf: [{$ref: ...}]` beside it" if name == "Schema" else "leave it out"
            extra = next(key for key in node if key != "$ref")
            raise ConstructError((*at, extra), f"{extra!r} beside a $ref has no effect: {hint}")
        if re.fullmatch(rf"#/components/{section}/[A-Za-z0-9._-]+", reference) is None:
            raise ConstructError(
                here, f"{reference} must lead to #/components/{section}/NAME of this document"
            )
        self._document.resolve(node, here)

    # Objects of their own kind.

    def _check_openapi(self, node: Mapping[str, Any], at: Pointer) -> None:
        if not re.match(r"3\.[01]\.", str(node.get("openapi"))):
            raise ConstructError(at, "must be an OpenAPI document of version 3.0 or 3.1")
        for key in ("info", "paths"):
            if key not in node:
                raise ConstructError(at, f"{key!r} is missing")
        for key in ("title", "version"):
            if key not in node["info"]:
                raise ConstructError(("info",), f"{key!r} is missing")
        servers = node.get("servers") or []
        if len(servers) != 1 or "url" not in servers[0]:
            raise ConstructError(
                ("servers",), "must name exactly one server: it becomes the client's default"
            )
        if re.fullmatch(r"https?://[^\s{}?#]+", servers[0]["url"]) is None:
            raise ConstructError(
                ("servers", 0, "url"),
                "the server must be an absolute http(s) URL without variables",
            )

    def _check_path_item(self, node: Mapping[str, Any], at: Pointer) -> None:
        path = str(at[-1])
        if not path.startswith("/") or re.search(r"[?#\s\\]", path) or not path.isascii():
            raise ConstructError(at, "a path must begin with / and hold no query, space or umlaut")
        names = re.findall(r"{([A-Za-z_][A-Za-z0-9_-]*)}", path)
        if re.search(r"[{}]", re.sub(r"{[A-Za-z_][A-Za-z0-9_-]*}", "", path)):
            raise ConstructError(at, "braces in a path must enclose the name of a parameter")
        for method in METHODS:
            if method not in node:
                continue
            declared = [
                each["name"] for each in self._parameters(node[method]) if each["in"] == "path"
            ]
            if sorted(declared) != sorted(names):
                raise ConstructError(
                    (*at, method),
                    f"the path has the parameters {names}, and the operation declares {declared}",
                )
        if not any(method in node for method in METHODS):
            raise ConstructError(at, "the path has no operation")

    def _parameters(self, operation: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        for each in operation.get("parameters", []):
            yield self._document.resolve(each)

    def _check_operation(self, node: Mapping[str, Any], at: Pointer) -> None:
        if not node.get("tags"):
            raise ConstructError(at, "an operation must have a tag: the first names the folder")
        if "operationId" not in node:
            raise ConstructError(at, "'operationId' is missing: it names the module")
        if not node.get("responses"):
            raise ConstructError(at, "'responses' is missing")
        for code in node["responses"]:
            if re.fullmatch(r"[1-5]\d\d|[1-5]XX|default", code) is None:
                raise ConstructError(
                    (*at, "responses", code), "must be a status such as 200, 4XX, or default"
                )
        seen: set[tuple[str, str]] = set()
        for index, parameter in enumerate(self._parameters(node)):
            name = parameter["name"]
            key = (name.lower() if parameter["in"] == "header" else name, parameter["in"])
            if key in seen:
                raise ConstructError((*at, "parameters", index), f"{name} is declared twice")
            seen.add(key)

    def _check_parameter(self, node: Mapping[str, Any], at: Pointer) -> None:
        for key in ("name", "in", "schema"):
            if key not in node:
                raise ConstructError(at, f"{key!r} is missing")
        name, where = node["name"], node["in"]
        _check_printable(name, (*at, "name"))
        if where not in _STYLES:
            raise ConstructError(
                (*at, "in"), f"the templates send no {where} parameters: use path, query or header"
            )
        if where == "header":
            _check_header_name(name, (*at, "name"))
        style, explode = _STYLES[where]
        if node.get("style", style) != style or node.get("explode", explode) != explode:
            raise ConstructError(
                at, "parameters are sent in the default style only: leave `style` and `explode` out"
            )
        if where == "path" and node.get("required") is not True:
            raise ConstructError(at, "a path parameter must have `required: true`")
        self._check_parameter_schema(node["schema"], where, (*at, "schema"))

    def _check_parameter_schema(self, node: Mapping[str, Any], where: str, at: Pointer) -> None:
        schema = self._target(node)
        if where == "path" and "default" in schema:
            raise ConstructError((*at, "default"), "a path parameter has no default")
        if _kind(schema) != "array":
            self._need_scalar(node, at, "a parameter")
            return
        if where == "header":
            raise ConstructError(at, "an array in a header is not supported: send a string")
        if _is_nullable(schema) or "default" in schema:
            raise ConstructError(at, "an array of a parameter is not nullable and has no default")
        self._need_scalar(schema["items"], (*at, "items"), "an item of a parameter")

    def _need_scalar(self, node: Mapping[str, Any], at: Pointer, what: str) -> None:
        schema = self._target(node)
        if _kind(schema) not in _SCALARS or _is_nullable(schema):
            raise ConstructError(
                at, f"{what} must be a string, number, boolean or enumeration, and not nullable"
            )

    def _target(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        """Follow references and `allOf` of one reference."""
        for _ in range(20):
            node = self._document.resolve(node)
            if "allOf" not in node:
                return node
            node = node["allOf"][0]
        return node

    def _check_request_body(self, node: Mapping[str, Any], at: Pointer) -> None:
        if node.get("required") is not True:
            raise ConstructError(
                at, "a body must have `required: true`: the templates send it always"
            )
        content = node.get("content", {})
        here = (*at, "content")
        if len(content) != 1:
            raise ConstructError(here, "a body must have exactly one media type")
        ((media, value),) = content.items()
        here = (*here, media)
        kind = media_kind(media, here)
        if kind not in ("json", "form"):
            raise ConstructError(
                here,
                f"bodies are sent as JSON or as {_FORM}; files and multipart are not supported",
            )
        if "schema" not in value:
            raise ConstructError(here, "'schema' is missing")
        schema_at = (*here, "schema")
        schema = self._target(value["schema"])
        if kind == "form":
            self._check_form(schema, schema_at)
        elif _kind(schema) not in ("object", "array") or _is_nullable(schema):
            raise ConstructError(
                schema_at,
                "a JSON body must be an object or an array: unions and other values are"
                " not supported; write one operation or one object for each case",
            )

    def _check_form(self, schema: Mapping[str, Any], at: Pointer) -> None:
        if _kind(schema) != "object" or _is_nullable(schema):
            raise ConstructError(at, "a form must be an object")
        for name, field in schema.get("properties", {}).items():
            self._need_scalar(field, (*at, "properties", name), "a field of a form")
        if isinstance(schema.get("additionalProperties"), Mapping):
            here = (*at, "additionalProperties")
            self._need_scalar(schema["additionalProperties"], here, "a field of a form")

    def _check_response(self, node: Mapping[str, Any], at: Pointer) -> None:
        for position, (media, value) in enumerate(node.get("content", {}).items()):
            here = (*at, "content", media)
            kind = media_kind(media, here)
            if kind == "json" and "schema" in value and position == 0:
                continue
            if "schema" in value:
                raise ConstructError(
                    here,
                    "only JSON has a schema, and only the first media type: write other types"
                    " without one after it (`text/html: {}`)",
                )
            if kind not in ("json", "text", "bytes"):
                raise ConstructError(
                    here, "is a media type that the templates do not read: leave it out"
                )

    # Schemas.

    def _check_schema(self, node: Mapping[str, Any], at: Pointer) -> None:
        self._check_type(node, at)
        kind = _kind(node)
        for key, kinds in _ONLY_FOR.items():
            if key in node and kind not in kinds:
                raise ConstructError(
                    (*at, key), f"{key!r} has no meaning for {kind}: leave it out, or give a `type`"
                )
        checks = {
            "oneOf": self._check_union,
            "anyOf": self._check_union,
            "allOf": self._check_all_of,
            "object": self._check_object,
            **dict.fromkeys(("string", "integer", "number"), _check_limits),
        }
        if kind in checks:
            checks[kind](node, at, kind)
        if kind == "array" and "items" not in node:
            raise ConstructError(at, "'items' is missing")
        if "enum" in node:
            _check_enum(node, at, kind)
        if "default" in node:
            self._check_default(node, at, kind)
        self._check_circle(node, at)

    def _check_type(self, node: Mapping[str, Any], at: Pointer) -> None:
        given = node.get("type")
        kinds = given if isinstance(given, list) else [given] if given is not None else []
        if isinstance(given, list):
            if not self._is_31:
                raise ConstructError((*at, "type"), "must be text in OpenAPI 3.0; use `nullable`")
            if len(kinds) != 2 or "null" not in kinds:
                raise ConstructError(
                    (*at, "type"), "a list of types is one type and 'null'; for others write oneOf"
                )
        if self._is_31 and "nullable" in node:
            raise ConstructError(
                (*at, "nullable"), "is written `type: [..., 'null']` in OpenAPI 3.1"
            )
        for each in kinds:
            alone = each == "null" and self._is_31
            if each not in _KINDS and not (alone and (isinstance(given, list) or _in_union(at))):
                raise ConstructError((*at, "type"), f"{each!r} is no type that the templates know")
        combined = [key for key in ("allOf", "oneOf", "anyOf") if key in node]
        if len(combined) > 1 or (combined and kinds):
            raise ConstructError(at, "a schema is one of `type`, allOf, oneOf and anyOf")
        if node.get("nullable") and not kinds and not combined:
            raise ConstructError((*at, "nullable"), "needs a `type` beside it")
        if _is_nullable(node) and ("enum" in node or "object" in kinds):
            raise ConstructError(
                (*at, "nullable" if "nullable" in node else "type"),
                "an enum or object cannot be nullable itself: write it under components/schemas,"
                " and make the field nullable that refers to it (allOf in 3.0, oneOf in 3.1)",
            )

    def _check_union(self, node: Mapping[str, Any], at: Pointer, key: str) -> None:
        if len(node[key]) < 2:
            raise ConstructError((*at, key), "a union has at least two members")
        seen: dict[str, Pointer] = {}
        for index, member in enumerate(node[key]):
            here = (*at, key, index)
            target = self._target(member)
            kind = _kind(target)
            if kind not in (*_KINDS, "null"):
                raise ConstructError(here, "a member of a union must have one type")
            if "nullable" in target or isinstance(target.get("type"), list):
                raise ConstructError(here, "a member of a union is not nullable: make the union so")
            if kind == "object" and "$ref" not in member:
                raise ConstructError(here, "write this object under components/schemas")
            if kind in seen:
                raise ConstructError(
                    here,
                    f"two members of the union are of the type {kind}, and a value is read by its"
                    " type: write one schema for each case",
                )
            for limit in ("pattern", "minLength", "minimum"):
                if limit in target:
                    raise ConstructError(here, f"{limit!r} is not enforced inside a union")
            seen[kind] = here

    def _check_all_of(self, node: Mapping[str, Any], at: Pointer, _kind: str) -> None:
        if len(node["allOf"]) != 1 or "$ref" not in node["allOf"][0]:
            raise ConstructError(
                (*at, "allOf"),
                "allOf is for one $ref with a description: write one schema with all properties",
            )
        if len(at) == 3 and at[:2] == ("components", "schemas"):
            raise ConstructError((*at, "allOf"), "is only another name: use the schema itself")

    def _check_object(self, node: Mapping[str, Any], at: Pointer, _kind: str) -> None:
        properties = node.get("properties", {})
        for name in node.get("required", []):
            if name not in properties:
                raise ConstructError((*at, "required"), f"{name!r} is no property of the schema")
            for key in ("readOnly", "writeOnly"):
                if self._document.resolve(properties[name]).get(key):
                    raise ConstructError(
                        (*at, "properties", name, key),
                        f"{key} beside `required` is not supported, since the field is required in"
                        f" one direction only: write one schema for requests and one for responses,"
                        f" or take {name!r} out of `required`",
                    )

    def _check_default(self, node: Mapping[str, Any], at: Pointer, kind: str) -> None:
        here, default = (*at, "default"), node["default"]
        if kind not in _SCALARS or node.get("format") in _PARSED_FORMATS:
            raise ConstructError(
                here, "only strings, numbers and booleans have a default: describe it in words"
            )
        whole = isinstance(default, float) and default.is_integer()
        _check_fits(int(default) if whole and kind == "integer" else default, kind, here)
        if "enum" in node and default not in node["enum"]:
            raise ConstructError(here, "is none of the values of `enum`")

    def _check_circle(self, node: Mapping[str, Any], at: Pointer) -> None:
        """Reject a schema that holds itself other than through the property of an object."""
        if len(at) == 3 and at[:2] == ("components", "schemas"):
            name = at[2]
            waiting, seen = [node], set[str]()
            while waiting:
                each = waiting.pop()
                waiting += [*each.get("oneOf", ()), *each.get("anyOf", ()), *each.get("allOf", ())]
                waiting += [each["items"]] if "items" in each else []
                reference = str(each.get("$ref", ""))
                if reference == f"#/components/schemas/{name}":
                    raise ConstructError(at, "a schema may hold itself in a property only")
                if reference and reference not in seen:
                    seen.add(reference)
                    waiting.append(self._document.resolve(each))


def media_kind(media: str, at: Pointer) -> str:
    """Return `json`, `form`, `text`, `bytes`, or nothing for a media type that is not known."""
    token = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
    found = re.fullmatch(rf'({token}/{token})(\s*;\s*{token}=({token}|"[^"\\]*"))*', media)
    kind = found[1] if found else ""
    if found is None or kind != kind.lower() or "*" in kind:
        raise ConstructError(at, "must be a media type in lower case, such as application/json")
    if kind == "application/json" or kind.endswith("+json"):
        return "json"
    names = {_FORM: "form", "application/octet-stream": "bytes"}
    return "text" if kind.startswith("text/") else names.get(kind, "")


def _kind(schema: Mapping[str, Any]) -> str:
    """Return the one type of a schema without `null`, or the keyword of a union, or `any`."""
    given = schema.get("type")
    if isinstance(given, list):
        return next((str(each) for each in given if each != "null"), "null")
    if given is not None:
        return str(given)
    if schema.get("enum") and isinstance(schema["enum"], list):
        types = {type(each) for each in schema["enum"]}
        return {frozenset({str}): "string", frozenset({int}): "integer"}.get(
            frozenset(types), "any"
        )
    return next((key for key in ("allOf", "oneOf", "anyOf") if key in schema), "any")


def _of_parameter(at: Pointer) -> bool:
    return at[:2] == ("components", "parameters") or (
        at[:1] == ("paths",) and "parameters" in at[3:4]
    )


def _is_nullable(schema: Mapping[str, Any]) -> bool:
    return bool(schema.get("nullable")) or isinstance(schema.get("type"), list)


def _in_union(at: Pointer) -> bool:
    return len(at) > 1 and at[-2] in ("oneOf", "anyOf")


def _check_shape(rule: Rule, key: str, value: Any, at: Pointer) -> None:
    """Reject a keyword, or a value that is not of the type that its keyword has."""
    if rule.kind == "rejected":
        raise ConstructError(at, f"{key!r} is not supported: {rule.detail}")
    wanted: dict[str, tuple[type, str]] = {
        "text": (str, "text"), "flag": (bool, "true or false"), "list": (list, "a list"),
        "map": (Mapping, "an object"), "names": (list, "a list"),
    }  # fmt: skip
    kind, words = wanted.get(rule.kind, (object, ""))
    if not isinstance(value, kind):
        quote = " (quote it)" if rule.kind == "text" and _is_scalar(value) else ""
        raise ConstructError(at, f"must be {words}, not {_kind_of_json(value)}{quote}")
    if rule.kind == "number" and (isinstance(value, bool) or not _is_scalar(value)):
        raise ConstructError(at, f"must be a number, not {_kind_of_json(value)}")
    if rule.kind == "flag or schema" and not isinstance(value, bool | Mapping):
        raise ConstructError(at, f"must be true, false or a schema, not {_kind_of_json(value)}")
    for index, each in enumerate(value if isinstance(value, list) else ()):
        if rule.kind != "names":
            break
        if not isinstance(each, str):
            raise ConstructError(
                (*at, index), f"must be text, not {_kind_of_json(each)} (quote it)"
            )
        _check_printable(each, (*at, index))


def _check_header_name(name: str, at: Pointer) -> None:
    if re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name) is None:
        raise ConstructError(at, f"{name!r} is no name of a header")
    if name.lower() in ("accept", "accept-encoding", "content-length", "content-type", "host"):
        raise ConstructError(at, f"the header {name} is set by the templates: leave it out")


def _check_limits(node: Mapping[str, Any], at: Pointer, kind: str) -> None:
    form = node.get("format")
    if form is not None and form not in FORMATS[kind]:
        hint = "files are not supported" if form == "binary" else "leave it out"
        raise ConstructError(
            (*at, "format"), f"{form!r} is no format that the templates know: {hint}"
        )
    for key in ("pattern", "minLength"):
        if key in node and (form in _PARSED_FORMATS or "enum" in node):
            raise ConstructError((*at, key), f"{key!r} is not enforced for {form or 'an enum'}")
    if "minimum" in node and "enum" in node:
        raise ConstructError((*at, "minimum"), "'minimum' is not enforced for an enum")
    if kind == "integer" and node.get("minimum", 0) != int(node.get("minimum", 0)):
        raise ConstructError((*at, "minimum"), "must be a whole number")
    if not isinstance(node.get("minLength", 0), int) or node.get("minLength", 0) < 0:
        raise ConstructError((*at, "minLength"), "must be a whole number of at least 0")
    if "pattern" in node:
        _check_pattern(node["pattern"], (*at, "pattern"))


def _check_pattern(pattern: str, at: Pointer) -> None:
    """Reject a pattern that means something else to Python, or leaves an end open."""
    if re.fullmatch(r"\^(.*[^\\])?(\\\\)*\$", pattern, re.DOTALL) is None:
        raise ConstructError(at, f"the pattern {pattern!r} must be anchored: ^...$")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ConstructError(
            at, f"the pattern {pattern!r} is no Python regular expression: {error}"
        ) from error
    bare = re.sub(r"\\.|\[\^?\]?(\\.|[^\]])*\]", "", pattern)
    depth = 0
    for character in bare:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "|" and depth == 0:
            raise ConstructError(at, f"the pattern {pattern!r} must be anchored: write ^(a|b)$")


def _check_enum(node: Mapping[str, Any], at: Pointer, kind: str) -> None:
    here, values = (*at, "enum"), node["enum"]
    if not isinstance(values, Sequence) or isinstance(values, str) or not values:
        raise ConstructError(here, "must be a list of values")
    if kind == "string" and node.get("format") is not None:
        raise ConstructError((*at, "format"), "has no effect on an enum: leave it out")
    for index, value in enumerate(values):
        _check_fits(value, kind, (*here, index))
        if value in values[:index]:
            raise ConstructError((*here, index), f"{value!r} is in the list twice")


def _check_fits(value: Any, kind: str, at: Pointer) -> None:
    types = {"string": str, "integer": int, "number": int | float, "boolean": bool}
    if not isinstance(value, types[kind]) or (isinstance(value, bool) and kind != "boolean"):
        quote = " (quote it)" if kind == "string" and _is_scalar(value) else ""
        raise ConstructError(at, f"{value!r} must be of the type {kind}{quote}")
    if isinstance(value, int) and abs(value) >= 10**18:
        raise ConstructError(at, "has more than 18 digits")
    if isinstance(value, str) and not value.isprintable():
        raise ConstructError(at, f"{value!r} holds characters that cannot be printed")


def _check_printable(name: str, at: Pointer) -> None:
    if not name.isprintable():
        raise ConstructError(at, f"{name!r} holds characters that cannot be printed")
    if not name:
        raise ConstructError(at, "must not be empty")


def check_values(node: Any, at: Pointer = ()) -> None:
    """Reject text that no program can write: half a character of JSON's escapes."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            check_values(key, (*at, key))
            check_values(value, (*at, key))
    elif isinstance(node, list):
        for index, value in enumerate(node):
            check_values(value, (*at, index))
    elif isinstance(node, str) and any("\ud800" <= each <= "\udfff" for each in node):
        raise ConstructError(at, "is not valid Unicode")


def _is_scalar(value: object) -> bool:
    return isinstance(value, int | float | bool)


def _kind_of_json(value: object) -> str:
    names: dict[type, str] = {dict: "an object", list: "a list", str: "text", bool: "a boolean"}
    return "nothing" if value is None else names.get(type(value), "a number")
