"""What is kept of a token answer, until when it is good, and what a store may give back of it."""

from __future__ import annotations

import copy
import json
import pickle
import pprint
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from types import MappingProxyType
from typing import Any, Final

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipedrive_oauth_client import (
    ConfigurationError,
    CorruptTokenError,
    GetTokensResponse,
    GrantEnd,
    InvalidResponseError,
    PipedriveOAuthError,
    StoreError,
    Token,
)
from tests.support.samples import ACCESS_TOKEN, REFRESH_TOKEN, SENT_REFRESH_TOKEN, TOKENS
from tests.support.sweep import found, visible
from tests.support.untyped import untyped

NOON: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE: Final = timedelta(minutes=1)
TICK: Final = timedelta(microseconds=1)
SECRETS: Final = (ACCESS_TOKEN, REFRESH_TOKEN, SENT_REFRESH_TOKEN)

STORED: Final[dict[str, object]] = {
    "access_token": ACCESS_TOKEN,
    "refresh_token": REFRESH_TOKEN,
    "token_type": "Bearer",
    "scope": "deals:full,base",
    "api_domain": "https://acme.pipedrive.com",
    "expires_at": "2026-03-01T12:00:00+00:00",
}

ENDED: Final[dict[str, object]] = {
    "grant_ended_at": "2026-03-01T12:00:00+00:00",
    "grant_error": "invalid_grant",
    "grant_tried_at": "2026-03-02T12:00:00+00:00",
}

HALF_OF_A_PAIR: Final = "base\ud800"
ZONES: Final = [timezone(timedelta(hours=hours)) for hours in (-12, -5, 0, 14)] + [
    timezone(timedelta(hours=5, minutes=30))
]

secrets = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1)
texts = st.text(st.characters(exclude_categories=["Cs"]))
zones = st.builds(
    timezone, st.timedeltas(timedelta(hours=-23, minutes=-59), timedelta(hours=23, minutes=59))
)
times = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=zones)  # noqa: DTZ001 - `timezones` adds one
tokens = st.builds(
    Token,
    access_token=secrets,
    refresh_token=st.none() | secrets,
    token_type=texts,
    scope=texts,
    api_domain=st.none() | texts,
    expires_at=times,
    grant_end=st.none() | st.builds(GrantEnd, at=times, error=texts, tried_at=times),
)


def token(**changes: object) -> Token:
    """Make a token that expires at noon, with some attributes changed."""
    attributes = {**STORED, "expires_at": NOON, **changes}
    return untyped(Token)(**attributes)


def response(**changes: object) -> GetTokensResponse:
    """Read a good answer, with some fields changed, or left out where they are None."""
    fields = {**TOKENS, **changes}
    return GetTokensResponse.from_dict(
        {name: value for name, value in fields.items() if value is not None}
    )


def read(data: dict[str, object]) -> Token | CorruptTokenError:
    """Read a stored token, and give the error where it is none."""
    try:
        return Token.from_dict(data)
    except CorruptTokenError as error:
        return error


class Nowhere(tzinfo):
    """A time zone that does not know how far it is from UTC."""

    def utcoffset(self, _when: datetime | None) -> None:
        """Give no offset."""

    def dst(self, _when: datetime | None) -> None:
        """Give no offset of summer time."""

    def tzname(self, _when: datetime | None) -> None:
        """Give no name."""


# --- What a token may be made of ---


def test_the_least_token_has_an_access_token_and_an_expiry() -> None:
    """All else has a default: no refresh token, no API domain, no scope, and the type Bearer."""
    least = Token(access_token="a", expires_at=NOON)
    assert least.refresh_token is None
    assert least.api_domain is None
    assert least.scope == ""
    assert least.token_type == "Bearer"
    assert least.scopes == frozenset()


@pytest.mark.parametrize("missing", ["access_token", "expires_at"])
def test_what_has_no_default_has_to_be_given(missing: str) -> None:
    """A token without one of the two is none."""
    attributes = {name: value for name, value in STORED.items() if name != missing}
    with pytest.raises(TypeError, match=missing):
        untyped(Token)(**attributes)


def test_attributes_are_given_by_name() -> None:
    """By position, one token could be taken for the other."""
    with pytest.raises(TypeError):
        untyped(Token)(ACCESS_TOKEN, REFRESH_TOKEN)


