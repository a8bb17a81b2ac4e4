from __future__ import annotations

import json
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from pipedrive_oauth_client import AppCredentials, PipedriveOAuthError
from pipedrive_oauth_client.web.notices import is_from_service, read_notice

CLIENT_ID = "3f9a1c07d2b84e65"
FIELDS: dict[str, Any] = {
    "client_id": CLIENT_ID,
    "company_id": 1,
    "user_id": 11,
    "timestamp": "2026-01-31T12:00:00.000Z",
}


def body(**changes: Any) -> bytes:
    """Write a notice with some fields changed, or missing."""
    fields = {name: value for name, value in {**FIELDS, **changes}.items() if value != "missing"}
    return json.dumps(fields).encode()


def test_credentials_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a stranger sends is compared by what takes as long wherever the two differ."""
    compared: list[tuple[bytes, bytes]] = []

    def compare(given: bytes, expected: bytes) -> bool:
        compared.append((given, expected))
        return False

    monkeypatch.setattr("hmac.compare_digest", compare)
    credentials = AppCredentials(CLIENT_ID, "secret", "https://app.example.com/callback")
    header = credentials.basic_auth_header
    assert not is_from_service([header], credentials)
    assert compared == [(header.removeprefix("Basic ").encode(),) * 2]


def test_a_notice() -> None:
    """What a notice says is read, and fields that nobody knows are passed over."""
    notice = read_notice(body(more={"a": 1}), CLIENT_ID)
    assert (notice.company_id, notice.user_id, notice.account) == (1, 11, "1:11")
    assert notice.at == NOON


WRONG_BODIES: dict[str, Any] = {
    "text": b"hello",
    "a list": b"[]",
    "a number": b"1",
    "null": b"null",
    "no UTF-8": b'{"client_id": "\xff"}',
    "cut off": json.dumps(FIELDS)[:-1].encode(),
    "more behind": json.dumps(FIELDS).encode() + b"{}",
    "not a number": json.dumps(FIELDS).replace("11", "NaN").encode(),
    "twice": json.dumps(FIELDS)[:-1].encode() + b', "user_id": 12}',
    # Some Pythons read nesting that is a little less deep; such a client_id is another app's then.
    "deeply nested": b'{"client_id": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "form": b"client_id=1&company_id=1&user_id=1",
}


@pytest.mark.parametrize("content", WRONG_BODIES.values(), ids=[*WRONG_BODIES])
def test_wrong_body(content: bytes) -> None:
    """A body that is not a JSON object with each field once is rejected and not repeated."""
    with pytest.raises(PipedriveOAuthError, match="not a JSON object") as caught:
        read_notice(content, CLIENT_ID)
    assert caught.value.__context__ is None or "hello" not in str(caught.value.__context__)


def test_body_that_a_proxy_has_dropped() -> None:
    """A notice without a body says what may have become of it."""
    with pytest.raises(PipedriveOAuthError, match="proxy"):
        read_notice(b"", CLIENT_ID)


WRONG_FIELDS: dict[str, dict[str, Any]] = {
    "another app's": {"client_id": "another-app"},
    "no app's": {"client_id": "missing"},
    "a list of apps": {"client_id": [CLIENT_ID]},
    "no company": {"company_id": "missing"},
    "no user": {"user_id": "missing"},
    "user is null": {"user_id": None},
    "user is true": {"user_id": True},
    "user is a fraction": {"user_id": 11.0},
    "user is zero": {"user_id": 0},
    "user is negative": {"user_id": -11},
    "user is text": {"user_id": "eleven"},
    "user is of other digits": {"user_id": "١١"},
    "user is huge": {"user_id": 10**30},
    "user has 5000 digits": {"user_id": "1" * 5_000},
    "company with a colon": {"company_id": "1:11"},
    "no time": {"timestamp": "missing"},
    "time is null": {"timestamp": None},
    "time is true": {"timestamp": True},
    "time is text": {"timestamp": "yesterday"},
    "time is empty": {"timestamp": ""},
    "time is a list": {"timestamp": []},
    "time is beyond": {"timestamp": "9999-12-31T23:59:59-14:00"},
    "time is huge": {"timestamp": 10**300},
}


@pytest.mark.parametrize("changes", WRONG_FIELDS.values(), ids=[*WRONG_FIELDS])
def test_wrong_field(changes: dict[str, Any]) -> None:
    """A notice for another app, or with a field missing or of another kind, is refused."""
    with pytest.raises(PipedriveOAuthError, match=next(iter(changes))):
        read_notice(body(**changes), CLIENT_ID)


NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
TIMES: list[tuple[Any, datetime]] = [
    ("2026-01-31T12:00:00Z", NOON),
    ("2026-01-31T12:00:00.123Z", NOON + timedelta(milliseconds=123)),
    ("2026-01-31T14:00:00+02:00", NOON),
    ("2026-01-31 12:00:00", NOON),
    ("20260131T120000Z", NOON),
    (int(NOON.timestamp()), NOON),
    (int(NOON.timestamp()) * 1000, NOON),
]


@pytest.mark.parametrize(("written", "at"), TIMES, ids=[str(each[0]) for each in TIMES])
def test_time_of_a_notice(written: Any, at: datetime) -> None:
    """The time is read in each form that it may have, into UTC."""
    notice = read_notice(body(timestamp=written), CLIENT_ID)
    assert notice.at == at
    assert notice.at.tzinfo is UTC


def test_time_without_a_zone_is_not_local(monkeypatch: pytest.MonkeyPatch) -> None:
    """A time that names no zone is one of UTC, wherever this machine is."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Tokyo")
        time.tzset()
        notice = read_notice(body(timestamp="2026-01-31 12:00:00"), CLIENT_ID)
    time.tzset()
    assert notice.at == NOON
