from __future__ import annotations

import re
from typing import Any

import attrs
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox import DEFAULT_APP, DEFAULT_USER, OTHER_USER, create_app
from pipedrive_oauth_client.sandbox.requests import MAX_BODY_BYTES
from tests.sandbox.support import (
    BASE_URL,
    FORM,
    OTHER_APP,
    Clock,
    Wire,
    basic,
    error_of,
    success,
)

PATHS = pytest.mark.parametrize("path", ["/oauth/token", "/oauth/token/"])
CODE_INVALID = ("invalid_grant", "Invalid grant: authorization_code is invalid")
CODE_EXPIRED = ("invalid_grant", "Invalid grant: authorization_code has expired")
REFRESH_TOKEN_INVALID = ("invalid_grant", "Invalid grant: refresh_token is invalid")
NO_CREDENTIALS = ("invalid_client", "Invalid client: cannot retrieve client credentials")
WRONG_CLIENT = ("invalid_client", "Invalid client: client is invalid")


@PATHS
def test_code_gives_tokens(wire: Wire, path: str) -> None:
    """A code is exchanged at either path for a response of the documented form."""
    response = wire.exchange(wire.code(), path=path)
    body = success(response)
    assert set(body) == {
        "access_token",
        "token_type",
        "refresh_token",
        "scope",
        "expires_in",
        "api_domain",
    }
    assert re.fullmatch(r"v1u:[A-Za-z0-9_-]{764}", body["access_token"])
    assert re.fullmatch(r"1:11:[0-9a-f]{40}", body["refresh_token"])
    assert body["token_type"] == "Bearer"
    assert body["scope"] == "base,deals:full,contacts:read,users:read"
    assert response.json()["expires_in"] == 3600
    assert body["api_domain"] == BASE_URL
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["pragma"] == "no-cache"


@PATHS
def test_refresh_token_gives_tokens(wire: Wire, path: str) -> None:
    """A refresh token is exchanged at either path for a response of the same form."""
    tokens = wire.tokens(user=OTHER_USER)
    renewed = success(wire.refresh(tokens["refresh_token"], path=path))
    assert set(renewed) == set(tokens)
    assert renewed["access_token"] != tokens["access_token"]
    assert renewed["refresh_token"].startswith("2:22:")
    assert renewed["scope"] == tokens["scope"]
    assert wire.me(renewed["access_token"]).json()["data"]["id"] == OTHER_USER.id


def test_code_works_once(wire: Wire) -> None:
    """A code that was exchanged is rejected from then on."""
    code = wire.code()
    success(wire.exchange(code))
    assert error_of(wire.exchange(code)) == CODE_INVALID


@pytest.mark.parametrize("later", [{"seconds": 1}, {"minutes": 30}])
def test_second_use_of_a_code_ends_its_tokens(
    wire: Wire, clock: Clock, later: dict[str, float]
) -> None:
    """The second use of a code ends all tokens that it gave, refreshed ones too, and no others."""
    code, others = wire.code(), wire.tokens()
    first = success(wire.exchange(code))
    second = success(wire.refresh(first["refresh_token"]))
    clock.move(**later)
    assert error_of(wire.exchange(code)) == CODE_INVALID
    for tokens in (first, second):
        assert error_of(wire.me(tokens["access_token"]), 401)[0] == "invalid_token"
        assert error_of(wire.refresh(tokens["refresh_token"])) == REFRESH_TOKEN_INVALID
    assert wire.me(others["access_token"]).status_code == 200
    success(wire.refresh(others["refresh_token"]))


def test_code_lives_five_minutes(wire: Wire, clock: Clock) -> None:
    """A code works for less than five minutes, and is then said to have expired."""
    early, late = wire.code(), wire.code()
    clock.move(minutes=4, seconds=59)
    success(wire.exchange(early))
    clock.move(seconds=1)
    assert error_of(wire.exchange(late)) == CODE_EXPIRED


