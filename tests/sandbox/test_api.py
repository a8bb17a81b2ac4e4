from __future__ import annotations

import pytest

from pipedrive_oauth_client.sandbox import DEFAULT_USER, OTHER_USER, User
from tests.sandbox.support import Clock, Wire, basic, bearer, refusal

ME = "/api/v1/users/me"
ABOUT_THE_TOKEN = (
    'Bearer realm="pipedrive-sandbox", error="invalid_token", '
    'error_description="The access token is unknown, expired or revoked."'
)


@pytest.mark.parametrize("user", [DEFAULT_USER, OTHER_USER])
def test_token_tells_its_user(wire: Wire, user: User) -> None:
    """The answer describes the person who let the app in, and their company."""
    answer = wire.me(wire.tokens(user=user)["access_token"])
    assert answer.status_code == 200
    assert answer.json() == {
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
def test_unknown_token_is_refused(wire: Wire, token: str) -> None:
    """A token that was never given is invalid, and the header says so (RFC 6750 section 3.1)."""
    answer = wire.me(token)
    assert refusal(answer, 401)[0] == "invalid_token"
    assert answer.headers["www-authenticate"] == ABOUT_THE_TOKEN


def test_token_expires(wire: Wire, clock: Clock) -> None:
    """An access token works for less than an hour."""
    token = wire.tokens()["access_token"]
    clock.move(minutes=59, seconds=59)
    assert wire.me(token).status_code == 200
    clock.move(seconds=1)
    answer = wire.me(token)
    assert refusal(answer, 401)[0] == "invalid_token"
    assert answer.headers["www-authenticate"] == ABOUT_THE_TOKEN


@pytest.mark.parametrize("headers", [[], [basic()], [("Authorization", "Bearer")]])
def test_no_token_is_no_error_of_a_token(wire: Wire, headers: list[tuple[str, str]]) -> None:
    """Without a bearer token the header asks for one and names no error."""
    answer = wire.request("GET", ME, headers=headers)
    assert refusal(answer, 401)[0] == "unauthorized"
    assert answer.headers["www-authenticate"] == 'Bearer realm="pipedrive-sandbox"'


def test_token_elsewhere_does_not_count(wire: Wire) -> None:
    """A token in the address or in a cookie is not read."""
    token = wire.tokens()["access_token"]
    for path, headers in (
        (f"{ME}?access_token={token}", []),
        (f"{ME}?api_token={token}", []),
        (ME, [("Cookie", f"access_token={token}")]),
    ):
        assert refusal(wire.request("GET", path, headers=headers), 401)[0] == "unauthorized"


def test_two_tokens_are_none(wire: Wire) -> None:
    """Two Authorization headers leave open which token is meant."""
    token = wire.tokens()["access_token"]
    answer = wire.request("GET", ME, headers=[bearer(token), bearer(token)])
    assert refusal(answer, 401)[0] == "unauthorized"
