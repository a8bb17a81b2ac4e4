"""Properties of all specs, tested with random ones."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.specdiff.cases import base
from tools.specdiff.diff import Report, diff
from tools.specdiff.findings import Level
from tools.specdiff.spec_files import Source

TYPES = st.sampled_from(["string", "integer", "number", "boolean"])


def plain() -> st.SearchStrategy[dict[str, Any]]:
    """Give schemas of single values."""
    return st.fixed_dictionaries(
        {"type": TYPES},
        optional={
            "nullable": st.booleans(),
            "minLength": st.integers(0, 3),
            "maximum": st.integers(5, 8),
            "exclusiveMaximum": st.booleans(),
            "enum": st.lists(st.sampled_from(["a", "b", "c"]), min_size=1, unique=True),
            "format": st.sampled_from(["date", "uri", "int32", "int64"]),
            "default": st.sampled_from(["a", "b"]),
            "description": st.sampled_from(["One.", "Two."]),
        },
    )


def nested(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    """Give schemas of objects, arrays and unions of others."""
    names = st.sampled_from(["a", "b", "c"])
    return st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("object"), "properties": st.dictionaries(names, inner, max_size=3)},
            optional={
                "required": st.lists(names, min_size=1, unique=True),
                "additionalProperties": st.booleans(),
            },
        ),
        st.fixed_dictionaries({"type": st.just("array"), "items": inner}),
        st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=2)}),
        st.just({"$ref": "#/components/schemas/Thing"}),
    )


SCHEMAS = st.recursive(plain(), nested, max_leaves=6)


def spec(sent: dict[str, Any], read: dict[str, Any], thing: dict[str, Any]) -> dict[str, Any]:
    """Put schemas into a spec."""
    content = {"application/json": {"schema": sent}}
    response = {"description": "d", "content": {"application/json": {"schema": read}}}
    operation = {"requestBody": {"content": content}, "responses": {"200": response}}
    return {
        "openapi": "3.0.3",
        "info": {"title": "T", "version": "1"},
        "paths": {"/x": {"post": operation}},
        "components": {"schemas": {"Thing": {"type": "object", "properties": {"inner": thing}}}},
    }


def compared(old: Any, new: Any) -> Report:
    """Compare two specs over HTTP."""
    sources = [Source(name, json.dumps(each).encode()) for name, each in (("o", old), ("n", new))]
    return diff(*sources, python=False)


def reordered(value: Any) -> Any:
    """Give a value with the keys of all mappings in the opposite order."""
    if isinstance(value, dict):
        return {key: reordered(each) for key, each in reversed(value.items())}
    return [reordered(each) for each in value] if isinstance(value, list) else value


RARELY = settings(
    max_examples=100,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@RARELY
@given(st.tuples(SCHEMAS, SCHEMAS, plain()))
def test_same_meaning_is_no_change(schemas: tuple[Any, Any, Any]) -> None:
    """A spec does not differ from itself with its keys in another order."""
    content = spec(*schemas)
    assert compared(content, reordered(content)).findings == ()


@RARELY
@given(st.tuples(SCHEMAS, SCHEMAS, plain()), st.tuples(SCHEMAS, SCHEMAS, plain()))
def test_no_change_is_silent(one: tuple[Any, Any, Any], other: tuple[Any, Any, Any]) -> None:
    """What is found one way is found the other way, and is silent neither way."""
    there, back = compared(spec(*one), spec(*other)), compared(spec(*other), spec(*one))
    assert bool(there.findings) == bool(back.findings)
    for report in (there, back):
        assert all(each.what and each.old.line and each.new.line for each in report.findings)


@RARELY
@given(SCHEMAS, SCHEMAS, plain(), st.booleans())
def test_compatible_one_way_is_breaking_the_other(
    old: Any, new: Any, thing: Any, sent: bool
) -> None:
    """Reverting a compatible change breaks, whether the value is sent or read."""
    before, after = (spec(*((each, {}) if sent else ({}, each)), thing) for each in (old, new))
    there, back = compared(before, after), compared(after, before)
    if not there.breaks("http") and there.count(Level.COMPATIBLE, "http"):
        assert back.breaks("http")


THING = {"$ref": "#/components/schemas/Thing"}
CIRCLES = {
    "a field of itself": {"type": "object", "properties": {"a": THING}},
    "items of itself": {"type": "array", "items": THING},
    "all of itself": {"allOf": [THING]},
    "all of itself twice": {"allOf": [THING, {"anyOf": [THING, THING]}]},
    "one of itself": {"oneOf": [THING, {"type": "string"}]},
    "other fields like itself": {"type": "object", "additionalProperties": THING},
}


@pytest.mark.parametrize("circle", CIRCLES.values(), ids=CIRCLES.keys())
def test_circles_end(circle: dict[str, Any]) -> None:
    """A schema that holds itself is compared once round, and a change beside it is found."""
    old = spec(THING, THING, {})
    old["components"]["schemas"]["Thing"] = circle
    new = json.loads(json.dumps(old))
    assert compared(old, new).findings == ()
    new["components"]["schemas"]["Thing"]["description"] = "Round and round."
    assert {each.rule.id for each in compared(old, new).findings} == {"wording-changed"}
    new["components"]["schemas"]["Thing"] = {"type": "integer"}
    assert compared(old, new).breaks("http")


def test_long_chains_of_references_end() -> None:
    """Thirty aliases of one schema are followed in so many steps, not in powers of two."""
    old = spec({"$ref": "#/components/schemas/A30"}, {}, {})
    schemas = old["components"]["schemas"]
    schemas["A0"] = {"type": "string"}
    for number in range(1, 31):
        schemas[f"A{number}"] = {"allOf": [{"$ref": f"#/components/schemas/A{number - 1}"}]}
    new = json.loads(json.dumps(old))
    new["components"]["schemas"]["A0"] = {"type": "integer"}
    assert [each.rule.id for each in compared(old, new).findings] == ["request-type-changed"]


def test_long_specs_are_compared_without_counting_twice() -> None:
    """A change of a shared schema is one finding, however many operations see it."""
    content = yaml.safe_load(base())
    paths = content["paths"]
    for number in range(200):
        paths[f"/copy{number}"] = {"get": {"responses": {"200": {
            "description": "d", "content": {"application/json": {"schema": {
                "$ref": "#/components/schemas/Problem"}}}}}}}  # fmt: skip
    new = json.loads(json.dumps(content))
    del new["components"]["schemas"]["Problem"]["required"]
    report = compared(content, new)
    (finding,) = report.findings
    assert finding.rule.id == "response-field-became-optional"
    assert len(finding.operations) > 200


def ring(size: int, *, all_to_all: bool) -> dict[str, Any]:
    """Give a spec of schemas that lead to one another and back, with a union of two of them."""
    content = spec({}, {"oneOf": [{"$ref": f"#/components/schemas/M{i}"} for i in (0, 1)]}, {})
    for number in range(size):
        others = range(size) if all_to_all else [(number + 1) % size]
        content["components"]["schemas"][f"M{number}"] = {
            "type": "object",
            "properties": {f"m{i}": {"$ref": f"#/components/schemas/M{i}"} for i in others},
        }
    return content


@pytest.mark.parametrize(("size", "all_to_all"), [(600, False), (12, True)])
def test_many_schemas_that_lead_to_one_another_end(size: int, all_to_all: bool) -> None:
    """A long way from schema to schema is gone to its end, and no pair is looked at twice."""
    old, new = (ring(size, all_to_all=all_to_all) for _ in range(2))
    new["components"]["schemas"][f"M{size - 1}"]["properties"]["more"] = {"type": "string"}
    assert [each.rule.id for each in compared(old, new).findings] == ["response-field-added"]


def test_reference_into_a_path_is_followed() -> None:
    """What another operation refers to in a path counts for both."""
    sent = {"type": "object", "required": ["a"], "properties": {"a": {"type": "string"}}}
    old = spec(sent, {}, {})
    place = "#/paths/~1x/post/requestBody/content/application~1json/schema"
    response = {"description": "d", "content": {"application/json": {"schema": {"$ref": place}}}}
    old["paths"]["/y"] = {"get": {"responses": {"200": response}}}
    new = json.loads(json.dumps(old))
    new["paths"]["/x"]["post"]["requestBody"]["content"]["application/json"]["schema"].pop(
        "required"
    )
    found = {each.rule.id for each in compared(old, new).findings}
    assert found == {"request-field-became-optional", "response-field-became-optional"}


def test_spec_without_paths_is_compared() -> None:
    """OpenAPI 3.1 needs no paths."""
    info = {"openapi": "3.1.0", "info": {"title": "T", "version": "1"}}
    old, new = {**info, "components": {}}, {**info, "paths": spec({}, {}, {})["paths"]}
    assert [each.rule.id for each in compared(old, new).findings] == ["operation-added"]
    assert [each.rule.id for each in compared(new, old).findings] == ["operation-removed"]


def test_null_counts_where_both_types_and_values_have_it() -> None:
    """In OpenAPI 3.1 an enum without null takes none, whatever the types say."""
    enum = {"type": ["string", "null"], "enum": ["a", None]}
    specs = [{**spec({}, each, {}), "openapi": "3.1.0"} for each in (enum, {**enum, "enum": ["a"]})]
    (there,), (back,) = (compared(*pair).findings for pair in (specs, reversed(specs)))
    assert (there.rule.id, back.rule.id) == ("response-null-refused", "response-null-allowed")


def test_words_beside_a_reference_count_where_they_may_stand() -> None:
    """OpenAPI 3.1 lets a field be described beside its reference, 3.0 passes over that."""
    for version, wanted in (("3.1.0", ["wording-changed"]), ("3.0.3", [])):
        old, new = (
            {
                **spec(
                    {"type": "object", "properties": {"a": {**THING, "description": word}}}, {}, {}
                ),
                "openapi": version,
            }
            for word in ("One.", "Two.")
        )
        assert [each.rule.id for each in compared(old, new).findings] == wanted