def test_code_of_another_client_is_rejected(wire: Wire) -> None:
    """A code works for the app that it was issued to; another app's attempt does not spend it."""
    code = wire.code()
    response = wire.exchange(code, app=OTHER_APP, redirect_uri=DEFAULT_APP.redirect_uri)
    assert error_of(response) == CODE_INVALID
    tokens = success(wire.exchange(code))
    assert error_of(wire.exchange(code, app=OTHER_APP)) == CODE_INVALID
    assert wire.me(tokens["access_token"]).status_code == 200


@pytest.mark.parametrize(
    ("redirect_uri", "message"),
    [
        ("http://127.0.0.1:8123/callback/", "Invalid request: redirect_uri is invalid"),
        (OTHER_APP.redirect_uri, "Invalid request: redirect_uri is invalid"),
        ("/callback", "Invalid request: redirect_uri is not a valid URI"),
        ("http://a b", "Invalid request: redirect_uri is not a valid URI"),
        ("", "Missing parameter: redirect_uri"),
        (None, "Missing parameter: redirect_uri"),
    ],
)
def test_redirect_uri_must_be_the_codes(wire: Wire, redirect_uri: str | None, message: str) -> None:
    """The redirect URI of the code must be named exactly; a wrong attempt does not spend it."""
    code = wire.code()
    assert error_of(wire.exchange(code, redirect_uri=redirect_uri)) == ("invalid_request", message)
    success(wire.exchange(code))


@pytest.mark.parametrize("code", ["guess", "ü", "1:11:abc"])
def test_unknown_code_is_rejected(wire: Wire, code: str) -> None:
    """A code that was never issued is rejected."""
    assert error_of(wire.exchange(code)) == CODE_INVALID


def test_code_is_needed(wire: Wire) -> None:
    """Without a code there is nothing to exchange."""
    assert error_of(wire.exchange("")) == ("invalid_request", "Missing parameter: code")


def test_refresh_token_is_replaced(wire: Wire) -> None:
    """A refresh returns another refresh token; the old one is rejected, the new one works."""
    old = wire.tokens()["refresh_token"]
    new = success(wire.refresh(old))["refresh_token"]
    assert new != old
    assert error_of(wire.refresh(old)) == REFRESH_TOKEN_INVALID
    success(wire.refresh(new))


def test_refresh_token_can_stay_the_same(clock: Clock) -> None:
    """Without rotation the same refresh token comes back, and its sixty days start again."""
    wire = Wire(create_app(clock=clock, rotate_refresh_tokens=False))
    token = wire.tokens()["refresh_token"]
    for _ in range(3):
        clock.move(days=59)
        assert success(wire.refresh(token))["refresh_token"] == token
    clock.move(days=60)
    assert error_of(wire.refresh(token)) == REFRESH_TOKEN_INVALID


def test_refresh_token_dies_unused(wire: Wire, clock: Clock) -> None:
    """A refresh token works for less than sixty days."""
    early, late = wire.tokens()["refresh_token"], wire.tokens()["refresh_token"]
    clock.move(days=59, hours=23)
    success(wire.refresh(early))
    clock.move(hours=1)
    assert error_of(wire.refresh(late)) == REFRESH_TOKEN_INVALID


def test_refresh_token_of_another_client_is_rejected(wire: Wire) -> None:
    """A refresh token works for the app that it was issued to, and survives another's attempt."""
    token = wire.tokens()["refresh_token"]
    assert error_of(wire.refresh(token, app=OTHER_APP)) == REFRESH_TOKEN_INVALID
    success(wire.refresh(token))


def test_refresh_token_is_needed(wire: Wire) -> None:
    """Without a refresh token there is nothing to refresh with."""
    response = wire.post_form("/oauth/token", {"grant_type": "refresh_token"}, headers=[basic()])
    assert error_of(response) == ("invalid_request", "Missing parameter: refresh_token")


