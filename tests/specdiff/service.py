"""A service that is played from a spec: it takes what the spec allows, and answers all it may."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, unquote

import httpx
from attrs import define, field, frozen

from tests.specdiff.samples import Document

METHODS = ("get", "post", "put", "delete")


class RefusalError(AssertionError):
    """The service does not take a request."""


@frozen
class Answer:
    """One of the answers that the service may give.

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
        answer: What it answers next.
        taken: What it understood of the last request, by name: parameters and fields of the body,
            with defaults where nothing was sent.
        caller: The client's transport.
    """

    document: Document
    answer: Answer = Answer(200, None, {}, full=True)
    taken: dict[str, Any] = field(factory=dict)

    def operation(self, method: str, path: str) -> tuple[dict[str, Any], dict[str, str]]:
        """Find an operation by its address, and the path parameters."""
        for template, item in self.document.content["paths"].items():
            names = re.findall(r"\{(.*?)\}", template)
            pattern = re.sub(r"\\\{.*?\\\}", "([^/]+)", re.escape(template))
            found = re.fullmatch(pattern, path)
            if found and method in item:
                values = dict(zip(names, map(unquote, found.groups()), strict=True))
                return item[method], values
        raise RefusalError(f"no {method} {path}")

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Take a request, or fail."""
        method, path = request.method.lower(), request.url.raw_path.decode().partition("?")[0]
        operation, in_path = self.operation(method, path)
        query = dict(parse_qsl(request.url.query.decode(), keep_blank_values=True))
        self.taken = {}
        self._check_security(operation, request)
        self._check_parameters(operation, in_path, query, request)
        self._check_body(operation, request)
        answer = self.answer
        headers = dict(answer.headers)
        if answer.body is not None:
            headers["Content-Type"] = "application/json"
        content = b"" if answer.body is None else json.dumps(answer.body).encode()
        return httpx.Response(answer.status, content=content, headers=headers)

    def _check_security(self, operation: dict[str, Any], request: httpx.Request) -> None:
        ways = operation.get("security", self.document.content.get("security", []))
        schemes = self.document.content["components"].get("securitySchemes", {})
        for way in ways:
            names = [schemes[name].get("name", "Authorization") for name in way]
            if all(name in request.headers for name in names):
                return
        if ways:
            raise RefusalError("no credentials")

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
                    raise RefusalError(f"{name} is missing")
                if "default" in schema:
                    self.taken[name.lower()] = schema["default"]
                continue
            value = _decoded(text, schema)
            if not self.document.allows(schema, value):
                raise RefusalError(f"{name} may not be {text!r}")
            self.taken[name.lower()] = value
            if where == "query":
                query.pop(name)
        if query:
            raise RefusalError(f"nobody knows {sorted(query)}")

    def _check_body(self, operation: dict[str, Any], request: httpx.Request) -> None:
        body = operation.get("requestBody")
        if body is None:
            if request.content:
                raise RefusalError("a body where none belongs")
            return
        kind = request.headers.get("Content-Type", "").partition(";")[0]
        if kind not in body["content"]:
            raise RefusalError(f"no body of {kind or 'no kind'}")
        schema = body["content"][kind]["schema"]
        sent = json.loads(request.content) if kind == "application/json" else dict(
            parse_qsl(request.content.decode(), keep_blank_values=True)
        )  # fmt: skip
        fields = self.document.fields(schema, sent=True)
        named = self.document.resolve(schema).get("properties", {})
        for name in sent:
            if name in named and name not in fields:
                raise RefusalError(f"{name} is read-only")
            # Fields that the spec had and has no more lose their effect: as bad as a refusal.
            if name not in named and not name.startswith("a_field"):
                raise RefusalError(f"nobody knows {name}")
        fault = self.document.fault(schema, sent)
        if fault is not None:
            raise RefusalError(fault.message)
        for name, field_ in fields.items():
            default = self.document.resolve(field_).get("default")
            if name in sent or default is not None:
                self.taken[name.lower()] = sent.get(name, default)

    def answers(self, operation: dict[str, Any]) -> Iterator[Answer]:
        """Give every answer that an operation may have, with bodies of all kinds."""
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
                yield Answer(number, body, everything, full=index == 0)
            yield Answer(number, bodies[0], needed, full=False)


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
