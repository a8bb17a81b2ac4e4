"""Small specs made of what the generator accepts, many in one document."""

from __future__ import annotations

import copy
from typing import Any, Final

from hypothesis import strategies as st

Node = dict[str, Any]

# Names that are awkward in Python, each with an identifier of its own.
FIELDS: Final = (
    "id", "name", "from", "class", "list", "two words", "x-y", "1st", "Größe", "text", "model",
    "camelCase", "$ref", "_hidden", "a.b", "type", "self",
)  # fmt: skip
PARAMETERS: Final = ("id", "from", "class", "x-y", "1st", "text", "camelCase", "url", "a.b", "type")
VALUES: Final = ("a", "b", "c d", "1", "2", "-1", "*", "é", "None", "x/y", "")
FORMATS: Final = ("password", "uri", "email", "byte", "ipv4")
DATES: Final = {
    "date": "2024-02-29",
    "date-time": "2024-02-29T12:00:00+02:00",
    "uuid": "6f1c9d2e-0b7a-4c55-9a3e-1d2f3a4b5c6d",
}

words = st.sampled_from(("x", "Ünï 日本", 'quo"te', "back\\slash", "1", ""))
integers = st.sampled_from((0, 1, -7, 2**53 + 1))


@st.composite
def scalars(draw: st.DrawFn) -> tuple[Node, Any]:
    """Draw a schema of one value, with a value that fits it."""
    kind = draw(st.sampled_from(("string", "date", "enum", "integer", "number", "boolean")))
    if kind == "date":
        form = draw(st.sampled_from(list(DATES)))
        return {"type": "string", "format": form}, DATES[form]
    if kind == "enum":
        if draw(st.booleans()):
            numbers = draw(st.lists(integers, min_size=1, unique=True))
            return {"type": "integer", "enum": numbers}, numbers[-1]
        values = draw(st.lists(st.sampled_from(VALUES), min_size=1, unique=True))
        return {"type": "string", "enum": values}, values[-1]
    if kind == "string":
        node: Node = {"type": "string"}
        if draw(st.booleans()):
            node["format"] = draw(st.sampled_from(FORMATS))
        return with_default(draw, node, draw(words))
    if kind == "boolean":
        return with_default(draw, {"type": "boolean"}, draw(st.booleans()))
    node = {"type": kind}
    value = draw(integers if kind == "integer" else st.sampled_from((0, 0.5, -1.5, 2**53 + 1)))
    if draw(st.booleans()):
        node["minimum"] = -10
    return with_default(draw, node, value)


def with_default(draw: st.DrawFn, node: Node, value: Any) -> tuple[Node, Any]:
    """Give some schemas the value as their default."""
    return ({**node, "default": value} if draw(st.booleans()) else node), value


@st.composite
def values(draw: st.DrawFn, known: dict[str, Any]) -> tuple[Node, Any]:
    """Draw the schema of a field, with a value that fits it."""
    kinds = ["scalar", "nullable", "array", "any", "union", "map"]
    kind = draw(st.sampled_from([*kinds, "reference"] if known else kinds))
    if kind == "reference":
        return draw(references(known))
    if kind == "any":
        return {}, draw(st.sampled_from((None, 1, "x", [1], {"a": {"$ref": 1}})))
    if kind == "union":
        return draw(unions())
    node, value = draw(scalars())
    if kind == "nullable" and "enum" not in node:
        return {**node, "nullable": True}, draw(st.sampled_from((None, value)))
    wrapped: dict[str, tuple[Node, Any]] = {
        "array": ({"type": "array", "items": node}, [value, value]),
        "map": ({"type": "object", "additionalProperties": node}, {"key": value}),
    }
    return wrapped.get(kind, (node, value))


@st.composite
def references(draw: st.DrawFn, known: dict[str, Any]) -> tuple[Node, Any]:
    """Draw a reference to a schema that there is already, with a value that fits it."""
    name = draw(st.sampled_from(list(known)))
    reference: Node = {"$ref": f"#/components/schemas/{name}"}
    choices: list[tuple[Node, Any]] = [
        (reference, known[name]),
        ({"type": "array", "items": reference}, [known[name]]),
        ({"nullable": True, "allOf": [reference]}, None),
        ({"nullable": True, "allOf": [reference]}, known[name]),
        ({"description": "X.", "allOf": [reference]}, known[name]),
    ]
    chosen: tuple[Node, Any] = draw(st.sampled_from(choices))
    return chosen


