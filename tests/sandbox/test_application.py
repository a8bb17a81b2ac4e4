from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox import (
    DEFAULT_APP,
    DEFAULT_USER,
    OTHER_USER,
    Sandbox,
    create_app,
)
from pipedrive_oauth_client.sandbox.state import State
from tests.sandbox.support import BASE_URL, OTHER_APP, Wire, refusal, success, ticket_in


def test_defaults_are_enough() -> None:
    """A sandbox made without any argument does a whole login."""
    sandbox = create_app()
    assert sandbox.apps == (DEFAULT_APP,)
    assert sandbox.users == (DEFAULT_USER, OTHER_USER)
    wire = Wire(sandbox)
    assert wire.me(wire.tokens()["access_token"]).status_code == 200


def test_sandboxes_share_nothing() -> None:
    """A code of one sandbox is unknown to another."""
    code = Wire(create_app()).code()
    assert refusal(Wire(create_app()).exchange(code))[0] == "invalid_grant"


def test_sandbox_shows_no_secret() -> None:
    """The text form of a sandbox holds no client secret."""
    assert repr(create_app()) == "<Sandbox of 1 apps and 2 users>"


@pytest.mark.parametrize(
    "path", ["/home", "/oauth", "/oauth/authorize/", "/oauth/tokens", "/api/v1/me"]
)
def test_unknown_path(wire: Wire, path: str) -> None:
    """A path that isn't there is answered with 404, never with a redirect."""
    assert refusal(wire.request("GET", path), 404) == ("not_found", "Not Found")


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "/oauth/token", "POST"),
        ("GET", "/oauth/token/", "POST"),
        ("PUT", "/oauth/token", "POST"),
        ("POST", "/oauth/authorize", "GET, HEAD"),
        ("GET", "/sandbox/consent", "POST"),
        ("DELETE", "/api/v1/users/me", "GET, HEAD"),
    ],
)
def test_wrong_method(wire: Wire, method: str, path: str, allowed: str) -> None:
    """A method that a path hasn't is answered with 405 and the methods that it has."""
    answer = wire.request(method, path)
    assert refusal(answer, 405) == ("method_not_allowed", "Method Not Allowed")
    assert answer.headers["allow"] == allowed


def test_crash_tells_nothing(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure of the sandbox itself is answered with the documented body, without details."""

    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("planted detail")

    monkeypatch.setattr(State, "refresh", crash)
    answer = wire.refresh("x")
    assert refusal(answer, 500) == ("server_error", "Internal Server Error")
    assert "planted" not in answer.text


def test_sandbox_can_be_mounted() -> None:
    """Under a path of another application, all of its addresses have that path."""
    inner = create_app()
    outer = Wire(Starlette(routes=[Mount("/pd", inner)]))
    query = f"client_id={DEFAULT_APP.client_id}&redirect_uri={DEFAULT_APP.redirect_uri}"
    page = outer.request("GET", f"/pd/oauth/authorize?{query}")
    assert 'action="/pd/sandbox/consent"' in page.text
    answer = outer.post_form(
        "/pd/sandbox/consent",
        {"ticket": ticket_in(page.text), "account": "1:11", "decision": "allow"},
        headers=[("Origin", BASE_URL)],
    )
    code = answer.headers["location"].partition("code=")[2]
    tokens = success(outer.exchange(code, path="/pd/oauth/token"))
    assert tokens["api_domain"] == BASE_URL + "/pd"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: create_app(apps=[]), "apps is empty"),
        (lambda: create_app(users=[]), "users is empty"),
        (lambda: create_app(apps=[DEFAULT_APP, DEFAULT_APP]), "apps has the same one twice"),
        (lambda: create_app(users=[OTHER_USER, OTHER_USER]), "users has the same one twice"),
        (lambda: create_app(clock=lambda: datetime(2026, 1, 1)), "clock must"),  # noqa: DTZ001
        (
            lambda: create_app(clock=lambda: datetime.now(timezone(timedelta(hours=2)))),
            "clock must",
        ),
        (lambda: create_app(code_lifetime_minutes=0), "code_lifetime_minutes"),
        (lambda: create_app(code_lifetime_minutes=float("nan")), "code_lifetime_minutes"),
        (lambda: create_app(code_lifetime_minutes=float("inf")), "code_lifetime_minutes"),
        (lambda: create_app(access_token_lifetime_seconds=-1), "access_token_lifetime_seconds"),
        (
            lambda: create_app(refresh_token_unused_lifetime_days=1e9),
            "refresh_token_unused_lifetime_days",
        ),
        (lambda: create_app(decline_error=""), "decline_error"),
        (lambda: create_app(decline_error='a"b'), "decline_error"),
    ],
)
def test_wrong_settings_are_refused(make: Callable[[], Sandbox], message: str) -> None:
    """A setting that makes no sense is refused by its name."""
    with pytest.raises(ConfigurationError, match=f"^{message}"):
        make()


def test_settings_may_be_iterators() -> None:
    """Apps and users may come from anything that can be looped over once."""
    sandbox = create_app(apps=iter([OTHER_APP]), users=iter([OTHER_USER]))
    assert sandbox.apps == (OTHER_APP,)
    assert sandbox.users == (OTHER_USER,)
