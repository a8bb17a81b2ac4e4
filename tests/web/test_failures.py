from __future__ import annotations

from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from attrs import evolve

from pipedrive_oauth_client import PipedriveOAuth, StoreError, Token
from pipedrive_oauth_client.sandbox import DEFAULT_USER, Fault
from pipedrive_oauth_client.stores import MemoryTokenStore, SQLTokenStore
from tests.support.auths import WatchedStore
from tests.web.conftest import CLIENT, NARROW_CLIENT
from tests.web.sites import ONE_OF_EACH, Build, Site

TOKEN = "/oauth/token"
ME = "/api/v1/users/me"

FAULTS: dict[str, tuple[str, Fault, int, str]] = {
    "out of order": (TOKEN, Fault.status(503), 503, "unavailable"),
    "content delivery": (TOKEN, Fault.status(520), 503, "unavailable"),
    "too many": (TOKEN, Fault.status(429, retry_after=17), 503, "busy"),
    "no answer": (TOKEN, Fault.closed(), 502, "does not respond"),
    "garbage": (TOKEN, Fault.garbage(), 502, "can't be read"),
    "wrong secret": (TOKEN, Fault.refusal("client_invalid"), 500, "rejected this app"),
    "code too old": (TOKEN, Fault.refusal("authorization_code_expired"), 400, "took too long"),
    "no api_domain": (TOKEN, Fault.override(without=["api_domain"]), 502, "can't be read"),
    "api_domain of no port": (
        TOKEN,
        Fault.override({"api_domain": "https://acme.example:99999"}),
        502,
        "can't be read",
    ),
    "me out of order": (ME, Fault.status(500), 503, "unavailable"),
    "me too many": (ME, Fault.status(429, retry_after=17), 503, "busy"),
    "me no answer": (ME, Fault.reset(), 502, "does not respond"),
    "me garbage": (ME, Fault.garbage(), 502, "can't be read"),
    "me is a list": (ME, Fault.answer(200, "[]"), 502, "can't be read"),
    "me is nobody": (ME, Fault.answer(200, '{"data": {"id": 0}}'), 502, "can't be read"),
    "me redirects": (ME, Fault.redirect("https://evil.example/"), 502, "can't be read"),
    "me is endless": (ME, Fault.override({"more": "x" * 1_100_000}), 502, "can't be read"),
    "me is nested": (ME, Fault.answer(200, "[" * 100_000), 502, "can't be read"),
}


def revocations(site: Site) -> int:
    """Count the grants that were revoked."""
    return site.box.requests.count(path="/oauth/revoke")


@pytest.mark.parametrize("kind", ONE_OF_EACH, indirect=True)
@pytest.mark.parametrize(("path", "fault", "status", "words"), FAULTS.values(), ids=FAULTS.keys())
def test_service_fails(site: Site, path: str, fault: Fault, status: int, words: str) -> None:
    """Whatever the service does, the person gets a page, nothing is kept, and again it works."""
    browser = site.browser()
    callback = browser.consent(browser.begin("?next=/deals"))
    site.box.faults.add(path, fault)
    response = browser.get(callback)
    assert response.status_code == status
    assert words in unescape(response.text)
    assert response.headers.get("Retry-After") == ("17" if words == "busy" else None)
    assert 'href="/pipedrive/connect?next=/deals"' in response.text
    assert list(site.store.accounts()) == []
    assert browser.connect().status_code == 303


LEVELS: dict[str, tuple[str, Fault, str]] = {
    "wrong secret": (TOKEN, Fault.refusal("client_invalid"), "ERROR"),
    "redirect URI": (TOKEN, Fault.refusal("redirect_uri_invalid"), "ERROR"),
    "missing scope": (ME, Fault.status(403), "ERROR"),
    "code too old": (TOKEN, Fault.refusal("authorization_code_expired"), "WARNING"),
    "unavailable": (TOKEN, Fault.status(503), "WARNING"),
    "no answer": (ME, Fault.reset(), "WARNING"),
}


@pytest.mark.parametrize("kind", ONE_OF_EACH, indirect=True)
@pytest.mark.parametrize(("path", "fault", "level"), LEVELS.values(), ids=LEVELS)
def test_level_of_the_record(
    site: Site, path: str, fault: Fault, level: str, caplog: pytest.LogCaptureFixture
) -> None:
    """What an operator has to fix is an ERROR; what passes, or the user can repeat, a WARNING."""
    browser = site.browser()
    callback = browser.consent(browser.begin())
    site.box.faults.add(path, fault)
    browser.get(callback)
    records = [each for each in caplog.records if each.name == "pipedrive_oauth_client"]
    assert [each.levelname for each in records] == [level]


