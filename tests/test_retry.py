"""Which failures are retried, how long that takes, and what `Retry-After` says."""

from __future__ import annotations

import email.utils
import logging
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, Final

import anyio
import attrs
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipedrive_oauth_client import (
    AsyncPipedriveOAuth,
    CallbackError,
    ConfigurationError,
    InvalidClientError,
    InvalidGrantError,
    InvalidResponseError,
    PipedriveOAuth,
    RateLimitedError,
    RetryPolicy,
    ServerError,
    StoreError,
    TokenRequestError,
    TransportError,
    UnexpectedStatus,
)
from pipedrive_oauth_client.retry import default_policy, read_retry_after
from tests.support.driver import run
from tests.support.fake_time import FakeTime
from tests.support.flows import CREDENTIALS
from tests.support.samples import CODE
from tests.support.sweep import found, visible
from tests.support.untyped import untyped

SECOND: Final = timedelta(seconds=1)
LOGGER: Final = "pipedrive_oauth_client"


class Attempts:
    """An attempt that fails with one error after the other, and then succeeds.

    Attributes:
        numbers: The number that each attempt was given.
    """

    def __init__(self, *errors: BaseException) -> None:
        self.numbers: list[int] = []
        self._errors = list(errors)

    def __call__(self, number: int) -> str:
        """Make the attempt of this number."""
        self.numbers.append(number)
        if self._errors:
            raise self._errors.pop(0)
        return "done"


def carried_out(
    mode: str, policy: RetryPolicy, attempt: Callable[[int], str], *, repeatable: bool = False
) -> str:
    """Run an attempt under a policy, blocking or in an event loop."""
    if mode == "sync":
        return policy.run("get_tokens", attempt, repeatable=repeatable)

    async def awaited(number: int) -> str:
        return attempt(number)

    return run(mode, lambda: policy.run_async("get_tokens", awaited, repeatable=repeatable))


def refused(
    kind: type[TokenRequestError] = RateLimitedError,
    status: int = 429,
    retry_after: timedelta | None = None,
) -> TokenRequestError:
    """Make the error of a refusal."""
    return kind(f"{CODE} is unknown.", status_code=status, retry_after=retry_after)


def unsent() -> TransportError:
    """Make the error of a request that never left."""
    return TransportError("No connection.", maybe_sent=False)


def unanswered() -> TransportError:
    """Make the error of a request that may have arrived."""
    return TransportError("No answer.", maybe_sent=True)


# --- What is tried again ---


HARMLESS: Final[list[Any]] = [
    pytest.param(unsent, id="not sent"),
    pytest.param(lambda: refused(RateLimitedError, 429), id="429"),
    pytest.param(lambda: refused(ServerError, 503), id="503"),
    pytest.param(lambda: refused(TokenRequestError, 429), id="429 of no special kind"),
    pytest.param(lambda: refused(TokenRequestError, 503), id="503 of no special kind"),
]
FINAL: Final[list[Any]] = [
    *(
        pytest.param(lambda status=status: refused(ServerError, status), id=f"{status}")
        for status in (500, 501, 502, 504, 520, 521, 522, 523, 524, 525, 526, 529)
    ),
    *(
        pytest.param(lambda status=status: refused(TokenRequestError, status), id=f"{status}")
        for status in (400, 403, 404, 408, 425)
    ),
    *(
        pytest.param(
            lambda kind=kind, status=status: refused(kind, status, SECOND),
            id=f"{kind.__name__} {status}",
        )
        for kind in (InvalidGrantError, InvalidClientError)
        for status in (400, 401, 429, 503)
    ),
    pytest.param(lambda: InvalidResponseError("no token", status_code=503), id="no token"),
    pytest.param(lambda: UnexpectedStatus(503, b""), id="unexpected status"),
    pytest.param(lambda: ConfigurationError("wrong"), id="configuration"),
    pytest.param(lambda: CallbackError("wrong"), id="callback"),
    pytest.param(lambda: StoreError("wrong"), id="store"),
    pytest.param(lambda: ValueError("wrong"), id="bug"),
    pytest.param(lambda: TimeoutError("wrong"), id="time-out of somebody else"),
    pytest.param(KeyboardInterrupt, id="interrupt"),
]


