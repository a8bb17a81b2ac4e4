"""The proof of what was generated, before it replaces anything: it is imported and tried out.

Every module is imported, names are compared with the spec, every example is read and written back
by its model unchanged, and every operation makes a request.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import re
import sys
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from datetime import date
from enum import Enum
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import Any

import attrs
import httpx
from dateutil.parser import isoparse
from openapi_python_client.strings import PythonIdentifier

from tools.generate.document import ConstructError, Document, GenerationError, Pointer, one_line
from tools.generate.names import Names

# Strings to try where a schema has a pattern and no example.
_CANDIDATES = ("a", "A", "1", "a-1", "abc", "ABC", "a1", "2024-01-31", "12345678")
_FORMATS = {
    "date": "2024-01-31",
    "date-time": "2024-01-31T12:00:00+00:00",
    "uuid": "6f1c9d2e-0b7a-4c55-9a3e-1d2f3a4b5c6d",
}


class _NoSampleError(Exception):
    """No value for a schema can be made up, since it has a pattern and no example."""


def prove(files: Mapping[PurePosixPath, bytes], document: Document, names: Names) -> None:
    """Try out generated files.

    Raises:
        GenerationError: With the first thing that is wrong.
    """
    with imported(files) as package:
        proof = Proof(package, document, names)
        proof.check_names()
        proof.check_examples()
        proof.check_operations()


@contextlib.contextmanager
def imported(files: Mapping[PurePosixPath, bytes]) -> Generator[dict[str, ModuleType]]:
    """Import every module of a package, by its path inside it, for as long as the block lasts."""
    name = f"generated_{uuid.uuid4().hex}"
    before = sys.dont_write_bytecode
    with tempfile.TemporaryDirectory(prefix="proof-") as folder:
        for path, content in files.items():
            target = Path(folder, name, path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
        sys.path.insert(0, folder)
        sys.dont_write_bytecode = True
        importlib.invalidate_caches()
        try:
            modules: dict[str, ModuleType] = {}
            for path in files:
                parts = [part for part in path.with_suffix("").parts if part != "__init__"]
                with _attempt(str(path)):
                    modules[".".join(parts)] = importlib.import_module(".".join([name, *parts]))
            yield modules
        finally:
            sys.dont_write_bytecode = before
            sys.path.remove(folder)
            for each in [each for each in sys.modules if each.split(".")[0] == name]:
                del sys.modules[each]


@contextlib.contextmanager
def _attempt(what: str, at: Pointer | None = None) -> Generator[None]:
    """Turn whatever generated code raises into one line."""
    try:
        yield
    except (GenerationError, _NoSampleError):
        raise
    except Exception as error:
        problem = one_line(f"{what} fails: {type(error).__name__}: {error}")
        raise GenerationError(problem) if at is None else ConstructError(at, problem) from error


class Proof:
    """Tries out an imported package."""

    def __init__(self, package: dict[str, ModuleType], document: Document, names: Names) -> None:
        self._package = package
        self._document = document
        self._names = names
        self._classes = {at: getattr(package["models"], name) for name, at in names.classes.items()}

    def check_names(self) -> None:
        """Compare the members of enumerations and the fields of models with the spec."""
        if sorted(self._package["models"].__all__) != sorted(self._names.classes):
            raise GenerationError("models/__init__.py does not name the classes of the spec.")
        for at, made in self._classes.items():
            schema = self._at(at)
            if "enum" in schema:
                values = [member.value for member in made]
                if sorted(map(repr, values)) != sorted(map(repr, schema["enum"])):
                    raise ConstructError((*at, "enum"), f"{made.__name__} has the values {values}")
                continue
            fields = {each.name for each in attrs.fields(made)} - {"additional_properties"}
            if fields != set(self._names.fields[made.__name__].values()):
                raise ConstructError(at, f"{made.__name__} has the fields {sorted(fields)}")

    def check_examples(self) -> None:
        """Read every example by its model, and write it back."""
        for schema, schema_at, example, at in self._examples(self._document.content, ()):
            self._round_trip(schema, schema_at, example, at)
        for at in self._classes:
            schema = self._at(at)
            if "properties" not in schema:
                continue
            with contextlib.suppress(_NoSampleError):
                sample = self.sample(schema)
                self._round_trip(schema, at, sample, at)
                for name, field in schema["properties"].items():
                    for example in _examples_of(field):
                        here = (*at, "properties", name)
                        self._round_trip(schema, at, {**sample, name: example}, here)

    def _examples(self, node: Any, at: Pointer) -> Iterator[tuple[Any, Pointer, Any, Pointer]]:
        """Yield schema, its place, example and its place, for bodies and components."""
        if isinstance(node, list):
            for index, each in enumerate(node):
                yield from self._examples(each, (*at, index))
        if not isinstance(node, Mapping):
            return
        is_media = len(at) > 1 and at[-2] == "content"
        is_component = len(at) == 3 and at[:2] == ("components", "schemas")
        if is_media or is_component:
            schema, schema_at = (
                (node, at) if is_component else (node.get("schema"), (*at, "schema"))
            )
            for example in _examples_of(node) if schema else ():
                yield schema, schema_at, example, (*at, "example")
        for key, value in node.items():
            if key not in ("example", "examples", "default", "enum", "schemas") or not at:
                yield from self._examples(value, (*at, key))
            elif key == "schemas":
                for name, each in value.items():
                    yield from self._examples(each, (*at, key, name))

    def _round_trip(self, schema: Any, at: Pointer, value: Any, example_at: Pointer) -> None:
        schema, at = self._target(schema, at)
        made = self._classes.get(at)
        if made is not None and isinstance(value, Mapping):
            with _attempt(f"{made.__name__}.from_dict of this example", example_at):
                written = made.from_dict(value).to_dict()
            if not _same(value, written):
                raise ConstructError(
                    example_at,
                    f"{made.__name__} writes this example back as {one_line(str(written))}",
                )
        elif isinstance(value, list) and "items" in schema:
            for each in value:
                self._round_trip(schema["items"], (*at, "items"), each, example_at)
        elif made is not None and "enum" not in schema:
            raise ConstructError(example_at, f"this example is no object, as {made.__name__} is")

    def check_operations(self) -> None:
        """Make the request of every operation, and compare it with the spec."""
        for at, operation in self._document.operations():
            tag = PythonIdentifier(operation["tags"][0], "tag")
            module = self._package[f"api.{tag}.{operation['operationId']}"]
            with contextlib.suppress(_NoSampleError):
                arguments = self.arguments(operation, at)
                with _attempt(f"{operation['operationId']} of these parameters", at):
                    given = module._get_kwargs(**arguments)  # noqa: SLF001 - what the functions call
                    base = self._document.server_url
                    request = httpx.Request(
                        given.pop("method"), base + given.pop("path"),
                        **{key: value for key, value in given.items() if key != "auth"},
                    )  # fmt: skip
                signature = inspect.signature(module._get_kwargs).parameters  # noqa: SLF001
                if set(signature) != set(arguments):
                    raise ConstructError(at, f"{operation['operationId']} takes {list(signature)}")
                self._compare(request, operation, at)

    def arguments(self, operation: Mapping[str, Any], at: Pointer) -> dict[str, Any]:
        """Return arguments of an operation's functions, as a caller passes them."""
        arguments: dict[str, Any] = {}
        for index, given in enumerate(operation.get("parameters", [])):
            parameter = self._document.resolve(given)
            name = PythonIdentifier(parameter["name"], "field_")
            name_used = f"{name}_{parameter['in']}" if name == "url" else str(name)
            schema_at = (*at, "parameters", index, "schema")
            if "$ref" in given:
                schema_at = (*str(given["$ref"]).removeprefix("#/").split("/"), "schema")
            example = next(_examples_of(parameter), None)
            if example is None:
                example = self.sample(parameter["schema"])
            arguments[name_used] = self._python(parameter["schema"], schema_at, example)
        if "requestBody" in operation:
            given = operation["requestBody"]
            body, body_at = given, (*at, "requestBody")
            if "$ref" in given:
                body_at = tuple(str(given["$ref"]).removeprefix("#/").split("/"))
                body = self._document.resolve(given)
            ((media, value),) = body["content"].items()
            schema_at = (*body_at, "content", media, "schema")
            example = next(_examples_of(value), None)
            if example is None:
                example = self.sample(value["schema"])
            arguments["body"] = self._python(value["schema"], schema_at, example)
        return arguments

    def _compare(self, request: httpx.Request, operation: Mapping[str, Any], at: Pointer) -> None:
        sent: dict[str, set[str]] = {
            "query": set(request.url.params),
            "header": set(request.headers),
        }
        for given in operation.get("parameters", []):
            parameter = self._document.resolve(given)
            where, name = parameter["in"], parameter["name"]
            name = name.lower() if where == "header" else name
            if where != "path" and name not in sent[where]:
                raise ConstructError(at, f"the request lacks the {where} parameter {name}")
        base = httpx.URL(self._document.server_url).path.rstrip("/")
        path = re.sub(r"\\{.*?\\}", "[^/]+", re.escape(f"{base}{at[1]}"))
        if re.fullmatch(path, request.url.raw_path.decode().split("?")[0]) is None:
            raise ConstructError(at, f"the request goes to {request.url.path}")
        if request.method != str(at[2]).upper():
            raise ConstructError(at, f"the request has the method {request.method}")
        if "requestBody" in operation:
            (media,) = self._document.resolve(operation["requestBody"])["content"]
            if request.headers.get("content-type") != media:
                raise ConstructError(at, f"the body goes as {request.headers.get('content-type')}")

    # Values of a schema.

    def _at(self, at: Pointer) -> Any:
        node: Any = self._document.content
        for key in at:
            node = node[key]
        return node

    def _target(self, schema: Mapping[str, Any], at: Pointer) -> tuple[Mapping[str, Any], Pointer]:
        while "$ref" in schema or "allOf" in schema:
            schema = schema["allOf"][0] if "allOf" in schema else schema
            at = tuple(str(schema["$ref"]).removeprefix("#/").split("/"))
            schema = self._at(at)
        return schema, at

    def sample(self, schema: Mapping[str, Any], depth: int = 0) -> Any:
        """Return a JSON value of a schema: its example, first value or default, or any other."""
        own = [*_examples_of(schema)]
        schema, _at = self._target(schema, ())
        own += [*_examples_of(schema), *schema.get("enum", ())]
        own += [schema["default"]] if "default" in schema else []
        if own:
            # JSON Schema takes 50.0 for an integer, too.
            is_whole = isinstance(own[0], float) and schema.get("type") == "integer"
            return int(own[0]) if is_whole else own[0]
        for key in ("oneOf", "anyOf"):
            if key in schema:
                return self.sample(schema[key][0], depth)
        kinds = schema.get("type", "any")
        kind = kinds if isinstance(kinds, str) else next(each for each in kinds if each != "null")
        if kind == "object":
            return self._sample_object(schema, depth)
        if kind == "array":
            return [self.sample(schema["items"], depth + 1)] if depth < 5 else []
        if kind == "string":
            return _sample_text(schema)
        samples = {"integer": int(schema.get("minimum", 1)), "number": schema.get("minimum", 0.5)}
        return {**samples, "boolean": True, "null": None, "any": {"any": [1, None]}}[kind]

    def _sample_object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        if depth > 8:
            raise _NoSampleError
        required = schema.get("required", [])
        made: dict[str, Any] = {
            name: self.sample(each, depth + 1)
            for name, each in schema.get("properties", {}).items()
            if name in required or depth < 2
        }
        extra = schema.get("additionalProperties")
        if isinstance(extra, Mapping):
            made["another"] = self.sample(extra, depth + 1)
        return made

    def _python(self, schema: Mapping[str, Any], at: Pointer, value: Any) -> Any:
        """Return the Python value of a JSON value, as a caller passes it."""
        schema, at = self._target(schema, at)
        made = self._classes.get(at)
        with _attempt(f"{value!r} as an argument", at):
            if made is not None:
                return made(value) if issubclass(made, Enum) else made.from_dict(value)
            if isinstance(value, list) and "items" in schema:
                return [self._python(schema["items"], (*at, "items"), each) for each in value]
            convert: dict[str, Callable[[Any], Any]] = {
                "date": date.fromisoformat, "date-time": isoparse, "uuid": uuid.UUID,
            }  # fmt: skip
            found = convert.get(str(schema.get("format")))
            return value if found is None else found(value)