@pytest.mark.parametrize("kind", ONE_OF_EACH, indirect=True)
def test_database_that_others_can_read(
    build: Build, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A store that is set up wrongly is an ERROR record with the file and the reason."""
    file = tmp_path / "tokens.db"
    file.touch(0o644)
    with SQLTokenStore(f"sqlite:///{file}") as store:
        assert build(store=store).browser().connect().status_code == 503
    (record,) = (each for each in caplog.records if each.levelname == "ERROR")
    assert str(file) in record.getMessage()
    assert "chmod" in record.getMessage()


@pytest.mark.parametrize("kind", ONE_OF_EACH, indirect=True)
def test_check_at_start(build: Build, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The check names a wrong secret and a store that can't be used, each in an ERROR record."""
    file = tmp_path / "tokens.db"
    file.touch(0o644)
    with SQLTokenStore(f"sqlite:///{file}") as store:
        site = build(evolve(CLIENT, client_secret="another-secret"), store=store)
        if site.kind == "flask":
            with site._app.app_context():
                report = site.web.check()
        else:
            assert site._runner is not None
            report = site._runner.run(site.web.check())
    assert not report.ok
    errors = [each.getMessage() for each in caplog.records if each.levelname == "ERROR"]
    assert any("(client)" in each for each in errors)
    assert any(str(file) in each for each in errors)
    assert not any("another-secret" in each for each in errors)


def test_app_may_not_ask_whose_token_it_is(build: Build) -> None:
    """Without the scope for it nothing is kept, and the grant is left as it is."""
    site = build(NARROW_CLIENT)
    response = site.browser().connect()
    assert (response.status_code, list(site.store.accounts())) == (500, [])
    assert revocations(site) == 0


@pytest.mark.parametrize("path", [ME, "the store"])
def test_failure_leaves_an_earlier_connection(build: Build, path: str) -> None:
    """A failure while a person connects again does not end the connection that they have."""
    store = WatchedStore(MemoryTokenStore())
    site = build(store=store)
    site.browser().connect()
    token = site.store.load(DEFAULT_USER.account)
    if path == ME:
        site.box.faults.add(ME, Fault.status(500))
    else:
        store.at("save", StoreError("down"))
    assert site.browser().connect().status_code == 503
    assert token is not None
    assert site.store.load(DEFAULT_USER.account) == token
    client = site.client
    credentials = type(site.box.credentials)(
        client.client_id, client.client_secret, client.redirect_uri
    )
    with PipedriveOAuth(credentials, base_url=site.box.base_url, clock=site.box.clock) as oauth:
        assert oauth.refresh(token).scope == token.scope


def test_store_is_down(build: Build) -> None:
    """A store that does not take the token makes a page, and the app is told of no connection."""
    store = WatchedStore(MemoryTokenStore())
    told: list[Any] = []
    site = build(store=store, connected=lambda *arguments: told.append(arguments))
    store.at("save", StoreError("down"))
    response = site.browser().connect()
    assert response.status_code == 503
    assert "could not be saved" in response.text
    assert told == []


class CarelessStore(MemoryTokenStore):
    """A store that takes any name."""

    def __init__(self) -> None:
        super().__init__()
        self.saved: list[tuple[str, Token]] = []

    def save(self, account: str, token: Token) -> None:
        """Note what is to be saved."""
        self.saved.append((account, token))


@pytest.mark.parametrize("name", [" ", "", None, 7])
def test_name_that_is_none(build: Build, name: Any) -> None:
    """An account that can't be a name makes a page, and nothing is kept."""
    store = CarelessStore()
    site = build(store=store, account_for=lambda *_: name, account_of=lambda _: None)
    assert site.browser().connect().status_code == 500
    assert store.saved == []


QUERIES = {
    "nothing": "",
    "no code": "?state={state}",
    "an empty code": "?code=&state={state}",
    "two codes": "?code=1&code=2&state={state}",
    "a code of no ASCII": "?code=%C3%A4&state={state}",
    "two states": "?code=1&state={state}&state={state}",
    "two different states": "?code=1&state={state}&state=other",
    "an empty state": "?code=1&state=",
    "a state of no ASCII": "?code=1&state=%E2%98%83",
    "half a character": "?code=1&state=%ff%fe",
    "a hidden question": "?x?code=1&state={state}",
    "control characters": "?code=1%00&state={state}",
    "a thousand fields": "?" + "a=b&" * 1_000 + "state={state}",
    "very long": "?code=1&state=" + "s" * 20_000,
}


@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
def test_garbage(site: Site, query: str) -> None:
    """Whatever the query of a callback is, the answer is a page, and nothing is exchanged."""
    browser = site.browser()
    state = httpx.URL(browser.begin()).params["state"]
    response = browser.get(site.callback + query.format(state=state))
    assert response.status_code == 400
    assert response.text.startswith("<!doctype html>")
    assert site.box.requests.count(path=TOKEN) == 0


@pytest.mark.parametrize(
    "query", ["?next=%ff", "?next=/a&next=/b", "?" + "a=b&" * 1_000, "?" + "x" * 20_000]
)
def test_garbage_at_the_start(site: Site, query: str) -> None:
    """Whatever the query of the start is, the person gets to the consent page."""
    assert site.browser().begin(query).startswith(site.box.base_url)


def test_pages_keep_to_themselves(site: Site) -> None:
    """A page is not cached, not framed, runs no script, and tells nobody its address."""
    response = site.browser().get(site.callback + "?code=1&state=2")
    headers = response.headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_redirects_keep_to_themselves(site: Site) -> None:
    """Redirects are not cached, and tell nobody where they come from."""
    browser = site.browser()
    first = browser.get(site.start)
    for response in (first, browser.get(browser.consent(first.headers["Location"]))):
        assert response.status_code == 303
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Referrer-Policy"] == "no-referrer"
