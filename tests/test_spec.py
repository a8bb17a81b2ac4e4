"""openapi.yaml: valid, in words of its own, and true to Pipedrive's published reference."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV30SpecValidator

from tests.specs.docs import operations, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
SPEC: dict[str, Any] = yaml.safe_load((ROOT / "openapi.yaml").read_text(encoding="utf-8"))
OPERATIONS = {each.node["operationId"]: each for each in operations(SPEC)}
SCHEMAS: dict[str, Any] = SPEC["components"]["schemas"]
RESPONSES: dict[str, Any] = SPEC["components"]["responses"]

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"


def expanded(node: Any) -> Any:
    """Put in place of each reference what it refers to."""
    if isinstance(node, dict):
        return {key: expanded(value) for key, value in resolve(SPEC, node).items()}
    return [expanded(each) for each in node] if isinstance(node, list) else node


def walk(node: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Give every object of the document with the keys that lead to it."""
    yield path, node
    if isinstance(node, list):
        node = {str(index): each for index, each in enumerate(node)}
    if isinstance(node, dict):
        for key, value in node.items():
            yield from walk(value, *path, key)


def test_spec_is_valid() -> None:
    """The document is a valid OpenAPI 3.0 document."""
    assert [error.message for error in OpenAPIV30SpecValidator(SPEC).iter_errors()] == []


def test_server_is_the_oauth_host() -> None:
    """The one server is the OAuth host, not the API's."""
    assert [server["url"] for server in SPEC["servers"]] == ["https://oauth.pipedrive.com"]


# From here on, the three tables of the published reference.


@pytest.mark.parametrize(
    ("name", "method", "path", "accept", "content", "result", "secured"),
    [
        ("authorize", "get", "/oauth/authorize", "text/html", None, None, False),
        ("get_tokens", "post", "/oauth/token", JSON, FORM, "GetTokensResponse", True),
        ("refresh_tokens", "post", "/oauth/token/", JSON, FORM, "GetTokensResponse", True),
    ],
)
def test_operation_is_the_published_one(
    name: str,
    method: str,
    path: str,
    accept: str,
    content: str | None,
    result: str | None,
    *,
    secured: bool,
) -> None:
    """Each operation has the published method, path, types, result and security."""
    operation = OPERATIONS[name]
    assert (operation.method, operation.path) == (method, path)
    assert operation.node["tags"] == ["Oauth"]
    response = resolve(SPEC, operation.node["responses"]["200"])
    assert list(response["content"]) == [accept]
    schema = response["content"][accept].get("schema")
    assert schema == (result and {"$ref": f"#/components/schemas/{result}"})
    assert list(operation.node.get("requestBody", {}).get("content", [])) == (
        [content] * bool(content)
    )
    assert operation.node["security"] == ([{"basic_authentication": []}] if secured else [])
    assert SPEC["components"]["securitySchemes"]["basic_authentication"]["scheme"] == "basic"


SUMMARIES = {
    "authorize": "Requesting authorization",
    "get_tokens": "Getting the tokens",
    "refresh_tokens": "Refreshing the tokens",
}


@pytest.mark.parametrize(("name", "summary"), SUMMARIES.items())
def test_summary_is_the_published_one(name: str, summary: str) -> None:
    """Each operation has the published title."""
    assert OPERATIONS[name].node["summary"] == summary


PARAMETERS = {
    ("authorize", "client_id"): ("query", True),
    ("authorize", "redirect_uri"): ("query", True),
    ("authorize", "state"): ("query", False),
    ("get_tokens", "Authorization"): ("header", True),
    ("refresh_tokens", "Authorization"): ("header", True),
}


def test_parameters_are_the_published_ones() -> None:
    """Each parameter is a string where it was published, required or not; there is no other."""
    found = {
        (name, parameter["name"]): (parameter["in"], parameter["required"])
        for name in SUMMARIES
        for parameter in expanded(OPERATIONS[name].node["parameters"])
    }
    assert found == PARAMETERS
    for name in SUMMARIES:
        for parameter in expanded(OPERATIONS[name].node["parameters"]):
            assert parameter["schema"]["type"] == "string"


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("get_tokens", {"grant_type": "authorization_code", "code": None, "redirect_uri": None}),
        ("refresh_tokens", {"grant_type": "refresh_token", "refresh_token": None}),
    ],
)
def test_forms_are_the_published_ones(name: str, fields: dict[str, str | None]) -> None:
    """Each form has the published fields: optional strings, with their defaults."""
    schema = expanded(OPERATIONS[name].node["requestBody"])["content"][FORM]["schema"]
    assert {key: node.get("default") for key, node in schema["properties"].items()} == fields
    assert list(schema["properties"]) == list(fields)
    assert {node["type"] for node in schema["properties"].values()} == {"string"}
    assert "required" not in schema