def test_old_access_token_lives_on(wire: Wire, clock: Clock) -> None:
    """A refresh does not end the access token before it; its own expiry does."""
    tokens = wire.tokens()
    clock.move(minutes=30)
    success(wire.refresh(tokens["refresh_token"]))
    clock.move(minutes=29, seconds=59)
    assert wire.me(tokens["access_token"]).status_code == 200
    clock.move(seconds=1)
    assert wire.me(tokens["access_token"]).status_code == 401


def test_tokens_are_no_codes(wire: Wire) -> None:
    """Neither kind of token works in place of another one or of a code."""
    tokens = wire.tokens()
    assert error_of(wire.exchange(tokens["refresh_token"])) == CODE_INVALID
    assert error_of(wire.refresh(tokens["access_token"])) == REFRESH_TOKEN_INVALID
    assert wire.me(tokens["refresh_token"]).status_code == 401


def test_lifetimes_are_settings(clock: Clock) -> None:
    """The lifetimes given to the sandbox are those that codes and tokens have."""
    wire = Wire(
        create_app(
            clock=clock,
            code_lifetime_minutes=0.5,
            access_token_lifetime_seconds=60,
            refresh_token_unused_lifetime_days=1,
        )
    )
    response, code = wire.exchange(wire.code()), wire.code()
    assert response.json()["expires_in"] == 60
    tokens = success(response)
    clock.move(seconds=30)
    assert error_of(wire.exchange(code)) == CODE_EXPIRED
    clock.move(seconds=30)
    assert wire.me(tokens["access_token"]).status_code == 401
    clock.move(days=1)
    assert error_of(wire.refresh(tokens["refresh_token"])) == REFRESH_TOKEN_INVALID


@pytest.mark.parametrize("scheme", ["basic", "BASIC"])
def test_scheme_is_of_any_case(wire: Wire, scheme: str) -> None:
    """The scheme of the Authorization header counts in any case."""
    name, value = basic()
    fields = {
        "grant_type": "authorization_code",
        "code": wire.code(),
        "redirect_uri": DEFAULT_APP.redirect_uri,
    }
    headers = [(name, value.replace("Basic", scheme))]
    success(wire.post_form("/oauth/token", fields, headers=headers))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], NO_CREDENTIALS),
        ([("Authorization", "Basic ???")], NO_CREDENTIALS),
        ([("Authorization", "Bearer v1u:abc")], NO_CREDENTIALS),
        ([basic(), basic()], NO_CREDENTIALS),
        ([basic(secret="wrong")], WRONG_CLIENT),
        ([basic(secret="")], WRONG_CLIENT),
        ([basic(secret="sécret")], WRONG_CLIENT),
        ([basic(secret=OTHER_APP.client_secret)], WRONG_CLIENT),
        ([basic(attrs.evolve(DEFAULT_APP, client_id="unregistered"))], WRONG_CLIENT),
        (
            [basic(attrs.evolve(DEFAULT_APP, client_id="unregistered"), secret="no such client")],
            WRONG_CLIENT,
        ),
    ],
)
def test_client_must_prove_itself(
    wire: Wire, headers: list[tuple[str, str]], expected: tuple[str, str]
) -> None:
    """Without the right credentials in the header nothing is issued, and no code is spent."""
    code = wire.code()
    fields = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": DEFAULT_APP.redirect_uri,
    }
    assert error_of(wire.post_form("/oauth/token", fields, headers=headers)) == expected
    success(wire.exchange(code))


def test_credentials_in_the_form_do_not_count(wire: Wire) -> None:
    """Client credentials in the form are no credentials."""
    fields = {
        "grant_type": "authorization_code",
        "code": wire.code(),
        "redirect_uri": DEFAULT_APP.redirect_uri,
        "client_id": DEFAULT_APP.client_id,
        "client_secret": DEFAULT_APP.client_secret,
    }
    assert error_of(wire.post_form("/oauth/token", fields)) == NO_CREDENTIALS


def test_credentials_at_two_places_are_rejected(wire: Wire) -> None:
    """A secret in the form besides the header is one way of authentication too many."""
    response = wire.exchange(wire.code(), client_secret=DEFAULT_APP.client_secret)
    error, message = error_of(response)
    assert error == "invalid_request"
    assert "Authorization header only" in message


