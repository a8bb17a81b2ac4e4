"""A spec of 41 real operations is generated, type-checked and played against a server."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_python_client.config import Config, ConfigFile, MetaType

from tests.specs.docs import resolve
from tests.specs.project import ROOT, SPECS
from tools.generate.document import Document, GenerationError
from tools.generate.names import Names
from tools.generate.prove import Proof, imported
from tools.generate.render import Sources, render

FILE = SPECS / "crm.yaml"
SPEC: dict[str, Any] = yaml.safe_load(FILE.read_text(encoding="utf-8"))
DOCUMENT = Document.read(FILE.read_bytes(), SPEC)
OPERATIONS = {each["operationId"]: (at, each) for at, each in DOCUMENT.operations()}
SOURCES = Sources(FILE, ROOT / "generator-config.yml", ROOT / "generator-templates")


@pytest.fixture(scope="module")
def files() -> Mapping[Any, bytes]:
    """Give the generated files."""
    return render(SOURCES, proven=True)


@pytest.fixture(scope="module")
def package(files: Mapping[Any, bytes]) -> Iterator[dict[str, Any]]:
    """Give the modules of the generated package."""
    with imported(files) as modules:
        yield modules


@pytest.fixture(scope="module")
def proof(package: dict[str, Any]) -> Proof:
    """Give what makes arguments and values of the spec's schemas."""
    config = Config.from_sources(ConfigFile(), MetaType.NONE, FILE, "utf-8", False, None)
    names = Names(DOCUMENT, config)
    names.check()
    return Proof(package, DOCUMENT, names)


def test_there_are_as_many_modules_as_operations(files: Mapping[Any, bytes]) -> None:
    """Every operation has a module, in the folder of its tag."""
    apis = [path for path in files if path.parts[0] == "api" and path.name != "__init__.py"]
    assert len(OPERATIONS) >= 40
    assert {path.stem for path in apis} == set(OPERATIONS)


