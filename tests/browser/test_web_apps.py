from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from pipedrive_oauth_client.sandbox import DEFAULT_USER, OTHER_USER, Fault, User
from tests.browser.driver import Browser
from tests.browser.site import Site
from tests.support.programs import PROGRAMS, Running, hidden_field, running
from tests.support.programs import log_in as log_in_by_http

DEAL = "Coffee for a year"


@pytest.fixture(scope="module", params=PROGRAMS)
def served(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """Each of the example's web apps, for all tests of this module."""
    with running(str(request.param), tmp_path_factory.mktemp("app")) as served:
        yield served


@pytest.fixture
def app(served: Running, browser: Browser) -> Running:
    """The app, with no user connected and no cookie in the browser."""
    browser.open(served.url("/"))
    browser.driver.delete_all_cookies()
    for user in (DEFAULT_USER, OTHER_USER):
        if served.box.server.sandbox.is_installed(user):
            served.box.server.uninstall(user)
    served.box.faults.clear()
    served.box.requests.clear()
    return served


def refreshes(app: Running) -> int:
    """Count the refreshes that went well."""
    return app.box.requests.count(grant_type="refresh_token", outcome="ok")


def wait_for(browser: Browser, words: str) -> None:
    """Wait until the page has these words, whichever page the browser has by then."""
    text = "return document.body ? document.body.innerText : ''"
    browser.wait(lambda: words in browser.run(text))


def log_in(browser: Browser, app: Running, user: str = "ada") -> None:
    """Log in to the app, and out before if another user is logged in."""
    browser.open(app.url("/"))
    for button in [each for each in browser.find_all("button") if each.text.startswith("Log out")]:
        button.click()
    wait_for(browser, "Who are you?")
    browser.button(user).click()
    wait_for(browser, "See your deals")


def connect(
    browser: Browser,
    app: Running,
    user: str = "ada",
    *,
    owner: User = DEFAULT_USER,
    approve: bool = True,
) -> None:
    """Press what a user presses, starting at the app's home page."""
    log_in(browser, app, user)
    browser.find("a.button").click()
    browser.arrive(app.box.base_url)
    browser.find(f"input[value='{owner.account}']").click()
    browser.button("Allow and install" if approve else "Cancel").click()
    browser.arrive(app.url("/"))


def test_from_consent_to_uninstall(browser: Browser, app: Running) -> None:
    """A user connects and sees deals, also after the token's expiry, but not after uninstalling."""
    connect(browser, app)
    assert browser.driver.current_url == app.url("/deals")
    assert DEAL in browser.text()
    assert refreshes(app) == 0
    app.box.clock.advance(timedelta(hours=2))
    browser.driver.refresh()
    assert DEAL in browser.text()
    assert refreshes(app) == 1
    caching = "return fetch('/deals').then(response => response.headers.get('Cache-Control'))"
    assert "no-store" in browser.run(caching)
    assert app.box.server.uninstall(DEFAULT_USER)
    browser.driver.refresh()
    assert "Connect with Pipedrive" in browser.text()
    assert DEAL not in browser.text()
    assert refreshes(app) == 1
    connect(browser, app)
    assert DEAL in browser.text()
    assert browser.complaints() == []
    assert "code=" not in app.printed()


def test_users_see_their_own_account_alone(browser: Browser, app: Running) -> None:
    """An account is that of the user who was logged in, and of no other user of the app."""
    connect(browser, app, "ada")
    assert f"Deals of {DEFAULT_USER.company_name}" in browser.text()
    log_in(browser, app, "grace")
    browser.open(app.url("/deals"))
    assert browser.driver.current_url == app.url("/")
    assert "Connect with Pipedrive" in browser.text()
    connect(browser, app, "grace", owner=OTHER_USER)
    assert f"Deals of {OTHER_USER.company_name}" in browser.text()
    browser.button("Disconnect").click()
    browser.wait(lambda: browser.driver.current_url == app.url("/"))
    assert not app.box.server.sandbox.is_installed(OTHER_USER)
    log_in(browser, app, "ada")
    browser.open(app.url("/deals"))
    assert f"Deals of {DEFAULT_USER.company_name}" in browser.text()


def test_another_user_cannot_finish(browser: Browser, app: Running) -> None:
    """What one user has begun, the next user of the same browser does not end."""
    log_in(browser, app, "ada")
    browser.open(app.url("/pipedrive/connect?next=/deals"))
    callback = app.box.server.visit(browser.driver.current_url)
    log_in(browser, app, "grace")
    browser.open(callback)
    assert "Start again" in browser.text()
    browser.open(app.url("/deals"))
    assert browser.driver.current_url == app.url("/")
    assert app.box.requests.count(grant_type="authorization_code") == 0


def test_connecting_takes_a_user(browser: Browser, app: Running) -> None:
    """Visitors who have not logged in are sent to do so, from every page."""
    for path in ("/deals", "/pipedrive/connect?next=/deals"):
        browser.open(app.url(path))
        browser.arrive(app.url("/"))
        assert "Who are you?" in browser.text()


def test_login_begins_a_session(app: Running) -> None:
    """A session that was planted before a login does not become the user's, nor do its forms."""
    with httpx.Client(base_url=app.url(""), trust_env=False) as browser:
        planted = hidden_field(browser.get("/").text)
        cookies = dict(browser.cookies)
        log_in_by_http(browser, app.url(""))
        assert "Log out ada" in browser.get("/").text
        for path in ("/disconnect", "/logout", "/login"):
            assert browser.post(path, data={**planted, "user": "grace"}).status_code == 403
        assert "Log out ada" in browser.get("/").text
        strange = {**hidden_field(browser.get("/").text), "user": "mallory"}
        assert browser.post("/login", data=strange).status_code in {403, 404}
    with httpx.Client(base_url=app.url(""), cookies=cookies, trust_env=False) as attacker:
        assert "Who are you?" in attacker.get("/").text


def test_grant_that_has_ended(browser: Browser, app: Running) -> None:
    """A user whose grant has ended reads so, and connects again."""
    connect(browser, app)
    app.box.clock.advance(timedelta(hours=2))
    app.box.faults.add("/oauth/token/", Fault.refusal("refresh_token_invalid"))
    browser.driver.refresh()
    assert "not connected any more" in browser.text()
    connect(browser, app)
    assert DEAL in browser.text()


def test_disconnecting(browser: Browser, app: Running) -> None:
    """The button of the page ends the grant, and the page is gone."""
    connect(browser, app)
    browser.button("Disconnect").click()
    browser.wait(lambda: browser.driver.current_url == app.url("/"))
    assert "Connect with Pipedrive" in browser.text()
    assert not app.box.server.sandbox.is_installed(DEFAULT_USER)
    browser.open(app.url("/deals"))
    assert browser.driver.current_url == app.url("/")
    assert "not connected any more" not in browser.text()
    assert httpx.post(app.url("/disconnect"), trust_env=False).status_code == 403


def test_forged_disconnecting(browser: Browser, app: Running, attacker: Site) -> None:
    """Neither a link nor a form on an attacker's page disconnects a user."""
    connect(browser, app)
    browser.open(app.url("/disconnect"))
    assert app.box.server.sandbox.is_installed(DEFAULT_USER)
    attacker.pages["/"] = (
        f'<form method="post" action="{app.url("/disconnect")}"><button>Win</button></form>'
    )
    browser.open(attacker.url())
    browser.button("Win").click()
    browser.arrive(app.url("/disconnect"))
    assert app.box.server.sandbox.is_installed(DEFAULT_USER)


def test_declining(browser: Browser, app: Running) -> None:
    """A user who declines reads so on a page of the app, and can start again from it."""
    connect(browser, app, approve=False)
    assert "Not connected" in browser.text()
    browser.find("a").click()
    browser.arrive(app.box.base_url)
    browser.button("Allow and install").click()
    browser.arrive(app.url("/deals"))
    assert DEAL in browser.text()


def test_login_with_a_foreign_code(browser: Browser, app: Running, attacker: Site) -> None:
    """A page that sends the browser to the callback with another's code connects nothing."""
    state = "made-up"
    code = app.box.authorize(state=state)
    attacker.redirects["/"] = code
    browser.open(attacker.url())
    browser.arrive(app.url("/pipedrive/callback"))
    assert "did not start in this browser" in browser.text()
    browser.open(app.url("/deals"))
    assert DEAL not in browser.text()
    assert app.box.requests.count(grant_type="authorization_code") == 0


def test_two_tabs(browser: Browser, app: Running) -> None:
    """Two tabs that connect at the same time both come through."""
    log_in(browser, app)
    driver = browser.driver
    first = driver.current_window_handle
    browser.open(app.url("/pipedrive/connect?next=/deals"))
    driver.switch_to.new_window("tab")
    try:
        browser.open(app.url("/pipedrive/connect?next=/deals"))
        driver.switch_to.window(first)
        browser.button("Allow and install").click()
        browser.arrive(app.url("/deals"))
        driver.switch_to.window(driver.window_handles[-1])
        browser.button("Allow and install").click()
        browser.arrive(app.url("/deals"))
        assert DEAL in browser.text()
    finally:
        driver.switch_to.window(driver.window_handles[-1])
        driver.close()
        driver.switch_to.window(first)


def test_pages_are_readable(browser: Browser, app: Running) -> None:
    """Every page fits wide and narrow screens, and its texts stand out in light and dark."""
    screens = (("light", 1280), ("dark", 1280), ("light", 360), ("dark", 360))
    browser.open(app.url("/"))
    for scheme, width in screens:
        browser.looks(width=width, scheme=scheme)
        assert "Who are you?" in browser.text()
        assert not browser.scrolls_sideways()
        assert browser.low_contrasts(at_least=3) == []
    connect(browser, app)
    for scheme, width in screens:
        browser.looks(width=width, scheme=scheme)
        for path, words in (
            ("/", "See your deals"),
            ("/deals", DEAL),
            ("/pipedrive/callback?code=1", "did not start in this browser"),
        ):
            browser.open(app.url(path))
            assert words in browser.text()
            assert not browser.scrolls_sideways()
            assert browser.low_contrasts(at_least=3) == []
