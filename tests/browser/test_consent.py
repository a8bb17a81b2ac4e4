from __future__ import annotations

import attrs
import httpx
import pytest
from selenium.webdriver.common.keys import Keys

from pipedrive_oauth_client.sandbox import DEFAULT_USER, OTHER_USER, create_app, run
from tests.browser.driver import Browser
from tests.browser.site import Site
from tests.sandbox.support import Net, authorization_query, query_of

STATE = "a state with spaces & signs"


def open_consent(browser: Browser, box: Net, state: str = STATE) -> None:
    """Open the consent page, as an app sends a browser there."""
    app = box.server.app
    browser.open(f"{box.server.base_url}/oauth/authorize?{authorization_query(app, state)}")


def owner_of(box: Net, code: str) -> object:
    """Return the email address of the user of a code, by exchanging it and calling the API."""
    tokens = box.exchange(code, app=box.server.app).json()
    return box.me(tokens["access_token"]).json()["data"]["email"]


def test_approve(browser: Browser, box: Net, app_site: Site) -> None:
    """Allow and install leads to the callback, with a code of the chosen account and the state."""
    open_consent(browser, box)
    assert browser.find("h1").text == "Sandbox app requests access to your account"
    (label,) = (each for each in browser.find_all("label") if OTHER_USER.email in each.text)
    label.click()
    browser.button("Allow and install").click()
    response = query_of(browser.arrive(app_site.url("/callback?")))
    assert response.keys() == {"code", "state"}
    assert response["state"] == STATE
    assert owner_of(box, response["code"]) == OTHER_USER.email
    (visit,) = app_site.visits
    assert "referer" not in visit.headers
    assert browser.complaints() == []


def test_decline(browser: Browser, box: Net, app_site: Site) -> None:
    """Cancel leads to the callback with an error and the state, and installs nothing."""
    open_consent(browser, box)
    browser.button("Cancel").click()
    response = query_of(browser.arrive(app_site.url("/callback?")))
    assert response == {"error": "user_denied", "state": STATE}
    assert not box.server.sandbox.is_installed(DEFAULT_USER)


def test_callback_that_redirects(browser: Browser, box: Net, app_site: Site) -> None:
    """A callback may redirect to another origin: the page's policy lets the form lead there."""
    app_site.redirects["/callback"] = app_site.url("/welcome", host="localhost")
    open_consent(browser, box)
    browser.button("Allow and install").click()
    browser.arrive(app_site.url("/welcome", host="localhost"))
    assert browser.complaints() == []


def test_keyboard_only(browser: Browser, box: Net, app_site: Site) -> None:
    """Tab goes through accounts and buttons in the page's order, visibly, and Enter decides."""
    open_consent(browser, box)
    browser.press(Keys.TAB)
    assert browser.focused.get_attribute("value") == "1:11"
    assert browser.has_visible_focus()
    browser.press(Keys.ARROW_DOWN)
    assert browser.focused.get_attribute("value") == "2:22"
    browser.press(Keys.TAB)
    assert browser.focused.text == "Allow and install"
    assert browser.has_visible_focus()
    browser.press(Keys.TAB)
    assert browser.focused.text == "Cancel"
    assert browser.has_visible_focus()
    browser.press_with_shift(Keys.TAB)
    assert browser.focused.text == "Allow and install"
    browser.press(Keys.ENTER)
    code = query_of(browser.arrive(app_site.url("/callback?")))["code"]
    assert owner_of(box, code) == OTHER_USER.email


