from __future__ import annotations

from collections.abc import Iterator

import attrs
import httpx
import pytest

from pipedrive_oauth_client.sandbox import DEFAULT_APP, DEFAULT_USER, OTHER_USER, create_app, run
from tests.browser.driver import DRIVER_PROGRAM, PROGRAM, Browser, open_browser
from tests.browser.site import Site, serve_site
from tests.sandbox.support import Net


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests, as starting one is slow."""
    if PROGRAM is None or DRIVER_PROGRAM is None:
        pytest.skip("Chromium and chromedriver are not on this machine")
    with open_browser(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


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