@pytest.mark.parametrize("repeatable", [False, True])
@pytest.mark.parametrize("error", HARMLESS)
def test_what_did_no_harm_is_tried_again(
    mode: str, error: Callable[[], BaseException], *, repeatable: bool
) -> None:
    """A request that never left, and one that was refused for now."""
    attempt, clock = Attempts(error(), error()), FakeTime()
    assert carried_out(mode, clock.policy(), attempt, repeatable=repeatable) == "done"
    assert attempt.numbers == [1, 2, 3]
    assert len(clock.waits) == 2


@pytest.mark.parametrize("repeatable", [False, True])
@pytest.mark.parametrize("error", FINAL)
def test_what_is_final_is_not_tried_again(
    mode: str, error: Callable[[], BaseException], *, repeatable: bool
) -> None:
    """Whatever else went wrong comes out at once, as it is."""
    failure, clock = error(), FakeTime()
    attempt = Attempts(failure)
    with pytest.raises(type(failure)) as caught:
        carried_out(mode, clock.policy(), attempt, repeatable=repeatable)
    assert caught.value is failure
    assert attempt.numbers == [1]
    assert clock.waits == []


def test_what_may_have_arrived_is_repeated_only_where_that_does_no_harm(mode: str) -> None:
    """A code or a refresh token may have been used up; a revocation may be sent twice."""
    attempt, clock = Attempts(unanswered(), unanswered()), FakeTime()
    assert carried_out(mode, clock.policy(), attempt, repeatable=True) == "done"
    assert attempt.numbers == [1, 2, 3]

    attempt, clock = Attempts(unanswered()), FakeTime()
    with pytest.raises(TransportError):
        carried_out(mode, clock.policy(), attempt, repeatable=False)
    assert attempt.numbers == [1]
    assert clock.waits == []


def test_each_failure_is_judged_by_itself(mode: str) -> None:
    """One that is final ends it, after however many that were not."""
    last = unanswered()
    attempt, clock = Attempts(unsent(), refused(), last, unsent()), FakeTime()
    with pytest.raises(TransportError) as caught:
        carried_out(mode, clock.policy(), attempt)
    assert caught.value is last
    assert attempt.numbers == [1, 2, 3]


def test_success_is_not_waited_for(mode: str) -> None:
    """What works at once takes one attempt, and its result is passed on."""
    attempt, clock = Attempts(), FakeTime()
    assert carried_out(mode, clock.policy(), attempt) == "done"
    assert attempt.numbers == [1]
    assert clock.waits == []


# --- How often ---


@pytest.mark.parametrize("most", [1, 2, 4, 10])
def test_there_are_no_more_attempts_than_allowed(mode: str, most: int) -> None:
    """The error of the last one comes out, and no error of the library that counts."""
    errors = [refused() for _ in range(20)]
    attempt, clock = Attempts(*errors), FakeTime()
    policy = clock.policy(max_attempts=most, budget=timedelta(hours=9))
    with pytest.raises(RateLimitedError) as caught:
        carried_out(mode, policy, attempt)
    assert caught.value is errors[most - 1]
    assert caught.value.__cause__ is None
    assert "tenacity" not in repr(caught.value.__context__)
    assert attempt.numbers == list(range(1, most + 1))
    assert len(clock.waits) == most - 1


def test_every_run_begins_anew(mode: str) -> None:
    """A policy keeps no count: it is shared by every call of a flow, and by threads."""
    clock = FakeTime()
    policy = clock.policy(max_attempts=3)
    for _ in range(3):
        attempt = Attempts(refused(), refused())
        assert carried_out(mode, policy, attempt) == "done"
        assert attempt.numbers == [1, 2, 3]


def test_runs_within_runs_do_not_count_together() -> None:
    """What happens inside an attempt has its own count."""
    clock, inner = FakeTime(), Attempts(refused(), refused())
    policy = clock.policy(max_attempts=3)
    numbers: list[int] = []

    def outer(number: int) -> str:
        numbers.append(number)
        policy.run("refresh_tokens", inner, repeatable=False)
        if number == 1:
            raise refused()
        return "done"

    assert policy.run("get_tokens", outer, repeatable=False) == "done"
    assert numbers == [1, 2]
    assert inner.numbers == [1, 2, 3, 1]


