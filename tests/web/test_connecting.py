from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from attrs import evolve

from pipedrive_oauth_client import (
    AuthorizationDeniedError,
    CorruptTokenError,
    GrantEnd,
    ServerError,
)
from pipedrive_oauth_client.events import GrantRestored
from pipedrive_oauth_client.sandbox import DEFAULT_USER, OTHER_USER, Fault
from pipedrive_oauth_client.web import Connection
from tests.support.auths import WatchedStore
from tests.web.conftest import CLIENT, PLAIN_CLIENT, PREFIXED_CLIENT
from tests.web.sites import ASYNC_KINDS, ONE_OF_EACH, Build, Site


def exchanges(site: Site) -> int:
    """Count the codes that were sent to the service."""
    return site.box.requests.count(grant_type="authorization_code")


def native_answer(kind: str, text: str) -> Any:
    """Make an answer as an app of a framework would."""
    if kind in {"starlette", "fastapi"}:
        from starlette.responses import PlainTextResponse  # noqa: PLC0415 - one of three

        return PlainTextResponse(text, 201)
    if kind == "flask":
        return text, 201
    from django.http import HttpResponse  # noqa: PLC0415 - one of three

    return HttpResponse(text, status=201)


def test_connecting(site: Site) -> None:
    """A person who connects is sent on, and their token is kept under company and user."""
    response = site.browser().connect()
    assert response.status_code == 303
    assert response.headers["Location"] == "/"
    token = site.store.load(DEFAULT_USER.account)
    assert token is not None
    assert token.api_domain == site.box.base_url


def test_connecting_with_an_odd_response(site: Site) -> None:
    """A person is connected although the service's response is not quite what its spec says."""
    fields: dict[str, object] = {"scope": None, "expires_in": None, "refresh_token": "", "more": {}}
    fault = Fault.override(fields, without=["token_type"])
    site.box.faults.add("/oauth/token", fault, grant_type="authorization_code")
    assert site.browser().connect().status_code == 303
    token = site.store.load(DEFAULT_USER.account)
    assert token is not None
    assert (token.scope, token.refresh_token, token.token_type) == ("", None, "Bearer")


def test_redirect_uri_is_the_registered_one(site: Site) -> None:
    """Whatever host a request names, the consent page is given the registered redirect URI."""
    browser = site.browser()
    forged = {"Host": "evil.example", "X-Forwarded-Host": "evil.example"}
    page = browser.begin(headers=forged)
    assert parse_qs(urlsplit(page).query)["redirect_uri"] == [CLIENT.redirect_uri]
    assert page.startswith(site.box.base_url)


def test_cookie_of_an_attempt(site: Site) -> None:
    """The cookie is for this host, https and the server alone, comes back with a link, and ends."""
    response = site.browser().get(site.start)
    (cookie,) = response.headers.get_list("Set-Cookie")
    name, _, attributes = cookie.strip().partition("=")
    assert name.startswith("__Host-pipedrive-")
    found = {each.strip().lower() for each in attributes.split(";")[1:]}
    assert {"httponly", "secure", "samesite=lax", "path=/", "max-age=600"} <= found
    assert not any(each.startswith("domain") for each in found)


def test_cookie_without_https(build: Build) -> None:
    """An app at a plain http address, on a developer's machine, gets cookies that work there."""
    site = build(PLAIN_CLIENT)
    browser = site.browser()
    browser.host = "http://127.0.0.1:8123"
    assert browser.connect().status_code == 303
    (cookie,) = browser.get(site.start).headers.get_list("Set-Cookie")
    assert cookie.strip().startswith("pipedrive-")
    assert "secure" not in cookie.lower()


def test_https_behind_a_proxy(site: Site) -> None:
    """Where a proxy speaks https for an app that sees http, cookies are for https all the same."""
    browser = site.browser()
    request = browser.request("GET", "http://10.0.0.7:8000" + site.start)
    (cookie,) = browser.at_once(request)[0].headers.get_list("Set-Cookie")
    assert cookie.strip().startswith("__Host-")
    assert "secure" in cookie.lower()


