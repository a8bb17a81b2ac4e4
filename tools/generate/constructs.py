"""The allow-list: every construct of OpenAPI is written correctly by the templates, or rejected.

The tables name every keyword of OpenAPI 3.0 and 3.1. Along them `check_spec.py` walks the whole
spec before the generator sees any of it. What is in no table is rejected as unknown.
"""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """What the value of a keyword is: a kind of the walk, and the object type or the hint."""

    kind: str
    detail: str = ""


TEXT, FLAG, NUMBER, NAMES = Rule("text"), Rule("flag"), Rule("number"), Rule("names")
# Documentation and examples: any value, which is not walked, so that a `$ref` in it is data.
DATA = Rule("data")


def one(name: str) -> Rule:
    """Return the rule of a keyword that holds an object."""
    return Rule("object", name)


def many(name: str) -> Rule:
    """Return the rule of a keyword that holds a list of objects."""
    return Rule("list", name)


def named(name: str) -> Rule:
    """Return the rule of a keyword that holds objects by name."""
    return Rule("map", name)


def no(hint: str) -> Rule:
    """Return the rule of a keyword that is rejected, with what to write instead."""
    return Rule("rejected", hint)


_LIMIT = no("the generated code does not enforce it: leave it out, and describe it in words")
_COMBINE = no("write one schema with all properties, or one schema for each case")
_OUT_OF_SCOPE = no(
    "the client sends every request to the one server of the spec, and the hosts of Pipedrive's API"
    " are out of scope (CONTRIBUTING.md): leave it out"
)
_DIALECT = no("the templates know no JSON Schema dialect but the one of OpenAPI: leave it out")

_DOCUMENTED = {"description": TEXT, "deprecated": FLAG, "example": DATA, "examples": DATA}

