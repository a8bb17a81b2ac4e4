"""Values of a generated package: sent and read as what they are, or rejected before sending."""

from __future__ import annotations

import datetime
import inspect
import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.specs.project import SPECS, Package, package_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MINIMAL = (SPECS / "minimal.yaml").read_text(encoding="utf-8")


def parameter(name: str, where: str, schema: str) -> str:
    """Give a parameter."""
    required = "required: true, " if where == "path" else ""
    return f"        - {{name: {name}, in: {where}, {required}description: X., schema: {schema}}}\n"


PARAMETERS = "".join(
    [
        parameter("ids", "path", "{type: array, items: {type: integer}}"),
        parameter("day", "query", "{type: string, format: date}"),
        parameter("since", "query", "{type: string, format: date-time}"),
        parameter("days", "query", "{type: array, items: {type: string, format: date}}"),
        parameter("sort", "query", "{type: string, enum: ['1', '3', '-1', a-b, '']}"),
    ]
)
FIELDS = """\
        day: {type: string, format: date, description: X.}
        moment: {type: string, format: date-time, nullable: true, description: X.}
        days: {type: array, items: {type: string, format: date}, description: X.}
        amount: {type: number, description: X.}
        mixed: {oneOf: [{type: number}, {type: integer}, {type: boolean}], description: X.}
        digits: {oneOf: [{type: integer}, {type: string}], description: X.}
        title: {type: string, nullable: true, description: X.}
        definition: {type: object, description: X., example: {$ref: 'https://a.example/b'}}
"""
TEXT = (
    MINIMAL.replace("  /things:\n", "  /things/{ids}:\n")
    .replace("      parameters:\n", f"      parameters:\n{PARAMETERS}")
    .replace("application/json:", "application/merge-patch+json; charset=utf-8:", 1)
    + FIELDS
)
NAIVE = datetime.datetime(2024, 2, 29, 12)  # noqa: DTZ001 - that is the mistake
AWARE = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Package]:
    """Give the package, generated once."""
    with pytest.MonkeyPatch.context() as patch:
        yield package_of(TEXT, tmp_path_factory.mktemp("values"), patch)


@pytest.fixture(scope="module")
def thing(package: Package) -> Any:
    """Give the model."""
    return package.module("models").Thing


def send(package: Package, ids: Any = (3, 5), body: Any = None, **arguments: Any) -> httpx.Request:
    """Call the operation, and give the request."""
    sent: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        return httpx.Response(200, json={})

    with httpx.Client(transport=httpx.MockTransport(handle)) as http:
        client = package.module("client").Client().set_httpx_client(http)
        body = package.module("models").Thing() if body is None else body
        make_thing = package.module("api.things.make_thing").sync
        make_thing(client=client, ids=list(ids), body=body, **arguments)
    return sent[0]


def test_array_in_the_path_is_separated_by_commas(package: Package) -> None:
    """The default style of a path parameter is `simple`."""
    assert send(package, [1, 2, 3]).url.raw_path == b"/things/1,2,3"


@pytest.mark.parametrize("ids", [[], ["1"], [None]], ids=str)
def test_wrong_array_in_the_path_is_rejected(package: Package, ids: list[object]) -> None:
    """An empty list would change the path; an item of another type would, too."""
    with pytest.raises(package.module("errors").ConfigurationError, match="ids"):
        send(package, ids)


@pytest.mark.parametrize(
    "arguments",
    [{"day": AWARE}, {"since": NAIVE}, {"since": AWARE.date()}, {"days": [AWARE]}],
    ids=str,
)
def test_wrong_date_is_rejected_before_sending(
    package: Package, arguments: dict[str, object]
) -> None:
    """A datetime is no date, and a datetime without a time zone is no moment."""
    with pytest.raises(package.module("errors").ConfigurationError, match=next(iter(arguments))):
        send(package, **arguments)


