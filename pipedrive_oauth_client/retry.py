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
    MissingExtraError,
    PipedriveOAuthError,
    TokenRequestError,
    TransportError,
)

# pytest shows the arguments of the last frame of an error, and here they are secrets.
__tracebackhide__ = True

if TYPE_CHECKING:
    from tenacity import RetryCallState

__all__ = ["RetryPolicy", "default_policy", "read_retry_after"]

_LONGEST: Final = timedelta(days=366)

# The three forms of an HTTP date. Without this, dateutil reads "Mon 12:00" as noon of next Monday,
# and warns of time zones that no HTTP date names.
_MONTH = "(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_TIME = r"\d\d:\d\d:(?:[0-5]\d|60)"
_HTTP_DATE = (
    rf"(?:mon|tue|wed|thu|fri|sat|sun), \d\d? {_MONTH} [1-9]\d{{3}} {_TIME} gmt"
    rf"|(?:mon|tues|wednes|thurs|fri|satur|sun)day, \d\d-{_MONTH}-\d\d {_TIME} gmt"
    rf"|(?:mon|tue|wed|thu|fri|sat|sun) {_MONTH} [ \d]\d {_TIME} [1-9]\d{{3}}"
)


def read_retry_after(value: str | None, now: datetime) -> timedelta | None:
    """Read `Retry-After`: seconds in digits, or an HTTP date, which is counted from `now`.

    Returns how long to wait, not negative and no longer than a year; None where there is no header
    or it can't be read.

    Source:
        RFC 9110, sections 5.6.7 (three forms of dates) and 10.2.3.
    """
    text = (value or "").strip()
    if text.isascii() and text.isdecimal():
        digits = text.lstrip("0") or "0"
        return min(timedelta(seconds=int(digits)), _LONGEST) if len(digits) <= 10 else _LONGEST
    if re.fullmatch(_HTTP_DATE, text, re.IGNORECASE | re.ASCII) is None:
        return None
    from dateutil import parser  # noqa: PLC0415 - an expensive import, and rarely needed

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
    import anyio  # noqa: PLC0415 - httpx, too, imports it as late as this

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
    """How often and how long a request is retried.

    It retries requests that were never sent, and requests that were rejected with status 429 or
    503. (If a gateway responds with 503 to a request that was carried out, its response is lost
    either way, and the next attempt ends in `InvalidGrantError`.) A request that was sent and got
    no response is repeated for a revocation only: it may have used up a code or a rotating refresh
    token, and a service takes a second use for theft (RFC 9700, section 4.14.2).

    The wait doubles with each attempt and has a random part, so that many clients don't come back
    together. Where the service names a longer time in `Retry-After`, the wait is exactly that; if
    it is longer than `longest_wait`, the error is raised at once, with the time in `retry_after`.

    Attributes:
        max_attempts: How often a request is sent at most.
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
            raise MissingExtraError(
                "Retries need the extra `retry`: pip install 'pipedrive-oauth-client[retry]'. Or"
                " pass retry=None.",
                name="tenacity",
            )

    def run(self, operation: str, attempt: Attempt[T], *, repeatable: bool) -> T:
        """Run an attempt until it succeeds or is not worth a retry.

        Args:
            operation: Its name, for the log.
            attempt: Called with the number of the attempt, from 1.
            repeatable: Whether to repeat what was sent and got no response.

        Returns:
            What the attempt returned.

        Raises:
            PipedriveOAuthError: The error of the last attempt.
        """
        started = self.monotonic()
        # Without tenacity: most operations succeed at once, and its import and set-up would take
        # longer than all else that this package does for a request.
        try:
            return attempt(1)
        except PipedriveOAuthError as error:
            if not _is_retryable(error, repeatable):
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
            repeatable: Whether to repeat what was sent and got no response.

        Returns:
            What the attempt returned.

        Raises:
            PipedriveOAuthError: The error of the last attempt.
        """
        started = self.monotonic()
        try:
            return await attempt(1)
        except PipedriveOAuthError as error:
            if not _is_retryable(error, repeatable):
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
        # It leaves room for the random part, so that the longest waits differ, too.
        growing = wait_exponential(multiplier=first, max=max(longest - first, 0.0))
        backoff = growing + wait_random(0, first)

        def wait(state: RetryCallState) -> float:
            requested = _retry_after(state)
            least = requested.total_seconds() if requested else 0.0
            return max(min(backoff(state), longest), least)

        def stop(state: RetryCallState) -> bool:
            requested = _retry_after(state)
            return (
                state.attempt_number >= self.max_attempts
                or (requested is not None and requested > self.longest_wait)
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
            "retry": retry_if_exception(lambda error: _is_retryable(error, repeatable)),
            "before_sleep": log,
            "reraise": True,
        }


def default_policy() -> RetryPolicy | None:
    """Give the default policy where the extra is installed, else None."""
    return RetryPolicy() if find_spec("tenacity") is not None else None


def _is_retryable(error: BaseException, repeatable: bool) -> bool:
    if isinstance(error, TransportError):
        return repeatable or not error.maybe_sent
    is_final = isinstance(error, InvalidGrantError | InvalidClientError)
    return isinstance(error, TokenRequestError) and error.status_code in (429, 503) and not is_final


def _error(state: RetryCallState) -> BaseException | None:
    return state.outcome.exception() if state.outcome is not None else None


def _retry_after(state: RetryCallState) -> timedelta | None:
    error = _error(state)
    return error.retry_after if isinstance(error, TokenRequestError) else None