def test_response_has_the_documented_fields() -> None:
    """A token response has the documented fields; RFC 6749 and the lifetime need some of them."""
    fields = {
        name: node["type"] for name, node in SCHEMAS["GetTokensResponse"]["properties"].items()
    }
    assert fields == {
        "access_token": "string",
        "token_type": "string",
        "refresh_token": "string",
        "scope": "string",
        "expires_in": "integer",
        "api_domain": "string",
    }
    assert set(SCHEMAS["GetTokensResponse"]["required"]) == {
        "access_token",
        "token_type",
        "expires_in",
    }


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("authorize", {"200", "400", "429", "5XX"}),
        ("get_tokens", {"200", "400", "401", "429", "5XX"}),
        ("refresh_tokens", {"200", "400", "401", "429", "5XX"}),
    ],
)
def test_error_responses_are_described(name: str, statuses: set[str]) -> None:
    """Each operation describes its error responses, and they all read as the same schema."""
    responses = OPERATIONS[name].node["responses"]
    assert set(responses) == statuses
    for status in statuses - {"200"}:
        schema = resolve(SPEC, responses[status])["content"][JSON]["schema"]
        assert schema == {"$ref": "#/components/schemas/OAuthErrorResponse"}
    assert "Retry-After" in resolve(SPEC, responses["429"])["headers"]


# From here on, rules of this project.


@pytest.mark.parametrize(
    "kind", ["operation", "parameter", "body", "schema", "field", "response", "header"]
)
def test_everything_is_described(kind: str) -> None:
    """Nothing of the spec is left without words."""
    found: dict[str, list[Any]] = {
        "operation": [each.node for each in OPERATIONS.values()],
        "parameter": [
            parameter
            for each in OPERATIONS.values()
            for parameter in expanded(each.node.get("parameters", []))
        ],
        "body": [
            expanded(each.node["requestBody"])
            for each in OPERATIONS.values()
            if "requestBody" in each.node
        ],
        "schema": list(SCHEMAS.values()),
        "field": [
            node for each in SCHEMAS.values() for node in each.get("properties", {}).values()
        ],
        "response": [
            response
            for each in OPERATIONS.values()
            for response in expanded(each.node["responses"]).values()
        ],
        "header": [
            header for each in RESPONSES.values() for header in each.get("headers", {}).values()
        ],
    }
    assert len(found[kind]) >= 2
    for node in found[kind]:
        assert len(node["description"].split()) >= 2


SECRETS = {"access_token", "refresh_token", "code", "client_secret", "Authorization", "token"}


def test_secrets_are_marked_and_nothing_else_is() -> None:
    """What must never be shown is `format: password`, in requests and in responses."""
    marked: set[str] = set()
    for path, node in walk(SPEC):
        if path[-2:-1] == ("properties",):
            assert (node.get("format") == "password") is (path[-1] in SECRETS), path
            marked |= {path[-1]} & SECRETS
        elif isinstance(node, dict) and {"in", "name", "schema"} <= node.keys():
            assert (node["schema"].get("format") == "password") is (node["name"] in SECRETS), path
            marked |= {node["name"]} & SECRETS
    assert marked >= {"access_token", "refresh_token", "code", "Authorization"}


def test_no_schema_stands_inline() -> None:
    """Each body and response names a component, so that its class has a name of its own."""
    bodies = [
        (path, node["schema"])
        for path, node in walk(SPEC)
        if path[-2:-1] == ("content",) and "schema" in node
    ]
    assert len(bodies) >= 6
    for path, schema in bodies:
        assert list(schema) == ["$ref"], path


def examples() -> Iterator[tuple[str, Any, Any]]:
    """Give each example of the spec with the schema that it has to fit."""
    for path, node in walk(SPEC):
        if not isinstance(node, dict) or path[-1:] == ("properties",):
            continue
        where = "/".join(path)
        schema = node.get("schema", node)
        if "example" in node:
            yield where, node["example"], expanded(schema)
        for name, example in node.get("examples", {}).items():
            yield f"{where}/{name}", example["value"], expanded(schema)


def test_no_example_is_overlooked() -> None:
    """The test below sees as many examples as the text of the spec has."""
    text = (ROOT / "openapi.yaml").read_text(encoding="utf-8")
    single = len(re.findall(r"^ +example:", text, re.MULTILINE))
    several = len(re.findall(r"^ +value:", text, re.MULTILINE))
    assert len(list(examples())) == single + several > 10


@pytest.mark.parametrize(("where", "example", "schema"), list(examples()))
def test_example_fits_its_schema(where: str, example: Any, schema: dict[str, Any]) -> None:
    """Every example is a value that its schema allows."""
    assert where
    closed = {**schema, "additionalProperties": False} if "properties" in schema else schema
    Draft202012Validator.check_schema(schema)
    assert [error.message for error in Draft202012Validator(closed).iter_errors(example)] == []


@pytest.mark.parametrize("name", ["get_tokens", "refresh_tokens"])
def test_forms_and_responses_have_examples(name: str) -> None:
    """The reference shows a form and each of its responses filled in."""
    node = OPERATIONS[name].node
    contents = [node["requestBody"]["content"][FORM]]
    contents += [resolve(SPEC, each)["content"][JSON] for each in node["responses"].values()]
    assert all("example" in content or "examples" in content for content in contents)