def test_keyboard_declines(browser: Browser, box: Net, app_site: Site) -> None:
    """With the keyboard alone, Cancel is as near as the other button."""
    open_consent(browser, box)
    browser.press(Keys.TAB, Keys.TAB, Keys.TAB, Keys.SPACE)
    assert "error" in query_of(browser.arrive(app_site.url("/callback?")))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_narrow_screen(browser: Browser, box: Net, app_site: Site, scheme: str) -> None:
    """On 320 by 640 nothing is cut off: no scrolling sideways, and both buttons are in view."""
    browser.looks(width=320, height=640, scheme=scheme)
    open_consent(browser, box)
    assert not browser.scrolls_sideways()
    assert browser.is_in_view(browser.button("Allow and install"))
    assert browser.is_in_view(browser.button("Cancel"))
    for _ in range(3):
        browser.press(Keys.TAB)
        assert browser.has_visible_focus()
    browser.run("scrollTo(0, document.body.scrollHeight)")
    browser.button("Allow and install").click()
    browser.arrive(app_site.url("/callback?code="))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_is_readable(browser: Browser, box: Net, scheme: str) -> None:
    """All text stands out from what is behind it, in light and in dark."""
    browser.looks(scheme=scheme)
    open_consent(browser, box)
    assert browser.low_contrasts() == []
    is_dark = browser.run("return getComputedStyle(document.body).backgroundColor < 'rgb(2'")
    assert is_dark == (scheme == "dark")


def test_without_scripts(browser: Browser, box: Net, app_site: Site, attacker: Site) -> None:
    """Where the browser runs no scripts, the page works as usual."""
    browser.looks(scripts=False)
    attacker.pages["/"] = "<title>off</title><script>document.title = 'on'</script>"
    browser.open(attacker.url())
    assert browser.driver.title == "off"
    open_consent(browser, box)
    browser.press(Keys.TAB, Keys.TAB, Keys.ENTER)
    response = query_of(browser.arrive(app_site.url("/callback?")))
    assert response["state"] == STATE
    assert owner_of(box, response["code"]) == DEFAULT_USER.email


def test_landmarks(browser: Browser, box: Net) -> None:
    """Assistive technology finds a banner, a main part, the group of accounts and the buttons."""
    open_consent(browser, box)
    roles = browser.roles()
    assert {"banner", "main", "heading", "group", "radio", "button", "list"} <= roles


def test_hostile_names_are_text(browser: Browser, app_site: Site) -> None:
    """Markup in the names of an app and of users is shown as text and does nothing."""
    name = "<script>document.title='hacked'</script>"
    image = "<img src=x onerror=\"document.title='hacked'\">\"'>"
    with run() as plain:
        app = attrs.evolve(plain.app, name=name, redirect_uri=app_site.url("/callback"))
    users = [
        attrs.evolve(DEFAULT_USER, name=image, company_name=image, email=name),
        OTHER_USER,
    ]
    with run(create_app(apps=[app], users=users)) as server:
        for path in (f"/oauth/authorize?{authorization_query(app)}", "/"):
            browser.open(server.base_url + path)
            assert name in browser.text()
            assert image in browser.text()
            assert browser.find_all("script, img") == []
            assert "hacked" not in browser.driver.title.replace(name, "")
    assert browser.complaints() == []


def test_account_among_thousands(browser: Browser, app_site: Site, client: httpx.Client) -> None:
    """Where there are too many accounts to show, any of them is named in a field."""
    users = [attrs.evolve(DEFAULT_USER, id=number) for number in range(1, 2001)]
    with run() as plain:
        app = attrs.evolve(plain.app, redirect_uri=app_site.url("/callback"))
    sandbox = create_app(apps=[app], users=users)
    with run(sandbox) as server:
        browser.looks(width=320, height=640)
        open_consent(browser, Net(server, client))
        assert len(browser.find_all("input[type=radio]")) == 50
        assert not browser.scrolls_sideways()
        field = browser.find("input[name=other_account]")
        field.send_keys("No account")
        browser.button("Allow and install").click()
        assert browser.run("return !arguments[0].validity.valid", field)
        field.clear()
        field.send_keys("1:1999", Keys.ENTER)
        code = query_of(browser.arrive(app_site.url("/callback?")))["code"]
        Net(server, client).exchange(code, app=app)
        assert sandbox.is_installed(users[1998])
        assert not sandbox.is_installed(users[0])