# --- How long ---


def waits_of(mode: str = "sync", **changes: object) -> list[float]:
    """Give the waits between attempts that all fail, where the service names no time."""
    clock = FakeTime()
    policy = clock.policy(budget=timedelta(days=9), **changes)
    with pytest.raises(RateLimitedError):
        carried_out(mode, policy, Attempts(*[refused() for _ in range(50)]))
    return clock.waits


def test_waits_double_and_have_a_random_part(mode: str) -> None:
    """Each is twice the one before, and up to the length of the first one more."""
    waits = waits_of(mode, max_attempts=7)
    assert len(waits) == 6
    for wait, least in zip(waits, (0.5, 1, 2, 4, 8, 16), strict=True):
        assert least <= wait <= least + 0.5


def test_no_two_clients_wait_alike() -> None:
    """Many that failed together don't come back together, neither soon nor late."""
    runs = [waits_of(max_attempts=12) for _ in range(40)]
    for waits in zip(*runs, strict=True):
        assert len(set(waits)) > 30
        assert max(waits) - min(waits) > 0.1
        assert max(waits) <= 30


@pytest.mark.parametrize(
    ("first", "longest"), [(0.5, 30.0), (1.0, 1.0), (2.0, 3.0), (10.0, 1.0), (0.001, 0.01)]
)
def test_no_wait_is_longer_than_the_longest(mode: str, first: float, longest: float) -> None:
    """However it grows, and even where the first one would be longer."""
    waits = waits_of(
        mode,
        max_attempts=20,
        first_wait=timedelta(seconds=first),
        longest_wait=timedelta(seconds=longest),
    )
    assert len(waits) == 19
    for wait in waits:
        assert 0 <= wait <= longest


@settings(deadline=None, max_examples=50)
@given(first=st.integers(1, 10**7), longest=st.integers(1, 10**7), most=st.integers(1, 12))
def test_waits_stay_within_their_bounds(first: int, longest: int, most: int) -> None:
    """For every setting, in microseconds: doubled from the first, and no more than the longest."""
    waits = waits_of(
        max_attempts=most,
        first_wait=timedelta(microseconds=first),
        longest_wait=timedelta(microseconds=longest),
    )
    assert len(waits) == most - 1
    for number, wait in enumerate(waits):
        least = min(first * 2**number, max(longest - first, 0)) / 10**6
        assert least - 1e-9 <= wait <= min(least + first / 10**6, longest / 10**6) + 1e-9


SEVEN_SECONDS: Final = [
    pytest.param("7", id="seconds"),
    pytest.param("Sun, 01 Mar 2026 12:00:07 GMT", id="IMF-fixdate"),
    pytest.param("Sunday, 01-Mar-26 12:00:07 GMT", id="RFC 850"),
    pytest.param("Sun Mar  1 12:00:07 2026", id="asctime"),
]


@pytest.mark.parametrize("written", SEVEN_SECONDS)
@pytest.mark.parametrize(("kind", "status"), [(RateLimitedError, 429), (ServerError, 503)])
def test_the_time_that_the_service_names_is_waited_for(
    mode: str, kind: type[TokenRequestError], status: int, written: str
) -> None:
    """That and no random part: the next attempt is made just when it was asked for."""
    clock = FakeTime()
    attempt = Attempts(refused(kind, status, read_retry_after(written, clock.now)))
    carried_out(mode, clock.policy(), attempt)
    assert clock.waits == [7]
    assert clock.now == datetime(2026, 3, 1, 12, 0, 7, tzinfo=UTC)


@pytest.mark.parametrize("asked", [timedelta(0), timedelta(seconds=0.1), timedelta(seconds=0.4)])
def test_a_service_can_not_ask_for_haste(mode: str, asked: timedelta) -> None:
    """A time that is shorter than the policy's own wait doesn't shorten it."""
    clock = FakeTime()
    carried_out(mode, clock.policy(), Attempts(refused(retry_after=asked)))
    (wait,) = clock.waits
    assert 0.5 <= wait <= 1