@st.composite
def unions(draw: st.DrawFn) -> tuple[Node, Any]:
    """Draw a union of schemas of different JSON types, with a value that fits one."""
    members: dict[str, tuple[Node, Any]] = {
        "string": ({"type": "string"}, "x"),
        "integer": ({"type": "integer"}, 2**53 + 1),
        "number": ({"type": "number"}, 0.5),
        "boolean": ({"type": "boolean"}, True),
        "array": ({"type": "array", "items": {"type": "integer"}}, [1]),
    }
    chosen = draw(st.lists(st.sampled_from(list(members)), min_size=2, unique=True))
    key = draw(st.sampled_from(("oneOf", "anyOf")))
    return {key: [members[name][0] for name in chosen]}, members[chosen[0]][1]


@st.composite
def objects(draw: st.DrawFn, known: dict[str, Any]) -> tuple[Node, Any]:
    """Draw the schema of an object, with an example of it."""
    names = draw(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=5, unique=True))
    made = {name: draw(values(known)) for name in names}
    node: Node = {
        "type": "object",
        "description": draw(words) or "X.",
        "properties": {name: {**schema} for name, (schema, _value) in made.items()},
    }
    required = [name for name in names if draw(st.booleans())]
    if required:
        node["required"] = required
    if draw(st.booleans()):
        node["additionalProperties"] = draw(st.booleans())
    present = [name for name in names if name in required or draw(st.booleans())]
    example = {name: made[name][1] for name in present}
    return {**node, "example": copy.deepcopy(example)}, example


@st.composite
def operations(draw: st.DrawFn, known: dict[str, Any], number: int) -> tuple[str, Node]:
    """Draw the path and the item of an operation."""
    identifier = f"operation_{number}"
    path, parameters = f"/{identifier}", []
    for name in draw(st.lists(st.sampled_from(PARAMETERS), max_size=4, unique=True)):
        node, _value = draw(scalars())
        where = draw(st.sampled_from(("query", "header", "path")))
        if where == "path" and name.isidentifier():
            path += f"/{{{name}}}"
            node.pop("default", None)
        elif where == "path":
            where = "query"
        if where == "header" and node["type"] == "string":
            node = {"type": "string"}
        if where == "query" and draw(st.booleans()):
            node.pop("default", None)
            node = {"type": "array", "items": node}
        required = where == "path" or draw(st.booleans())
        example_of_text = {"example": "x"} if node == {"type": "string"} else {}
        parameters.append(
            {"name": name, "in": where, "required": required, "schema": node, **example_of_text}
        )
    kind = draw(st.sampled_from(list(known)))
    schema: Node = {"$ref": f"#/components/schemas/{kind}"}
    example: Any = known[kind]
    if kind == "Kind" or draw(st.booleans()):
        schema, example = {"type": "array", "items": schema}, [example, example]
    content = {"application/json": {"schema": schema, "example": example}}
    operation: Node = {
        "tags": [draw(st.sampled_from(("first", "second tag")))],
        "operationId": identifier,
        "summary": "An operation",
        "parameters": parameters,
        "responses": {
            draw(st.sampled_from(("200", "2XX", "201", "default"))): {
                "description": "X.", "content": content,
            },
        },
    }  # fmt: skip
    method = draw(st.sampled_from(("get", "post", "put", "patch", "delete")))
    if method in ("post", "put", "patch"):
        media = draw(st.sampled_from(("application/json", "application/merge-patch+json")))
        body = {"schema": copy.deepcopy(schema), "example": copy.deepcopy(example)}
        operation["requestBody"] = {"required": True, "content": {media: body}}
    return path, {method: operation}


class Drawn(dict[str, Any]):
    """A document that does not fill the screen where it is shown."""

    def __repr__(self) -> str:
        return f"Drawn({len(self['paths'])} operations)"


@st.composite
def documents(draw: st.DrawFn, count: int) -> Drawn:
    """Draw a document of several small specs, each of up to three schemas and an operation."""
    schemas: dict[str, Any] = {
        "Kind": {"type": "string", "description": "A kind.", "enum": ["alpha", "beta"]}
    }
    paths: Node = {}
    for number in range(count):
        known: dict[str, Any] = {"Kind": "beta"}
        for letter in "ABC"[: draw(st.integers(1, 3))]:
            name = f"Thing{number}{letter}"
            schemas[name], known[name] = draw(objects(known))
        path, item = draw(operations(known, number))
        paths[path] = item
    return Drawn(
        openapi="3.0.3",
        info={"title": "Random", "version": "1.0.0"},
        servers=[{"url": "https://random.example"}],
        paths=paths,
        components={"schemas": schemas},
    )
