"""A program written for one spec, run with the client of another against the other's service.

What it does is what a careful program does that trusts its spec: it names what the old package
has, sends every value that the old spec allows, and expects of answers what the old spec promises.
It knows nothing of tools.specdiff.
"""

from __future__ import annotations

import datetime
import enum
import inspect
from collections.abc import Iterator
from types import ModuleType
from typing import Any
from uuid import UUID

import attrs
import httpx

from tests.specdiff.samples import Document
from tests.specdiff.service import Answer, Service
from tests.specs.project import Package


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
                    self._use(operation)

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
                for answer in self.service.answers(new):
                    self.service.answer = answer
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
        assert there.issuperset(good), "waits for a status that never comes"

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
        self._check_answer(operation, response, self.service.answer)

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
        taken = self.service.taken
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

    def _check_answer(self, operation: dict[str, Any], response: Any, answer: Answer) -> None:
        answers = {str(key): each for key, each in operation["responses"].items()}
        status = str(answer.status)
        node = answers.get(status) or answers.get(f"{status[0]}XX") or answers.get("default")
        if node is None:
            return
        described = self.spec.resolve(node)
        for name, header in described.get("headers", {}).items():
            if answer.full or self.spec.resolve(header).get("required"):
                assert name in response.headers, f"no header {name}"
        media = described.get("content", {}).get("application/json", {})
        if "schema" in media:
            assert response.parsed is not None, "nothing was read"
            self._check_read(media["schema"], response.parsed, full=answer.full)

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
        for name, field in self.spec.fields(plain, sent=False).items():
            inner = getattr(value, _python(name))
            if type(inner).__name__ == "Unset":
                assert name not in plain.get("required", ()), f"no {name}"
                # In an answer with everything, whatever could be there before is there.
                assert not full or name == "part_of", f"no {name}"
            else:
                self._check_read(field, inner, full=False)


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