@pytest.mark.parametrize(
    "asked", [30 * SECOND + timedelta(microseconds=1), timedelta(hours=1), timedelta(days=366)]
)
def test_a_longer_wait_than_allowed_is_left_to_the_caller(mode: str, asked: timedelta) -> None:
    """The error is raised at once, and says what was asked for."""
    error, clock = refused(retry_after=asked), FakeTime()
    attempt = Attempts(error)
    with pytest.raises(RateLimitedError) as caught:
        carried_out(mode, clock.policy(budget=timedelta(days=999)), attempt)
    assert caught.value is error
    assert caught.value.retry_after == asked
    assert clock.waits == []
    assert attempt.numbers == [1]


def test_the_longest_wait_itself_is_allowed(mode: str) -> None:
    """It is where the service's wish ends to be granted, and can be moved."""
    for longest in (30, 45):
        clock = FakeTime()
        policy = clock.policy(longest_wait=longest * SECOND)
        carried_out(mode, policy, Attempts(refused(retry_after=longest * SECOND)))
        assert clock.waits == [longest]


# --- The budget ---


def test_no_attempt_begins_after_the_budget(mode: str) -> None:
    """What would begin too late is not waited for; the last moment is not too late."""
    for budget, waits in ((17.9, [6, 6]), (18, [6, 6, 6]), (5.9, []), (6, [6])):
        clock = FakeTime()
        policy = clock.policy(budget=budget * SECOND, max_attempts=99)
        attempt = Attempts(*[refused(retry_after=6 * SECOND) for _ in range(50)])
        with pytest.raises(RateLimitedError):
            carried_out(mode, policy, attempt)
        assert clock.waits == waits
        assert len(attempt.numbers) == len(waits) + 1


def test_the_time_that_attempts_take_counts(mode: str) -> None:
    """A service that is slow to refuse leaves less for waiting."""
    clock, numbers = FakeTime(), list[int]()

    def slow(number: int) -> str:
        numbers.append(number)
        clock.move(20)
        raise refused(retry_after=5 * SECOND)

    with pytest.raises(RateLimitedError):
        carried_out(mode, clock.policy(), slow)
    assert clock.waits == [5, 5]
    assert numbers == [1, 2, 3]


def test_a_long_attempt_is_not_cut_short(mode: str) -> None:
    """The budget says when the last attempt begins, and not when it ends."""
    clock = FakeTime()

    def slow(number: int) -> str:
        clock.move(50)
        if number == 1:
            raise refused()
        return "done"

    assert carried_out(mode, clock.policy(), slow) == "done"


# --- Settings ---


def test_the_defaults_are_the_documented_ones() -> None:
    """Four attempts within a minute, waits from half a second to half a minute."""
    policy = RetryPolicy()
    assert policy.max_attempts == 4
    assert policy.budget == timedelta(seconds=60)
    assert policy.first_wait == timedelta(seconds=0.5)
    assert policy.longest_wait == timedelta(seconds=30)
    assert policy.sleep is time.sleep
    assert policy.monotonic is time.monotonic
    assert policy == default_policy()


WRONG: Final[list[tuple[str, object]]] = [
    *(("max_attempts", wrong) for wrong in (0, -1, 1.0, 2.5, True, False, "4", None, [4])),
    *(
        (name, wrong)
        for name in ("budget", "first_wait", "longest_wait")
        for wrong in (timedelta(0), -SECOND, 30, 0.5, "30", None, datetime.now(UTC))
    ),
    *(
        (name, wrong)
        for name in ("sleep", "async_sleep", "monotonic")
        for wrong in (None, 1, "time.sleep")
    ),
]


@pytest.mark.parametrize(("name", "wrong"), WRONG)
def test_a_setting_that_can_not_be_right_is_refused(name: str, wrong: object) -> None:
    """It is refused by name when the policy is made, and not at the first failure."""
    with pytest.raises(ConfigurationError, match=f"^{name} must be"):
        untyped(RetryPolicy)(**{name: wrong})
    with pytest.raises(ConfigurationError, match=f"^{name} must be"):
        untyped(attrs.evolve)(RetryPolicy(), **{name: wrong})


def test_the_least_settings_are_allowed() -> None:
    """One attempt, and durations just above zero."""
    tick = timedelta(microseconds=1)
    policy = RetryPolicy(max_attempts=1, budget=tick, first_wait=tick, longest_wait=tick)
    assert policy.run("get_tokens", Attempts(), repeatable=False) == "done"


