"""`status`: states, JSON and durations in words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

import pytest
from attrs import evolve
from rich.console import Console

from pipedrive_oauth_client import GrantEnd, Token
from pipedrive_oauth_client.cli import status
from pipedrive_oauth_client.cli.status import format_duration, format_relative, parse_duration
from pipedrive_oauth_client.stores import FileTokenStore
from tests.cli.conftest import Ran, ago

Run = Callable[..., Ran]
Grant = Callable[[], Token]


STATES = {
    "valid": (0, "valid", "expires in 59 minutes", "59 days left"),
    "stale": (10, "stale", "expired 9 days ago", "49 days left"),
    "ending": (55, "ending", "expired 54 days ago", "4 days left"),
    "lapsed": (61, "lapsed", "expired 60 days ago", "lapsed"),
}


@pytest.fixture
def many(store: FileTokenStore, granted: Grant, folder: Path) -> Token:
    """Accounts in every state."""
    token = granted()
    for name, (days, *_) in STATES.items():
        store.save(name, ago(token, days=days))
    store.save("once", evolve(token, refresh_token=None))
    store.save("broken", token)
    (folder / "token-broken.json").write_bytes(b"{garbage")
    return token


@pytest.mark.usefixtures("many")
def test_status_shows_the_state_of_each_account(run: Run, folder: Path) -> None:
    """Each account has a line with its state, company, expiry and lapse in words, and scopes."""
    ran = run("status")
    assert ran.code == 0
    lines = {line.split()[0]: line for line in ran.out.splitlines()}
    for name, (_, state, expiry, lapse) in STATES.items():
        assert re.search(rf"{name} +{state} +127\.0\.0\.1:\d+ +{expiry} +{lapse} +", lines[name])
        assert lines[name].endswith("base contacts:read deals:full users:read")
    assert re.search(r"once +ending .* none ", lines["once"])
    assert re.search(r"broken +unreadable +- +unknown +unknown +-$", lines["broken"])
    assert ran.out.splitlines()[-1] == f"Store: file {folder}"
    assert ran.err.startswith("broken: token-broken.json in ")
    assert "\x1b" not in ran.out


@pytest.mark.usefixtures("many")
def test_status_in_json(run: Run) -> None:
    """JSON has the same, with times for programs."""
    result = json.loads(run("status", "--json").out)
    found = {each["account"]: each for each in result["accounts"]}
    assert {name: each["state"] for name, each in found.items()} == {
        **{name: row[1] for name, row in STATES.items()},
        "once": "ending",
        "broken": "unreadable",
    }
    assert found["stale"]["refresh_token_days_left"] == 49
    assert datetime.fromisoformat(found["valid"]["expires_at"]).utcoffset() == timedelta(0)
    assert found["broken"]["problem"].startswith("token-broken.json in ")
    assert found["once"]["refresh_token_lapses_at"] is None


@pytest.mark.parametrize("columns", [None, 40])
def test_ended_grants(
    run: Run,
    store: FileTokenStore,
    granted: Grant,
    columns: int | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An ended grant is shown with its time, its reason and the command that reconnects."""
    now = datetime.now(UTC)
    end = GrantEnd(at=now - timedelta(days=3, hours=1), error="invalid_grant", tried_at=now)
    store.save("o'brien", evolve(granted(), grant_end=end))
    store.save("once", evolve(ago(granted(), days=2), refresh_token=None))
    long = f"https://{40 * 'a'}.pipedrive.com"
    store.save("valid", evolve(granted(), api_domain=long))
    if columns is not None:
        monkeypatch.setattr(status, "console", narrow(columns))
    ran = run("status")
    assert ran.code == 0, ran.err
    shown = " ".join(ran.out.split())
    assert "ended 3 days ago" in shown
    assert "…" not in shown
    assert f"{40 * 'a'}.pipedrive.com" in "".join(ran.out.split())
    assert "rejected its refresh token 3 days ago (invalid_grant). Connect it again:" in shown
    assert """pipedrive-oauth login --account 'o'"'"'brien'""" in shown
    assert "once: its access token has expired, and it has no refresh token." in shown or columns
    assert shown.count("Connect it again") == 2
    result = json.loads(run("status", "o'brien", "--json").out)["accounts"][0]
    assert result["state"] == "ended"
    assert result["grant_ended_at"] == end.at.isoformat()
    assert result["grant_error"] == "invalid_grant"
    assert result["reconnect"] == """pipedrive-oauth login --account 'o'"'"'brien'"""
    assert json.loads(run("status", "valid", "--json").out)["accounts"][0]["reconnect"] is None


def narrow(columns: int) -> Callable[..., Console]:
    """Return a function that makes consoles of a narrow terminal without colors."""

    def make(stream: TextIO, **_: object) -> Console:
        return Console(
            file=stream, width=columns, force_terminal=True, color_system=None, highlight=False
        )

    return make


def test_status_of_one_or_none(run: Run, store: FileTokenStore, granted: Grant) -> None:
    """One account can be named; an unknown one is code 3."""
    assert run("status").out.startswith("No accounts in file ")
    assert json.loads(run("status", "--json").out)["accounts"] == []
    store.save("acme", granted())
    assert "acme" in run("status", "acme").out
    ran = run("status", "unknown")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.startswith("Error: No token is stored for 'unknown' in file ")
    assert ran.err.endswith(" Stored accounts: acme.\n")


def test_status_of_the_first_and_the_last_day(
    run: Run, store: FileTokenStore, granted: Grant
) -> None:
    """A token that expires on the first or last day of `datetime` does not hide the others."""
    token = granted()
    store.save("first", evolve(token, expires_at=datetime(1, 1, 1, tzinfo=UTC)))
    store.save("last", evolve(token, expires_at=datetime(9999, 12, 31, tzinfo=UTC)))
    store.save("usual", token)
    ran = run("status", "--json")
    assert ran.code == 0, ran.err
    states = [each["state"] for each in json.loads(ran.out)["accounts"]]
    assert states == ["lapsed", "valid", "valid"]


def test_status_shows_nothing_that_steers_a_terminal(
    run: Run, store: FileTokenStore, granted: Grant
) -> None:
    """Scopes and domain from the service are shown without control characters."""
    evil = "\x1b]0;title\x07\x1b[31m"
    store.save("acme", evolve(granted(), scope=f"base,{evil}", api_domain=f"https://a{evil}.b"))
    for arguments in (("status",), ("status", "--json")):
        ran = run(*arguments)
        assert ran.code == 0
        assert not set("\x1b\x07") & set(ran.out)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (119, "119 seconds"),
        (120, "2 minutes"),
        (7199, "119 minutes"),
        (7200, "2 hours"),
        (47 * 3600, "47 hours"),
        (48 * 3600, "2 days"),
        (5_184_000, "60 days"),
    ],
)
def test_duration_in_words(seconds: int, words: str) -> None:
    """A duration is rounded down to the largest unit of which there are at least two."""
    assert format_duration(timedelta(seconds=seconds)) == words
    assert format_relative(timedelta(seconds=seconds)) == f"in {words}"
    if seconds:
        assert format_relative(timedelta(seconds=-seconds)) == f"{words} ago"


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        (" 12H ", timedelta(hours=12)),
        ("30d", timedelta(days=30)),
        ("8w", timedelta(weeks=8)),
        ("0d", timedelta(0)),
    ],
)
def test_parse_duration(text: str, span: timedelta) -> None:
    """A duration is a number and a unit."""
    assert parse_duration(text) == span