def _examples_of(node: Mapping[str, Any]) -> Iterator[Any]:
    if "example" in node:
        yield node["example"]
    examples = node.get("examples")
    if isinstance(examples, list):
        yield from examples
    elif isinstance(examples, Mapping):
        yield from (each["value"] for each in examples.values() if "value" in each)


def _sample_text(schema: Mapping[str, Any]) -> str:
    length = int(schema.get("minLength", 0))
    candidates = [_FORMATS.get(str(schema.get("format")), "text"), *_CANDIDATES]
    for each in candidates:
        padded = each.ljust(length, "a")
        pattern = schema.get("pattern")
        if pattern is None or re.fullmatch(pattern, padded, re.ASCII):
            return padded
    raise _NoSampleError


def _same(example: Any, written: Any) -> bool:
    """Compare JSON values; a moment or a UUID may be spelled in another way."""
    if isinstance(example, Mapping) and isinstance(written, Mapping):
        return example.keys() == written.keys() and all(
            _same(value, written[key]) for key, value in example.items()
        )
    if isinstance(example, list) and isinstance(written, list):
        return len(example) == len(written) and all(map(_same, example, written))
    if isinstance(example, bool) or isinstance(written, bool):
        return example is written
    return bool(example == written) or _same_text(example, written)


def _same_text(example: Any, written: Any) -> bool:
    if isinstance(example, str) and isinstance(written, int):
        return example.lstrip("0") == str(written) or example == str(written)
    for parse in (isoparse, uuid.UUID):
        with contextlib.suppress(ValueError, TypeError, AttributeError):
            return bool(parse(example) == parse(written))
    return False
