from __future__ import annotations

from datetime import timedelta
from http.cookiejar import Cookie
from typing import Any

import httpx
import pytest

from pipedrive_oauth_client.sandbox import DEFAULT_USER, OTHER_USER
from tests.web.conftest import CLIENT, PREFIXED_CLIENT
from tests.web.sites import HOST, KEY, OTHER_KEY, Browser, Build, Site


def exchanges(site: Site) -> int:
    """Count the codes that were sent to the service."""
    return site.box.requests.count(grant_type="authorization_code")


def accounts(site: Site) -> list[str]:
    """Give the accounts that have a token."""
    return sorted(site.store.accounts())


def plant(browser: Browser, cookie: Cookie, value: str | None = None, name: str = "") -> None:
    """Put a cookie into a browser, as somebody who can."""
    browser.cookies.set(name or cookie.name, value or str(cookie.value), domain=cookie.domain)


def test_login_with_the_attackers_code(site: Site) -> None:
    """A callback that an attacker began is worth nothing in the victim's browser."""
    attacker, victim = site.browser(), site.browser()
    callback = attacker.consent(attacker.begin(), user=OTHER_USER)
    response = victim.get(callback)
    assert response.status_code == 400
    assert (exchanges(site), accounts(site)) == (0, [])


def test_login_while_the_victim_connects(site: Site) -> None:
    """Nor is it while the victim has an attempt open, which it leaves as it was."""
    attacker, victim = site.browser(), site.browser()
    page = victim.begin()
    assert victim.get(attacker.consent(attacker.begin(), user=OTHER_USER)).status_code == 400
    assert victim.get(victim.consent(page)).status_code == 303
    assert accounts(site) == [DEFAULT_USER.account]


def test_code_under_another_state(site: Site) -> None:
    """The attacker's code under a state that the attacker has made up is refused."""
    attacker, victim = site.browser(), site.browser()
    code = httpx.URL(attacker.consent(attacker.begin())).params["code"]
    victim.begin()
    assert victim.get(f"{site.callback}?code={code}&state=made-up").status_code == 400
    assert exchanges(site) == 0


def test_cookie_signed_with_another_key(build: Build) -> None:
    """A cookie that an attacker made and planted, with its state, is refused."""
    attacker = build(secret_keys=[OTHER_KEY]).browser()
    callback = attacker.consent(attacker.begin())
    site = build()
    victim = site.browser()
    plant(victim, attacker.attempts()[0])
    assert victim.get(callback).status_code == 400
    assert exchanges(site) == 0