TABLES: dict[str, dict[str, Rule]] = {
    "OpenAPI": {
        "openapi": TEXT,
        "info": one("Info"),
        "servers": many("Server"),
        "paths": named("PathItem"),
        "components": one("Components"),
        "security": DATA,
        "tags": many("Tag"),
        "externalDocs": one("ExternalDocumentation"),
        "webhooks": no("the client receives no requests: describe webhooks in words"),
        "jsonSchemaDialect": _DIALECT,
        "swagger": no("write OpenAPI 3.0 or 3.1 instead of Swagger 2"),
    },
    "Info": {
        "title": TEXT, "summary": TEXT, "description": TEXT, "termsOfService": TEXT,
        "contact": DATA, "license": DATA, "version": TEXT,
    },
    "Server": {
        "url": TEXT,
        "description": TEXT,
        "variables": no("the default of the client is one URL: write it out"),
    },
    "Tag": {"name": TEXT, "description": TEXT, "externalDocs": one("ExternalDocumentation")},
    "ExternalDocumentation": {"description": TEXT, "url": TEXT},
    "Components": {
        "schemas": named("Schema"),
        "responses": named("Response"),
        "parameters": named("Parameter"),
        "examples": DATA,
        "requestBodies": named("RequestBody"),
        "headers": named("Header"),
        "securitySchemes": DATA,
        "links": no("the generated functions follow no links: leave them out"),
        "callbacks": no("the client receives no requests: leave them out"),
        "pathItems": no("write the operations under `paths`"),
    },
    "PathItem": {
        "$ref": no("write the operations of the path here"),
        "summary": TEXT,
        "description": TEXT,
        **dict.fromkeys(("get", "put", "post", "delete", "patch"), one("Operation")),
        **dict.fromkeys(
            ("options", "head", "trace"),
            no("the templates write get, put, post, delete and patch: leave it out"),
        ),
        "servers": _OUT_OF_SCOPE,
        "parameters": no("move the parameters to each operation of the path"),
    },
    "Operation": {
        "tags": NAMES,
        "summary": TEXT,
        "description": TEXT,
        "externalDocs": one("ExternalDocumentation"),
        "operationId": TEXT,
        "parameters": many("Parameter"),
        "requestBody": one("RequestBody"),
        "responses": named("Response"),
        "callbacks": no("the client receives no requests: leave them out"),
        "deprecated": FLAG,
        "security": DATA,
        "servers": _OUT_OF_SCOPE,
    },
    "Parameter": {
        **_DOCUMENTED,
        "name": TEXT,
        "in": TEXT,
        "required": FLAG,
        "allowEmptyValue": no("an empty string is sent as any other value: leave it out"),
        "style": TEXT,
        "explode": FLAG,
        "allowReserved": no("values are percent-encoded: leave it out"),
        "schema": one("Schema"),
        "content": no("give the parameter a `schema`"),
    },
    "RequestBody": {"description": TEXT, "content": named("MediaType"), "required": FLAG},
    "MediaType": {
        "schema": one("Schema"),
        "example": DATA,
        "examples": DATA,
        "encoding": no("forms are sent in the default encoding: leave it out"),
    },
    "Response": {
        "description": TEXT,
        "headers": named("Header"),
        "content": named("MediaType"),
        "links": no("the generated functions follow no links: leave them out"),
    },
    "Header": {
        **_DOCUMENTED,
        "required": FLAG,
        "schema": one("Schema"),
        "style": no("headers of responses are not parsed: leave it out"),
        "explode": no("headers of responses are not parsed: leave it out"),
        "allowEmptyValue": no("headers of responses are not parsed: leave it out"),
        "allowReserved": no("headers of responses are not parsed: leave it out"),
        "content": no("give the header a `schema`"),
    },
    "Schema": {
        **_DOCUMENTED,
        "title": no("it would name the class: name the schema under components/schemas instead"),
        "externalDocs": one("ExternalDocumentation"),
        "$comment": TEXT,
        "type": Rule("type"),
        "format": TEXT,
        "nullable": FLAG,
        "enum": DATA,
        "default": DATA,
        "pattern": TEXT,
        "minLength": NUMBER,
        "minimum": NUMBER,
        "properties": named("Schema"),
        "required": NAMES,
        "additionalProperties": Rule("flag or schema", "Schema"),
        "items": one("Schema"),
        "allOf": many("Schema"),
        "oneOf": many("Schema"),
        "anyOf": many("Schema"),
        "readOnly": FLAG,
        "writeOnly": FLAG,
        "discriminator": no(
            "unions are read by the type of the JSON value: write one schema for each case, with"
            " its own operation or field"
        ),
        "xml": no("the templates read and write JSON and forms: leave it out"),
        "not": _COMBINE,
        "const": no("write an `enum` of one value"),
        "prefixItems": no("write an object with a property for each position"),
        "contains": _LIMIT,
        "minContains": _LIMIT,
        "maxContains": _LIMIT,
        "maximum": _LIMIT,
        "exclusiveMaximum": _LIMIT,
        "exclusiveMinimum": _LIMIT,
        "multipleOf": _LIMIT,
        "maxLength": _LIMIT,
        "minItems": _LIMIT,
        "maxItems": _LIMIT,
        "uniqueItems": _LIMIT,
        "minProperties": _LIMIT,
        "maxProperties": _LIMIT,
        "propertyNames": _LIMIT,
        "patternProperties": no("describe the fields with `additionalProperties`"),
        "unevaluatedItems": _COMBINE,
        "unevaluatedProperties": _COMBINE,
        "dependentRequired": _COMBINE,
        "dependentSchemas": _COMBINE,
        "dependencies": _COMBINE,
        "if": _COMBINE,
        "then": _COMBINE,
        "else": _COMBINE,
        "contentEncoding": no("encoded strings are not decoded: leave it out"),
        "contentMediaType": no("encoded strings are not decoded: leave it out"),
        "contentSchema": no("encoded strings are not decoded: leave it out"),
        "definitions": no("write the schemas under components/schemas"),
        "$defs": no("write the schemas under components/schemas"),
        **dict.fromkeys(
            ("$schema", "$vocabulary", "$id", "$anchor", "$dynamicAnchor", "$dynamicRef",
             "$recursiveRef", "$recursiveAnchor"),
            _DIALECT,
        ),
        "x-enum-varnames": no("members are named by their value: leave it out"),
    },
}  # fmt: skip

# Objects that are documentation for the generated code: not walked, whatever keywords they have.
UNREAD_OBJECTS = {
    "Contact", "License", "Example", "SecurityScheme", "SecurityRequirement", "OAuthFlows",
    "OAuthFlow",
}  # fmt: skip
# Objects whose only place in a spec is a keyword that is rejected.
REJECTED_OBJECTS = {"ServerVariable", "Encoding", "Callback", "Link", "Discriminator", "XML"}

# Where a reference may stand, and the components that it may lead to.
REFERENCES = {
    "Schema": "schemas", "Response": "responses", "Parameter": "parameters",
    "RequestBody": "requestBodies", "Header": "headers",
}  # fmt: skip

FORMATS = {
    "string": {
        "date", "date-time", "uuid", "password", "uri", "url", "uri-reference", "uri-template",
        "iri", "email", "idn-email", "hostname", "idn-hostname", "ipv4", "ipv6", "byte", "time",
        "duration", "regex", "json-pointer", "relative-json-pointer",
    },
    "integer": {"int32", "int64"},
    "number": {"float", "double"},
}  # fmt: skip

# Limits that are not enforced: rejected where values are read, left to the service in parameters.
LIMITS = {key for key, rule in TABLES["Schema"].items() if rule is _LIMIT}
