"""Writing a Retry-After header in each form that RFC 9110 lets a server write or a client meet.

Source:
    RFC 9110 sections 10.2.3 (Retry-After) and 5.6.7 (the three date formats).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Literal, TypeAlias, get_args

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.replies import check_header

RetryAfterForm: TypeAlias = Literal["seconds", "imf-fixdate", "rfc850", "asctime"]

# Not from `strftime`, which writes them in the language of the machine.
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def retry_after(seconds: int, *, form: RetryAfterForm, now: datetime) -> str:
    """Return the value of a Retry-After header.

    Args:
        seconds: How long to wait.
        form: A number of seconds, or one of the three date formats.
        now: The time that a date counts from; an aware UTC datetime.
    """
    if form == "seconds":
        return str(seconds)
    then = now + timedelta(seconds=seconds)
    day, month, time = _DAYS[then.weekday()], _MONTHS[then.month - 1], f"{then:%H:%M:%S}"
    if form == "imf-fixdate":
        return f"{day[:3]}, {then.day:02} {month} {then.year:04} {time} GMT"
    if form == "rfc850":
        return f"{day}, {then.day:02}-{month}-{then.year % 100:02} {time} GMT"
    return f"{day[:3]} {month} {then.day:2} {time} {then.year:04}"


def check(value: int | str | None, form: str) -> None:
    """Refuse a value that no header could carry, and a form that is none of the four.

    Raises:
        ConfigurationError: The number is negative, the text is not printable ASCII, or the form is
            another one.
    """
    if isinstance(value, int) and value < 0:
        raise ConfigurationError("retry_after must be 0 seconds or more; give text for less.")
    if isinstance(value, str):
        check_header(value)
    if form not in get_args(RetryAfterForm):
        raise ConfigurationError(
            "retry_after_form must be one of " + ", ".join(get_args(RetryAfterForm)) + "."
        )
