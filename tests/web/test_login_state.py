from __future__ import annotations

import base64
import json
from datetime import timedelta

import pytest

from pipedrive_oauth_client.sandbox import Clock
from pipedrive_oauth_client.web import login_state as firsts
from pipedrive_oauth_client.web.error_pages import render_page
from pipedrive_oauth_client.web.login_state import LoginAttempts, ReplayGuard
from tests.web.sites import KEY

TEN_MINUTES = timedelta(minutes=10)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def attempts(clock: Clock) -> LoginAttempts:
    """The attempts of an app."""
    return LoginAttempts([KEY], "client", lifetime=TEN_MINUTES, clock=clock, is_secure=True)


def test_attempt_is_found_by_its_own_state(attempts: LoginAttempts) -> None:
    """A cookie under the name that belongs to a state is not believed if it is of another one."""
    (first, (one,)) = attempts.begin("/", None, {})
    (second, (two,)) = attempts.begin("/", None, {})
    assert attempts.find(first.state, {one.name: one.value}) == first
    assert attempts.find(first.state, {one.name: two.value}) is None
    assert attempts.find(second.state, {one.name: one.value}) is None


def test_cookie_does_not_name_the_session(attempts: LoginAttempts) -> None:
    """What names the session can't be read from the cookie, which holds a stand-in."""
    _attempt, (cookie,) = attempts.begin("/", "session-key", {})
    text = cookie.value.partition(".")[0]
    content = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    assert len(content) == 3
    assert "session-key" not in content
    assert "session-key" not in repr(cookie) + repr(_attempt)


def test_oldest_attempts_are_given_up(attempts: LoginAttempts, clock: Clock) -> None:
    """Of too many attempts the oldest go, in whatever order a browser sends its cookies."""
    cookies: dict[str, str] = {}
    names: list[str] = []
    for _ in range(8):
        _attempt, (cookie,) = attempts.begin("/", None, {})
        cookies = {cookie.name: cookie.value, **cookies}
        names.append(cookie.name)
        clock.advance(timedelta(seconds=2))
    _attempt, (*dropped, _new) = attempts.begin("/", None, cookies)
    assert [each.name for each in dropped] == names[:1]


def test_attempts_of_another_app(attempts: LoginAttempts, clock: Clock) -> None:
    """The cookies of another app on the same host are neither counted nor given up."""
    other = LoginAttempts([KEY], "other", lifetime=TEN_MINUTES, clock=clock, is_secure=True)
    cookies: dict[str, str] = {}
    for _ in range(9):
        _attempt, (cookie,) = other.begin("/", None, {})
        cookies[cookie.name] = cookie.value
    assert len(attempts.begin("/", None, cookies)[1]) == 1


@pytest.mark.parametrize("value", ["", "a.b.c", "\udcff", "\u2603", "." * 5_000])
def test_cookie_that_is_none(attempts: LoginAttempts, value: str) -> None:
    """Whatever stands in a cookie, it is none of ours, and no error."""
    attempt, (cookie,) = attempts.begin("/", None, {})
    assert attempts.find(attempt.state, {cookie.name: value}) is None
    assert attempts.begin("/", None, {cookie.name: value})[1][0].name == cookie.name


def test_attempt_does_not_show_its_state(attempts: LoginAttempts) -> None:
    """What is printed of an attempt and of its cookie holds no state."""
    attempt, (cookie,) = attempts.begin("/", None, {})
    assert attempt.state not in repr(attempt) + repr(cookie)
    assert cookie.value not in repr(cookie)


def test_attempt_of_the_future(attempts: LoginAttempts, clock: Clock) -> None:
    """A cookie from a time that is yet to come, by a clock that was put back, is not believed."""
    clock.advance(timedelta(hours=1))
    attempt, (cookie,) = attempts.begin("/", None, {})
    earlier = LoginAttempts([KEY], "client", lifetime=TEN_MINUTES, clock=Clock(), is_secure=True)
    assert earlier.find(attempt.state, {cookie.name: cookie.value}) is None


def test_first_uses_are_forgotten_in_time(clock: Clock) -> None:
    """What was used is remembered for its time, and no longer."""
    first = ReplayGuard(clock)
    assert [first("a", TEN_MINUTES), first("a", TEN_MINUTES)] == [True, False]
    clock.advance(TEN_MINUTES)
    assert first("b", TEN_MINUTES)
    assert [first("a", TEN_MINUTES), first("b", TEN_MINUTES)] == [True, False]


def test_first_uses_are_bounded(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many uses the oldest are forgotten, and one that came again is none of them."""
    monkeypatch.setattr(firsts, "_MOST", 3)
    first = ReplayGuard(clock)
    assert first("a", TEN_MINUTES)
    clock.advance(TEN_MINUTES / 2)
    assert first("b", TEN_MINUTES)
    clock.advance(TEN_MINUTES / 2)
    assert [first(each, TEN_MINUTES) for each in "acd"] == [True] * 3
    assert [first(each, TEN_MINUTES) for each in "acdb"] == [False, False, False, True]


def test_pages_escape() -> None:
    """Whatever stands in a page, in a link, too, stands there as text."""
    evil = "\"'><script>alert(1)</script>"
    written = render_page(evil, evil, [(evil, evil)])
    assert "<script" not in written
    assert evil not in written
