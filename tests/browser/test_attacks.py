from __future__ import annotations

import pytest
from selenium.webdriver.common.by import By

from pipedrive_oauth_client.sandbox import DEFAULT_USER
from tests.browser.driver import Browser
from tests.browser.site import Site
from tests.sandbox.support import Net, authorization_query

# What a hole in the page's escaping would come to: a script in the page's own document.
INJECT = """
const script = document.createElement("script");
script.textContent = "document.documentElement.dataset.ran = 'yes'";
document.addEventListener("securitypolicyviolation", (event) => {
  document.documentElement.dataset.blocked = event.effectiveDirective;
});
document.body.append(script);
"""


def consent_url(box: Net) -> str:
    """Return the address of the consent page."""
    return f"{box.server.base_url}/oauth/authorize?{authorization_query(box.server.app)}"


def note_on_page(browser: Browser, name: str) -> str | None:
    """Return what the injected script, or the policy that stopped it, wrote into the document."""
    return browser.find("html").get_attribute(f"data-{name}")


@pytest.mark.parametrize("page", ["consent", "home"])
def test_policy_stops_inline_scripts(browser: Browser, box: Net, attacker: Site, page: str) -> None:
    """A script that gets into a page does not run there, while it runs in a page without policy."""
    browser.open(attacker.url())
    browser.run(INJECT)
    assert note_on_page(browser, "ran") == "yes"
    browser.open(consent_url(box) if page == "consent" else box.server.base_url)
    browser.run(INJECT)
    browser.wait(lambda: note_on_page(browser, "blocked"))
    assert (note_on_page(browser, "blocked"), note_on_page(browser, "ran")) == (
        "script-src-elem",
        None,
    )


def frame_is_filled(browser: Browser, attacker: Site, address: str) -> bool:
    """Frame a page in the attacker's, and tell whether its main part is there.

    In place of a page that forbids it, the frame has an error page of the browser.
    """
    attacker.pages["/"] = (
        '<!doctype html><title>waiting</title><iframe src="'
        + address.replace("&", "&amp;")
        + '" onload="document.title = \'loaded\'"></iframe>'
    )
    browser.open(attacker.url())
    browser.wait(lambda: browser.driver.title == "loaded")
    browser.driver.switch_to.frame(browser.find("iframe"))
    try:
        return browser.driver.find_elements(By.ID, "main") != []
    finally:
        browser.driver.switch_to.default_content()


@pytest.mark.parametrize("page", ["consent", "home"])
def test_pages_are_not_framed(
    browser: Browser, box: Net, app_site: Site, attacker: Site, page: str
) -> None:
    """An attacker's page that frames one of the sandbox's shows nothing of it."""
    app_site.pages["/"] = '<main id="main">Every site may frame me</main>'
    assert frame_is_filled(browser, attacker, app_site.url())
    address = consent_url(box) if page == "consent" else f"{box.server.base_url}/"
    assert not frame_is_filled(browser, attacker, address)
    assert any("frame" in message for message in browser.complaints())


def forged_form(box: Net) -> str:
    """Return a form that approves, with a ticket that its maker got by opening the page."""
    ticket = box.ticket(box.server.app)
    return (
        f'<form method="post" action="{box.server.base_url}/sandbox/consent">'
        f'<input name="ticket" value="{ticket}"><input name="account" value="1:11">'
        '<button name="decision" value="allow">Win a prize</button></form>'
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_forged_form_installs_nothing(
    browser: Browser, box: Net, app_site: Site, attacker: Site, host: str
) -> None:
    """A form of another origin, on the same host or another, is rejected; its ticket is unused."""
    attacker.pages["/"] = forged_form(box)
    browser.open(attacker.url(host=host))
    browser.button("Win a prize").click()
    browser.arrive(f"{box.server.base_url}/sandbox/consent")
    assert "access_denied" in browser.text()
    assert box.server.requests[-1].status == 403
    assert app_site.visits == []
    assert not box.server.sandbox.is_installed(DEFAULT_USER)


def test_form_of_an_opaque_origin_installs_nothing(
    browser: Browser, box: Net, app_site: Site, attacker: Site
) -> None:
    """A form in a sandboxed frame, whose origin is `null` as the own page's is, is rejected."""
    attacker.pages["/inside"] = forged_form(box)
    attacker.pages["/"] = '<iframe sandbox="allow-forms" src="/inside"></iframe>'
    browser.open(attacker.url())
    browser.driver.switch_to.frame(browser.find("iframe"))
    browser.button("Win a prize").click()
    browser.driver.switch_to.default_content()
    path = "/sandbox/consent"
    browser.wait(lambda: box.server.requests.select(path=path, outcome="access_denied"))
    assert box.server.requests.count(path=path) == 1
    assert app_site.visits == []
