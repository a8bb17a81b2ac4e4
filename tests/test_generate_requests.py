"""Requests and responses of a package generated from a spec with one of everything."""

from __future__ import annotations

import asyncio
import datetime
import json
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.specs.kitchen_sink import EVERYTHING, TEXT
from tests.specs.project import Package, package_of

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Package]:
    """Give the package, generated once."""
    with pytest.MonkeyPatch.context() as patch:
        yield package_of(TEXT, tmp_path_factory.mktemp("requests"), patch)


@pytest.fixture(scope="module")
def models(package: Package) -> Any:
    """Give the package's models."""
    return package.module("models")


class Server:
    """Responds to every request with the same response, and keeps the requests."""

    def __init__(self, package: Package, response: httpx.Response) -> None:
        self.package = package
        self.response = response
        self.requests: list[httpx.Request] = []

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Keep the request and give the response."""
        self.requests.append(request)
        return httpx.Response(
            self.response.status_code, content=self.response.content, headers=self.response.headers
        )

    def call(self, module: str, *arguments: object, **named: object) -> Any:
        """Call an operation with and without `await`, and give what was read."""
        functions = self.package.module(f"api.{module}")
        client = self.package.module("client").Client()
        transport = httpx.MockTransport(self.handle)
        with httpx.Client(transport=transport) as http:
            client.set_httpx_client(http)
            read = functions.sync(*arguments, client=client, **named)

        async def again() -> object:
            async with httpx.AsyncClient(transport=transport) as http:
                client.set_async_httpx_client(http)
                return await functions.asyncio(*arguments, client=client, **named)

        assert asyncio.run(again()) == read
        first, second = self.requests
        assert (first.url, first.content, first.headers) == (
            second.url,
            second.content,
            second.headers,
        )
        return read


def item(status_code: int = 200, body: object = None) -> httpx.Response:
    """Give a response with everything, or with another body."""
    return httpx.Response(status_code, json=EVERYTHING if body is None else body)


def test_parameters_of_every_kind_are_sent(package: Package, models: Any) -> None:
    """Path, query and header parameters arrive in the spelling of OpenAPI's default styles."""
    server = Server(package, item())
    read = server.call(
        "kitchen.find_item",
        7,
        "a/b c?é",
        fresh=True,
        weight=1.5,
        colour=models.Colour.CLASS,
        level=models.Level(-1),
        before=datetime.date(2024, 2, 29),
        since=datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC),
        batch=uuid.UUID(EVERYTHING["key"]),
        tag=["x", "y"],
        x_trace="t-1",
        x_attempt=2,
    )
    sent = server.requests[0]
    assert sent.url.raw_path.split(b"?")[0] == b"/base/shelves/7/items/a%2Fb%20c%3F%C3%A9"
    assert sent.url.params.multi_items() == [
        ("fresh", "true"),
        ("weight", "1.5"),
        ("page", "1"),
        ("colour", "class"),
        ("level", "-1"),
        ("before", "2024-02-29"),
        ("since", "2024-02-29T12:00:00+00:00"),
        ("batch", EVERYTHING["key"]),
        ("tag", "x"),
        ("tag", "y"),
    ]
    assert sent.headers["X-Trace"] == "t-1"
    assert sent.headers["X-Attempt"] == "2"
    assert sent.headers["Accept"] == "application/json"
    assert read == models.Everything.from_dict(EVERYTHING)


def test_optional_parameters_are_left_out(package: Package) -> None:
    """Only what is given, or has a default, is sent."""
    server = Server(package, item())
    server.call("kitchen.find_item", 7, "x", x_trace="t")
    assert str(server.requests[0].url) == "https://kitchen.example/base/shelves/7/items/x?page=1"
    assert "X-Attempt" not in server.requests[0].headers


def test_json_body_is_sent_and_204_is_nothing(package: Package, models: Any) -> None:
    """A model goes out as JSON, and a response without content reads as None."""
    server = Server(package, httpx.Response(204))
    body = models.Everything.from_dict(EVERYTHING)
    assert server.call("kitchen.store_item", body=body) is None
    assert json.loads(server.requests[0].content) == EVERYTHING
    assert server.requests[0].headers["Content-Type"] == "application/json"


