from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import attrs
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox import (
    DEFAULT_APP,
    DEFAULT_USER,
    OTHER_USER,
    App,
    Fault,
    Sandbox,
    User,
    create_app,
)
from pipedrive_oauth_client.sandbox.pages import describe_span
from tests.sandbox.support import BASE_URL, OTHER_APP, Clock, Wire, success


def text_of(wire: Wire) -> str:
    """Return the text of the home page, in one line."""
    page = wire.request("GET", "/")
    assert page.status_code == 200
    body = page.text.partition("</style>")[2]
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", body)).split())


def rows_of(page: str, kind: str) -> list[str]:
    """Return the rows of the tables of a class, each in one line."""
    tables = re.findall(rf'<table role="table" class="{kind}">(.*?)</table>', page, re.DOTALL)
    first_cell = r'<t[dh] role="(?:cell|rowheader)"'
    rows = re.findall(rf'<tr role="row">\n\s+{first_cell}.*?</tr>', "".join(tables), re.DOTALL)
    return [" ".join(unescape(re.sub(r"<[^>]*>", " ", row)).split()) for row in rows]


def many_users(count: int) -> list[User]:
    """Make that many users of one company."""
    return [
        attrs.evolve(DEFAULT_USER, id=number, email=f"p{number}@acme.example")
        for number in range(1, count + 1)
    ]


def test_apps_are_shown(wire: Wire) -> None:
    """Each app is there by name, client ID, redirect URI and scopes, and no client secret is."""
    text = text_of(wire)
    for app in (DEFAULT_APP, OTHER_APP):
        assert app.name in text
        assert app.client_id in text
        assert app.redirect_uri in text
        assert " ".join(app.scopes) in text
        assert app.client_secret not in wire.request("GET", "/").text
    assert "2 registered" in text


def test_links_lead_to_the_consent_page(wire: Wire) -> None:
    """The link of each app opens its consent page."""
    links = re.findall(r'href="(/oauth/authorize[^"]*)"', wire.request("GET", "/").text)
    assert len(links) == 2
    for app, link in zip((DEFAULT_APP, OTHER_APP), links, strict=True):
        page = wire.request("GET", unescape(link))
        assert page.status_code == 200
        assert f"<bdi>{app.name}</bdi> requests access" in page.text


def test_links_stay_below_a_mount() -> None:
    """In another application, the links and the icon are below the path of the mount."""
    wire = Wire(Starlette(routes=[Mount("/stand-in", app=create_app())]))
    page = wire.request("GET", "/stand-in/")
    assert page.status_code == 200
    assert 'href="/stand-in/oauth/authorize?' in page.text
    assert 'href="/stand-in/favicon.ico"' in page.text
    assert wire.request("GET", "/stand-in/favicon.ico").status_code == 200
    assert f"{BASE_URL}/stand-in</code>" in page.text


def test_accounts_are_shown_with_what_they_installed(wire: Wire) -> None:
    """Each account is there with its company, and with the apps that it installed."""
    assert "Acme acme Alex Moreno alex@acme.example none" in text_of(wire)
    wire.tokens(OTHER_APP, DEFAULT_USER)
    text = text_of(wire)
    assert "1:11 Acme acme Alex Moreno alex@acme.example Other app" in text
    assert "2:22 Globex globex Kim Saar kim@globex.example none" in text


def test_live_tokens_are_shown_masked(wire: Wire, clock: Clock) -> None:
    """Of a token the page shows the end, the user and the expiry; never all of it."""
    assert "No token is active." in text_of(wire)
    tokens = wire.tokens(OTHER_APP, OTHER_USER)
    clock.move(minutes=1)
    page = wire.request("GET", "/").text
    assert rows_of(page, "tokens") == [
        f"v1u:…{tokens['access_token'][-4:]} Other app Globex , Kim Saar 59 min",
        f"2:22:…{tokens['refresh_token'][-4:]} Other app Globex , Kim Saar 59 days 23 h",
    ]
    for token in (tokens["access_token"], tokens["refresh_token"]):
        assert token not in page
        secret_part = token.rpartition(":")[2]
        assert secret_part[:8] not in page
        assert secret_part[-8:] not in page


def test_dead_tokens_are_not_shown(wire: Wire, clock: Clock) -> None:
    """Tokens that were replaced, revoked, uninstalled or have expired are not on the page."""
    first = wire.tokens()
    second = success(wire.refresh(first["refresh_token"]))
    assert len(rows_of(wire.request("GET", "/").text, "tokens")) == 3
    wire.revoke(second["access_token"], "access_token")
    rows = rows_of(wire.request("GET", "/").text, "tokens")
    assert [row.split()[0][-4:] for row in rows] == [
        first["access_token"][-4:],
        second["refresh_token"][-4:],
    ]
    clock.move(hours=1)
    (row,) = rows_of(wire.request("GET", "/").text, "tokens")
    assert row.startswith("1:11:…")
    wire.revoke(second["refresh_token"], "refresh_token")
    assert "No token is active." in text_of(wire)
    wire.tokens(OTHER_APP, OTHER_USER)
    assert "No token is active." not in text_of(wire)
    assert isinstance(wire.sandbox, Sandbox)
    wire.sandbox.uninstall(OTHER_USER, app=OTHER_APP)
    assert "No token is active." in text_of(wire)


