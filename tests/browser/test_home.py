from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from pipedrive_oauth_client.sandbox import Fault
from tests.browser.driver import Browser
from tests.browser.site import Site
from tests.sandbox.support import Net, query_of


@pytest.fixture
def used(box: Net) -> Net:
    """The sandbox after a login, an error response and a fault."""
    app = box.server.app
    tokens = box.tokens(app)
    box.refresh("x", app=app)
    box.server.faults.add("/oauth/token/", Fault.status(429))
    box.refresh(tokens["refresh_token"], app=app)
    return box


def open_home(browser: Browser, box: Net) -> None:
    """Open the home page."""
    browser.open(f"{box.server.base_url}/")


def test_home_page_leads_through_a_login(browser: Browser, box: Net, app_site: Site) -> None:
    """From the home page a user authorizes an app, and finds the result there."""
    open_home(browser, box)
    assert "No requests yet." in browser.text()
    browser.find(".app a").click()
    browser.arrive(f"{box.server.base_url}/oauth/authorize?")
    browser.button("Allow and install").click()
    code = query_of(browser.arrive(app_site.url("/callback?")))["code"]
    tokens = box.exchange(code, app=box.server.app).json()
    open_home(browser, box)
    rows = [row.text for row in browser.find_all(".log tbody tr")]
    assert [" ".join(row.split()[2:4]) for row in rows] == [
        "POST /oauth/token",
        "POST /sandbox/consent",
        "GET /oauth/authorize",
    ]
    assert all(row.endswith("ok") for row in rows)
    (access_row, refresh_row) = (row.text for row in browser.find_all(".tokens tbody tr"))
    assert access_row.startswith(f"v1u:…{tokens['access_token'][-4:]} Sandbox app Acme")
    assert refresh_row.startswith(f"1:11:…{tokens['refresh_token'][-4:]} Sandbox app Acme")
    for secret in (code, tokens["access_token"], tokens["refresh_token"]):
        assert secret not in browser.driver.page_source
    assert browser.complaints() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [320, 800, 1280])
def test_home_page_fits_and_can_be_read(
    browser: Browser, used: Net, width: int, scheme: str
) -> None:
    """On any width, in light and dark, nothing is cut off and all text has enough contrast."""
    browser.looks(width=width, height=640, scheme=scheme)
    open_home(browser, used)
    assert not browser.scrolls_sideways()
    assert browser.low_contrasts() == []
    inner = "return [...document.querySelectorAll('section, td, th, code')]"
    assert (
        browser.run(
            inner + ".filter((each) => each.scrollWidth > each.clientWidth + 1"
            " && getComputedStyle(each).display !== 'inline').length"
        )
        == 0
    )
    assert "fault: status 429" in browser.text()
    assert "invalid_grant" in browser.text()


@pytest.mark.parametrize("width", [320, 1280])
def test_tables_stay_tables(browser: Browser, used: Net, width: int) -> None:
    """Assistive technology finds tables with headers and landmarks, on a narrow screen as well."""
    browser.looks(width=width)
    open_home(browser, used)
    expected = {"table", "caption", "row", "columnheader", "rowheader", "cell"}
    assert expected | {"banner", "main", "navigation", "region", "heading"} <= browser.roles()


def test_skip_link(browser: Browser, used: Net) -> None:
    """The first stop of the keyboard leads past all else to the last requests."""
    browser.looks(width=320, height=640)
    open_home(browser, used)
    browser.press(Keys.TAB)
    assert browser.focused.text == "Skip to the last requests"
    assert browser.has_visible_focus()
    browser.press(Keys.ENTER)
    browser.wait(lambda: browser.is_in_view(browser.find("h2#requests")))
    assert browser.driver.current_url.endswith("#requests")


def test_every_stop_of_the_keyboard_is_visible(browser: Browser, used: Net) -> None:
    """Tab goes over the skip link, the parts of the page and each app, with a ring around each."""
    open_home(browser, used)
    stops = list[str]()
    for _ in range(6):
        browser.press(Keys.TAB)
        assert browser.has_visible_focus()
        stops.append(browser.focused.text)
    assert stops == [
        "Skip to the last requests",
        "Apps",
        "Accounts",
        "Active tokens",
        "Last requests",
        "Authorize Sandbox app",
    ]