NO_TOKENS: Final = [
    pytest.param("", id="empty"),
    pytest.param(5, id="number"),
    pytest.param(True, id="boolean"),
    pytest.param(ACCESS_TOKEN.encode(), id="bytes"),
    pytest.param([ACCESS_TOKEN], id="list"),
    pytest.param(f"{ACCESS_TOKEN}\n", id="line break at the end"),
    pytest.param(f"{ACCESS_TOKEN}\r\nX-Admin: 1", id="header injection"),
    pytest.param(f"\t{ACCESS_TOKEN}", id="tab"),
    pytest.param(f"{ACCESS_TOKEN}\x00", id="nul"),
    pytest.param(f"{ACCESS_TOKEN}\x7f", id="delete"),
    pytest.param(f"{ACCESS_TOKEN}é", id="beyond ASCII"),
    pytest.param(f"{ACCESS_TOKEN}\ud800", id="half of a surrogate pair"),
]


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
@pytest.mark.parametrize("wrong", NO_TOKENS)
def test_what_no_header_can_carry_is_no_token(name: str, wrong: object) -> None:
    """Both tokens are printable ASCII; the error names the one at fault and repeats nothing."""
    with pytest.raises(ConfigurationError, match=rf"^{name} must be") as caught:
        token(**{name: wrong})
    assert found(visible(caught.value), SECRETS) == []


def test_an_access_token_has_to_be_there() -> None:
    """None is for the refresh token alone."""
    with pytest.raises(ConfigurationError, match=r"^access_token must be"):
        token(access_token=None)
    assert token(refresh_token=None).refresh_token is None


@pytest.mark.parametrize("wrong", [b"text", 5, ["base"], HALF_OF_A_PAIR])
@pytest.mark.parametrize("name", ["token_type", "scope", "api_domain"])
def test_the_other_attributes_are_text(name: str, wrong: object) -> None:
    """What is no text, or can't be written as UTF-8, is refused by name."""
    with pytest.raises(ConfigurationError, match=rf"^{name} (must be|is not valid)"):
        token(**{name: wrong})


@pytest.mark.parametrize("name", ["token_type", "scope"])
def test_only_an_api_domain_may_be_unknown(name: str) -> None:
    """None says that the service did not tell the API's domain, and nothing else."""
    assert token(api_domain=None).api_domain is None
    with pytest.raises(ConfigurationError, match=rf"^{name} must be"):
        token(**{name: None})


WRONG_TIMES: Final = [
    pytest.param(None, id="None"),
    pytest.param(1772366400, id="timestamp"),
    pytest.param("2026-03-01T12:00:00Z", id="text"),
    pytest.param(NOON.date(), id="date"),
    pytest.param(NOON.replace(tzinfo=None), id="naive"),
    pytest.param(NOON.replace(tzinfo=Nowhere()), id="zone without an offset"),
    pytest.param(datetime.max.replace(tzinfo=ZONES[0]), id="after 9999 in UTC"),
    pytest.param(datetime.min.replace(tzinfo=ZONES[3]), id="before year 1 in UTC"),
]


@pytest.mark.parametrize("wrong", WRONG_TIMES)
def test_a_time_without_a_zone_is_refused(wrong: object) -> None:
    """A time that names no moment is refused wherever one is taken, and named."""
    with pytest.raises(ConfigurationError, match=r"^expires_at must be a datetime with a time"):
        token(expires_at=wrong)
    with pytest.raises(ConfigurationError, match=r"^now must be a datetime with a time zone"):
        untyped(Token.from_response)(response(), wrong)


@pytest.mark.parametrize("wrong", WRONG_TIMES[1:])
def test_no_lifetime_is_told_at_a_time_without_a_zone(wrong: object) -> None:
    """`now` is refused likewise, where it is not None."""
    asking: list[Callable[..., object]] = [token().expires_in, token().is_stale]
    for ask in asking:
        with pytest.raises(ConfigurationError, match=r"^now must be a datetime with a time zone"):
            ask(now=wrong)


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_the_expiry_is_kept_in_utc(zone: timezone) -> None:
    """A moment in another zone is the same moment, and is shown in UTC."""
    elsewhere = token(expires_at=NOON.astimezone(zone))
    assert elsewhere.expires_at == NOON
    assert elsewhere.expires_at.tzinfo is UTC
    assert elsewhere == token()


# --- The time that is left ---


@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_the_time_left_is_counted_from_any_zone(zone: timezone) -> None:
    """It is negative after the expiry, and the zone of the clock makes no difference."""
    for left in (timedelta(hours=1), TICK, timedelta(0), -TICK, timedelta(days=-400)):
        assert token().expires_in((NOON - left).astimezone(zone)) == left