def test_form_and_hostile_names_are_sent(package: Package, models: Any) -> None:
    """A form spells numbers and booleans as JSON does; names arrive as the spec has them."""
    server = Server(package, item(201, 5))
    order = models.Order(count=3, urgent=True, share=0.5, pin="0000")
    read = server.call(
        "for_import.send_form", "p", True, idmore="q", class_="c", with_space="s", body=order
    )
    sent = server.requests[0]
    assert sent.url.path == "/base/twice/p/true"
    assert dict(sent.url.params) == {"id&more": "q", "class": "c", "with space": "s"}
    assert sent.content == b"count=3&urgent=true&share=0.5&pin=0000"
    assert read == 5


@pytest.mark.parametrize("status_code", [404, 418, 500, 302])
def test_most_exact_response_of_the_spec_is_read(
    package: Package, models: Any, status_code: int
) -> None:
    """A status is read by its own entry, else by that of its range, else by the default."""
    read = Server(package, item(status_code, {"detail": "no"})).call(
        "kitchen.find_item", 7, "x", x_trace="t"
    )
    assert read == models.Problem(detail="no")


def test_default_response_is_read(package: Package, models: Any) -> None:
    """An operation with nothing but a default reads every status by it, an error page as None."""
    read = Server(package, item(200, {"items": []})).call("kitchen.throw_away")
    assert read == models.Page(items=[])
    page = httpx.Response(503, html="<p>Later</p>")
    assert Server(package, page).call("kitchen.throw_away") is None


@pytest.mark.parametrize(
    ("module", "response", "path"),
    [
        ("kitchen.list_items", item(200, [{"id": 1}, {"id": "x"}]), "[1].id"),
        ("kitchen.list_items", item(200, {}), None),
        ("kitchen.list_items", httpx.Response(200, content=b'[{"id": 1}'), None),
        ("kitchen.throw_away", httpx.Response(200, html="<p>Not JSON</p>"), None),
        ("kitchen.throw_away", item(200, {"items": [{"id": "x"}]}), "items[0].id"),
    ],
)
def test_wrong_response_is_rejected(
    package: Package, module: str, response: httpx.Response, path: str | None
) -> None:
    """A successful response that is not what the spec says is an error with field and status."""
    with pytest.raises(package.module("errors").InvalidResponseError) as caught:
        Server(package, response).call(module)
    assert (caught.value.field, caught.value.status_code) == (path, 200)


def test_limits_of_a_whole_response_hold(package: Package, models: Any) -> None:
    """A limit that stands at the response itself, outside of any model, is enforced, too."""
    with pytest.raises(package.module("errors").InvalidResponseError):
        Server(package, item(201, 0)).call(
            "for_import.send_form", "p", True, idmore="q", body=models.Order(count=1)
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"page": "two"},
        {"fresh": "yes"},
        {"x_trace": "a\r\nb"},
        {"x_attempt": "two"},
        {"item_name": ""},
        {"item_name": ".."},
    ],
    ids=str,
)
def test_wrong_argument_is_rejected_before_sending(package: Package, wrong: dict[str, Any]) -> None:
    """An argument that is not what the spec says is a ConfigurationError, and nothing is sent."""
    server = Server(package, item())
    right = {"shelf_id": 7, "item_name": "x", "x_trace": "t"}
    with pytest.raises(package.module("errors").ConfigurationError, match=next(iter(wrong))):
        server.call("kitchen.find_item", **{**right, **wrong})
    assert server.requests == []


@pytest.mark.parametrize("wrong", ["a dictionary", "no JSON number"])
def test_wrong_json_body_is_rejected_before_sending(
    package: Package, models: Any, wrong: str
) -> None:
    """A body of another class, or one that JSON can't hold, is rejected, and nothing is sent."""
    server = Server(package, httpx.Response(204))
    body = EVERYTHING
    if wrong == "no JSON number":
        body = models.Everything(id="a-1", count=1, from_="x", share=float("nan"))
    with pytest.raises(package.module("errors").ConfigurationError, match="body"):
        server.call("kitchen.store_item", body=body)
    assert server.requests == []
