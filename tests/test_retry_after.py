"""What `Retry-After` says, in seconds and in the three forms of an HTTP date."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipedrive_oauth_client.retry import read_retry_after

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