def test_the_present_is_the_default() -> None:
    """Without `now`, the machine's clock counts."""
    past, future = datetime(2000, 1, 1, tzinfo=UTC), datetime(9000, 1, 1, tzinfo=UTC)
    assert token(expires_at=past).expires_in() < timedelta(0)
    assert token(expires_at=past).is_stale()
    assert token(expires_at=future).expires_in() > timedelta(0)
    assert not token(expires_at=future).is_stale()
    assert token(expires_at=future).is_stale(timedelta(days=366 * 9000))


@pytest.mark.parametrize("zone", ZONES, ids=str)
@pytest.mark.parametrize(
    ("leeway", "border"),
    [
        (None, MINUTE),
        (MINUTE, MINUTE),
        (timedelta(0), timedelta(0)),
        (timedelta(hours=2), timedelta(hours=2)),
        (timedelta(seconds=-5), timedelta(seconds=-5)),
    ],
)
def test_a_token_is_stale_when_no_more_than_the_leeway_is_left(
    leeway: timedelta | None, border: timedelta, zone: timezone
) -> None:
    """The border itself is stale, and a minute before the expiry is the default border."""
    arguments = {} if leeway is None else {"leeway": leeway}
    for left, stale in ((border + TICK, False), (border, True), (border - TICK, True)):
        now = (NOON - left).astimezone(zone)
        assert untyped(token().is_stale)(now=now, **arguments) is stale


@pytest.mark.parametrize("wrong", [None, 60, 60.0, "60", NOON])
def test_a_leeway_without_a_unit_is_refused(wrong: object) -> None:
    """A number could be seconds or minutes, so that a timedelta has to be given."""
    with pytest.raises(ConfigurationError, match=r"^leeway must be timedelta"):
        untyped(token().is_stale)(wrong, NOON)


@given(left=st.timedeltas(), leeway=st.timedeltas())
@settings(deadline=None)
def test_stale_is_what_the_time_left_says(left: timedelta, leeway: timedelta) -> None:
    """For every time and leeway, a token is stale just when no more than that is left."""
    try:
        now = NOON - left
    except OverflowError:
        return
    assert token().expires_in(now) == left
    assert token().is_stale(leeway, now) is (left <= leeway)


# --- Scopes ---


@pytest.mark.parametrize(
    ("written", "scopes"),
    [
        ("", set()),
        (" ", set()),
        (",", set()),
        (" , ,, ", set()),
        ("base", {"base"}),
        ("deals:full,users:read,base", {"deals:full", "users:read", "base"}),
        ("deals:full users:read base", {"deals:full", "users:read", "base"}),
        ("deals:full, users:read ,base", {"deals:full", "users:read", "base"}),
        (",deals:full  users:read,", {"deals:full", "users:read"}),
        ("base,base base", {"base"}),
    ],
)
def test_scopes_are_parted_by_commas_and_blanks(written: str, scopes: set[str]) -> None:
    """Pipedrive parts them by commas and RFC 6749 by blanks; nothing is no scope."""
    assert token(scope=written).scopes == scopes
    assert isinstance(token(scope=written).scopes, frozenset)
    assert token(scope=written).scope == written


@given(st.lists(st.from_regex(r"[!#-+\--\[\]-~]+", fullmatch=True)), st.data())
@settings(deadline=None)
def test_scopes_come_apart_as_they_were_joined(names: list[str], data: st.DataObject) -> None:
    """Whichever separators stand between and around them, the same scopes come out."""
    gap = st.from_regex(r"[, ]+", fullmatch=True)
    written = "".join(name + data.draw(gap) for name in names)
    assert token(scope=written).scopes == set(names)


# --- From an answer ---


@pytest.mark.parametrize("seconds", [0, 1, 3599, "3600", 10**9])
@pytest.mark.parametrize("zone", ZONES, ids=str)
def test_the_expiry_is_counted_from_the_moment_of_sending(
    seconds: int | str, zone: timezone
) -> None:
    """The lifetime begins when the request was sent, in whatever zone that is told."""
    kept = Token.from_response(response(expires_in=seconds), NOON.astimezone(zone))
    assert kept.expires_at == NOON + timedelta(seconds=int(seconds))
    assert kept.expires_at.tzinfo is UTC


def test_an_answer_is_kept_as_it_came() -> None:
    """Every field of the answer is in the token."""
    kept = Token.from_response(response(), NOON)
    assert kept == Token(
        access_token=ACCESS_TOKEN,
        refresh_token=REFRESH_TOKEN,
        token_type="Bearer",
        scope="deals:full,users:read,base",
        api_domain="https://acme.pipedrive.com",
        expires_at=NOON + timedelta(seconds=3599),
    )