def test_a_policy_is_a_value() -> None:
    """It can't be changed, is given by name, and shows its settings and no functions."""
    policy = RetryPolicy(max_attempts=2)
    for name in ("max_attempts", "sleep", "other"):
        with pytest.raises((attrs.exceptions.FrozenInstanceError, AttributeError)):
            setattr(policy, name, 3)
    with pytest.raises(TypeError):
        untyped(RetryPolicy)(2)
    assert policy == RetryPolicy(max_attempts=2) != RetryPolicy()
    assert "max_attempts=2" in repr(policy)
    assert "function" not in repr(policy)


def test_the_default_waits_are_those_of_the_event_loop(
    mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing blocks the loop: anyio waits in it, of whichever kind it is."""
    waits: list[tuple[str, float]] = []

    async def sleep(seconds: float) -> None:
        waits.append(("anyio", seconds))

    monkeypatch.setattr(anyio, "sleep", sleep)
    policy = RetryPolicy(sleep=lambda seconds: waits.append(("time", seconds)))
    carried_out(mode, policy, Attempts(unsent(), unsent()))
    assert [kind for kind, _ in waits] == ["time" if mode == "sync" else "anyio"] * 2


@pytest.mark.parametrize("mode", ["asyncio", "trio"])
def test_a_wait_can_be_cancelled(mode: str) -> None:
    """Whoever is cancelled while waiting doesn't come back for another attempt."""
    attempt = Attempts(unsent())

    async def main() -> bool:
        with anyio.CancelScope() as scope:

            async def async_sleep(_seconds: float) -> None:
                scope.cancel()
                await anyio.sleep_forever()

            async def awaited(number: int) -> str:
                return attempt(number)

            policy = RetryPolicy(async_sleep=async_sleep)
            await policy.run_async("get_tokens", awaited, repeatable=False)
        return scope.cancelled_caught

    assert run(mode, main)
    assert attempt.numbers == [1]


# --- Without the extra ---


@pytest.fixture
def no_tenacity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the library look as if it was not installed."""
    monkeypatch.setitem(sys.modules, "tenacity", None)


@pytest.mark.usefixtures("no_tenacity")
def test_a_policy_needs_the_extra() -> None:
    """Whoever asks for retries is told what to install; that, or to turn them off."""
    with pytest.raises(ConfigurationError) as caught:
        RetryPolicy()
    assert "pip install 'pipedrive-oauth-client[retry]'" in str(caught.value)
    assert "retry=None" in str(caught.value)


@pytest.mark.usefixtures("no_tenacity")
@pytest.mark.parametrize("settings", [{}, {"retry": None}, {"retry": "default"}], ids=str)
def test_a_flow_does_without_the_extra(settings: dict[str, object]) -> None:
    """Where nobody asked for retries there are none, and everything else works."""
    assert default_policy() is None
    requests: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        return httpx.Response(429, headers={"Retry-After": "1"})

    with httpx.Client(transport=httpx.MockTransport(handler)) as client:
        flow = untyped(PipedriveOAuth)(CREDENTIALS, client=client, **settings)
        with pytest.raises(RateLimitedError) as caught:
            flow.exchange(CODE)
    assert caught.value.retry_after == SECOND
    assert len(requests) == 1
    assert untyped(AsyncPipedriveOAuth)(CREDENTIALS, **settings)._retry is None


# --- The log ---


def test_every_further_attempt_is_logged(mode: str, caplog: pytest.LogCaptureFixture) -> None:
    """A warning says what failed and when the next attempt follows, and repeats no text."""
    caplog.set_level(logging.DEBUG)
    errors = [unsent(), refused(retry_after=7 * SECOND), refused(ServerError, 503)]
    carried_out(mode, FakeTime().policy(), Attempts(*errors))
    records = [record for record in caplog.records if record.name.startswith(LOGGER)]
    assert {(record.name, record.levelname) for record in records} == {(LOGGER, "WARNING")}
    texts = [record.getMessage() for record in records]
    assert re.fullmatch(
        r"get_tokens: attempt 1 failed \(TransportError\); the next one follows in [01]\.\d s",
        texts[0],
    )
    assert texts[1] == (
        "get_tokens: attempt 2 failed (RateLimitedError); the next one follows in 7.0 s"
    )
    assert re.fullmatch(
        r"get_tokens: attempt 3 failed \(ServerError\); the next one follows in [23]\.\d s",
        texts[2],
    )
    assert len(texts) == 3
    assert found("".join(repr(vars(record)) for record in records), [CODE]) == []


def test_no_attempt_that_does_not_follow_is_announced(
    mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The error that comes out is the caller's to log; a success is nothing to warn of."""
    caplog.set_level(logging.DEBUG, LOGGER)
    carried_out(mode, FakeTime().policy(), Attempts())
    for error in (unanswered(), refused(InvalidGrantError, 400), refused(retry_after=60 * SECOND)):
        with pytest.raises((TransportError, TokenRequestError)):
            carried_out(mode, FakeTime().policy(), Attempts(error))
    assert [record for record in caplog.records if record.name.startswith(LOGGER)] == []
    with pytest.raises(RateLimitedError) as caught:
        carried_out(mode, FakeTime().policy(max_attempts=2), Attempts(refused(), refused()))
    assert len([record for record in caplog.records if record.name == LOGGER]) == 1
    assert "next one follows" not in visible(caught.value)


# --- What `Retry-After` says, in seconds and in the three forms of an HTTP date ---


YEAR: Final = timedelta(days=366)

# The moment of the examples in RFC 9110, section 5.6.7, and seven seconds before it.
MOMENT: Final = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
BEFORE: Final = MOMENT - timedelta(seconds=7)
EXAMPLES: Final = [
    pytest.param("Sun, 06 Nov 1994 08:49:37 GMT", id="IMF-fixdate"),
    pytest.param("Sunday, 06-Nov-94 08:49:37 GMT", id="RFC 850"),
    pytest.param("Sun Nov  6 08:49:37 1994", id="asctime"),
]
ZONES: Final = [timezone(timedelta(hours=hours)) for hours in (-12, -5, 0, 14)]

LONG_WEEKDAYS: Final = tuple(
    f"{name}day" for name in ("Mon", "Tues", "Wednes", "Thurs", "Fri", "Satur", "Sun")
)
WEEKDAYS: Final = tuple(name[:3] for name in LONG_WEEKDAYS)
MONTHS: Final = "JanFebMarAprMayJunJulAugSepOctNovDec"


def in_all_forms(moment: datetime) -> list[str]:
    """Write a moment in the three forms, by hand: `strftime` depends on the machine's language."""
    weekday, month = LONG_WEEKDAYS[moment.weekday()], MONTHS[3 * moment.month - 3 :][:3]
    day, clock = f"{moment.day:02}", f"{moment:%H:%M:%S}"
    return [
        f"{weekday[:3]}, {day} {month} {moment.year:04} {clock} GMT",
        f"{weekday}, {day}-{month}-{moment.year % 100:02} {clock} GMT",
        f"{weekday[:3]} {month} {moment.day:2} {clock} {moment.year:04}",
    ]


# --- Seconds ---


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        ("0", 0),
        ("1", 1),
        ("120", 120),
        ("007", 7),
        ("00000000000000000000005", 5),
        ("0" * 50, 0),
        (" 5 ", 5),
        ("\t5", 5),
        ("31622400", 366 * 86400),
    ],
)
def test_seconds_are_read(written: str, seconds: int) -> None:
    """Digits are seconds, whatever the time is."""
    assert read_retry_after(written, BEFORE) == timedelta(seconds=seconds)


