"""A program written for one spec, run with the client of another against the other's service.

The service is simulated from the new spec: it accepts what the spec allows, and returns every
response that it may. The program does what a careful program does that trusts its spec: it names
what the old package has, sends every value that the old spec allows, and expects of responses what
the old spec promises. Neither knows anything of tools.specdiff.
"""

from __future__ import annotations

import datetime
import enum
import inspect
import json
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, unquote
from uuid import UUID

import attrs
import httpx
from attrs import define, field, frozen
from jsonschema.exceptions import ValidationError
from jsonschema.protocols import Validator
from openapi_schema_validator import (
    OAS30Validator,
    OAS31Validator,
    oas30_format_checker,
)

from tests.specs.project import Package

# Ordinary values and odd ones, of every kind; a schema gets those that it allows.
_POOL: tuple[Any, ...] = (
    "fiction", "poetry", "science", "in_stock", "sold_out", "ordered", "a", "abcdef", "", "1234",
    "123456", "2026-01-02", "2026-01-02T03:04:05Z", "x" * 200, 7, 1, 0, 50, 12345678901, 2.5, 0.25,
    True, None, [], ["a"],
)  # fmt: skip


class Document:
    """A spec, and values by its schemas."""

    def __init__(self, content: dict[str, Any]) -> None:
        self.content = content
        self._validators: dict[str, Validator] = {}

    def resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        """Follow references."""
        while "$ref" in node:
            target: Any = self.content
            for key in node["$ref"].removeprefix("#/").split("/"):
                target = target[key]
            node = target
        return node

    def meaning(self, name: str) -> str:
        """Write down all that an operation depends on."""
        content = self.content
        found = [
            [path, method, operation, content.get("security")]
            for path, item in content["paths"].items()
            for method, operation in item.items()
            if isinstance(operation, dict) and operation.get("operationId") == name
        ]
        text = json.dumps([found, content["openapi"], content["components"].get("securitySchemes")])
        seen: dict[str, str] = {}
        waiting = re.findall(r"#/[^\"]+", text)
        while waiting:
            reference = waiting.pop()
            if reference not in seen:
                node: Any = content
                for key in reference.removeprefix("#/").split("/"):
                    node = node[key]
                seen[reference] = json.dumps(node)
                waiting += re.findall(r"#/[^\"]+", seen[reference])
        return json.dumps([text, seen], sort_keys=True)

    def allows(self, schema: dict[str, Any], value: Any) -> bool:
        """Tell whether a value is right by a schema."""
        return self.fault(schema, value) is None

    def fault(self, schema: dict[str, Any], value: Any) -> ValidationError | None:
        """Give what is wrong with a value."""
        return next(self._validator(schema).iter_errors(value), None)

    def _validator(self, schema: dict[str, Any]) -> Validator:
        """Give what checks a schema, made once, since each has to look through all components."""
        key = json.dumps(schema, sort_keys=True)
        if key not in self._validators:
            whole = {**schema, "components": self.content.get("components", {})}
            if "$ref" in whole:
                whole = {"allOf": [schema], "components": whole["components"]}
            kind = OAS31Validator if self.content["openapi"] > "3.1" else OAS30Validator
            self._validators[key] = kind(whole, format_checker=oas30_format_checker)
        return self._validators[key]

    def fields(self, schema: dict[str, Any], *, sent: bool) -> dict[str, dict[str, Any]]:
        """Give the fields of an object that are sent, or those that are read."""
        hidden = "readOnly" if sent else "writeOnly"
        return {
            name: field
            for name, field in self.resolve(schema).get("properties", {}).items()
            if not self.resolve(field).get(hidden)
        }

    def is_object(self, schema: dict[str, Any]) -> bool:
        """Tell whether a schema is one of an object."""
        return "properties" in self.resolve(schema)

    def values(self, schema: dict[str, Any], *, sent: bool, depth: int = 0) -> list[Any]:
        """Give values of a schema, the plainest first."""
        schema = self.unwrapped(schema)
        if self.is_object(schema):
            return list(self.objects(schema, sent=sent, depth=depth))
        found = [value for value in _POOL if self.allows(schema, value)]
        items = schema.get("items")
        if items is not None and self.is_object(items):
            found = [[each] for each in self.values(items, sent=sent, depth=depth + 1)]
        return found

    def unwrapped(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Follow references and take an allOf of one off."""
        schema = self.resolve(schema)
        if len(schema.get("allOf", ())) == 1 and len(schema) == 1:
            return self.unwrapped(schema["allOf"][0])
        return schema

    def objects(self, schema: dict[str, Any], *, sent: bool, depth: int = 0) -> Iterator[Any]:
        """Give objects: with every field, with as few as may be, and with each value once."""
        schema = self.resolve(schema)
        fields = self.fields(schema, sent=sent)
        if depth > 2:
            fields = {k: v for k, v in fields.items() if k in schema.get("required", ())}
        choices = {k: self.values(v, sent=sent, depth=depth + 1) for k, v in fields.items()}
        full = {name: values[0] for name, values in choices.items() if values}
        yield full
        if depth > 1:
            return  # what is nested that deeply is seen elsewhere, nearer to the top
        needed = {name: full[name] for name in schema.get("required", ()) if name in full}
        yield needed
        for name, values in choices.items():
            yield from ({**full, name: value} for value in values[1:])
        if not sent and schema.get("additionalProperties", True) is True:
            yield {**full, "a_field_of_tomorrow": 1}


class RejectionError(AssertionError):
    """The service rejects a request."""


@frozen
class Response:
    """One of the responses that the service may return.

    Attributes:
        status: The status.
        body: The JSON body, or None.
        headers: The headers.
        full: Whether everything optional is there.
    """

    status: int
    body: Any
    headers: dict[str, str]
    full: bool


@define
class Service:
    """The service.

    Attributes:
        document: The spec.
        response: What it returns next.
        received: What it understood of the last request, by name: parameters and fields of the
            body, with defaults where nothing was sent.
    """

    document: Document
    response: Response = Response(200, None, {}, full=True)
    received: dict[str, Any] = field(factory=dict)

    def operation(self, method: str, path: str) -> tuple[dict[str, Any], dict[str, str]]:
        """Find an operation by its address, and the path parameters."""
        for template, item in self.document.content["paths"].items():
            names = re.findall(r"\{(.*?)\}", template)
            pattern = re.sub(r"\\\{.*?\\\}", "([^/]+)", re.escape(template))
            found = re.fullmatch(pattern, path)
            if found and method in item:
                values = dict(zip(names, map(unquote, found.groups()), strict=True))
                return item[method], values
        raise RejectionError(f"no {method} {path}")

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Take a request, or fail."""
        method, path = request.method.lower(), request.url.raw_path.decode().partition("?")[0]
        operation, in_path = self.operation(method, path)
        query = dict(parse_qsl(request.url.query.decode(), keep_blank_values=True))
        self.received = {}
        self._check_security(operation, request)
        self._check_parameters(operation, in_path, query, request)
        self._check_body(operation, request)
        response = self.response
        headers = dict(response.headers)
        if response.body is not None:
            headers["Content-Type"] = "application/json"
        content = b"" if response.body is None else json.dumps(response.body).encode()
        return httpx.Response(response.status, content=content, headers=headers)

    def _check_security(self, operation: dict[str, Any], request: httpx.Request) -> None:
        ways = operation.get("security", self.document.content.get("security", []))
        schemes = self.document.content["components"].get("securitySchemes", {})
        for way in ways:
            names = [schemes[name].get("name", "Authorization") for name in way]
            if all(name in request.headers for name in names):
                return
        if ways:
            raise RejectionError("no credentials")

    def _check_parameters(
        self, operation: dict[str, Any], in_path: dict[str, str], query: dict[str, str],
        request: httpx.Request,
    ) -> None:  # fmt: skip
        given = {"path": in_path, "query": dict(query), "header": request.headers}
        for node in operation.get("parameters", ()):
            parameter = self.document.resolve(node)
            where, name = parameter["in"], parameter["name"]
            text = given[where].get(name)
            schema = self.document.resolve(parameter["schema"])
            if text is None:
                if parameter.get("required"):
                    raise RejectionError(f"{name} is missing")
                if "default" in schema:
                    self.received[name.lower()] = schema["default"]
                continue
            value = _decoded(text, schema)
            if not self.document.allows(schema, value):
                raise RejectionError(f"{name} may not be {text!r}")
            self.received[name.lower()] = value
            if where == "query":
                query.pop(name)
        if query:
            raise RejectionError(f"unknown: {sorted(query)}")

    def _check_body(self, operation: dict[str, Any], request: httpx.Request) -> None:
        body = operation.get("requestBody")
        if body is None:
            if request.content:
                raise RejectionError("a body where none is defined")
            return
        kind = request.headers.get("Content-Type", "").partition(";")[0]
        if kind not in body["content"]:
            raise RejectionError(f"no body of {kind or 'no kind'}")
        schema = body["content"][kind]["schema"]
        sent = json.loads(request.content) if kind == "application/json" else dict(
            parse_qsl(request.content.decode(), keep_blank_values=True)
        )  # fmt: skip
        fields = self.document.fields(schema, sent=True)
        named = self.document.resolve(schema).get("properties", {})
        for name in sent:
            if name in named and name not in fields:
                raise RejectionError(f"{name} is read-only")
            # Removed fields lose their effect, which is as bad as a rejection.
            if name not in named and not name.startswith("a_field"):
                raise RejectionError(f"unknown: {name}")
        fault = self.document.fault(schema, sent)
        if fault is not None:
            raise RejectionError(fault.message)
        for name, field_ in fields.items():
            default = self.document.resolve(field_).get("default")
            if name in sent or default is not None:
                self.received[name.lower()] = sent.get(name, default)

    def responses(self, operation: dict[str, Any]) -> Iterator[Response]:
        """Give every response that an operation may have, with bodies of all kinds."""
        for status, node in operation["responses"].items():
            response = self.document.resolve(node)
            number = {"4XX": 418, "default": 500}.get(str(status)) or int(status)
            named = {
                name: self.document.resolve(header)
                for name, header in response.get("headers", {}).items()
            }
            media = response.get("content", {}).get("application/json", {})
            bodies = [None]
            if "schema" in media:
                bodies = self.document.values(media["schema"], sent=False)
            everything = dict.fromkeys(named, "1")
            needed = {name: "1" for name, header in named.items() if header.get("required")}
            for index, body in enumerate(bodies):
                yield Response(number, body, everything, full=index == 0)
            yield Response(number, bodies[0], needed, full=False)


def _decoded(text: str, schema: dict[str, Any]) -> Any:
    """Read a parameter's text as its schema says."""
    kind = schema.get("type")
    try:
        if kind == "integer":
            return int(text)
        if kind == "number":
            return float(text)
    except ValueError:
        return text
    return {"true": True, "false": False}.get(text, text) if kind == "boolean" else text


# The pairs of operations, as both specs describe them, that were found to work together: most
# changes leave most operations as they are.
_WORKING: set[tuple[str, str]] = set()


class Program:
    """The program.

    Args:
        old: The package that it was written for.
        spec: The spec that it was written for.
        new: The package that it runs with.
        service: The service that it talks to.
    """

    def __init__(self, old: Package, spec: Document, new: Package, service: Service) -> None:
        self.old, self.spec, self.new, self.service = old, spec, new, service
        self.http = httpx.Client(
            base_url="https://books.example", transport=httpx.MockTransport(service.handle)
        )
        self.client = new.module("client").Client(base_url="https://books.example")
        self.client.set_httpx_client(self.http)

    def run(self) -> None:
        """Do everything.

        Raises:
            Exception: Something does not work as the old spec says.
        """
        for item in self.spec.content["paths"].values():
            for operation in item.values():
                if isinstance(operation, dict) and "responses" in operation:
                    name = operation["operationId"]
                    pair = (self.spec.meaning(name), self.service.document.meaning(name))
                    if pair not in _WORKING:
                        self._use(operation)
                        _WORKING.add(pair)

    def _use(self, operation: dict[str, Any]) -> None:
        name = f"api.{operation['tags'][0]}.{operation['operationId']}"
        for credentials in self._credentials(operation):
            self.http.headers.update(credentials)
            self._call_all(name, operation)
            for header in credentials:
                del self.http.headers[header]

    def _credentials(self, operation: dict[str, Any]) -> list[dict[str, str]]:
        """Give the headers of each way in that the old spec has."""
        content = self.spec.content
        schemes = content["components"].get("securitySchemes", {})
        ways = operation.get("security", content.get("security", [])) or [{}]
        return [{schemes[each].get("name", "Authorization"): "k" for each in way} for way in ways]

    def _call_all(self, name: str, operation: dict[str, Any]) -> None:
        ours, theirs = self.old.module(name), self.new.module(name)
        new = self._counterpart(operation["operationId"])
        for number, arguments in enumerate(self._arguments(operation)):
            if number == 0:
                self._check_statuses(operation, new)
                for possible in self.service.responses(new):
                    self.service.response = possible
                    self._call(ours, theirs, operation, arguments)
            self._call(ours, theirs, operation, arguments)

    def _counterpart(self, name: str) -> dict[str, Any]:
        for item in self.service.document.content["paths"].values():
            for operation in item.values():
                if isinstance(operation, dict) and operation.get("operationId") == name:
                    return operation
        raise AssertionError(f"no operation {name}")

    def _check_statuses(self, operation: dict[str, Any], new: dict[str, Any]) -> None:
        good = [str(each) for each in operation["responses"] if str(each).startswith("2")]
        there = {str(each) for each in new["responses"]}
        assert there.issuperset(good), "expects a status that never occurs"

    def _arguments(self, operation: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Give what the program says: everything, as little as it may, and each value once."""
        parameters = [self.spec.resolve(each) for each in operation.get("parameters", ())]
        choices = {each["name"]: self.spec.values(each["schema"], sent=True) for each in parameters}
        # A header without letters is none.
        choices = {name: [v for v in values if v not in ("", None, [])]
                   for name, values in choices.items()}  # fmt: skip
        body = operation.get("requestBody")
        if body is not None:
            choices["body"] = self.spec.values(_schema(body), sent=True)
        full = {name: values[0] for name, values in choices.items()}
        needed = {each["name"] for each in parameters if each.get("required")} | {"body"}
        yield full
        yield {name: value for name, value in full.items() if name in needed}
        for name, values in choices.items():
            yield from ({**full, name: value} for value in values[1:])

    def _call(
        self, ours: ModuleType, theirs: ModuleType, operation: dict[str, Any], given: dict[str, Any]
    ) -> None:
        signature = inspect.signature(ours.sync_detailed)
        by_position: list[Any] = []
        by_name: dict[str, Any] = {"client": self.client}
        for name, value in given.items():
            argument = _python(name)
            if name == "body":
                by_name["body"] = self._model(_schema(operation["requestBody"]), value)
                continue
            schema = self._parameter(operation, name)["schema"]
            built = self._built(schema, value, str(signature.parameters[argument].annotation))
            positional = (
                signature.parameters[argument].kind is inspect.Parameter.POSITIONAL_OR_KEYWORD
            )
            if positional and len(given) % 2:
                by_position.append(built)
            else:
                by_name[argument] = built
        response = theirs.sync_detailed(*by_position, **by_name)
        self._check_meaning(operation, given)
        self._check_response(operation, response, self.service.response)

    def _parameter(self, operation: dict[str, Any], name: str) -> dict[str, Any]:
        found = [self.spec.resolve(each) for each in operation["parameters"]]
        return next(each for each in found if each["name"] == name)

    def _model(self, schema: dict[str, Any], value: Any) -> Any:
        """Build a model of the new package, by the names of the old one."""
        name = schema.get("$ref", "").rpartition("/")[2]
        cls = getattr(self.new.module("models"), name)
        kinds = {
            each.name: str(each.type)
            for each in attrs.fields(getattr(self.old.module("models"), name))
        }
        fields = self.spec.resolve(schema)["properties"]
        known = {
            _python(key): self._built(fields[key], each, kinds[_python(key)])
            for key, each in value.items()
        }
        return cls(**known)

    def _built(self, schema: dict[str, Any], value: Any, annotation: str) -> Any:
        """Turn a JSON value into what the old package's annotation asks for."""
        plain = self.spec.unwrapped(schema)
        if value is None:
            return None
        if isinstance(value, dict):
            return self._model(schema, value)
        if "enum" in plain:
            name = next(word for word in annotation.replace("|", " ").split() if word != "Unset")
            return getattr(self.new.module("models"), name.rpartition(".")[2].strip("'<>"))(value)
        if plain.get("format") == "date":
            return datetime.date.fromisoformat(value)
        return value

    def _check_meaning(self, operation: dict[str, Any], given: dict[str, Any]) -> None:
        """The service understands what was said, and the old defaults of what was not."""
        taken = self.service.received
        for node in operation.get("parameters", ()):
            parameter = self.spec.resolve(node)
            said = given.get(
                parameter["name"], self.spec.resolve(parameter["schema"]).get("default")
            )
            self._check_said(parameter["name"], said, taken)
        body = given.get("body")
        if body is not None:
            for name, field in self.spec.fields(
                _schema(operation["requestBody"]), sent=True
            ).items():
                self._check_said(
                    name, body.get(name, self.spec.resolve(field).get("default")), taken
                )

    def _check_said(self, name: str, said: Any, taken: dict[str, Any]) -> None:
        if said is not None:
            assert taken.get(name.lower()) == said, (
                f"{name} was taken as {taken.get(name.lower())!r}"
            )

    def _check_response(self, operation: dict[str, Any], response: Any, sent: Response) -> None:
        described_by = {str(key): each for key, each in operation["responses"].items()}
        status = str(sent.status)
        node = (
            described_by.get(status)
            or described_by.get(f"{status[0]}XX")
            or described_by.get("default")
        )
        if node is None:
            return
        described = self.spec.resolve(node)
        for name, header in described.get("headers", {}).items():
            if sent.full or self.spec.resolve(header).get("required"):
                assert name in response.headers, f"no header {name}"
        media = described.get("content", {}).get("application/json", {})
        if "schema" in media:
            assert response.parsed is not None, "nothing was read"
            self._check_read(media["schema"], response.parsed, full=sent.full)

    def _check_read(self, schema: dict[str, Any], value: Any, *, full: bool) -> None:
        """What was read has the old names, and values that the old spec promised."""
        plain = self.spec.unwrapped(schema)
        if not self.spec.is_object(plain):
            if isinstance(value, list):
                for each in value:
                    self._check_read(plain.get("items", {}), each, full=full)
            else:
                assert self.spec.allows(plain, _json(value)), f"{value!r} was never promised"
            return
        if plain.get("additionalProperties", True):
            assert isinstance(value.additional_properties, dict)
        for name, schema_ in self.spec.fields(plain, sent=False).items():
            inner = getattr(value, _python(name))
            if type(inner).__name__ == "Unset":
                assert name not in plain.get("required", ()), f"no {name}"
                # A response with everything contains all that could occur before.
                assert not full or name == "part_of", f"no {name}"
            else:
                self._check_read(schema_, inner, full=False)


def _schema(body: dict[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = next(iter(body["content"].values()))["schema"]
    return schema


def _python(name: str) -> str:
    return name.lower().replace("-", "_")


def _json(value: Any) -> Any:
    if isinstance(value, datetime.date):
        return value.isoformat()
    if isinstance(value, enum.Enum):
        return value.value
    return str(value) if isinstance(value, UUID) else value
