from __future__ import annotations

from typing import Any

import attrs
import httpx
import pytest

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox import (
    DEFAULT_APP,
    DEFAULT_USER,
    OTHER_USER,
    App,
    User,
    create_app,
)
from tests.sandbox.support import Clock, Wire, basic, bearer, error_of

ME, DEALS = "/api/v1/users/me", "/api/v2/deals"
ABOUT_THE_TOKEN = (
    'Bearer realm="pipedrive-sandbox", error="invalid_token", '
    'error_description="The access token is unknown, expired or revoked."'
)


@pytest.mark.parametrize("user", [DEFAULT_USER, OTHER_USER])
def test_token_tells_its_user(wire: Wire, user: User) -> None:
    """The response describes the user who installed the app, and their company."""
    response = wire.me(wire.tokens(user=user)["access_token"])
    assert response.status_code == 200
    assert response.json() == {
        "success": True,
        "data": {
            "id": user.id,
            "name": user.name,
            "email": user.email,
            "is_you": True,
            "active_flag": True,
            "company_id": user.company_id,
            "company_name": user.company_name,
            "company_domain": user.company_domain,
            "locale": user.locale,
            "timezone_name": user.timezone_name,
            "default_currency": user.default_currency,
        },
    }


@pytest.mark.parametrize("scheme", ["bearer", "BEARER"])
def test_scheme_is_of_any_case(wire: Wire, scheme: str) -> None:
    """The scheme of the Authorization header counts in any case."""
    headers = [("Authorization", f"{scheme} {wire.tokens()['access_token']}")]
    assert wire.request("GET", ME, headers=headers).status_code == 200


@pytest.mark.parametrize("token", ["v1u:guess", "x", "1:11:abc"])
def test_unknown_token_is_rejected(wire: Wire, token: str) -> None:
    """A token that was never issued is invalid, and the header says so (RFC 6750 section 3.1)."""
    response = wire.me(token)
    assert error_of(response, 401)[0] == "invalid_token"
    assert response.headers["www-authenticate"] == ABOUT_THE_TOKEN


def test_token_expires(wire: Wire, clock: Clock) -> None:
    """An access token works for less than an hour."""
    token = wire.tokens()["access_token"]
    clock.move(minutes=59, seconds=59)
    assert wire.me(token).status_code == 200
    clock.move(seconds=1)
    response = wire.me(token)
    assert error_of(response, 401)[0] == "invalid_token"
    assert response.headers["www-authenticate"] == ABOUT_THE_TOKEN


@pytest.mark.parametrize("headers", [[], [basic()], [("Authorization", "Bearer")]])
def test_no_token_is_no_error_of_a_token(wire: Wire, headers: list[tuple[str, str]]) -> None:
    """Without a bearer token the header requires one and names no error."""
    response = wire.request("GET", ME, headers=headers)
    assert error_of(response, 401)[0] == "unauthorized"
    assert response.headers["www-authenticate"] == 'Bearer realm="pipedrive-sandbox"'


def test_token_elsewhere_does_not_count(wire: Wire) -> None:
    """A token in the address or in a cookie is not read."""
    token = wire.tokens()["access_token"]
    for path, headers in (
        (f"{ME}?access_token={token}", []),
        (f"{ME}?api_token={token}", []),
        (ME, [("Cookie", f"access_token={token}")]),
    ):
        assert error_of(wire.request("GET", path, headers=headers), 401)[0] == "unauthorized"


def test_two_tokens_are_none(wire: Wire) -> None:
    """Two Authorization headers leave open which token is meant."""
    token = wire.tokens()["access_token"]
    response = wire.request("GET", ME, headers=[bearer(token), bearer(token)])
    assert error_of(response, 401)[0] == "unauthorized"


def app_with(*scopes: str) -> App:
    """Return an app with these scopes."""
    return attrs.evolve(DEFAULT_APP, scopes=scopes)


def get(wire: Wire, path: str, app: App, user: User = DEFAULT_USER) -> httpx.Response:
    """Make a call with a fresh token."""
    return wire.request("GET", path, headers=[bearer(wire.tokens(app, user)["access_token"])])


@pytest.mark.parametrize("scope", ["deals:read", "deals:full"])
def test_deals_need_a_scope(scope: str) -> None:
    """Either scope of the deals opens them."""
    app = app_with("base", scope)
    response = get(Wire(create_app(apps=[app])), DEALS, app)
    assert response.status_code == 200
    body = response.json()
    assert body.keys() == {"success", "data", "additional_data"}
    assert body["success"] is True
    assert len(body["data"]) == 5
    assert body["additional_data"] == {"next_cursor": None}
    assert {deal["owner_id"] for deal in body["data"]} == {DEFAULT_USER.id}


