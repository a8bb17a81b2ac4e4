"""What is kept of a token response with status 200 that is not quite what the spec describes."""

from __future__ import annotations

import copy
import logging
import pickle
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from attrs import evolve, field, frozen

from pipedrive_oauth_client import (
    NO_STATE,
    InvalidResponseError,
    StoreError,
    Token,
    UnusableAccessTokenError,
)
from pipedrive_oauth_client.fleet import FleetReport, refresh_due
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import Fault
from pipedrive_oauth_client.stores import MemoryTokenStore, SQLTokenStore
from tests.support.auths import REFRESH_PATH, Account, WatchedStore, connected, given
from tests.support.fleets import fleet
from tests.support.flows import AnyFlow, with_flow
from tests.support.sweep import found, visible

LIFETIME: Final = timedelta(hours=1)
# Stale after five minutes, with the default leeway.
ASSUMED: Final = timedelta(minutes=6)
EXCHANGE_PATH: Final = "/oauth/token"


@frozen(kw_only=True)
class Odd:
    """A response that differs from the right one, and what becomes of it.

    Attributes:
        name: What is odd.
        fields: Fields of the response that are other than usual.
        without: Fields that it lacks.
        warned: The fields that the one warning names.
        same: The fields that are as they were before, or absent after an exchange.
        lifetime: The lifetime of the token.
        unusable: The field because of which an error is raised.
    """

    name: str
    fields: dict[str, Any] = field(factory=dict)
    without: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    same: tuple[str, ...] = ()
    lifetime: timedelta = LIFETIME
    unusable: str | None = None

    def fault(self) -> Fault:
        """Give the fault that makes the response of the right one."""
        return Fault.override(self.fields, without=self.without)


def kept(name: str, value: object) -> Odd:
    """Describe a field whose value can't be used, so that it is as before."""
    return Odd(name=f"{name} {value!r:.20}", fields={name: value}, warned=(name,), same=(name,))


def unknown(value: object) -> Odd:
    """Describe a lifetime that is none."""
    return Odd(
        name=f"expires_in {value!r:.20}",
        fields={"expires_in": value},
        warned=("expires_in",),
        lifetime=ASSUMED,
    )


def unusable(name: str, value: object, warned: tuple[str, ...] = ()) -> Odd:
    """Describe a field without which there is no access token."""
    label = f"{name} {value!r:.20}"
    return Odd(name=label, fields={name: value}, unusable=name, warned=warned)


ODD: Final = (
    kept("scope", None),
    kept("scope", ["base"]),
    kept("scope", 5),
    kept("scope", {}),
    kept("scope", "base\ud800"),
    *(
        kept("api_domain", value)
        for value in (
            *(None, "", "acme.pipedrive.com", "http://evil.example", "https://evil.example/x"),
            *("https://u@evil.example", 5, ["https://acme.example"], "https://host:99999"),
        )
    ),
    *(kept("refresh_token", value) for value in (None, "", 5, ["r"], "line\nbreak", "é")),
    Odd(name="scope missing", without=("scope",), same=("scope",)),
    Odd(name="api_domain missing", without=("api_domain",), same=("api_domain",)),
    Odd(name="refresh_token missing", without=("refresh_token",), same=("refresh_token",)),
    Odd(name="expires_in 3600.0", fields={"expires_in": 3600.0}),
    Odd(name="expires_in '3600'", fields={"expires_in": "3600"}),
    Odd(name="expires_in '3600.0'", fields={"expires_in": "3600.0"}),
    Odd(name="expires_in 0", fields={"expires_in": 0}, lifetime=timedelta(0)),
    Odd(
        name="expires_in missing",
        without=("expires_in",),
        warned=("expires_in",),
        lifetime=ASSUMED,
    ),
    *(
        unknown(value)
        for value in (
            *(None, "", "soon", "-1", "1e3", "\u0663", -1, -3600, 3600.5, True, [3600], {"s": 1}),
            *(10**12, 10**15, 10**400, 1e300, "9" * 18, float("nan"), float("inf")),
        )
    ),
    Odd(name="token_type missing", without=("token_type",), warned=("token_type",)),
    *(
        Odd(name=f"token_type {value!r}", fields={"token_type": value}, warned=("token_type",))
        for value in (None, "", 5, ["Bearer"])
    ),
    Odd(name="token_type in lower case", fields={"token_type": "bearer"}),
    Odd(name="an unknown field", fields={"company": {"id": 5}, "more": None}),
    Odd(name="an unknown field that is no number", fields={"more": float("nan")}),
    Odd(
        name="several at once",
        fields={"scope": None, "api_domain": None, "expires_in": 3600.0},
        without=("token_type",),
        warned=("scope", "api_domain", "token_type"),
        same=("scope", "api_domain"),
    ),
    *(unusable("access_token", value) for value in (None, "", 5, ["a"], "line\nbreak", "é")),
    Odd(name="access_token missing", without=("access_token",), unusable="access_token"),
    *(unusable("token_type", value) for value in ("mac", "DPoP", "Bearer ", "N_A")),
    Odd(
        name="access_token and scope null",
        fields={"access_token": None, "scope": None},
        warned=("scope",),
        same=("scope",),
        unusable="access_token",
    ),
)
# Trio runs the same code as asyncio, and the table is long.
MODES: Final = ("sync", "asyncio")
every_odd_one = pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd.name)