@pytest.mark.parametrize("written", ["31622401", "9999999999", "99999999999", "9" * 10_000])
def test_no_wait_is_longer_than_a_year(written: str) -> None:
    """Numbers that no duration can hold, or Python refuses to convert, are a year."""
    assert read_retry_after(written, BEFORE) == YEAR


@given(st.integers(min_value=0))
@settings(deadline=None)
def test_every_number_is_read(seconds: int) -> None:
    """Any number of seconds is itself up to a year, and a year beyond."""
    expected = timedelta(seconds=seconds) if seconds < 366 * 86400 else YEAR
    assert read_retry_after(str(seconds), BEFORE) == expected


# --- Dates ---


@pytest.mark.parametrize("written", EXAMPLES)
@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_the_examples_of_the_standard_are_read(written: str, zone: timezone) -> None:
    """The three spellings of one moment are the same wait, in whatever zone the clock is."""
    assert read_retry_after(written, BEFORE.astimezone(zone)) == timedelta(seconds=7)
    assert read_retry_after(written, MOMENT.astimezone(zone)) == timedelta(0)


@pytest.mark.parametrize("written", EXAMPLES)
def test_a_date_in_the_past_is_no_wait(written: str) -> None:
    """The time that was asked for is over."""
    for late in (timedelta(microseconds=1), timedelta(days=1), timedelta(days=10_000)):
        assert read_retry_after(written, MOMENT + late) == timedelta(0)


