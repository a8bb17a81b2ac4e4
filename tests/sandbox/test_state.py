from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import attrs
import pytest

from pipedrive_oauth_client.sandbox import DEFAULT_APP, DEFAULT_USER
from pipedrive_oauth_client.sandbox.error_responses import RequestRejectedError
from pipedrive_oauth_client.sandbox.models import Grant, IssuedToken, Ticket, TokenPair
from pipedrive_oauth_client.sandbox.settings import Lifetimes
from pipedrive_oauth_client.sandbox.state import ExpiringStore, State
from tests.sandbox.support import Clock

LIFETIMES = Lifetimes()


def make_state(clock: Clock, *, rotate: bool = True) -> State:
    """Return an empty state with the default lifetimes."""
    return State(clock=clock, lifetimes=LIFETIMES, rotate_refresh_tokens=rotate)


def redeem(state: State, code: str) -> TokenPair:
    """Redeem a code as the app that it was issued to."""
    return state.redeem_code(code, app=DEFAULT_APP, redirect_uri=DEFAULT_APP.redirect_uri)


def together(count: int, step: Callable[[], object]) -> list[object]:
    """Run one step in several threads at the same moment, and return their results."""
    barrier, results = threading.Barrier(count, timeout=30), list[object]()

    def work() -> None:
        barrier.wait()
        try:
            results.append(step())
        except RequestRejectedError as error:
            results.append(error.refusal)

    threads = [threading.Thread(target=work) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(results) == count
    return results


def count_successes(results: list[object]) -> int:
    """Return how many got tokens."""
    return sum(isinstance(result, TokenPair) for result in results)


def test_code_is_redeemed_once_however_many_try(clock: Clock) -> None:
    """Of twenty threads that redeem one code together, one gets tokens."""
    state = make_state(clock)
    code = state.issue_code(DEFAULT_APP, DEFAULT_USER)
    assert count_successes(together(20, lambda: redeem(state, code))) == 1


def test_refresh_token_is_used_once_however_many_try(clock: Clock) -> None:
    """Of twenty threads that refresh with one token together, one gets tokens."""
    state = make_state(clock)
    token = redeem(state, state.issue_code(DEFAULT_APP, DEFAULT_USER)).refresh_token
    results = together(20, lambda: state.refresh(token, app=DEFAULT_APP))
    assert count_successes(results) == 1


def test_unrotated_refresh_token_serves_all(clock: Clock) -> None:
    """Without rotation, twenty threads all get the same refresh token back."""
    state = make_state(clock, rotate=False)
    token = redeem(state, state.issue_code(DEFAULT_APP, DEFAULT_USER)).refresh_token
    results = together(20, lambda: state.refresh(token, app=DEFAULT_APP))
    assert count_successes(results) == 20
    assert {result.refresh_token for result in results if isinstance(result, TokenPair)} == {token}


def test_ticket_is_taken_once_however_many_try(clock: Clock) -> None:
    """Of twenty threads that take one ticket together, one gets it."""
    state = make_state(clock)
    key = state.open_ticket(DEFAULT_APP, None)
    results = together(20, lambda: state.take_ticket(key))
    assert sum(isinstance(result, Ticket) for result in results) == 1


@pytest.mark.parametrize("rotate", [True, False])
def test_memory_stays_bounded(clock: Clock, rotate: bool) -> None:
    """Half a year of a login and some refreshes a day leaves only what is still active."""
    state = make_state(clock, rotate=rotate)
    for _ in range(180):
        state.open_ticket(DEFAULT_APP, "state")
        tokens = redeem(state, state.issue_code(DEFAULT_APP, DEFAULT_USER))
        for _ in range(4):
            clock.move(hours=6)
            tokens = state.refresh(tokens.refresh_token, app=DEFAULT_APP)
    assert len(state._tickets) == 1
    assert len(state._codes) <= 2
    assert len(state._access_tokens) == 1
    assert len(state._refresh_tokens) <= 61


def test_nothing_secret_is_shown(clock: Clock) -> None:
    """No `repr` of the state, its stores or its records holds a code, a token or a state."""
    state = make_state(clock)
    state.open_ticket(DEFAULT_APP, "planted-state")
    code = state.issue_code(DEFAULT_APP, DEFAULT_USER)
    tokens = redeem(state, code)
    records: list[object] = [
        *state._tickets._records.values(),
        *state._codes._records.values(),
        *state._access_tokens._records.values(),
        *state._refresh_tokens._records.values(),
    ]
    assert len(records) == 4
    text = repr([state, vars(state), tokens, *records])
    for secret in (
        "planted-state",
        code,
        tokens.access_token,
        tokens.refresh_token,
        DEFAULT_APP.client_secret,
    ):
        assert secret not in text


def test_shelf_keeps_ended_records_as_long_as_asked(clock: Clock) -> None:
    """An expired record is kept for its extra time too, and removed with the next one."""
    store: ExpiringStore[IssuedToken] = ExpiringStore(keep_expired=timedelta(days=1))
    grant = Grant(DEFAULT_APP, DEFAULT_USER)
    for key, hours in (("a", 1), ("b", 24), ("c", 1)):
        store.put(key, IssuedToken(grant, clock.now + timedelta(hours=1)), now=clock.now)
        clock.move(hours=hours)
    assert [store.get(key) is not None for key in "abc"] == [False, True, True]
    store.put("d", IssuedToken(grant, clock.now + timedelta(hours=1)), now=clock.now)
    assert [store.get(key) is not None for key in "abcd"] == [False, False, True, True]
    assert store.pop("c") is not None
    assert store.pop("c") is None
    assert len(store) == 1


def test_shelf_renews_a_record(clock: Clock) -> None:
    """A record that is put again expires last, and does not keep those behind it from removal."""
    store: ExpiringStore[IssuedToken] = ExpiringStore()
    grant = Grant(DEFAULT_APP, DEFAULT_USER)
    for key in "aba":
        clock.move(hours=1)
        store.put(key, IssuedToken(grant, clock.now + timedelta(hours=5)), now=clock.now)
    clock.move(hours=4)
    store.put("c", IssuedToken(grant, clock.now + timedelta(hours=5)), now=clock.now)
    assert [store.get(key) is not None for key in "abc"] == [True, False, True]


def test_one_thread_at_a_time(clock: Clock) -> None:
    """While one thread is inside the state, wherever it stops there, no other one enters."""
    inside, overlaps = threading.Lock(), list[str]()

    def slow_clock() -> datetime:
        if not inside.acquire(blocking=False):
            overlaps.append("two threads at once")
            return clock.now
        for _ in range(50):
            time.sleep(0)  # lets the other threads run
        inside.release()
        return clock.now

    state = State(clock=slow_clock, lifetimes=LIFETIMES, rotate_refresh_tokens=True)
    code = state.issue_code(DEFAULT_APP, DEFAULT_USER)
    tokens = redeem(state, code)
    for step in (
        lambda: state.open_ticket(DEFAULT_APP, None),
        lambda: state.take_ticket(state.open_ticket(DEFAULT_APP, None)),
        lambda: state.issue_code(DEFAULT_APP, DEFAULT_USER),
        lambda: redeem(state, code),
        lambda: state.refresh(tokens.refresh_token, app=DEFAULT_APP),
        lambda: state.find_access_token(tokens.access_token),
    ):
        together(8, step)
    assert overlaps == []


def test_app_of_the_same_name_is_another_app(clock: Clock) -> None:
    """A code belongs to the app, not to what the app is called."""
    state = make_state(clock)
    code = state.issue_code(DEFAULT_APP, DEFAULT_USER)
    twin = attrs.evolve(DEFAULT_APP, client_id="twin")
    with pytest.raises(RequestRejectedError, match="authorization_code is invalid"):
        state.redeem_code(code, app=twin, redirect_uri=DEFAULT_APP.redirect_uri)
    assert redeem(state, code).scopes == DEFAULT_APP.scopes