def test_unknown_parameters_are_ignored(wire: Wire) -> None:
    """Parameters that the endpoint does not know change nothing (RFC 6749 section 3.2)."""
    tokens = success(wire.exchange(wire.code(), client_id=DEFAULT_APP.client_id, scope="admin"))
    assert "admin" not in tokens["scope"]


@pytest.mark.parametrize(
    "grant_type",
    ["password", "client_credentials", "AUTHORIZATION_CODE", "authorization_code "],
)
def test_other_grant_type_is_rejected(wire: Wire, grant_type: str) -> None:
    """Only the two documented grant types are supported, exactly as written."""
    response = wire.exchange("x", grant_type=grant_type)
    assert error_of(response) == ("unsupported_grant_type", "Unsupported grant type")


@pytest.mark.parametrize("grant_type", ["", None])
def test_grant_type_is_needed(wire: Wire, grant_type: str | None) -> None:
    """A form without a grant type, or with an empty one, is rejected."""
    response = wire.exchange("x", grant_type=grant_type)
    assert error_of(response) == ("invalid_request", "Missing parameter: grant_type")


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", "text/plain"])
def test_content_must_be_a_form(wire: Wire, content_type: str) -> None:
    """Another content type is rejected, whatever the content."""
    response = wire.request(
        "POST",
        "/oauth/token",
        content=b"grant_type=refresh_token",
        headers=[("Content-Type", content_type), basic()],
    )
    assert error_of(response) == (
        "invalid_request",
        "Invalid request: content must be application/x-www-form-urlencoded",
    )


def test_content_type_may_have_a_charset(wire: Wire) -> None:
    """A form that names its charset is a form."""
    token = wire.tokens()["refresh_token"]
    success(
        wire.request(
            "POST",
            "/oauth/token",
            content=f"grant_type=refresh_token&refresh_token={token}".encode(),
            headers=[("Content-Type", FORM + "; charset=utf-8"), basic()],
        )
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"grant_type=refresh_token&grant_type=refresh_token", "a parameter is repeated"),
        (b"grant_type=refresh_token&x=1&x=1", "a parameter is repeated"),
        (b"grant_type=refresh_token&refresh_token=%G0", "not correctly encoded"),
        (b"grant_type=refresh_token&refresh_token=%C3", "not correctly encoded"),
        (b"grant_type=refresh_token&refresh_token", "not correctly encoded"),
        (b"\xff\xfe", "not correctly encoded"),
        (b'{"grant_type": "refresh_token"}', "not correctly encoded"),
    ],
)
def test_broken_form_is_rejected(wire: Wire, content: bytes, message: str) -> None:
    """A form that repeats a parameter or is wrongly encoded is an invalid request."""
    response = wire.request(
        "POST", "/oauth/token", content=content, headers=[("Content-Type", FORM), basic()]
    )
    error, told = error_of(response)
    assert error == "invalid_request"
    assert message in told


def test_large_form_is_rejected(wire: Wire) -> None:
    """A form of 64 KiB is read, one byte more is rejected."""
    start = b"grant_type=refresh_token&refresh_token="
    for size, status, error in (
        (MAX_BODY_BYTES, 400, "invalid_grant"),
        (MAX_BODY_BYTES + 1, 413, "invalid_request"),
    ):
        response = wire.request(
            "POST",
            "/oauth/token",
            content=start + b"x" * (size - len(start)),
            headers=[("Content-Type", FORM), basic()],
        )
        assert error_of(response, status)[0] == error