@pytest.fixture(params=["memory", "SQL"])
def kept_in(
    request: pytest.FixtureRequest, box: PipedriveSandbox, tmp_path: Path
) -> Iterator[Account]:
    """Connect an account whose token is in memory or in SQLite, and let the token expire."""
    box.faults.clear()
    sql = SQLTokenStore(f"sqlite:///{tmp_path / 'tokens.db'}") if request.param == "SQL" else None
    inner = MemoryTokenStore() if sql is None else sql
    with connected(box, store=WatchedStore(inner)) as account:
        account.expire()
        yield account
    if sql is not None:
        sql.close()


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    """List the texts of this package's warnings about responses; a failed refresh has its own."""
    return [
        record.getMessage()
        for record in caplog.records
        if record.levelno >= logging.WARNING
        and record.name.startswith("pipedrive_oauth_client")
        and "could not be refreshed" not in record.getMessage()
    ]


def check_warning(caplog: pytest.LogCaptureFixture, odd: Odd, secrets: list[str]) -> None:
    """Check that one warning names the fields, and only where there are such."""
    messages = warnings(caplog)
    assert len(messages) == bool(odd.warned)
    for message in messages:
        assert f": {', '.join(odd.warned)}. " in message
    assert found(caplog.text, secrets) == []


@every_odd_one
@pytest.mark.parametrize("mode", MODES)
def test_refresh(kept_in: Account, mode: str, odd: Odd, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever can be used is stored, the rest is as before, and the grant goes on."""
    before, now = kept_in.stored(), kept_in.box.clock()
    kept_in.box.faults.add(REFRESH_PATH, odd.fault())
    if odd.unusable is None:
        token = given(mode, kept_in)
        assert token == kept_in.stored()
        assert token.access_token != before.access_token
        assert token.expires_at == now + odd.lifetime
        assert token.token_type.lower() == "bearer"
    else:
        with pytest.raises(UnusableAccessTokenError) as caught:
            given(mode, kept_in)
        token = kept_in.stored()
        assert caught.value.field == odd.unusable
        assert caught.value.is_saved
        assert "was saved" in str(caught.value)
        assert token.access_token == before.access_token
        assert token.expires_at <= now
    secrets = [token.access_token, str(token.refresh_token), str(before.refresh_token)]
    check_warning(caplog, odd, secrets)
    for name in ("scope", "api_domain"):
        assert getattr(token, name) == getattr(before, name)
    if "refresh_token" in odd.same:
        assert token.refresh_token == before.refresh_token
        return  # the sandbox has replaced it, and has not said by what
    assert token.refresh_token != before.refresh_token
    kept_in.expire()
    following = given(mode, kept_in)
    assert following == kept_in.stored()
    assert following.access_token != token.access_token
    assert kept_in.refreshes(outcome="ok") == kept_in.refreshes() == 2


@every_odd_one
@pytest.mark.parametrize("mode", MODES)
def test_exchange(kept_in: Account, mode: str, odd: Odd, caplog: pytest.LogCaptureFixture) -> None:
    """After an exchange, what can't be used is absent; without an access token it fails."""
    box = kept_in.box
    callback = box.server.install()
    box.faults.add(EXCHANGE_PATH, odd.fault(), grant_type="authorization_code")

    async def exchange(flow: AnyFlow) -> Token:
        return await flow.exchange(flow.inner.read_callback(callback, NO_STATE))

    settings: dict[str, Any] = {"credentials": box.credentials, "clock": box.clock}
    if odd.unusable is not None:
        with pytest.raises(UnusableAccessTokenError) as caught:
            with_flow(mode, box.base_url, exchange, **settings)
        error = caught.value
        assert error.field == odd.unusable
        assert error.token is None
        assert not error.is_saved
        assert error.refresh_token is not None
        secret = str(error.refresh_token)  # without the form that hides it
        check_warning(caplog, odd, [secret])
        assert found(visible(error), [secret]) == []
        return
    token = with_flow(mode, box.base_url, exchange, **settings)
    assert token.expires_at == box.clock() + odd.lifetime
    absent = {"scope": "", "api_domain": None, "refresh_token": None}
    for name, value in absent.items():
        assert (getattr(token, name) == value) is (name in odd.same), name
    check_warning(caplog, odd, [token.access_token, str(token.refresh_token)])
    kept_in.store.save("exchanged", token)
    assert kept_in.store.load("exchanged") == token


@pytest.mark.parametrize("lifetime", [None, "soon", -5, 10**15])
def test_unknown_lifetime_is_five_minutes(account: Account, mode: str, lifetime: object) -> None:
    """A token of an unknown lifetime is used for five minutes, and then refreshed."""
    account.expire()
    account.box.faults.add(REFRESH_PATH, Fault.override({"expires_in": lifetime}))
    first = given(mode, account)
    account.box.clock.advance(timedelta(minutes=5) - timedelta(seconds=1))
    assert given(mode, account) == first
    account.box.clock.advance(timedelta(seconds=1))
    assert given(mode, account) != first
    assert account.refreshes() == 2


NOT_OBJECTS: Final = (b"", b"null", b"[]", b'"t"', b"5", b"<html></html>", b"\xff", b"{", b"NaN")


@pytest.mark.parametrize("body", NOT_OBJECTS)
def test_no_object(account: Account, mode: str, body: bytes) -> None:
    """Where nothing can be used, the error says what may have become of the grant."""
    account.expire()
    before = account.stored()
    account.box.faults.add(REFRESH_PATH, Fault.answer(200, body))
    with pytest.raises(InvalidResponseError, match="may have replaced the refresh token") as caught:
        given(mode, account)
    assert not isinstance(caught.value, UnusableAccessTokenError)
    assert account.stored() == before
    callback = account.box.server.install()
    account.box.faults.add(EXCHANGE_PATH, Fault.answer(200, body))
    code = account.oauth.read_callback(callback, NO_STATE)
    with pytest.raises(InvalidResponseError, match="code may be used up"):
        account.oauth.exchange(code)


@pytest.mark.parametrize(
    "fault",
    [Fault.oversized(2 * 1024 * 1024), Fault.status(201), Fault.answer(200, "{}")],
    ids=repr,
)
def test_other_successes(account: Account, mode: str, fault: Fault) -> None:
    """So it does for bodies that are too large or empty, and for other statuses of success."""
    account.expire()
    account.box.faults.add(REFRESH_PATH, fault)
    with pytest.raises(InvalidResponseError, match="may have replaced the refresh token"):
        given(mode, account)


@pytest.mark.parametrize("as_string", [False, True])
def test_refresh_without_a_store(account: Account, mode: str, *, as_string: bool) -> None:
    """A caller that stores by itself finds the new refresh token in the error."""
    before = account.stored()
    account.box.faults.add(REFRESH_PATH, Fault.override({"access_token": None}))

    async def refresh(flow: AnyFlow) -> Token:
        return await flow.refresh(str(before.refresh_token) if as_string else before)

    settings: dict[str, Any] = {
        "credentials": account.box.credentials,
        "clock": account.box.clock,
    }
    with pytest.raises(UnusableAccessTokenError) as caught:
        with_flow(mode, account.box.base_url, refresh, **settings)
    error = caught.value
    assert error.refresh_token is not None
    new = str(error.refresh_token)  # without the form that hides it
    assert new != before.refresh_token
    if as_string:
        assert error.token is None
    else:
        now = account.box.clock()
        assert error.token == evolve(before, refresh_token=new, expires_at=now)
    assert account.oauth.refresh(new).access_token
    written = pickle.dumps(error)
    assert new.encode() not in written
    for other in (copy.copy(error), pickle.loads(written)):  # noqa: S301 - written here
        assert (other.token, other.refresh_token) == (None, None)
        assert (str(other), other.field) == (str(error), "access_token")
    assert found(visible(error), [new, str(before.refresh_token), before.access_token]) == []


def test_refresh_token_of_an_unusable_response_that_was_not_saved(account: Account) -> None:
    """Where the store fails as well, the new refresh token is pending like any other."""
    account.expire()
    account.store.at("save", StoreError("It is full."))
    account.box.faults.add(REFRESH_PATH, Fault.override({"access_token": ""}))
    with pytest.raises(StoreError, match=r"It is full\."):
        account.auth().token()
    assert account.auth().token() == account.stored()
    assert account.refreshes(outcome="ok") == account.refreshes() == 2


def test_fleet(caplog: pytest.LogCaptureFixture) -> None:
    """A fleet keeps the same, reports an unusable access token, and goes on with the others."""
    with fleet(4, MemoryTokenStore()) as many:
        before = {name: many.store.load(name) for name in many.names}
        for fields in ({"scope": None}, {"expires_in": None}, {"access_token": None}):
            many.server.faults.add(REFRESH_PATH, Fault.override(fields))
        report = refresh_due(many.oauth, many.store, many.before, concurrency=1, per_second=None)
        assert (report.renewed, len(report.errors)) == (3, 1)
        (error,) = report.errors.values()
        assert isinstance(error, UnusableAccessTokenError)
        assert error.is_saved
        assert len(warnings(caplog)) == 2
        for name, old in before.items():
            new = many.store.load(name)
            assert new is not None
            assert old is not None
            assert new.refresh_token != old.refresh_token
        many.clock.advance(timedelta(hours=2))
        again = refresh_due(many.oauth, many.store, many.clock(), per_second=None)
        assert again == FleetReport(4, 0, {})
        assert many.renewals() == many.renewals(outcome="ok") == 8