@pytest.mark.parametrize(
    "fields",
    [{"day": AWARE}, {"moment": NAIVE}, {"moment": AWARE.date()}, {"days": [AWARE.date(), AWARE]}],
    ids=str,
)
def test_wrong_date_in_a_body_is_rejected_before_sending(
    package: Package, thing: Any, fields: dict[str, object]
) -> None:
    """The fields of a body are held to the same rule."""
    with pytest.raises(package.module("errors").ConfigurationError, match=next(iter(fields))):
        send(package, body=thing(**fields))


def test_right_dates_are_sent(package: Package, thing: Any) -> None:
    """A date goes as a date, and a moment with its offset; null stays null."""
    body = thing(day=AWARE.date(), moment=AWARE, days=[AWARE.date()], title=None)
    request = send(package, body=body, day=AWARE.date(), since=AWARE, days=[AWARE.date()])
    assert request.url.params.multi_items() == [
        ("day", "2024-02-29"),
        ("since", "2024-02-29T12:00:00+00:00"),
        ("days", "2024-02-29"),
    ]
    assert json.loads(request.content) == {
        "day": "2024-02-29",
        "moment": "2024-02-29T12:00:00+00:00",
        "days": ["2024-02-29"],
        "title": None,
    }
    assert json.loads(send(package, body=thing(moment=None)).content) == {"moment": None}


def test_media_type_is_sent_as_declared(package: Package) -> None:
    """The suffix and the parameter of a media type are kept."""
    sent = send(package).headers["Content-Type"]
    assert sent == "application/merge-patch+json; charset=utf-8"


@pytest.mark.parametrize("value", [2**53 + 1, -(2**53) - 1, 0, 0.5, 1e300], ids=str)
@pytest.mark.parametrize("name", ["amount", "mixed"])
def test_number_is_not_changed(thing: Any, name: str, value: float) -> None:
    """An integer stays one, though it stands where any number may stand."""
    read = thing.from_dict({name: value})
    assert json.dumps(read.to_dict()[name]) == json.dumps(value)


@pytest.mark.parametrize(
    ("name", "value"),
    [("mixed", True), ("mixed", 1), ("digits", "1"), ("digits", 1), ("digits", "x")],
)
def test_union_is_read_by_the_type_of_the_value(thing: Any, name: str, value: object) -> None:
    """Each JSON value is read as the one member of the union that it fits."""
    read = getattr(thing.from_dict({name: value}), name)
    assert (type(read), read) == (type(value), value)


def test_reference_in_an_example_is_data(thing: Any) -> None:
    """An object that holds `$ref` is an object."""
    value = {"$ref": "https://a.example/b"}
    assert thing.from_dict({"definition": value}).to_dict() == {"definition": value}


def test_members_are_named_by_their_values(package: Package) -> None:
    """A value before the others renames none of them."""
    members = package.module("models").MakeThingSort
    assert {each.name: each.value for each in members} == {
        "VALUE_1": "1",
        "VALUE_3": "3",
        "VALUE_X2D_1": "-1",
        "A_B": "a-b",
        "VALUE_EMPTY": "",
    }


def test_path_is_written_as_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is a sum of text and arguments: what `str.format` or `%` would read is only text."""
    names = "from", "dealId", "x-y"
    told = "".join(parameter(name, "path", "{type: string}") for name in names)
    text = MINIMAL.replace("  /things:\n", "  /a%s%(x)s/{from}.{dealId}:run/!r$'/{x-y}:\n").replace(
        "      parameters:\n", f"      parameters:\n{told}"
    )
    made = package_of(text, tmp_path, monkeypatch)
    functions = made.module("api.things.make_thing")
    client = made.module("client").Client()
    address = functions.url(client=client, from_="{deal_id}", deal_id="{0.__class__}", x_y="%s")
    quoted = "%7Bdeal_id%7D.%7B0.__class__%7D:run/!r$'/%25s"
    assert address == f"https://minimal.example/a%s%(x)s/{quoted}"
    assert ".format(" not in inspect.getsource(functions)