@pytest.mark.parametrize("kind", ONE_OF_EACH, indirect=True)
def test_scheme_in_capitals(build: Build) -> None:
    """A redirect URI whose scheme is written in capitals is for https, too."""
    site = build(evolve(CLIENT, redirect_uri=CLIENT.redirect_uri.replace("https", "HTTPS")))
    (cookie,) = site.browser().get(site.start).headers.get_list("Set-Cookie")
    assert cookie.strip().startswith("__Host-")
    assert "secure" in cookie.lower()


def test_app_under_a_prefix(build: Build) -> None:
    """An app that is mounted at a path sends people back into itself, and to its own start."""
    site = build(PREFIXED_CLIENT, root="/crm", after_connect="/deals")
    browser = site.browser()
    assert browser.connect().headers["Location"] == "/crm/deals"
    page = browser.get(site.callback + "?state=unknown&code=1").text
    assert 'href="/crm/pipedrive/connect"' in page
    front = ["https://front.example"]
    site = build(
        PREFIXED_CLIENT, root="/crm", return_origins=front, after_connect="https://front.example/in"
    )
    assert site.browser().connect().headers["Location"] == "https://front.example/in"


@pytest.mark.parametrize("kind", ["starlette", "fastapi"], indirect=True)
def test_app_at_a_single_slash(build: Build) -> None:
    """With `--root-path /` no browser is sent to a host that is named like a page."""
    site = build(after_connect="/deals")
    inner = site._app

    async def mounted(scope: Any, receive: Any, send: Any) -> None:
        # As uvicorn does it.
        await inner({**scope, "root_path": "/", "path": "/" + scope["path"]}, receive, send)

    browser = evolve(site, app=mounted).browser()
    assert browser.connect().headers["Location"] == "/deals"
    page = browser.get(site.callback + "?state=unknown&code=1").text
    assert 'href="/pipedrive/connect"' in page


@pytest.mark.parametrize(
    ("wanted", "location"),
    [
        ("/deals/7?tab=notes#top", "/deals/7?tab=notes#top"),
        ("/Angebote/Ärmelkanal", "/Angebote/%C3%84rmelkanal"),
        ("/a%20b", "/a%20b"),
        ("https://other.example/in", "https://other.example/in"),
        ("https://other.example.evil/in", "/"),
    ],
)
def test_going_back(build: Build, wanted: str, location: str) -> None:
    """A person comes back to where they began, in the app or at an origin that it has named."""
    site = build(return_origins=["https://other.example"])
    browser = site.browser()
    response = browser.connect("?" + str(httpx.QueryParams(next=wanted)))
    assert response.headers["Location"] == location


def test_hook_is_told(build: Build) -> None:
    """The app hears of a connection when its token is saved, with the framework's own request."""
    told: list[Connection] = []

    def connected(request: Any, connection: Connection) -> None:
        assert request.method == "GET"
        assert site.store.load(connection.account) == connection.token
        told.append(connection)

    site = build(connected=connected)
    site.browser().connect("?next=/deals", user=OTHER_USER)
    (connection,) = told
    assert connection.account == OTHER_USER.account == connection.user.account
    assert connection.user.name == OTHER_USER.name
    assert connection.user.company_name == OTHER_USER.company_name
    assert connection.return_to == "/deals"
    assert not connection.from_marketplace
    assert connection.at == site.box.clock()


@pytest.mark.parametrize("kind", sorted(ASYNC_KINDS), indirect=True)
def test_asynchronous_functions(build: Build) -> None:
    """Where the framework is asynchronous, the functions of the app may be so, too."""
    told: list[str] = []

    async def account_for(_request: Any, _token: Any, user: Any) -> str:
        return f"user-{user.user_id}"

    async def account_of(notice: Any) -> str:
        return f"user-{notice.user_id}"

    async def connected(_request: Any, connection: Connection) -> None:
        told.append(connection.account)

    site = build(
        account_for=account_for,
        account_of=account_of,
        connected=lambda _request, connection: connected(None, connection),  # looks like neither
    )
    site.browser().connect()
    assert told == ["user-11"]