def test_newest_tokens_come_first(wire: Wire) -> None:
    """Within each kind, the token that was issued last is on top."""
    wire.tokens(DEFAULT_APP, DEFAULT_USER)
    wire.tokens(OTHER_APP, OTHER_USER)
    rows = rows_of(wire.request("GET", "/").text, "tokens")
    assert ["Other app" in row for row in rows] == [True, False, True, False]


def test_requests_are_shown() -> None:
    """The last requests are there, newest first, with status, outcome and fault."""
    clock = Clock()
    sandbox = create_app(clock=clock)
    wire = Wire(sandbox)
    assert "No requests yet." in text_of(wire)
    wire.refresh("x")
    clock.move(seconds=1)
    sandbox.faults.add("/oauth/revoke", Fault.status(503))
    wire.revoke("x")
    assert rows_of(wire.request("GET", "/").text, "log") == [
        "2026-03-01 12:00:01 POST /oauth/revoke sandbox-client-id 503 fault: status 503",
        "2026-03-01 12:00:00 POST /oauth/token/ sandbox-client-id refresh_token 400 invalid_grant",
    ]
    assert "2026-03-01 12:00:01 UTC" in text_of(wire)


@pytest.mark.parametrize("path", ["/", "/favicon.ico"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_opening_the_page_is_not_logged(path: str, method: str) -> None:
    """Opening the page changes nothing that a test counts: neither it nor its icon is logged."""
    sandbox = create_app()
    response = Wire(sandbox).request(method, path)
    assert response.status_code == 200
    assert bool(response.content) == (method == "GET")
    assert len(sandbox.requests) == 0


def test_other_requests_to_the_root_are_logged() -> None:
    """A POST to the root, of a client that lost its path, is logged."""
    sandbox = create_app()
    assert Wire(sandbox).request("POST", "/").status_code == 405
    (logged,) = sandbox.requests
    assert (logged.method, logged.path, logged.outcome) == ("POST", "/", "method_not_allowed")


def test_no_secret_is_on_the_page(wire: Wire) -> None:
    """Whatever was requested, even with secrets in the wrong places, the page shows none."""
    code = wire.code()
    tokens = success(wire.exchange(code))
    spent = wire.code()
    pair = (tokens["access_token"], tokens["refresh_token"])
    secrets = [code, spent, *pair, DEFAULT_APP.client_secret]
    for secret in secrets:
        wire.request("GET", f"/oauth/{secret}?code={secret}&state=planted-state")
        wire.post_form("/oauth/token", {"grant_type": secret, "refresh_token": secret})
        wire.open_page(f"client_id={secret}&redirect_uri={secret}&state=planted-state")
    page = wire.request("GET", "/").text
    for secret in (*secrets, "planted-state"):
        assert secret not in page


def test_everything_shown_is_escaped() -> None:
    """Markup in whatever the page shows is text there."""
    attack = "</title><script>alert(1)</script>\"'"
    app = App(
        name=attack,
        client_id="<script>id</script>",
        client_secret="not-in-any-path",
        redirect_uri="http://127.0.0.1:1/'callback'&x",
        scopes=["<script>scope</script>"],
    )
    user = attrs.evolve(
        DEFAULT_USER, name=attack, email=attack, company_name=attack, company_domain=attack
    )
    wire = Wire(create_app(apps=[app], users=[user]))
    wire.tokens(app, user)
    wire.request("GET", "/<script>path")
    page = wire.request("GET", "/").text
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;") >= 10
    assert "&lt;script&gt;id&lt;/script&gt;" in page
    assert "&lt;script&gt;scope&lt;/script&gt;" in page
    assert "/&lt;script&gt;path" in page
    assert "'callback'" not in page


def test_page_is_kept_to_itself(wire: Wire) -> None:
    """The page has the headers of the consent page: no scripts, no frames, no caches."""
    page = wire.request("GET", "/")
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'; style-src 'nonce-" in policy
    assert "form-action 'self'; frame-ancestors 'none'; base-uri 'none'" in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["referrer-policy"] == "same-origin"
    assert "style=" not in page.text


def test_page_is_accessible(wire: Wire) -> None:
    """The page has a language, one first heading, landmarks, and a scope for each header."""
    wire.tokens()
    page = wire.request("GET", "/").text
    assert '<html lang="en">' in page
    assert page.count("<h1>") == 1
    assert page.count("<main") == page.count("<nav") == page.count("<header") == 1
    assert page.count("<caption") == page.count("<table") == 4
    headers = re.findall(r"<th [^>]*>", page)
    assert headers
    assert all('scope="col"' in each or 'scope="row"' in each for each in headers)
    for link in re.findall(r'href="#([a-z]+)"', page):
        assert f'id="{link}"' in page


def test_tables_say_that_they_are_tables(wire: Wire) -> None:
    """Each part of a table names its role: browsers forget it when a style shows it as a list."""
    wire.tokens()
    page = wire.request("GET", "/").text
    for tag, roles in {
        "table": {"table"},
        "thead": {"rowgroup"},
        "tbody": {"rowgroup"},
        "tr": {"row"},
        "th": {"columnheader", "rowheader"},
        "td": {"cell"},
    }.items():
        tags = re.findall(rf"<{tag}\b[^>]*>", page)
        assert tags
        assert {re.findall(r' role="([a-z]+)"', each)[0] for each in tags} == roles


def test_page_is_bounded() -> None:
    """With 300 accounts and tokens, and as many requests, the page lists some and counts all."""
    users = many_users(300)
    sandbox = create_app(users=users, clock=Clock())
    wire = Wire(sandbox)
    for user in users:
        code = sandbox.install(user=user).partition("code=")[2]
        success(wire.exchange(code))
    page = wire.request("GET", "/").text
    assert len(rows_of(page, "tokens")) == len(rows_of(page, "log")) == 50
    text = text_of(wire)
    assert "Access tokens – the newest 25 of 300 active" in text
    assert "Refresh tokens – the newest 25 of 300 active" in text
    assert "Newest first: the last 50 of 300 in the log." in text
    assert "install an app: the first 50 of 300 in total." in text
    assert rows_of(page, "tokens")[0].endswith("1 h")
    assert f"1:{users[-1].id}:…" in text
    assert len(page) < 100_000


def test_count_of_tokens_beyond_those_looked_at(clock: Clock) -> None:
    """Of thousands of tokens no expired one is counted, and the count is shown as a bound."""
    users = many_users(1_500)
    sandbox = create_app(users=users, clock=clock)
    for user in users:
        code = sandbox._state.issue_code(DEFAULT_APP, user)
        uri = DEFAULT_APP.redirect_uri
        sandbox._state.redeem_code(code, app=DEFAULT_APP, redirect_uri=uri)
        clock.move(seconds=1)
    sandbox.uninstall(users[1_499])
    text = text_of(Wire(sandbox))
    assert "Access tokens – the newest 25 of up to 1,499 active" in text
    assert "Refresh tokens – the newest 25 of up to 1,499 active" in text
    clock.move(minutes=55)
    text = text_of(Wire(sandbox))
    assert "Access tokens – the newest 25 of 298 active" in text
    assert "Refresh tokens – the newest 25 of up to 1,499 active" in text


def test_consent_page_of_many_accounts_is_bounded() -> None:
    """Beyond fifty accounts the consent page takes the number of any other one in a field."""
    users = [*many_users(300), OTHER_USER]
    wire = Wire(create_app(users=users))
    response = wire.open_page(
        "client_id=sandbox-client-id&redirect_uri=" + DEFAULT_APP.redirect_uri
    )
    assert response.text.count('type="radio"') == 50
    assert "Another of the 301 accounts" in response.text
    form: dict[str, str | None] = {"account": "1:1", "decision": "allow"}
    for other, owner in (("2:22", "2:22:"), ("", "1:1:")):
        decision = {**form, "ticket": wire.ticket(), "other_account": other}
        location = wire.post_form("/sandbox/consent", decision).headers["location"]
        tokens = success(wire.exchange(location.partition("code=")[2]))
        assert tokens["refresh_token"].startswith(owner)
    wrong = {**form, "ticket": wire.ticket(), "other_account": "3:1"}
    assert wire.post_form("/sandbox/consent", wrong).json()["error"] == "invalid_request"


def test_any_of_many_users_is_known() -> None:
    """`install` accepts each of many users, and no other user with the account of one of them."""
    users = many_users(60)
    sandbox = create_app(users=users)
    assert sandbox.install(user=users[59])
    with pytest.raises(ConfigurationError, match="not one of the sandbox's"):
        sandbox.install(user=attrs.evolve(users[59], name="Another name"))


def test_icon(wire: Wire) -> None:
    """Browsers find the icon that they request by themselves, a picture without scripts."""
    icon = wire.request("GET", "/favicon.ico")
    assert icon.headers["content-type"] == "image/svg+xml"
    assert icon.headers["content-security-policy"].startswith("default-src 'none'")
    assert icon.text.startswith("<svg ")
    assert 'href="/favicon.ico"' in wire.request("GET", "/").text


@pytest.mark.parametrize(
    ("span", "words"),
    [
        (timedelta(days=60), "60 days"),
        (timedelta(days=1, hours=2, minutes=3), "1 day 2 h"),
        (timedelta(days=1, minutes=3), "1 day"),
        (timedelta(hours=1), "1 h"),
        (timedelta(minutes=59, seconds=59.9), "59 min 59 s"),
        (timedelta(seconds=1), "1 s"),
        (timedelta(seconds=0.5), "less than 1 s"),
    ],
)
def test_spans_in_words(span: timedelta, words: str) -> None:
    """A span is described in its two largest units."""
    assert describe_span(span) == words