@pytest.mark.parametrize(
    "command",
    [
        ["mypy", "--strict", "--config-file=", "--cache-dir=cache"],
        ["pyright", "--pythonpath", sys.executable],
    ],
    ids=["mypy", "pyright"],
)
def test_type_checkers_find_nothing(
    files: Mapping[Any, bytes], tmp_path: Any, command: list[str]
) -> None:
    """The strict type checkers pass on what is generated."""
    for path, content in files.items():
        target = tmp_path / "crm" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    done = subprocess.run(
        [sys.executable, "-m", *command, "crm"],
        cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


class Crm:
    """A server that checks each request against the spec and responds with a value of its schema.

    Attributes:
        url: Its base URL.
        seen: The operations that were called.
        problems: What was wrong with requests.
    """

    def __init__(self, proof: Proof) -> None:
        self.proof = proof
        self.url = ""
        self.seen: list[str] = []
        self.problems: list[str] = []

    def respond(self, method: str, target: str, headers: Any, body: bytes) -> tuple[int, bytes]:
        """Check a request, and return status and body of the response."""
        parts = urlsplit(target)
        for name, (at, operation) in OPERATIONS.items():
            pattern = re.sub(r"{[^}]*}", "([^/]+)", f"/v1{at[1]}")
            if at[2] == method.lower() and (found := re.fullmatch(pattern, parts.path)):
                self.seen.append(name)
                self.check(operation, found.groups(), parse_qs(parts.query), headers, body)
                return self.result(operation)
        self.problems.append(f"{method} {target} is no operation")
        return 404, b"{}"

    def check(
        self,
        operation: Mapping[str, Any],
        path: tuple[str, ...],
        query: dict[str, list[str]],
        headers: Any,
        body: bytes,
    ) -> None:
        """Note what is wrong with a request."""
        values = iter(path)
        known: set[str] = set()
        for given in operation.get("parameters", []):
            parameter = resolve(SPEC, given)
            name, schema = parameter["name"], resolve(SPEC, parameter["schema"])
            sent = query.get(name) if parameter["in"] == "query" else None
            if parameter["in"] == "path":
                sent = next(values).split(",")
            elif parameter["in"] == "header" and name in headers:
                sent = [headers[name]]
            known |= {name} if parameter["in"] == "query" else set()
            for each in sent or []:
                self.check_text(resolve(SPEC, schema.get("items", schema)), each)
            if parameter.get("required") and not sent:
                self.problems.append(f"{name} is missing")
        self.problems += [f"{name} is unknown" for name in query.keys() - known]
        if "requestBody" in operation:
            ((media, value),) = operation["requestBody"]["content"].items()
            if headers.get("Content-Type") != media:
                self.problems.append(f"the body is {headers.get('Content-Type')}")
            document = json.loads(body) if "json" in media else flat(parse_qs(body.decode()))
            self.problems += errors_of(value["schema"], document)

    def check_text(self, schema: dict[str, Any], text: str) -> None:
        """Note a value of a parameter that is not what its schema says."""
        value: object = text
        if schema["type"] in ("integer", "number", "boolean"):
            value = json.loads(text)
        self.problems += errors_of(schema, value)

    def result(self, operation: Mapping[str, Any]) -> tuple[int, bytes]:
        """Return status and body of the first response."""
        status, node = next(iter(operation["responses"].items()))
        content = node.get("content", {}).get("application/json")
        made = self.proof.sample(content["schema"]) if content else None
        return int(status), json.dumps(made).encode() if content else b""


def flat(fields: dict[str, list[str]]) -> dict[str, Any]:
    """Give the fields of a form, numbers as such."""
    return {
        name: int(values[0]) if values[0].isdigit() else values[0]
        for name, values in fields.items()
    }


def errors_of(schema: dict[str, Any], value: Any) -> list[str]:
    """Give what is wrong with a value, by its schema."""
    whole = {**expanded(schema), "components": expanded(SPEC["components"])}
    return [error.message for error in Draft202012Validator(whole).iter_errors(value)]


def expanded(node: Any) -> Any:
    """Write `nullable` as JSON Schema has it."""
    if isinstance(node, list):
        return [expanded(each) for each in node]
    if not isinstance(node, dict):
        return node
    made = {key: expanded(value) for key, value in node.items() if key != "nullable"}
    if node.get("nullable") is True and "type" in node:
        made["type"] = [node["type"], "null"]
    elif node.get("nullable") is True:
        made = {"anyOf": [made, {"type": "null"}]}
    return made


@contextmanager
def serving(crm: Crm) -> Generator[Crm]:
    """Run the server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            status, content = crm.respond(self.command, self.path, self.headers, body)
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            if status != 204:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do  # noqa: N815 - names of http.server

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        crm.url = f"http://127.0.0.1:{server.server_port}/v1"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield crm
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def crm(proof: Proof) -> Iterator[Crm]:
    """Give a running server."""
    with serving(Crm(proof)) as running:
        yield running


@pytest.mark.usefixtures("no_proxy")
@pytest.mark.parametrize("name", OPERATIONS)
def test_operation_is_sent_and_read(
    package: dict[str, Any], proof: Proof, crm: Crm, name: str
) -> None:
    """The server understands every request, and its response is read as what it is."""
    at, operation = OPERATIONS[name]
    module = package[f"api.{operation['tags'][0]}.{name}"]
    with package["client"].Client(base_url=crm.url) as client:
        response = module.sync_detailed(client=client, **proof.arguments(operation, at))
    assert crm.problems == []
    assert crm.seen[-1] == name
    status, content = crm.result(operation)
    assert response.status_code == status
    if content:
        again = json.loads(json.dumps(response.parsed.to_dict()))
        assert response.parsed == type(response.parsed).from_dict(json.loads(content))
        assert type(response.parsed).from_dict(again) == response.parsed


def test_upload_of_a_file_is_rejected(tmp_path: Any) -> None:
    """What the templates do not send is named, with its place and line."""
    spec = tmp_path / "openapi.yaml"
    upload = """\
    post:
      tags: [files]
      operationId: add_file
      requestBody:
        required: true
        content:
          multipart/form-data:
            schema: {type: object, properties: {file: {type: string, format: binary}}}
      responses: {'204': {description: X.}}
"""
    text = FILE.read_text(encoding="utf-8")
    spec.write_text(
        text.replace("  /files/{id}:\n", f"{upload}\n  /files/{{id}}:\n"), encoding="utf-8"
    )
    with pytest.raises(GenerationError, match=r"^openapi\.yaml:\d+: /paths/~1files/post/.*files"):
        render(Sources(spec, SOURCES.config, SOURCES.templates))