def test_a_token_without_a_lifetime_is_stale_at_once() -> None:
    """`expires_in` of 0 makes a token, and one that has to be renewed."""
    kept = Token.from_response(response(expires_in=0), NOON)
    assert kept.expires_in(NOON) == timedelta(0)
    assert kept.is_stale(timedelta(0), NOON)


@pytest.mark.parametrize("seconds", [10**12, 10**17, "9" * 18])
def test_a_lifetime_beyond_every_date_is_taken_for_five_minutes(
    seconds: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither an overflow of the date nor one of the duration costs the token."""
    kept = Token.from_response(response(expires_in=seconds), NOON)
    assert not kept.is_stale(now=NOON + 5 * MINUTE - TICK)
    assert kept.is_stale(now=NOON + 5 * MINUTE)
    assert ": expires_in. " in caplog.text


@pytest.mark.parametrize("written", ["Bearer", "bearer", "BEARER", "bEARER"])
def test_the_token_type_is_read_without_regard_to_case(written: str) -> None:
    """RFC 6749, section 5.1, makes no difference of it; it is kept as it came."""
    assert Token.from_response(response(token_type=written), NOON).token_type == written


@pytest.mark.parametrize(
    "written", ["mac", "DPoP", "Basic", "Bearer ", " Bearer", "Bearer\n", "Bearer mac", "ʙᴇᴀʀᴇʀ"]
)
def test_another_token_type_is_refused(written: str) -> None:
    """A client must not use a token of a type that it does not understand (section 7.1)."""
    with pytest.raises(InvalidResponseError, match="token_type") as caught:
        Token.from_response(response(token_type=written), NOON)
    assert caught.value.field == "token_type"
    assert found(visible(caught.value), SECRETS) == []


@pytest.mark.parametrize("wrong", [None, dict(TOKENS), json.dumps(TOKENS), Token])
def test_a_token_is_made_of_a_read_answer(wrong: object) -> None:
    """A dictionary has not been checked, so that it is refused, and nothing of it repeated."""
    with pytest.raises(ConfigurationError, match=r"^response must be GetTokensResponse") as caught:
        untyped(Token.from_response)(wrong, NOON)
    assert found(visible(caught.value), SECRETS) == []


PREVIOUS: Final = Token(
    access_token="old-access-11c9",
    refresh_token=SENT_REFRESH_TOKEN,
    scope="base",
    api_domain="https://old.pipedrive.com",
    expires_at=NOON,
)


def test_what_an_answer_leaves_out_is_as_it_was() -> None:
    """A refresh may answer without refresh token, scope and API domain (RFC 6749, section 6)."""
    short = response(refresh_token=None, scope=None, api_domain=None)
    kept = Token.from_response(short, NOON, previous=PREVIOUS)
    assert kept.access_token == ACCESS_TOKEN
    assert kept.refresh_token == SENT_REFRESH_TOKEN
    assert kept.scope == "base"
    assert kept.api_domain == "https://old.pipedrive.com"
    assert kept.expires_at == NOON + timedelta(seconds=3599)


def test_what_an_answer_says_takes_the_place_of_what_was() -> None:
    """Nothing of the previous token is left where the answer has its own, an empty scope too."""
    kept = Token.from_response(response(scope=""), NOON, previous=PREVIOUS)
    assert kept.refresh_token == REFRESH_TOKEN
    assert kept.scope == ""
    assert kept.api_domain == "https://acme.pipedrive.com"


def test_a_refresh_token_alone_is_kept_as_well() -> None:
    """Of a token that was sent as a string, no more than that is known."""
    short = response(refresh_token=None, scope=None, api_domain=None)
    kept = Token.from_response(short, NOON, previous=SENT_REFRESH_TOKEN)
    assert kept.refresh_token == SENT_REFRESH_TOKEN
    assert kept.scope == ""
    assert kept.api_domain is None
    assert (
        Token.from_response(response(), NOON, previous=SENT_REFRESH_TOKEN).refresh_token
        == REFRESH_TOKEN
    )


def test_a_first_token_has_nothing_to_keep() -> None:
    """Without a previous token, what is left out is not there."""
    kept = Token.from_response(response(refresh_token=None, scope=None, api_domain=None), NOON)
    assert kept.refresh_token is None
    assert kept.scope == ""
    assert kept.api_domain is None


def test_what_was_not_there_stays_away() -> None:
    """A previous token without refresh token and domain adds none."""
    short = response(refresh_token=None, scope=None, api_domain=None)
    least = Token(access_token="old", expires_at=NOON)
    kept = Token.from_response(short, NOON, previous=least)
    assert (kept.refresh_token, kept.scope, kept.api_domain) == (None, "", None)


# --- To a store and back ---


@given(tokens)
@settings(deadline=None)
def test_a_token_comes_back_from_a_store_as_it_was(kept: Token) -> None:
    """Through a dictionary and through JSON, in ASCII or UTF-8, the same token comes back."""
    stored = kept.to_dict()
    assert Token.from_dict(stored) == kept
    for text in (json.dumps(stored), json.dumps(stored, ensure_ascii=False)):
        read = Token.from_dict(json.loads(text.encode("utf-8")))
        assert read == kept
        assert read.expires_at.tzinfo is UTC


def test_what_is_stored_has_names_and_forms_that_last() -> None:
    """Stores outlive versions, so that the names and the form of the time are fixed."""
    assert token().to_dict() == STORED
    least = Token(access_token="a", expires_at=NOON + TICK)
    assert least.to_dict() == {
        "access_token": "a",
        "refresh_token": None,
        "token_type": "Bearer",
        "scope": "",
        "api_domain": None,
        "expires_at": "2026-03-01T12:00:00.000001+00:00",
    }


# --- The end of a grant ---

END: Final = GrantEnd(at=NOON, error="invalid_grant", tried_at=NOON + timedelta(days=1))


def test_a_token_whose_grant_has_ended_says_since_when_and_why() -> None:
    """The mark is stored in three names of its own, before all others; without it none is there."""
    marked = token(grant_end=END)
    assert marked.to_dict() == {**ENDED, **STORED}
    assert list(marked.to_dict())[:3] == list(ENDED)
    assert Token.from_dict({**STORED, **ENDED}) == marked
    assert Token.from_dict(STORED).grant_end is None


def test_times_of_an_end_are_in_utc() -> None:
    """As those of a token; the zone that they were given in does not matter."""
    there = timezone(timedelta(hours=2))
    end = GrantEnd(at=NOON.astimezone(there), error="x", tried_at=NOON.astimezone(there))
    assert (end.at, end.at.tzinfo, end.tried_at.tzinfo) == (NOON, UTC, UTC)


@pytest.mark.parametrize("name", ["at", "tried_at", "error"])
@pytest.mark.parametrize("wrong", [None, 5, NOON.replace(tzinfo=None), HALF_OF_A_PAIR], ids=ascii)
def test_an_end_of_something_else_is_refused(name: str, wrong: object) -> None:
    """The error names the attribute."""
    attributes = {"at": NOON, "error": "x", "tried_at": NOON, name: wrong}
    if isinstance(wrong, str) and name == "error":
        pattern = "^error .*Unicode"
    else:
        pattern = f"^{name} must be"
    with pytest.raises(ConfigurationError, match=pattern):
        untyped(GrantEnd)(**attributes)


def test_the_end_of_a_token_is_one() -> None:
    """Neither a time alone nor a dictionary is."""
    for wrong in (NOON, ENDED, True):
        with pytest.raises(ConfigurationError, match=r"^grant_end must be"):
            token(grant_end=wrong)


@pytest.mark.parametrize("name", ENDED)
@pytest.mark.parametrize(
    "written", [None, 5, "", "soon", [], HALF_OF_A_PAIR, "2026-03-01T12:00:00"], ids=ascii
)
def test_a_damaged_end_is_passed_over(name: str, written: object) -> None:
    """The token is not lost for it."""
    read_token = Token.from_dict({**STORED, **ENDED, name: written})
    assert attrs.evolve(read_token, grant_end=None) == token()
    is_a_text = isinstance(written, str) and written != HALF_OF_A_PAIR
    assert (read_token.grant_end is not None) == (name == "grant_error" and is_a_text)


def test_half_an_end_is_none() -> None:
    """What lacks one of its parts is passed over as well."""
    for name in ENDED:
        rest = {key: value for key, value in ENDED.items() if key != name}
        assert Token.from_dict({**STORED, **rest}) == token()


def test_a_new_token_has_no_end() -> None:
    """Whatever the token before it had."""
    assert Token.from_response(response(), NOON, previous=token(grant_end=END)).grant_end is None


@pytest.mark.parametrize("kind", [dict, OrderedDict, MappingProxyType])
def test_any_mapping_is_read_and_left_as_it_is(kind: type[object]) -> None:
    """What a store gives need not be a plain dictionary, and it is not changed."""
    given_data = untyped(kind)({**STORED, "unknown": 1})
    assert untyped(Token.from_dict)(given_data) == token()
    assert given_data == {**STORED, "unknown": 1}


def test_names_of_a_newer_version_are_passed_over() -> None:
    """What is not known may stand beside what is, whatever it is."""
    newer = {**STORED, "version": 7, "": HALF_OF_A_PAIR} | untyped(dict)({5: None})
    assert untyped(Token.from_dict)(newer) == token()


@pytest.mark.parametrize("absent", ["refresh_token", "token_type", "scope", "api_domain"])
def test_what_has_a_default_need_not_be_stored(absent: str) -> None:
    """Only the access token and its expiry have to be there."""
    data = {name: value for name, value in STORED.items() if name != absent}
    defaults = {"refresh_token": None, "token_type": "Bearer", "scope": "", "api_domain": None}
    assert getattr(Token.from_dict(data), absent) == defaults[absent]


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-01T12:00:00+00:00",
        "2026-03-01T12:00:00Z",
        "2026-03-01t12:00:00z",
        "2026-03-01 12:00:00Z",
        "2026-03-01T12:00Z",
        "2026-03-01T12Z",
        "20260301T120000Z",
        "2026-03-01T12:00:00.000Z",
        "2026-03-01T12:00:00,000000Z",
        "2026-03-01T12:00:00-00:00",
        "2026-03-01T14:00:00+02:00",
        "2026-03-01T17:30:00+0530",
        "2026-03-01T07:00:00-05",
        "2026-W09-7T12:00:00Z",
        "2026-060T12:00:00Z",
    ],
)
def test_the_expiry_is_read_in_every_form_of_iso_8601(written: str) -> None:
    """A token may have been stored by another program, in another form of the same moment."""
    assert Token.from_dict({**STORED, "expires_at": written}) == token()


@pytest.mark.parametrize(
    "written",
    [
        1772366400,
        1772366400.0,
        "1772366400",
        1772366400_000,
        "1772366400000",
        NOON,
        NOON.astimezone(timezone(timedelta(hours=5))),
    ],
    ids=str,
)
def test_the_expiry_of_other_clients(written: object) -> None:
    """Other clients keep seconds or milliseconds since 1970, and databases give datetimes."""
    assert Token.from_dict({**STORED, "expires_at": written}) == token()


@pytest.mark.parametrize("name", ["issued_at", "created_at", "obtained_at"])
@pytest.mark.parametrize("issued", [1772366400 - 3600, "2026-03-01T11:00:00Z"])
@pytest.mark.parametrize("lifetime", [3600, 3600.0, "3600"])
def test_a_lifetime_beside_a_time_of_issue(name: str, issued: object, lifetime: object) -> None:
    """Where no expiry is kept, it is counted from the time of issue."""
    data = {key: value for key, value in STORED.items() if key != "expires_at"}
    assert Token.from_dict({**data, "expires_in": lifetime, name: issued}) == token()


def test_a_lifetime_without_a_time_of_issue() -> None:
    """A token of unknown age counts as expired, so that its first use refreshes it."""
    data = {key: value for key, value in STORED.items() if key != "expires_at"}
    before = datetime.now(UTC)
    kept = Token.from_dict({**data, "expires_in": 3599})
    assert before <= kept.expires_at <= datetime.now(UTC)
    assert kept.is_stale()


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ({"expires_in": "soon"}, "expires_in"),
        ({"expires_in": None}, "expires_in"),
        ({"expires_in": True}, "expires_in"),
        ({"expires_in": -5}, "expires_in"),
        ({"expires_in": 10**18}, "expires_in"),
        ({"expires_in": 3599, "issued_at": "2026-03-01T11:00:00"}, "time of issue"),
        ({"expires_in": 3599, "issued_at": "yesterday"}, "expires_at is neither"),
    ],
)
def test_a_lifetime_that_can_not_be_read(damage: dict[str, object], named: str) -> None:
    """A lifetime or a time of issue that says nothing is refused by its name."""
    data = {key: value for key, value in STORED.items() if key != "expires_at"}
    with pytest.raises(CorruptTokenError, match=named):
        Token.from_dict({**data, **damage})


def test_what_other_clients_keep() -> None:
    """Tokens of Authlib, requests-oauthlib and both shapes of Pipedrive's Node client are read."""
    own: dict[str, Any] = {"access_token": ACCESS_TOKEN, "refresh_token": REFRESH_TOKEN}
    node = {"accessToken": ACCESS_TOKEN, "refreshToken": REFRESH_TOKEN}
    domain = "https://acme.pipedrive.com"
    expected = Token(**own, scope="deals:full,base", api_domain=domain, expires_at=NOON)
    seconds = int(NOON.timestamp())
    for kept in (
        # Authlib: the response, with the expiry in whole seconds.
        {**own, "token_type": "Bearer", "expires_in": 3599, "expires_at": seconds,
         "scope": "deals:full,base", "api_domain": domain},
        # requests-oauthlib: the expiry as a float, the scope as a list.
        {**own, "token_type": "Bearer", "expires_in": 3599, "expires_at": seconds + 0.0,
         "scope": ["deals:full", "base"], "api_domain": domain},
        # The fields of the Node client's configuration: milliseconds, and the root of the API.
        {**node, "expiresIn": 3599, "expiresAt": seconds * 1000, "scope": "deals:full,base",
         "basePath": f"{domain}/api/v1"},
        {**node, "expiresAt": seconds * 1000, "scope": "deals:full,base", "basePath": domain},
        # A table of one's own.
        {**own, "scope": "deals:full,base", "api_domain": domain, "expires_at": NOON,
         "account": "123:456", "id": 7},
    ):  # fmt: skip
        assert Token.from_dict(kept) == expected
    # What the Node client gives to its callback has no time of issue.
    assert Token.from_dict({**own, "token_type": "Bearer", "expires_in": 3599}).is_stale()


DAMAGED_TIMES: Final = [
    "",
    " ",
    "2026-03-01T12:00:00",
    "2026-03-01",
    "2026",
    "12:00:00Z",
    "2026-13-01T12:00:00Z",
    "2026-02-29T12:00:00Z",
    "2026-03-01T25:00:00Z",
    "2026-03-01T12:00:61Z",
    "2026-03-01T12:00:00+25:00",
    "2026-03-01T12:00:00 +00:00 ",
    "2026-03-01T12:00:00Z\n",
    " 2026-03-01T12:00:00Z",
    "2026-03-01T12:00:00Zjunk",
    "2026-03-01T12:00:00PST",
    "0000-03-01T12:00:00Z",
    "10000-03-01T12:00:00Z",
    "9999-12-31T23:59:59-12:00",
    "0001-01-01T00:00:00+14:00",
    "٢٠٢٦-03-01T12:00:00Z",
    "2026-03-01T12:00:00−05:00",
    "tomorrow",
    "Sun, 01 Mar 2026 12:00:00 GMT",
    "\x00",
    "\ud800",
    f"{ACCESS_TOKEN}",
    -1,
    -0.5,
    float("nan"),
    float("inf"),
    10**400,
    "177236640x",
    "-1772366400",
    NOON.replace(tzinfo=None),
    None,
    True,
    b"2026-03-01T12:00:00Z",
    ["2026-03-01T12:00:00Z"],
]


@pytest.mark.parametrize("written", DAMAGED_TIMES, ids=ascii)
def test_a_damaged_expiry_is_refused(written: object) -> None:
    """No time is guessed: what names no moment is refused, by the name of the field."""
    with pytest.raises(CorruptTokenError, match="expires_at") as caught:
        Token.from_dict({**STORED, "expires_at": written})
    assert found(visible(caught.value), SECRETS) == []


@pytest.mark.parametrize("name", ["access_token", "refresh_token"])
@pytest.mark.parametrize("wrong", NO_TOKENS)
def test_a_damaged_token_is_refused(name: str, wrong: object) -> None:
    """A stored token that no header can carry is refused by name, and nothing of it repeated."""
    with pytest.raises(CorruptTokenError, match=name) as caught:
        Token.from_dict({**STORED, name: wrong})
    assert found(visible(caught.value), SECRETS) == []
    assert isinstance(caught.value, StoreError)


@pytest.mark.parametrize("name", ["token_type", "scope", "api_domain"])
@pytest.mark.parametrize(
    "wrong", [0, 1.5, False, b"text", [1], [["base"]], {"base": REFRESH_TOKEN}, HALF_OF_A_PAIR]
)
def test_a_damaged_text_is_refused(name: str, wrong: object) -> None:
    """Whatever is no text is refused by name."""
    with pytest.raises(CorruptTokenError, match=name) as caught:
        Token.from_dict({**STORED, name: wrong})
    assert found(visible(caught.value), SECRETS) == []


@pytest.mark.parametrize("name", ["access_token", "token_type", "scope"])
def test_null_is_no_text(name: str) -> None:
    """Where a value has to be, null is none."""
    with pytest.raises(CorruptTokenError, match=name):
        Token.from_dict({**STORED, name: None})


@pytest.mark.parametrize("name", ["access_token", "expires_at"])
def test_a_stored_token_that_lacks_something_is_refused(name: str) -> None:
    """The error names what is missing."""
    with pytest.raises(CorruptTokenError, match=f"lacks {name}") as caught:
        Token.from_dict({key: value for key, value in STORED.items() if key != name})
    assert found(visible(caught.value), SECRETS) == []


@pytest.mark.parametrize(
    "wrong",
    [None, True, 5, ACCESS_TOKEN, ACCESS_TOKEN.encode(), [STORED], tuple(STORED.items()), Token],
    ids=ascii,
)
def test_what_is_no_object_is_no_stored_token(wrong: object) -> None:
    """The error names the type of what was found instead, and nothing of its content."""
    with pytest.raises(CorruptTokenError, match="not an object but") as caught:
        untyped(Token.from_dict)(wrong)
    assert found(visible(caught.value), SECRETS) == []


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(json_values)
@settings(deadline=None)
def test_no_json_makes_another_error(data: object) -> None:
    """Whatever JSON a store holds, a token or a `CorruptTokenError` comes of it."""
    with pytest.raises(CorruptTokenError):
        untyped(Token.from_dict)(data)


@given(st.dictionaries(st.sampled_from(sorted(STORED)), json_values))
@settings(deadline=None, max_examples=300)
def test_no_damage_of_a_field_makes_another_error(damage: dict[str, object]) -> None:
    """Whatever happens to the fields, the same holds, and no secret is in the error."""
    kept = read({**STORED, **damage})
    if isinstance(kept, Token):
        assert Token.from_dict(kept.to_dict()) == kept
    else:
        assert found(visible(kept), SECRETS) == []
        assert any(name in str(kept) for name in damage)


@given(st.text())
@settings(deadline=None)
def test_no_text_of_a_time_makes_another_error(written: str) -> None:
    """Arbitrary text is a moment in UTC or a `CorruptTokenError`."""
    kept = read({**STORED, "expires_at": written})
    if isinstance(kept, Token):
        assert kept.expires_at.tzinfo is UTC
    else:
        assert "expires_at" in str(kept)


# --- A value ---


@pytest.mark.parametrize("name", [*STORED, "other", "scopes"])
def test_a_token_can_not_be_changed(name: str) -> None:
    """Neither an attribute nor a new one can be set or deleted; a renewal is another token."""
    kept = token()
    with pytest.raises((attrs.exceptions.FrozenInstanceError, AttributeError)):
        setattr(kept, name, "x")
    with pytest.raises((attrs.exceptions.FrozenInstanceError, AttributeError)):
        delattr(kept, name)
    assert kept == token()


def test_a_changed_copy_is_checked_like_any_token() -> None:
    """`attrs.evolve` makes a new token, or refuses."""
    assert attrs.evolve(token(), scope="base").scope == "base"
    with pytest.raises(ConfigurationError, match="access_token"):
        attrs.evolve(token(), access_token="")


@pytest.mark.parametrize(
    "show",
    [
        repr,
        str,
        format,
        pprint.pformat,
        lambda value: "%s %r" % (value, value),  # noqa: UP031 - as `logging` does it
        lambda value: repr({"token": [value]}),
        lambda value: str(ValueError(value)),
        lambda value: str(untyped(PipedriveOAuthError)(value)),
    ],
    ids=["repr", "str", "format", "pprint", "percent", "container", "exception", "own exception"],
)
def test_a_token_hides_its_secrets(show: Callable[[object], str]) -> None:
    """What is printed of a token says what it is for and until when, and not what it is."""
    shown = show(token())
    assert found(shown, SECRETS) == []
    assert "deals:full,base" in shown
    assert "https://acme.pipedrive.com" in shown
    assert "2026" in shown


def test_it_is_shown_whether_there_is_a_refresh_token() -> None:
    """For finding faults it counts that there is none."""
    assert "refresh_token=<hidden>" in repr(token())
    assert "refresh_token=None" in repr(token(refresh_token=None))


@given(tokens)
@settings(deadline=None)
def test_tokens_are_values(kept: Token) -> None:
    """Copies and pickles are equal to the original and hash alike."""
    twins = [copy.copy(kept), copy.deepcopy(kept), attrs.evolve(kept)]
    twins += [pickle.loads(pickle.dumps(kept, protocol)) for protocol in range(2, 6)]  # noqa: S301
    for twin in twins:
        assert twin == kept
        assert hash(twin) == hash(kept)
        assert twin.expires_at.tzinfo is UTC
    assert len({kept, *twins}) == 1


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("access_token", "another"),
        ("refresh_token", None),
        ("token_type", "bearer"),
        ("scope", "base"),
        ("api_domain", None),
        ("expires_at", NOON + TICK),
    ],
)
def test_every_attribute_makes_a_difference(name: str, other: object) -> None:
    """Tokens that differ in one attribute are not equal, and a token equals nothing else."""
    assert token(**{name: other}) != token()
    dictionary: object = token().to_dict()
    assert token() != dictionary
