from __future__ import annotations

import shutil
from collections.abc import Iterator

import attrs
import httpx
import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from pipedrive_oauth_client.sandbox import DEFAULT_APP, DEFAULT_USER, OTHER_USER, create_app, run
from tests.browser.driver import Browser
from tests.browser.site import Site, serve_site
from tests.sandbox.support import Net

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
)


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests, as starting one is slow."""
    program = shutil.which("chromium")
    driver_program = shutil.which("chromedriver")
    if program is None or driver_program is None:
        pytest.skip("Chromium and chromedriver are not on this machine")
    folder = tmp_path_factory.mktemp("chromium")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={folder / 'profile'}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    with pytest.MonkeyPatch.context() as environment:
        # The driver is on this machine, and so is all that the library may use: it fetches nothing.
        environment.setenv("no_proxy", "*")
        environment.setenv("SE_OFFLINE", "true")
        environment.setenv("SE_AVOID_STATS", "true")
        driver = webdriver.Chrome(options, Service(driver_program))
    try:
        driver.set_page_load_timeout(30)
        yield Browser(driver)
    finally:
        driver.quit()


@pytest.fixture
def browser(chromium: Browser) -> Browser:
    """The browser on an empty page, with a wide and light screen, and an empty console."""
    chromium.looks()
    chromium.open("about:blank")
    chromium.complaints()
    return chromium


@pytest.fixture(scope="session")
def sites() -> Iterator[tuple[Site, Site]]:
    """Two sites for all tests."""
    with serve_site() as app_site, serve_site() as attacker:
        yield app_site, attacker


@pytest.fixture
def app_site(sites: tuple[Site, Site]) -> Site:
    """The site of the app, to which its redirect URI leads."""
    sites[0].clear()
    return sites[0]


@pytest.fixture
def attacker(sites: tuple[Site, Site]) -> Site:
    """The site of an attacker."""
    sites[1].clear()
    return sites[1]


@pytest.fixture(scope="session")
def client() -> Iterator[httpx.Client]:
    """One HTTP client for all tests, as creating one loads all certificate authorities."""
    with httpx.Client(trust_env=False) as client:
        yield client


@pytest.fixture
def box(app_site: Site, client: httpx.Client) -> Iterator[Net]:
    """A sandbox with the app of that site and the two default users."""
    app = attrs.evolve(DEFAULT_APP, redirect_uri=app_site.url("/callback"))
    sandbox = create_app(apps=[app], users=[DEFAULT_USER, OTHER_USER])
    with run(sandbox) as server:
        yield Net(server, client)
