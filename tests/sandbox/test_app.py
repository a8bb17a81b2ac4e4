from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import FrameType

import attrs
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from pipedrive_oauth_client import sandbox
from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox import (
    DEFAULT_APP,
    DEFAULT_USER,
    OTHER_USER,
    Sandbox,
    create_app,
)
from pipedrive_oauth_client.sandbox.state import State
from tests.sandbox.support import BASE_URL, OTHER_APP, Clock, Wire, error_of, success, ticket_in


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
    assert error_of(Wire(create_app()).exchange(code))[0] == "invalid_grant"


def test_sandbox_shows_no_secret() -> None:
    """The text form of a sandbox holds no client secret."""
    assert repr(create_app()) == "<Sandbox of 1 apps and 2 users>"


@pytest.mark.parametrize(
    "path", ["/home", "/oauth", "/oauth/authorize/", "/oauth/tokens", "/api/v1/me"]
)
def test_unknown_path(wire: Wire, path: str) -> None:
    """An unknown path gets 404, never a redirect."""
    assert error_of(wire.request("GET", path), 404) == ("not_found", "Not Found")


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
    """A method that a path does not have gets 405 and the methods that it has."""
    response = wire.request(method, path)
    assert error_of(response, 405) == ("method_not_allowed", "Method Not Allowed")
    assert response.headers["allow"] == allowed


def test_crash_tells_nothing(wire: Wire, monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure of the sandbox itself gets the documented body, without details."""

    def crash(*_: object, **__: object) -> None:
        raise RuntimeError("planted detail")

    monkeypatch.setattr(State, "refresh", crash)
    response = wire.refresh("x")
    assert error_of(response, 500) == ("server_error", "Internal Server Error")
    assert "planted" not in response.text


def test_sandbox_can_be_mounted() -> None:
    """Under a path of another application, all of its addresses have that path."""
    inner = create_app()
    outer = Wire(Starlette(routes=[Mount("/pd", inner)]))
    query = f"client_id={DEFAULT_APP.client_id}&redirect_uri={DEFAULT_APP.redirect_uri}"
    page = outer.request("GET", f"/pd/oauth/authorize?{query}")
    assert 'action="/pd/sandbox/consent"' in page.text
    response = outer.post_form(
        "/pd/sandbox/consent",
        {"ticket": ticket_in(page.text), "account": "1:11", "decision": "allow"},
        headers=[("Origin", BASE_URL)],
    )
    code = response.headers["location"].partition("code=")[2]
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
def test_wrong_settings_are_rejected(make: Callable[[], Sandbox], message: str) -> None:
    """A setting that makes no sense is rejected by its name."""
    with pytest.raises(ConfigurationError, match=f"^{message}"):
        make()


def test_settings_may_be_iterators() -> None:
    """Apps and users may come from anything that can be looped over once."""
    sandbox = create_app(apps=iter([OTHER_APP]), users=iter([OTHER_USER]))
    assert sandbox.apps == (OTHER_APP,)
    assert sandbox.users == (OTHER_USER,)


HERE = str(Path(sandbox.__file__).parent)
FEW, MANY = 3, 3_000


def count_steps(work: Callable[[], object]) -> int:
    """Return how many bytecodes of the sandbox's own code, and of what attrs made, were run."""
    steps = 0

    def on_event(frame: FrameType, event: str, _argument: object) -> object:
        nonlocal steps
        if not frame.f_code.co_filename.startswith((HERE, "<attrs generated")):
            return None
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return on_event

    before = sys.gettrace()
    sys.settrace(on_event)  # type: ignore[arg-type]  # a trace function returns one or None
    try:
        work()
    finally:
        sys.settrace(before)
    return steps


def filled(accounts: int) -> tuple[Sandbox, str, str]:
    """Return a sandbox with tokens in that many accounts, and the last ones: refresh and access."""
    users = [attrs.evolve(DEFAULT_USER, id=number) for number in range(1, accounts + 1)]
    box = create_app(users=users, clock=Clock())
    state, refresh_token, access_token = box._state, "", ""
    for user in users:
        code = state.issue_code(DEFAULT_APP, user)
        pair = state.redeem_code(code, app=DEFAULT_APP, redirect_uri=DEFAULT_APP.redirect_uri)
        refresh_token, access_token = pair.refresh_token, pair.access_token
    return box, refresh_token, access_token


def test_work_does_not_grow_with_the_accounts() -> None:
    """Every request of an app takes as many steps with thousands of accounts as with three."""
    steps = list[list[int]]()
    # The first round does what is done once in a process, and Python 3.12 counts half of it.
    for accounts in (FEW, FEW, MANY):
        box, refresh_token, access_token = filled(accounts)
        wire = Wire(box)
        code = box.install(user=box.users[-1]).partition("code=")[2]
        steps.append(
            [
                count_steps(lambda: wire.me(access_token)),  # noqa: B023  # called at once
                count_steps(lambda: wire.exchange(code)),  # noqa: B023
                count_steps(lambda: wire.refresh(refresh_token)),  # noqa: B023
                count_steps(lambda: wire.refresh("x")),  # noqa: B023
                count_steps(lambda: box.install(user=box.users[-1])),  # noqa: B023
                count_steps(lambda: wire.revoke(access_token, "access_token")),  # noqa: B023
            ]
        )
        assert box.requests.count(outcome="ok") == 4
        assert box.requests.count(outcome="invalid_grant") == 1
    _first, few, many = steps
    assert min(few) > 50
    assert few == many


def test_clock_stands_still_until_it_is_moved() -> None:
    """A clock shows the same time until it is advanced, and tells the new time."""
    clock = sandbox.Clock(datetime(2026, 5, 1, tzinfo=UTC))
    assert clock() == clock.now() == datetime(2026, 5, 1, tzinfo=UTC)
    assert clock.advance(timedelta(hours=1)) == datetime(2026, 5, 1, 1, tzinfo=UTC)
    assert clock() == clock.now() == datetime(2026, 5, 1, 1, tzinfo=UTC)
    assert repr(clock) == "<Clock at 2026-05-01T01:00:00+00:00>"


def test_clock_is_a_sandbox_clock() -> None:
    """A sandbox takes the clock and sees it move."""
    clock = sandbox.Clock()
    wire = Wire(create_app(clock=clock))
    tokens = wire.tokens()
    clock.advance(timedelta(minutes=59))
    assert wire.me(tokens["access_token"]).status_code == 200
    clock.advance(timedelta(minutes=1))
    assert wire.me(tokens["access_token"]).status_code == 401


@pytest.mark.parametrize(
    "start",
    [
        datetime(2026, 1, 1),  # noqa: DTZ001
        datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2))),
    ],
)
def test_other_starts_are_rejected(start: datetime) -> None:
    """A clock shows aware UTC datetimes alone."""
    with pytest.raises(ConfigurationError, match=r"^start must be"):
        sandbox.Clock(start)


def test_clock_does_not_go_back() -> None:
    """A negative span is rejected, and the clock is unchanged."""
    clock = sandbox.Clock()
    before = clock.now()
    with pytest.raises(ConfigurationError, match="moves only forward"):
        clock.advance(timedelta(seconds=-1))
    assert clock.now() == before