@pytest.mark.parametrize(
    ("path", "scopes", "needed"),
    [
        (DEALS, ["base"], "deals:read"),
        (DEALS, ["base", "contacts:full", "deals"], "deals:read"),
        (ME, ["deals:full", "users:read"], "base"),
    ],
)
def test_missing_scope_is_named(path: str, scopes: list[str], needed: str) -> None:
    """A call beyond the app's scopes is forbidden, and the header says what it needs."""
    app = app_with(*scopes)
    response = get(Wire(create_app(apps=[app])), path, app)
    assert error_of(response, 403) == ("insufficient_scope", "Scope and URL mismatch")
    assert response.headers["www-authenticate"] == (
        'Bearer realm="pipedrive-sandbox", error="insufficient_scope", '
        f'error_description="Scope and URL mismatch", scope="{needed}"'
    )


def test_companies_have_their_own_deals(wire: Wire) -> None:
    """Deals of two companies have no number in common."""
    numbers = [
        {deal["id"] for deal in get(wire, DEALS, DEFAULT_APP, user).json()["data"]}
        for user in (DEFAULT_USER, OTHER_USER)
    ]
    assert numbers[0].isdisjoint(numbers[1])


@pytest.mark.parametrize(("limit", "pages"), [(1, 5), (2, 3), (4, 2), (5, 1), (500, 1)])
def test_cursors_lead_through_the_deals(wire: Wire, limit: int, pages: int) -> None:
    """Following the cursors gives every deal once, in order, and then no further cursor."""
    headers = [bearer(wire.tokens()["access_token"])]
    whole = wire.request("GET", DEALS, headers=headers).json()["data"]
    found, path, cursors = list[object](), f"{DEALS}?limit={limit}", list[str | None]()
    for _ in range(pages):
        body = wire.request("GET", path, headers=headers).json()
        found += body["data"]
        cursors.append(body["additional_data"]["next_cursor"])
        path = f"{DEALS}?limit={limit}&cursor={cursors[-1]}"
    assert [cursor is None for cursor in cursors] == [False] * (pages - 1) + [True]
    assert found == whole


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=-1", "limit"),
        ("limit=ten", "limit"),
        ("limit=1.0", "limit"),
        ("limit=%C2%B2", "limit"),
        ("limit=99999999999999999999", "limit"),
        ("cursor=guess", "cursor"),
        ("cursor=eyJkZWFscyI6OTl9", "cursor"),
        ("limit=1&limit=1", "parameter is repeated"),
    ],
)
def test_wrong_pages_are_rejected(wire: Wire, query: str, name: str) -> None:
    """A limit or a cursor that is none is an invalid request, and counts as a call."""
    response = get(wire, f"{DEALS}?{query}", DEFAULT_APP)
    error, message = error_of(response)
    assert error == "invalid_request"
    assert name in message
    assert response.headers["x-ratelimit-remaining"] == "479"


@pytest.mark.parametrize("headers", [[], [bearer("guess")]])
def test_deals_need_a_token(wire: Wire, headers: list[tuple[str, str]]) -> None:
    """Without an active token the deals are not available, and no rate limit is sent."""
    response = wire.request("GET", DEALS, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"].startswith("Bearer ")
    assert "x-ratelimit-limit" not in response.headers


def test_rate_limit_is_told_and_kept(clock: Clock) -> None:
    """Every response tells what is left of the window; a call too many must wait for the next."""
    wire = Wire(create_app(clock=clock, api_calls_per_two_seconds=3))
    token, other = wire.tokens()["access_token"], wire.tokens()["access_token"]
    clock.move(seconds=0.5)
    told = list[tuple[int, str, str, str | None]]()
    for _ in range(4):
        response = wire.me(token)
        told.append(
            (
                response.status_code,
                response.headers["x-ratelimit-remaining"],
                response.headers["x-ratelimit-reset"],
                response.headers.get("retry-after"),
            )
        )
        assert response.headers["x-ratelimit-limit"] == "3"
    assert told == [
        (200, "2", "2", None),
        (200, "1", "2", None),
        (200, "0", "2", None),
        (429, "0", "2", "2"),
    ]
    assert wire.me(other).status_code == 200
    clock.move(seconds=1)
    response = wire.me(token)
    assert error_of(response, 429) == ("too_many_requests", "Too many requests")
    assert response.headers["retry-after"] == "1"
    clock.move(seconds=1)
    assert wire.me(token).headers["x-ratelimit-remaining"] == "2"


def test_forbidden_calls_count(clock: Clock) -> None:
    """A call beyond the scopes counts like any other, and tells the limit."""
    app = app_with("base")
    wire = Wire(create_app(apps=[app], clock=clock, api_calls_per_two_seconds=1))
    headers = [bearer(wire.tokens(app)["access_token"])]
    first, second = (wire.request("GET", DEALS, headers=headers) for _ in range(2))
    assert (first.status_code, first.headers["x-ratelimit-remaining"]) == (403, "0")
    assert second.status_code == 429


@pytest.mark.parametrize("number", [0, -1, 1.5, True])
def test_rate_limit_is_a_number(number: Any) -> None:
    """A limit that is no whole number of at least 1 is rejected by its name."""
    with pytest.raises(ConfigurationError, match=r"^api_calls_per_two_seconds must be"):
        create_app(api_calls_per_two_seconds=number)