def test_cookie_that_was_changed(site: Site) -> None:
    """A cookie is worth nothing when a single character of it is another one."""
    browser = site.browser()
    callback = browser.consent(browser.begin("?next=/deals"))
    (cookie,) = browser.attempts()
    value = str(cookie.value)
    for place in (0, len(value) // 4, len(value) // 2, len(value) - 2):
        other = "A" if value[place] != "A" else "B"
        plant(browser, cookie, value[:place] + other + value[place + 1 :])
        assert browser.get(callback).status_code == 400
    assert exchanges(site) == 0


@pytest.mark.parametrize("kind", ["starlette", "fastapi", "flask"], indirect=True)
def test_cookie_of_another_app(build: Build) -> None:
    """The cookie of another app on the same host, signed with the same key, is not believed."""
    site = build()
    other = build(PREFIXED_CLIENT)
    browser, there = site.browser(), other.browser()
    state = httpx.URL(there.begin()).params["state"]
    (cookie,) = there.attempts()
    browser.begin()
    (mine,) = browser.attempts()
    name = mine.name.rpartition("-")[0] + "-" + cookie.name.rpartition("-")[2]
    plant(browser, cookie, name=name)
    assert browser.get(f"{site.callback}?code=1&state={state}").status_code == 400
    assert site.box.requests.count(path="/oauth/token") == 0


def test_cookie_under_another_name(site: Site) -> None:
    """The cookie of one attempt does not vouch for the state of another."""
    browser = site.browser()
    first = browser.consent(browser.begin("?next=/first"))
    (one,) = browser.attempts()
    browser.begin("?next=/second")
    two = next(each for each in browser.attempts() if each.name != one.name)
    plant(browser, two, name=one.name)
    assert browser.get(first).status_code == 400
    assert exchanges(site) == 0


def test_expired_attempt(site: Site) -> None:
    """An attempt that took too long is over, even where the browser has kept its cookie."""
    browser = site.browser()
    page = browser.begin()
    (cookie,) = browser.attempts()
    site.box.clock.advance(timedelta(minutes=10, seconds=1))
    plant(browser, cookie)
    assert browser.get(browser.consent(page)).status_code == 400
    assert exchanges(site) == 0


def test_replayed_callback(site: Site) -> None:
    """A callback is worth nothing a second time, and the first connection goes on."""
    browser = site.browser()
    callback = browser.consent(browser.begin())
    assert browser.get(callback).status_code == 303
    assert browser.get(callback).status_code == 400
    assert (exchanges(site), accounts(site)) == (1, [DEFAULT_USER.account])


def test_replayed_callback_with_its_cookie(site: Site) -> None:
    """Nor is it where somebody has kept the cookie: nothing is exchanged for it."""
    browser = site.browser()
    callback = browser.consent(browser.begin("?next=/deals"))
    (cookie,) = browser.attempts()
    assert browser.get(callback).status_code == 303
    plant(browser, cookie)
    response = browser.get(callback)
    assert response.status_code == 400
    assert "already used" in response.text
    assert 'href="/deals"' in response.text
    assert exchanges(site) == 1


def test_two_callbacks_at_once(site: Site) -> None:
    """Of two callbacks with one code at once, one connects, and the grant is not lost for it."""
    browser = site.browser()
    callback = browser.consent(browser.begin())
    requests = [browser.request("GET", callback) for _ in range(2)]
    responses = browser.at_once(*requests)
    assert sorted(each.status_code for each in responses) == [303, 400]
    assert exchanges(site) == 1
    token = site.store.load(DEFAULT_USER.account)
    assert token is not None
    header = {"Authorization": f"Bearer {token.access_token}"}
    assert httpx.get(f"{token.api_domain}/api/v1/users/me", headers=header).status_code == 200


def test_replayed_install(build: Build) -> None:
    """A callback from the Marketplace, which has no state, is used once as well."""
    site = build(allow_marketplace_installs=True)
    browser = site.browser()
    callback = site.box.server.install(app=CLIENT)
    assert browser.get(callback).status_code == 303
    assert browser.get(callback).status_code == 400
    assert exchanges(site) == 1


def test_first_use_of_the_apps_own(build: Build) -> None:
    """The app's own memory is asked, so that several workers can share one."""
    asked: list[tuple[str, timedelta]] = []

    def first_use(key: str, lifetime: timedelta) -> bool:
        asked.append((key, lifetime))
        return False

    site = build(first_use=first_use)
    browser = site.browser()
    callback = browser.consent(browser.begin())
    assert browser.get(callback).status_code == 400
    assert exchanges(site) == 0
    ((key, lifetime),) = asked
    assert lifetime == timedelta(minutes=10)
    state = httpx.URL(callback).params["state"]
    assert state not in key


@pytest.mark.parametrize(
    "address", ["//evil.example", "/\\evil.example", "/%2fevil.example", "https://evil.example"]
)
def test_open_redirect(site: Site, address: str) -> None:
    """An address that does not plainly lead into the app is not gone to."""
    browser = site.browser()
    response = browser.connect("?" + str(httpx.QueryParams(next=address)))
    assert response.headers["Location"] == "/"


def test_another_user_of_the_app(build: Build) -> None:
    """An attempt that one user of the app began does not end in the session of another."""
    users = ["ada", "grace"]
    site = build(session_of=lambda _request: users[0])
    browser = site.browser()
    callback = browser.consent(browser.begin())
    users.pop(0)
    assert browser.get(callback).status_code == 400
    assert (exchanges(site), accounts(site)) == (0, [])


def test_planted_attempt(build: Build) -> None:
    """An attempt of the attacker's, cookie and all, is refused in the victim's session."""
    users: dict[str, str] = {"attacker": "mallory", "victim": "ada"}

    def session_of(request: Any) -> str:
        return users[str(request.headers["User-Agent"])]

    site = build(session_of=session_of)
    attacker, victim = site.browser(), site.browser()
    headers = {"User-Agent": "attacker"}
    callback = attacker.consent(attacker.begin(headers=headers), user=OTHER_USER)
    plant(victim, attacker.attempts()[0])
    assert victim.get(callback, headers={"User-Agent": "victim"}).status_code == 400
    assert (exchanges(site), accounts(site)) == (0, [])
    assert attacker.get(callback, headers=headers).status_code == 303


def test_same_user_of_the_app(build: Build) -> None:
    """An attempt ends well in the session that it was begun in."""
    site = build(session_of=lambda _request: "session-key-0123456789")
    browser = site.browser()
    callback = browser.consent(browser.begin())
    assert browser.get(callback).status_code == 303


def test_a_hundred_tabs(site: Site) -> None:
    """Of a hundred attempts the last ones are kept, and their cookies fit into a header."""
    browser = site.browser()
    pages = [browser.begin(f"?next=/{number}/{'x' * 400}") for number in range(40)]
    assert len(browser.request("GET", site.start).headers["Cookie"]) < 4_096
    assert len(browser.attempts()) > 2
    pages += [browser.begin(f"?next=/{number}") for number in range(60)]
    assert len(browser.request("GET", site.start).headers["Cookie"]) < 4_096
    assert len(browser.attempts()) <= 8
    assert browser.get(browser.consent(pages[-1])).headers["Location"] == "/59"
    assert browser.get(browser.consent(pages[-6])).headers["Location"] == "/54"
    assert browser.get(browser.consent(pages[0])).status_code == 400


def test_strange_cookies(site: Site) -> None:
    """Cookies that look like ours and are not are removed, and others are left alone."""
    browser = site.browser()
    browser.begin()
    (mine,) = browser.attempts()
    prefix = mine.name.rpartition("-")[0]
    for number, value in enumerate(["x", "a.b.c", "%ff", "." * 500]):
        plant(browser, mine, value, name=f"{prefix}-{number:016x}")
    plant(browser, mine, "kept", name="session")
    assert browser.get(browser.consent(browser.begin())).status_code == 303
    assert {each.name for each in browser.cookies.jar} == {mine.name, "session"}


@pytest.mark.parametrize("ending", ["a b", "(a)", "a/b", "{}", "", "a" * 17])
def test_cookies_of_odd_names(site: Site, ending: str) -> None:
    """A cookie whose name only begins like ours is left alone, whatever stands behind."""
    browser = site.browser()
    browser.begin()
    prefix = browser.attempts()[0].name.rpartition("-")[0]
    (response,) = site.send(
        httpx.Request("GET", HOST + site.start, headers={"Cookie": f"{prefix}-{ending}=x"})
    )
    assert response.status_code == 303
    assert len(response.headers.get_list("Set-Cookie")) == 1


def test_keys_are_replaced(build: Build) -> None:
    """An attempt that was begun under the old key ends well while that key is still believed."""
    old = build(secret_keys=[KEY])
    browser = old.browser()
    callback = browser.consent(browser.begin())
    both = build(secret_keys=[OTHER_KEY, KEY])
    browser.site = both
    assert browser.get(callback).status_code == 303
    callback = browser.consent(browser.begin())
    browser.site = build(secret_keys=[OTHER_KEY])
    assert browser.get(callback).status_code == 303


def test_text_of_strangers(site: Site) -> None:
    """Nothing that a callback says stands in a page."""
    browser = site.browser()
    state = httpx.URL(browser.begin()).params["state"]
    evil = "<script>alert(1)</script>"
    query = httpx.QueryParams(error=evil, error_description=evil, state=state, code=evil)
    response = browser.get(f"{site.callback}?{query}")
    assert response.status_code == 403
    assert "script" not in response.text
    assert "alert" not in response.text
