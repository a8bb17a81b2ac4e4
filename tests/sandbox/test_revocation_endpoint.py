from __future__ import annotations

import pytest

from pipedrive_oauth_client.sandbox import DEFAULT_APP, DEFAULT_USER, OTHER_USER, create_app
from tests.sandbox.support import FORM, OTHER_APP, Clock, Wire, basic, error_of, success

HINTS = pytest.mark.parametrize(
    "hint", ["access_token", "refresh_token", None, "", "id_token", "REFRESH_TOKEN"]
)
PATH = "/oauth/revoke"


def is_active(wire: Wire, tokens: dict[str, str]) -> bool:
    """Tell whether an access token still works."""
    return wire.me(tokens["access_token"]).status_code == 200


@HINTS
def test_refresh_token_ends_the_grant(wire: Wire, hint: str | None) -> None:
    """Under any hint, revoking the refresh token ends all access tokens that came with it."""
    first = wire.tokens()
    second = success(wire.refresh(first["refresh_token"]))
    response = wire.revoke(second["refresh_token"], hint)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["cache-control"] == "no-store"
    assert not is_active(wire, first)
    assert not is_active(wire, second)
    assert error_of(wire.refresh(second["refresh_token"]))[0] == "invalid_grant"


@HINTS
def test_access_token_ends_alone(wire: Wire, hint: str | None) -> None:
    """Under any hint, revoking an access token leaves its grant and the other tokens alone."""
    first = wire.tokens()
    second = success(wire.refresh(first["refresh_token"]))
    response = wire.revoke(first["access_token"], hint)
    assert (response.status_code, response.content) == (200, b"")
    assert not is_active(wire, first)
    assert is_active(wire, second)
    success(wire.refresh(second["refresh_token"]))


def test_refresh_token_uninstalls_the_app(wire: Wire) -> None:
    """Revoking a refresh token uninstalls the app for this user: every grant of theirs ends."""
    mine, also_mine, others = wire.tokens(), wire.tokens(), wire.tokens(user=OTHER_USER)
    other_app = wire.tokens(OTHER_APP)
    code = wire.code()
    assert wire.revoke(mine["refresh_token"], "refresh_token").status_code == 200
    assert not is_active(wire, also_mine)
    assert error_of(wire.exchange(code))[0] == "invalid_grant"
    assert is_active(wire, others)
    assert is_active(wire, other_app)
    assert is_active(wire, wire.tokens())


@pytest.mark.parametrize("token", ["guess", "1:11:abc", "ü", "v1u:guess"])
def test_unknown_token_is_no_error(wire: Wire, token: str) -> None:
    """An unknown token gets the response of one that was revoked (RFC 7009 section 2.2)."""
    response = wire.revoke(token, "refresh_token")
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_revoking_twice_is_no_error(wire: Wire, kind: str) -> None:
    """A token that is revoked already gets the same response again."""
    tokens = wire.tokens()
    for _ in range(2):
        assert wire.revoke(tokens[kind], kind).status_code == 200


def test_worthless_refresh_token_ends_nothing(wire: Wire) -> None:
    """A refresh token that was replaced is unknown: what replaced it stays active."""
    first = wire.tokens()
    second = success(wire.refresh(first["refresh_token"]))
    assert wire.revoke(first["refresh_token"], "refresh_token").status_code == 200
    assert is_active(wire, second)


def test_expired_refresh_token_ends_nothing(clock: Clock) -> None:
    """A refresh token that has expired is invalid, so revoking it ends nothing."""
    wire = Wire(create_app(clock=clock, refresh_token_unused_lifetime_days=0.01))
    tokens = wire.tokens()
    clock.move(minutes=20)
    assert wire.revoke(tokens["refresh_token"], "refresh_token").status_code == 200
    assert is_active(wire, tokens)


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
@HINTS
def test_token_of_another_client_stays(wire: Wire, kind: str, hint: str | None) -> None:
    """Another client is rejected, and the token stays active (RFC 7009 section 2.1)."""
    tokens = wire.tokens()
    assert error_of(wire.revoke(tokens[kind], hint, app=OTHER_APP)) == (
        "invalid_grant",
        "Invalid grant: token was issued to another client",
    )
    assert is_active(wire, tokens)
    success(wire.refresh(tokens["refresh_token"]))


@pytest.mark.parametrize("token", [None, ""])
def test_token_is_needed(wire: Wire, token: str | None) -> None:
    """A form without a token is an invalid request."""
    assert error_of(wire.revoke(token)) == ("invalid_request", "Missing parameter: token")


@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ([], "Invalid client: cannot retrieve client credentials"),
        ([("Authorization", "Bearer x")], "Invalid client: cannot retrieve client credentials"),
        ([basic(), basic()], "Invalid client: cannot retrieve client credentials"),
        ([basic(secret="wrong")], "Invalid client: client is invalid"),
    ],
)
def test_client_must_prove_itself(wire: Wire, headers: list[tuple[str, str]], message: str) -> None:
    """Without the right credentials nothing is revoked."""
    tokens = wire.tokens()
    response = wire.post_form(PATH, {"token": tokens["refresh_token"]}, headers=headers)
    assert error_of(response) == ("invalid_client", message)
    assert is_active(wire, tokens)


def test_credentials_at_two_places_are_rejected(wire: Wire) -> None:
    """A secret in the form besides the header is one way of authentication too many."""
    fields = {"token": "x", "client_secret": DEFAULT_APP.client_secret}
    error, message = error_of(wire.post_form(PATH, fields, headers=[basic()]))
    assert error == "invalid_request"
    assert "Authorization header only" in message


@pytest.mark.parametrize(
    ("content_type", "content", "message"),
    [
        ("application/json", b'{"token": "x"}', "content must be application/x-www-form"),
        (FORM, b"token=x&token=x", "a parameter is repeated"),
        (FORM, b"token=%G0", "not correctly encoded"),
        (FORM, b"token", "not correctly encoded"),
    ],
)
def test_content_must_be_a_right_form(
    wire: Wire, content_type: str, content: bytes, message: str
) -> None:
    """What is no form, or a broken one, is rejected as at the token endpoint."""
    headers = [("Content-Type", content_type), basic()]
    error, told = error_of(wire.request("POST", PATH, content=content, headers=headers))
    assert error == "invalid_request"
    assert message in told


def test_checks_come_in_their_order(wire: Wire) -> None:
    """The form is looked at first, then the client, then the token."""
    assert (
        "not correctly encoded"
        in error_of(wire.request("POST", PATH, content=b"%", headers=[("Content-Type", FORM)]))[1]
    )
    assert "cannot retrieve" in error_of(wire.post_form(PATH, {}))[1]
    assert "Missing parameter" in error_of(wire.post_form(PATH, {}, headers=[basic()]))[1]


def test_other_methods_are_rejected(wire: Wire) -> None:
    """The endpoint takes POST alone."""
    response = wire.request("GET", PATH)
    assert error_of(response, 405) == ("method_not_allowed", "Method Not Allowed")
    assert response.headers["allow"] == "POST"


def test_unrotated_refresh_token_is_revoked(clock: Clock) -> None:
    """Where refresh tokens are not rotated, revoking one ends it nevertheless."""
    wire = Wire(create_app(clock=clock, rotate_refresh_tokens=False))
    tokens = wire.tokens(user=DEFAULT_USER)
    success(wire.refresh(tokens["refresh_token"]))
    assert wire.revoke(tokens["refresh_token"]).status_code == 200
    assert error_of(wire.refresh(tokens["refresh_token"]))[0] == "invalid_grant"
    assert not is_active(wire, tokens)
