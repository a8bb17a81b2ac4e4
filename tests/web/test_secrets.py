from __future__ import annotations

import logging

import httpx
import pytest

from pipedrive_oauth_client import StoreError, Token
from pipedrive_oauth_client.sandbox import DEFAULT_USER, Fault
from pipedrive_oauth_client.stores import MemoryTokenStore
from tests.support.auths import WatchedStore
from tests.web.conftest import CLIENT
from tests.web.sites import KEY, Build, Site


def secrets_of(site: Site, *tokens: Token | None) -> set[str]:
    """Give what must be seen nowhere."""
    basic = httpx.BasicAuth(CLIENT.client_id, CLIENT.client_secret)._auth_header
    found = {CLIENT.client_secret, KEY, basic.removeprefix("Basic ")}
    for token in tokens:
        assert token is not None
        found |= {token.access_token, str(token.refresh_token)}
    assert site.store is not None
    return found


def test_no_secret_is_told(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    """In no answer and no log record stands a token, a code, a state or a key."""
    caplog.set_level(logging.DEBUG, "pipedrive_oauth_client")
    caplog.set_level(logging.INFO, "django")
    caplog.set_level(logging.WARNING, "httpx")
    store = WatchedStore(MemoryTokenStore())
    site = build(store=store)
    browser = site.browser()
    answers: list[httpx.Response] = []
    codes: set[str] = set()

    def journey(fault: tuple[str, Fault] | None = None) -> None:
        callback = browser.consent(browser.begin())
        codes.update(httpx.URL(callback).params[name] for name in ("code", "state"))
        if fault is not None:
            site.box.faults.add(*fault)
        answers.append(browser.get(callback))
        answers.append(browser.get(callback))

    journey()
    first = site.store.load(DEFAULT_USER.account)
    journey(("/oauth/token", Fault.status(500)))
    journey(("/oauth/token", Fault.refusal("client_invalid")))
    journey(("/api/v1/users/me", Fault.garbage()))
    store.at("save", StoreError("down"))
    journey()
    notice = site.box.server.sandbox.uninstall(DEFAULT_USER, app=CLIENT)
    for headers, content in (
        ({"Authorization": notice.headers["Authorization"] + "x"}, b""),
        (notice.headers, b'{"client_id": "' + CLIENT.client_secret.encode() + b'"}'),
        (notice.headers, notice.content),
    ):
        answers.append(browser.send("DELETE", site.callback, headers=headers, content=content))
    assert {each.status_code for each in answers} == {200, 303, 400, 401, 500, 502, 503}
    hidden = secrets_of(site, first, *store.offered) | codes
    seen = [repr(each.headers) + each.text for each in answers]
    seen += [record.getMessage() + str(record.exc_info) for record in caplog.records]
    assert len(caplog.records) > 10
    assert [text for text in seen if any(secret in text for secret in hidden)] == []


def test_representations(site: Site) -> None:
    """What is printed of the objects shows neither keys nor tokens nor states."""
    browser = site.browser()
    browser.begin()
    shown = repr(site.web) + str(site.web)
    assert not any(secret in shown for secret in secrets_of(site))