@pytest.mark.parametrize("written", EXAMPLES)
def test_a_date_in_a_far_future_is_a_year(written: str) -> None:
    """No wait is longer than that."""
    assert read_retry_after(written, MOMENT - YEAR) == YEAR
    assert read_retry_after(written, MOMENT - YEAR - timedelta(microseconds=1)) == YEAR
    assert read_retry_after(written, datetime(1970, 1, 1, tzinfo=UTC)) == YEAR


@pytest.mark.parametrize("written", EXAMPLES)
@pytest.mark.parametrize("spell", [str.lower, str.upper, str.title, str.swapcase])
def test_case_and_outer_blanks_make_no_difference(
    written: str, spell: Callable[[str], str]
) -> None:
    """HTTP has the names in one spelling; a server that is wrong in that is understood."""
    assert read_retry_after(f" {spell(written)}\t", BEFORE) == timedelta(seconds=7)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kolkata"])
def test_asctime_is_utc_wherever_the_machine_is(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The form names no zone, and the machine's has nothing to do with it."""
    if not hasattr(time, "tzset"):
        pytest.skip("this system sets its time zone otherwise")
    with monkeypatch.context() as patch:
        patch.setenv("TZ", zone)
        time.tzset()
        try:
            for written in in_all_forms(MOMENT):
                assert read_retry_after(written, BEFORE) == timedelta(seconds=7)
        finally:
            patch.undo()
            time.tzset()


@pytest.mark.parametrize(
    ("written", "now"),
    [
        ("Sat, 31 Dec 2016 23:59:60 GMT", datetime(2016, 12, 31, 23, 59, 53, tzinfo=UTC)),
        ("Saturday, 31-Dec-16 23:59:60 GMT", datetime(2016, 12, 31, 23, 59, 53, tzinfo=UTC)),
        ("Sat Dec 31 23:59:60 2016", datetime(2016, 12, 31, 23, 59, 53, tzinfo=UTC)),
    ],
)
def test_a_leap_second_is_the_one_after_59(written: str, now: datetime) -> None:
    """The grammar allows it, and no datetime can hold it."""
    assert read_retry_after(written, now) == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("years", "wait"), [(0, timedelta(days=1)), (40, YEAR), (-1, timedelta(0)), (-40, timedelta(0))]
)
def test_two_digits_of_a_year_are_the_nearest_year(years: int, wait: timedelta) -> None:
    """A year of RFC 850 that would lie more than 50 years ahead is in the past (section 5.6.7)."""
    present = datetime.now(UTC).replace(month=6, day=1, hour=0, minute=0, second=0, microsecond=0)
    moment = present.replace(year=present.year + years, day=2)
    assert read_retry_after(in_all_forms(moment)[1], present) == wait


def test_a_day_of_one_digit_is_understood() -> None:
    """A common mistake of servers, with one possible meaning."""
    assert read_retry_after("Sun, 6 Nov 1994 08:49:37 GMT", BEFORE) == timedelta(seconds=7)
    assert read_retry_after("Sun Nov 06 08:49:37 1994", BEFORE) == timedelta(seconds=7)


def test_the_name_of_the_day_decides_nothing() -> None:
    """A wrong one doesn't move the date."""
    assert read_retry_after("Mon, 06 Nov 1994 08:49:37 GMT", BEFORE) == timedelta(seconds=7)