def test_checks_come_in_their_order(wire: Wire) -> None:
    """A request with several mistakes gets one at a time, the outermost first."""

    def ask(content_type: str, form: bytes, *headers: tuple[str, str]) -> str:
        return error_of(
            wire.request(
                "POST",
                "/oauth/token",
                content=form,
                headers=[("Content-Type", content_type), *headers],
            )
        )[1]

    assert "content must be" in ask("text/plain", b"%")
    assert "not correctly encoded" in ask(FORM, b"%")
    assert "Missing parameter: grant_type" in ask(FORM, b"code=x")
    assert "Unsupported grant type" in ask(FORM, b"grant_type=x")
    assert "cannot retrieve" in ask(FORM, b"grant_type=refresh_token")
    assert "client is invalid" in ask(FORM, b"grant_type=refresh_token", basic(secret="x"))
    assert "Missing parameter" in ask(FORM, b"grant_type=refresh_token", basic())
    assert "is invalid" in ask(FORM, b"grant_type=refresh_token&refresh_token=x", basic())


def test_query_of_the_endpoint_does_not_count(wire: Wire) -> None:
    """Parameters in the address are not read (RFC 6749 section 2.3.1)."""
    token = wire.tokens()["refresh_token"]
    response = wire.post_form(
        f"/oauth/token?grant_type=refresh_token&refresh_token={token}", {}, headers=[basic()]
    )
    assert error_of(response) == ("invalid_request", "Missing parameter: grant_type")
    success(wire.refresh(token))


def test_secret_of_any_characters_works() -> None:
    """A secret with colons and letters beyond ASCII is sent as UTF-8 and recognised."""
    app = attrs.evolve(DEFAULT_APP, client_secret="geheim:ü:✓")
    wire = Wire(create_app(apps=[app], users=[DEFAULT_USER]))
    success(wire.exchange(wire.code(app), app=app))


STATUSES = pytest.mark.parametrize("status", [301, 302, 303, 307, 308])


@STATUSES
@pytest.mark.parametrize(
    ("location", "expected"),
    [("absolute", f"{BASE_URL}/oauth/token"), ("relative", "/oauth/token")],
)
def test_slashed_path_redirects(status: Any, location: Any, expected: str) -> None:
    """The path with the slash responds to any POST with the configured redirect alone."""
    sandbox = create_app(slashed_token_path=status, slashed_token_location=location)
    wire = Wire(sandbox)
    tokens = wire.tokens()
    response = wire.refresh(tokens["refresh_token"], path="/oauth/token/")
    assert response.status_code == status
    assert response.headers["location"] == expected
    assert response.headers["cache-control"] == "no-store"
    assert response.content == b""
    success(wire.refresh(tokens["refresh_token"], path="/oauth/token"))
    assert sandbox.requests.count(grant_type="refresh_token", status=status, outcome=None) == 1
    assert sandbox.requests.count(grant_type="refresh_token", outcome="ok") == 1


@STATUSES
def test_redirect_needs_no_right_request(status: Any) -> None:
    """The redirect comes before anything about the request is checked."""
    wire = Wire(create_app(slashed_token_path=status))
    assert wire.request("POST", "/oauth/token/", content=b"%").status_code == status
    assert error_of(wire.request("GET", "/oauth/token/"), 405)[0] == "method_not_allowed"


@pytest.mark.parametrize(
    ("location", "expected"),
    [("absolute", f"{BASE_URL}/pd/oauth/token"), ("relative", "/pd/oauth/token")],
)
def test_redirect_of_a_mounted_sandbox(location: Any, expected: str) -> None:
    """Under a path of another application the redirect stays under it."""
    inner = create_app(slashed_token_path=307, slashed_token_location=location)
    wire = Wire(Starlette(routes=[Mount("/pd", inner)]))
    response = wire.request("POST", "/pd/oauth/token/")
    assert (response.status_code, response.headers["location"]) == (307, expected)


@pytest.mark.parametrize(
    "settings",
    [
        {"slashed_token_path": "redirect"},
        {"slashed_token_path": 300},
        {"slashed_token_path": 200},
        {"slashed_token_location": "elsewhere"},
    ],
)
def test_other_settings_are_rejected(settings: dict[str, Any]) -> None:
    """An unknown value is rejected by its name."""
    with pytest.raises(ConfigurationError, match=f"^{next(iter(settings))} must be"):
        create_app(**settings)
