"""Which failures are worth another attempt, and when; `tenacity` (extra `retry`) does the rest."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from logging import getLogger
from typing import TYPE_CHECKING, Any, Final, TypeVar

from attrs import Attribute, field, frozen

from pipedrive_oauth_client.errors import (
    ConfigurationError,
    InvalidClientError,
    InvalidGrantError,
    PipedriveOAuthError,
    TokenRequestError,
    TransportError,
)

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["RetryPolicy", "default_policy", "read_retry_after"]

_LONGEST: Final = timedelta(days=366)

# The three forms of an HTTP date. Without this, dateutil reads "Mon 12:00" as noon of next Monday,
# and warns of time zones that no HTTP date names.
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_TIME = r"\d\d:\d\d:(?:[0-5]\d|60)"
_HTTP_DATE = re.compile(
    rf"(?:mon|tue|wed|thu|fri|sat|sun), \d\d? {_MONTH} [1-9]\d{{3}} {_TIME} gmt"
    rf"|(?:mon|tues|wednes|thurs|fri|satur|sun)day, \d\d-{_MONTH}-\d\d {_TIME} gmt"
    rf"|(?:mon|tue|wed|thu|fri|sat|sun) {_MONTH} [ \d]\d {_TIME} [1-9]\d{{3}}",
    re.IGNORECASE | re.ASCII,
)


def read_retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Read the header.

    Args:
        value: Seconds in digits, or an HTTP date in one of its three forms (IMF-fixdate, RFC 850,
            asctime).
        now: The time that a date is counted from, aware.

    Returns:
        How long to wait, not negative and no longer than a year; None where there is no header or
        it can't be read.

    Source:
        RFC 9110, sections 5.6.7 and 10.2.3.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdecimal():
        digits = text.lstrip("0") or "0"
        return min(timedelta(seconds=int(digits)), _LONGEST) if len(digits) <= 10 else _LONGEST
    if _HTTP_DATE.fullmatch(text) is None:
        return None
    from dateutil import parser  # noqa: PLC0415 - the import is dear, and few need it

    # A date may name the leap second, which no datetime can.
    without_leap_second = text.upper().replace(":60 ", ":59 ")
    try:
        moment = parser.parse(without_leap_second)
    except (ValueError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)  # asctime names no zone and means UTC
    wait = moment - now
    if without_leap_second != text.upper():
        wait += timedelta(seconds=1)
    return min(max(wait, timedelta(0)), _LONGEST)


T = TypeVar("T")
Attempt = Callable[[int], T]

_LOGGER: Final = getLogger("pipedrive_oauth_client")


async def _async_sleep(seconds: float) -> None:
    import anyio  # noqa: PLC0415 - httpx, too, loads it as late as this

    await anyio.sleep(seconds)


def _at_least_one(_instance: object, attribute: Attribute[int], value: object) -> None:
    if type(value) is not int or value < 1:
        raise ConfigurationError(f"{attribute.name} must be a whole number of at least 1.")


def _positive(_instance: object, attribute: Attribute[timedelta], value: object) -> None:
    if not isinstance(value, timedelta) or value <= timedelta(0):
        raise ConfigurationError(f"{attribute.name} must be a timedelta above zero.")


def _callable(_instance: object, attribute: Attribute[Any], value: object) -> None:
    if not callable(value):
        raise ConfigurationError(f"{attribute.name} must be a function.")


@frozen(kw_only=True)
class RetryPolicy:
    """How often and how long a request is tried again.

    Tried again is a request that never left, and one that was refused with status 429 or 503. (If a
    gateway says 503 of a request that was carried out, the answer is lost either way, and the next
    attempt ends in `InvalidGrantError`.) What was sent and got no answer is repeated for a
    revocation only: a code or a rotating refresh token may have been used up by it, and sending it
    twice is what a service takes for theft (RFC 9700, section 4.14.2).

    The wait doubles with each attempt and has a random part, so that many clients don't come back
    together. Where the service names a longer time in `Retry-After`, exactly that is waited for; if
    it is longer than `longest_wait`, the error is raised at once and says so in `retry_after`.

    Attributes:
        max_attempts: How often a request is tried in all.
        budget: The longest time from the first attempt to the start of the last.
        first_wait: The wait before the second attempt, without its random part.
        longest_wait: The longest single wait.
        sleep: Waits for a number of seconds.
        async_sleep: The same, awaited.
        monotonic: A clock in seconds that never goes back.
    """

    max_attempts: int = field(default=4, validator=_at_least_one)
    budget: timedelta = field(default=timedelta(seconds=60), validator=_positive)
    first_wait: timedelta = field(default=timedelta(seconds=0.5), validator=_positive)
    longest_wait: timedelta = field(default=timedelta(seconds=30), validator=_positive)
    sleep: Callable[[float], None] = field(default=time.sleep, validator=_callable, repr=False)
    async_sleep: Callable[[float], Awaitable[None]] = field(
        default=_async_sleep, validator=_callable, repr=False
    )
    monotonic: Callable[[], float] = field(default=time.monotonic, validator=_callable, repr=False)

    def __attrs_post_init__(self) -> None:
        if find_spec("tenacity") is None:
            raise ConfigurationError(
                "Retries need the extra `retry`: pip install 'pipedrive-oauth-client[retry]'. Or"
                " pass retry=None."
            )

    def run(self, operation: str, attempt: Attempt[T], *, repeatable: bool) -> T:
        """Run an attempt until it succeeds or is not worth another.

        Args:
            operation: Its name, for the log.
            attempt: Called with the number of the attempt, from 1.
            repeatable: Whether to repeat what was sent and got no answer.

        Returns:
            What the attempt returned.

        Raises:
            PipedriveOAuthError: The error of the last attempt.
        """
        started = self.monotonic()
        # Most operations succeed at once, and need none of what follows.
        try:
            return attempt(1)
        except PipedriveOAuthError as error:
            if not _worth_another(error, repeatable):
                raise
            failed = [error]
        from tenacity import Retrying  # noqa: PLC0415 - an extra

        retrying = Retrying(sleep=self.sleep, **self._rules(operation, repeatable, started))

        def next_attempt() -> T:
            if failed:
                raise failed.pop()
            return attempt(retrying.statistics["attempt_number"])

        return retrying(next_attempt)

    async def run_async(
        self, operation: str, attempt: Attempt[Awaitable[T]], *, repeatable: bool
    ) -> T:
        """Do the same as `run` with an attempt that is awaited.

        Args:
            operation: Its name, for the log.
            attempt: Called with the number of the attempt, from 1.
            repeatable: Whether to repeat what was sent and got no answer.

        Returns:
            What the attempt returned.

        Raises:
            PipedriveOAuthError: The error of the last attempt.
        """
        started = self.monotonic()
        try:
            return await attempt(1)
        except PipedriveOAuthError as error:
            if not _worth_another(error, repeatable):
                raise
            failed = [error]
        from tenacity import AsyncRetrying  # noqa: PLC0415 - an extra

        rules = self._rules(operation, repeatable, started)
        retrying = AsyncRetrying(sleep=self.async_sleep, **rules)

        async def next_attempt() -> T:
            if failed:
                raise failed.pop()
            return await attempt(retrying.statistics["attempt_number"])

        return await retrying(next_attempt)

    def _rules(self, operation: str, repeatable: bool, started: float) -> dict[str, Any]:
        from tenacity import (  # noqa: PLC0415 - an extra
            retry_if_exception,
            wait_exponential,
            wait_random,
        )

        first = self.first_wait.total_seconds()
        longest = self.longest_wait.total_seconds()
        # What grows leaves room for the random part, so that the longest waits differ, too.
        growing = wait_exponential(multiplier=first, max=max(longest - first, 0.0))
        backoff = growing + wait_random(0, first)

        def wait(state: RetryCallState) -> float:
            asked = _retry_after(state)
            return max(min(backoff(state), longest), asked.total_seconds() if asked else 0.0)

        def stop(state: RetryCallState) -> bool:
            asked = _retry_after(state)
            return (
                state.attempt_number >= self.max_attempts
                or (asked is not None and asked > self.longest_wait)
                or self.monotonic() - started + state.upcoming_sleep > self.budget.total_seconds()
            )

        def log(state: RetryCallState) -> None:
            _LOGGER.warning(
                "%s: attempt %d failed (%s); the next one follows in %.1f s",
                operation,
                state.attempt_number,
                type(_error(state)).__name__,
                state.upcoming_sleep,
            )

        return {
            "wait": wait,
            "stop": stop,
            "retry": retry_if_exception(lambda error: _worth_another(error, repeatable)),
            "before_sleep": log,
            "reraise": True,
        }


def default_policy() -> RetryPolicy | None:
    """Give the policy of a flow that was told nothing: retries where the extra is installed.

    Returns:
        A policy with its defaults, or None.
    """
    return RetryPolicy() if find_spec("tenacity") is not None else None


def _worth_another(error: BaseException, repeatable: bool) -> bool:
    if isinstance(error, TransportError):
        return repeatable or not error.maybe_sent
    refused_for_good = isinstance(error, InvalidGrantError | InvalidClientError)
    return (
        isinstance(error, TokenRequestError)
        and error.status_code in (429, 503)
        and not refused_for_good
    )


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _retry_after(state: RetryCallState) -> timedelta | None:
    error = _error(state)
    return error.retry_after if isinstance(error, TokenRequestError) else None