def test_answer_of_the_hook(build: Build, kind: str) -> None:
    """What the hook answers is sent, with the cookie's end and the headers of every answer."""
    site = build(connected=lambda _request, _connection: native_answer(kind, "Welcome"))
    browser = site.browser()
    response = browser.connect()
    assert (response.status_code, response.text) == (201, "Welcome")
    assert response.headers["Cache-Control"] == "no-store"
    assert browser.attempts() == []


@pytest.mark.parametrize("error", [KeyError("the app's own"), ServerError("x", status_code=500)])
def test_hook_that_fails(build: Build, error: Exception) -> None:
    """What the hook raises is the app's own, and the token is saved by then."""

    def connected(_request: Any, _connection: Connection) -> None:
        raise error

    site = build(connected=connected)
    browser = site.browser()
    callback = browser.consent(browser.begin())
    with pytest.raises(type(error)):
        browser.get(callback)
    assert site.store.load(DEFAULT_USER.account) is not None


def test_account_of_the_apps_own(build: Build) -> None:
    """The app can choose what a token is kept under, and has to say how a notice finds it."""
    site = build(
        account_for=lambda _request, token, user: f"{token.token_type}-{user.user_id}",
        account_of=lambda notice: f"Bearer-{notice.user_id}",
    )
    browser = site.browser()
    browser.connect()
    assert list(site.store.accounts()) == ["Bearer-11"]
    notice = site.box.server.sandbox.uninstall(DEFAULT_USER, app=CLIENT)
    browser.send("DELETE", site.callback, headers=notice.headers, content=notice.content)
    assert list(site.store.accounts()) == []


def test_declining(site: Site) -> None:
    """A person who says no gets a page that says so, no code is exchanged, and nothing is kept."""
    browser = site.browser()
    response = browser.get(browser.consent(browser.begin("?next=/deals"), approve=False))
    assert response.status_code == 403
    assert "Not connected" in response.text
    assert 'href="/pipedrive/connect?next=/deals"' in response.text
    assert (exchanges(site), list(site.store.accounts())) == (0, [])
    assert browser.attempts() == []


def test_declining_in_the_apps_words(build: Build, kind: str) -> None:
    """The app is told of a no, and its own answer is sent."""
    told: list[Exception] = []

    def failed(_request: Any, error: Exception) -> Any:
        told.append(error)
        return native_answer(kind, "As you like")

    site = build(failed=failed)
    browser = site.browser()
    response = browser.get(browser.consent(browser.begin(), approve=False))
    assert (response.status_code, response.text) == (201, "As you like")
    assert response.headers["Cache-Control"] == "no-store"
    assert browser.attempts() == []
    assert isinstance(told[0], AuthorizationDeniedError)


def test_starting_again(site: Site) -> None:
    """Who starts again from a page that says what went wrong gets to the same place in the end."""
    browser = site.browser()
    wanted = "/deals?tab=notes&page=2#top"
    query = "?" + str(httpx.QueryParams(next=wanted))
    page = browser.get(browser.consent(browser.begin(query), approve=False)).text
    (again,) = re.findall(r'<a href="([^"]+)">Start again</a>', page)
    begun = browser.get(unescape(again)).headers["Location"]
    assert browser.get(browser.consent(begun)).headers["Location"] == wanted


def test_app_that_only_listens_to_failures(build: Build) -> None:
    """A function for failures that answers nothing leaves the usual page."""
    site = build(failed=lambda _request, _error: None)
    browser = site.browser()
    assert browser.get(browser.consent(browser.begin(), approve=False)).status_code == 403


def test_several_tabs(site: Site) -> None:
    """Attempts of several tabs end each in its own place, whichever ends first."""
    browser = site.browser()
    pages = [browser.begin(f"?next=/tab/{number}") for number in range(5)]
    for number in (3, 0, 4, 1, 2):
        response = browser.get(browser.consent(pages[number]))
        assert response.headers["Location"] == f"/tab/{number}"
    assert browser.attempts() == []


def test_marketplace_is_off(site: Site) -> None:
    """A callback without a state is refused unless the app has switched such installs on."""
    response = site.browser().get(site.box.server.install(app=CLIENT))
    assert response.status_code == 400
    assert (exchanges(site), list(site.store.accounts())) == (0, [])


