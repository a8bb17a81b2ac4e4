from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import pytest

from pipedrive_oauth_client.sandbox.fault_replies import format_retry_after

# The moment that RFC 9110 section 5.6.7 writes in its three forms.
THEN = datetime(1994, 11, 6, 8, 49, 37, tzinfo=UTC)
FORMS = {
    "seconds": "90",
    "imf-fixdate": "Sun, 06 Nov 1994 08:49:37 GMT",
    "rfc850": "Sunday, 06-Nov-94 08:49:37 GMT",
    "asctime": "Sun Nov  6 08:49:37 1994",
}


@pytest.mark.parametrize(("form", "expected"), FORMS.items())
def test_each_form_is_the_rfcs(form: Any, expected: str) -> None:
    """Each form is written as in the example of the RFC."""
    now = THEN - timedelta(seconds=90)
    assert format_retry_after(90, form=form, now=now) == expected


@pytest.mark.parametrize("form", ["imf-fixdate", "rfc850", "asctime"])
def test_every_day_and_month_is_right(form: Any) -> None:
    """The standard library reads every day of a leap year back as the day that was written."""
    for day in range(366):
        now = datetime(2028, 1, 1, 23, 59, 59, tzinfo=UTC) + timedelta(days=day)
        read = parsedate_to_datetime(format_retry_after(1, form=form, now=now))
        assert read.replace(tzinfo=UTC) == now + timedelta(seconds=1)