moments = st.datetimes(
    datetime(1000, 1, 1),  # noqa: DTZ001 - `timezones` adds one
    datetime(9999, 12, 31),  # noqa: DTZ001
    timezones=st.just(UTC),
).map(lambda moment: moment.replace(microsecond=0))


@given(moments, st.timedeltas(timedelta(0), YEAR))
@settings(deadline=None)
def test_every_moment_is_read_in_the_forms_with_a_whole_year(
    moment: datetime, wait: timedelta
) -> None:
    """Whatever the date, the wait until then comes out."""
    now = max(moment - wait, datetime.min.replace(tzinfo=UTC))
    fixdate, _, asctime = in_all_forms(moment)
    assert read_retry_after(fixdate, now) == read_retry_after(asctime, now) == moment - now
    assert fixdate == email.utils.format_datetime(moment, usegmt=True)


@given(
    st.datetimes(
        datetime.now(UTC).replace(tzinfo=None) - timedelta(days=40 * 365),
        datetime.now(UTC).replace(tzinfo=None) + timedelta(days=40 * 365),
        timezones=st.just(UTC),
    ).map(lambda moment: moment.replace(microsecond=0))
)
@settings(deadline=None)
def test_every_moment_of_this_age_is_read_in_the_form_with_half_a_year(moment: datetime) -> None:
    """Two digits are enough within fifty years of today."""
    now = moment - timedelta(hours=5)
    assert read_retry_after(in_all_forms(moment)[1], now) == timedelta(hours=5)


# --- Anything else ---


@pytest.mark.parametrize(
    "written",
    [
        "",
        " ",
        "-1",
        "-0",
        "+5",
        "1.5",
        "5.",
        "1,5",
        "1e3",
        "0x10",
        "1_000",
        "5s",
        "5 seconds",
        "5, 5",
        "5;q=1",
        "five",
        "５",
        "٥",
        "²",
        "inf",
        "nan",
        "NaN",
        "None",
        "null",
        "true",
        "tomorrow",
        "now",
        "noon",
        "12:00",
        "Mon 12:00",
        "Monday",
        "Mon, 5",
        "Fri, 1",
        "Mon, Jan",
        "Sun, 06 Nov 1994",
        "06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49 GMT",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 EST",
        "Sun, 06 Nov 1994 08:49:37 XYZ",
        "Sun, 06 Nov 1994 08:49:37 +0000",
        "Sun, 06 Nov 1994 08:49:37 GMT+3",
        "Sun, 06 Nov 1994 08:49:37 GMT, 5",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sun, 06 Sun 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 29 Feb 1995 08:49:37 GMT",
        "Sun, 06 Nov 0000 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:00 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 1994 8:49:37 GMT",
        "So, 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Okt 1994 08:49:37 GMT",
        "Sun, ٠٦ Nov 1994 08:49:37 GMT",
        "1994-11-06T08:49:37Z",
        "1994-11-06 08:49:37",
        "11/06/1994 08:49:37",
        "784111777.0",
        "<html>",
        "\x00",
        "\ud800",
        "Sun, " + "9" * 10_000,
        "Sun " * 1000,
    ],
    ids=lambda written: ascii(written[:40]),
)
def test_what_is_no_time_is_passed_over(written: str) -> None:
    """No wait is guessed: the error has none, and the caller's own waits are in force."""
    assert read_retry_after(written, BEFORE) is None


def test_no_header_is_no_wait() -> None:
    """The caller's own waits are in force."""
    assert read_retry_after(None, BEFORE) is None


@given(
    st.text()
    | st.text("0123456789")
    | st.from_regex(r"\A[MTWFSmtwfs][a-z]{2,8},? [0-9A-Za-z:, +-]{0,40}\Z")
    | st.tuples(
        st.sampled_from([*WEEKDAYS, *LONG_WEEKDAYS]),
        st.sampled_from([" ", ", "]),
        st.text("0123456789:- GMTNovJan+."),
    ).map("".join),
    st.datetimes(timezones=st.just(UTC)),
)
@settings(deadline=None, max_examples=500)
def test_nothing_makes_an_error(written: str, now: datetime) -> None:
    """Arbitrary text is None or a wait from nothing to a year, at any time."""
    wait = read_retry_after(written, now)
    assert wait is None or timedelta(0) <= wait <= YEAR