def test_marketplace_is_on(build: Build) -> None:
    """An install from the Marketplace is accepted where allowed, and said to be one."""
    told: list[Connection] = []
    site = build(
        allow_marketplace_installs=True,
        after_connect="/hello",
        connected=lambda _request, connection: told.append(connection),
    )
    response = site.browser().get(site.box.server.install(app=CLIENT))
    assert response.headers["Location"] == "/hello"
    assert told[0].from_marketplace
    assert site.store.load(DEFAULT_USER.account) is not None


def test_install_through_the_app(build: Build) -> None:
    """The Installation URL begins with a state, so that the install is as safe as a login."""
    told: list[Connection] = []
    site = build(
        after_connect="/hello", connected=lambda _request, connection: told.append(connection)
    )
    browser = site.browser()
    response = browser.get(f"{site.install}?next=/elsewhere")
    assert response.status_code == 303
    page = response.headers["Location"]
    assert len(httpx.URL(page).params["state"]) > 40
    callback = browser.consent(page)
    assert site.browser().get(callback).status_code == 400  # another browser
    assert browser.get(callback).headers["Location"] == "/hello"
    assert [each.from_marketplace for each in told] == [False]


def test_marketplace_does_not_loosen_states(build: Build) -> None:
    """Where installs from the Marketplace are allowed, a wrong state is still refused."""
    site = build(allow_marketplace_installs=True)
    response = site.browser().get(site.box.server.install(app=CLIENT) + "&state=made-up")
    assert response.status_code == 400
    assert exchanges(site) == 0


def test_reconnecting(site: Site) -> None:
    """Connecting again replaces the token of the account."""
    browser = site.browser()
    browser.connect()
    first = site.store.load(DEFAULT_USER.account)
    browser.connect()
    assert site.store.load(DEFAULT_USER.account) != first


def test_a_login_that_restores_a_grant_is_reported(build: Build) -> None:
    """Once, and no other login is; an account whose token can't be read is connected as well."""
    seen: list[object] = []
    store = WatchedStore()
    site = build(store=store, on_event=seen.append)
    browser = site.browser()
    browser.connect()
    browser.connect()
    assert seen == []
    token = site.store.load(DEFAULT_USER.account)
    assert token is not None
    now = site.box.clock()
    end = GrantEnd(at=now, error="invalid_grant", tried_at=now)
    site.store.save(DEFAULT_USER.account, evolve(token, grant_end=end))
    assert browser.connect().status_code == 303
    assert seen == [GrantRestored(account=DEFAULT_USER.account)]
    store.at("load", CorruptTokenError("It is damaged."))
    assert browser.connect().status_code == 303
    assert len(seen) == 1


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "OPTIONS"])
def test_other_methods(site: Site, method: str) -> None:
    """No other method begins anything or uses a code up."""
    browser = site.browser()
    callback = browser.consent(browser.begin())
    response = browser.send(method, callback)
    assert response.status_code == 405
    assert response.headers["Allow"] == "GET, DELETE, POST"
    for path in (site.start, site.install):
        response = browser.send(method, path)
        assert (response.status_code, response.headers["Allow"]) == (405, "GET")
    assert exchanges(site) == 0
    assert browser.get(callback).status_code == 303


@pytest.mark.parametrize(
    "headers",
    [{"Sec-Purpose": "prefetch;prerender"}, {"Purpose": "prefetch"}, {"X-Moz": "prefetch"}],
)
def test_prefetch(site: Site, headers: dict[str, str]) -> None:
    """A browser that asks on suspicion uses nothing up, and the person's own visit works."""
    browser = site.browser()
    unasked = browser.get(site.start, headers=headers)
    assert (unasked.status_code, unasked.headers["Cache-Control"]) == (503, "no-store")
    assert browser.attempts() == []
    callback = browser.consent(browser.begin())
    assert browser.get(callback, headers=headers).status_code == 503
    assert browser.get(site.install, headers=headers).status_code == 503
    assert exchanges(site) == 0
    assert browser.get(callback).status_code == 303


def test_slow_person(site: Site) -> None:
    """A person may take a few minutes at the service."""
    browser = site.browser()
    page = browser.begin()
    site.box.clock.advance(timedelta(minutes=9, seconds=59))
    assert browser.get(browser.consent(page)).status_code == 303
