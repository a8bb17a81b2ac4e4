from __future__ import annotations

import re
from urllib.parse import quote, urlencode

import attrs
import httpx
import pytest

from pipedrive_oauth_client.sandbox import DEFAULT_APP, DEFAULT_USER, OTHER_USER, create_app
from tests.sandbox.support import (
    BASE_URL,
    FORM,
    OTHER_APP,
    Clock,
    Wire,
    account_of,
    authorization_query,
    bearer,
    callback_parameters,
    error_of,
    success,
    ticket_in,
)


def policy_of(page: httpx.Response) -> dict[str, list[str]]:
    """Return the page's Content-Security-Policy by directive."""
    directives = page.headers["content-security-policy"].split("; ")
    return {name: sources for name, *sources in (text.split() for text in directives)}


def test_page_says_who_asks_for_what(wire: Wire) -> None:
    """The page names the app, describes every scope and account, and has both buttons."""
    page = wire.open_page(authorization_query())
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "<bdi>Sandbox app</bdi> requests access" in page.text
    assert "See and change your deals <code>deals:full</code>" in page.text
    assert page.text.count("<li>") == len(DEFAULT_APP.scopes)
    for user in (DEFAULT_USER, OTHER_USER):
        assert user.company_name in page.text
        assert user.email in page.text
    assert re.findall(r">([^<]+)</button>", page.text) == ["Allow and install", "Cancel"]
    assert "127.0.0.1:8123" in page.text


def test_page_is_accessible(wire: Wire) -> None:
    """The page has a language, one first heading, a legend, and a label around each choice."""
    page = wire.open_page(authorization_query()).text
    assert '<html lang="en">' in page
    assert page.count("<h1>") == 1
    assert "<legend>" in page
    assert page.count("<label") == page.count('type="radio"') == 2
    assert page.count(" checked>") == 1
    assert 'name="viewport"' in page
    assert ":focus-visible" in page
    assert "prefers-color-scheme: dark" in page


def test_page_of_one_user_offers_no_choice() -> None:
    """With a single account there is nothing to choose, and the account goes along."""
    wire = Wire(create_app(users=[OTHER_USER]))
    page = wire.open_page(authorization_query()).text
    assert 'type="radio"' not in page
    assert f'name="account" value="{account_of(OTHER_USER)}"' in page


def test_page_runs_no_script_and_is_not_framed(wire: Wire) -> None:
    """The page's headers forbid scripts, frames, caching, referrers and guessed types."""
    page = wire.open_page(authorization_query())
    policy = policy_of(page)
    assert policy["default-src"] == ["'none'"]
    assert policy["frame-ancestors"] == ["'none'"]
    assert policy["base-uri"] == ["'none'"]
    assert "script-src" not in policy
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["referrer-policy"] == "same-origin"
    assert page.headers["cache-control"] == "no-store"
    assert page.headers["x-content-type-options"] == "nosniff"
    assert "<script" not in page.text


def test_page_allows_its_own_style_alone(wire: Wire) -> None:
    """The style's nonce is the policy's, and another one for every page."""
    nonces = set[str]()
    for _ in range(2):
        page = wire.open_page(authorization_query())
        (source,) = policy_of(page)["style-src"]
        nonces.add(source.removeprefix("'nonce-").removesuffix("'"))
        assert page.text.count(f'<style nonce="{source[7:-1]}">') == page.text.count("<style") == 1
        assert "style=" not in page.text
    assert len(nonces) == 2


def test_page_lets_its_form_lead_to_the_app(wire: Wire) -> None:
    """The policy allows the form, the app's redirect URI, and where the app redirects next."""
    assert policy_of(wire.open_page(authorization_query()))["form-action"] == [
        "'self'",
        "http://127.0.0.1:8123",
        "https:",
        "http://127.0.0.1:*",
        "http://localhost:*",
    ]
    other = policy_of(wire.open_page(authorization_query(OTHER_APP)))["form-action"]
    assert other[:2] == ["'self'", "https://other.example"]


def test_everything_shown_is_escaped() -> None:
    """Markup in the names of apps, scopes, users and companies is shown as text."""
    attack = "</title><script>alert(1)</script>\"'"
    app = attrs.evolve(DEFAULT_APP, name=attack, scopes=["<script>scope</script>"])
    user = attrs.evolve(DEFAULT_USER, name=attack, email=attack, company_name=attack)
    page = Wire(create_app(apps=[app], users=[user, OTHER_USER])).open_page(authorization_query())
    assert page.status_code == 200
    assert "<script" not in page.text
    assert page.text.count("&lt;/title&gt;&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;") == 5
    assert "&lt;script&gt;scope&lt;/script&gt;" in page.text


def test_state_is_not_part_of_the_page(wire: Wire) -> None:
    """A script in the state does not reach the page, and comes back untouched."""
    state = "\"><script>alert('state')</script>"
    page = wire.open_page(authorization_query(state=state))
    assert "alert" not in page.text
    response = wire.decide(ticket_in(page.text))
    assert callback_parameters(response)["state"] == state


@pytest.mark.parametrize(
    ("query", "error", "message"),
    [
        ("", "invalid_request", "Missing parameter: client_id"),
        ("client_id=sandbox-client-id", "invalid_request", "Missing parameter: redirect_uri"),
        ("client_id=&redirect_uri=x", "invalid_request", "Missing parameter: client_id"),
        (
            "client_id=other&redirect_uri=x",
            "invalid_client",
            "Invalid client: client is invalid",
        ),
        ("client_id=%FF&redirect_uri=x", "invalid_client", "Invalid client: client is invalid"),
        (
            authorization_query() + "&client_id=sandbox-client-id",
            "invalid_request",
            "Invalid request: a parameter is repeated",
        ),
        (
            authorization_query(state="a") + "&state=a",
            "invalid_request",
            "Invalid request: a parameter is repeated",
        ),
        (
            authorization_query() + "&state=100%",
            "invalid_request",
            "Invalid request: parameters are not correctly encoded",
        ),
    ],
)
def test_wrong_request_is_not_redirected(wire: Wire, query: str, error: str, message: str) -> None:
    """A request without a known client, or with a broken query, is rejected and not redirected."""
    assert error_of(wire.open_page(query)) == (error, message)


@pytest.mark.parametrize(
    "redirect_uri",
    [
        "http://127.0.0.1:8123/callback/",
        "http://127.0.0.1:8123/callback?x=1",
        "http://127.0.0.1:8123/CALLBACK",
        "http://127.0.0.1:8123/callback#part",
        "HTTP://127.0.0.1:8123/callback",
        "http://localhost:8123/callback",
        "http://127.0.0.1/callback",
        "https://evil.example/",
        OTHER_APP.redirect_uri,
    ],
)
def test_other_redirect_uri_is_not_redirected_to(wire: Wire, redirect_uri: str) -> None:
    """A redirect URI must be the registered one to the letter; to another nothing is sent."""
    query = urlencode({"client_id": DEFAULT_APP.client_id, "redirect_uri": redirect_uri})
    error, message = error_of(wire.open_page(query))
    assert (error, message) == ("invalid_request", "Invalid request: redirect_uri is invalid")


def test_unknown_parameters_are_ignored(wire: Wire) -> None:
    """Parameters that the endpoint does not know change nothing (RFC 6749 section 3.1)."""
    page = wire.open_page(authorization_query() + "&response_type=code&scope=admin&bare")
    assert page.status_code == 200
    assert "admin" not in page.text
    assert set(callback_parameters(wire.decide(ticket_in(page.text)))) == {"code"}


def test_yes_redirects_with_a_code_that_works(wire: Wire) -> None:
    """After consent the redirect carries a code for the chosen account, and nothing else."""
    response = wire.decide(wire.ticket(), account=account_of(OTHER_USER))
    assert response.headers["location"].startswith(DEFAULT_APP.redirect_uri + "?code=")
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["referrer-policy"] == "no-referrer"
    tokens = success(wire.exchange(callback_parameters(response)["code"]))
    me = wire.request("GET", "/api/v1/users/me", headers=[bearer(tokens["access_token"])])
    assert me.json()["data"]["company_id"] == OTHER_USER.company_id


def test_no_redirects_with_an_error(wire: Wire) -> None:
    """After a decline the redirect carries the error and the state, and no code."""
    response = wire.decide(wire.ticket(state="s"), decision="cancel")
    assert callback_parameters(response) == {"error": "user_denied", "state": "s"}


def test_error_of_a_no_can_be_the_official_clients() -> None:
    """The error after a decline is what the sandbox is configured to send."""
    wire = Wire(create_app(decline_error="access_denied"))
    response = wire.decide(wire.ticket(), decision="cancel")
    assert callback_parameters(response) == {"error": "access_denied"}


@pytest.mark.parametrize("decision", ["allow", "cancel"])
def test_query_of_the_redirect_uri_is_kept(wire: Wire, decision: str) -> None:
    """The query that a registered redirect URI has is kept, and the result added to it."""
    response = wire.decide(wire.ticket(OTHER_APP, state="s"), decision=decision)
    parameters = callback_parameters(response)
    assert response.headers["location"].startswith(OTHER_APP.redirect_uri + "&")
    assert parameters["from"] == "pipedrive"
    assert parameters["state"] == "s"


@pytest.mark.parametrize(
    "state",
    [b"plain", b"a b+c", b"100%&x=y#z", "süß ✓".encode(), b"\x00\r\nX-Evil: 1", b"\xff\xfe\x80"],
)
def test_state_comes_back_byte_for_byte(wire: Wire, state: bytes) -> None:
    """Whatever bytes the state has, the callback's state has the same."""
    page = wire.open_page(f"{authorization_query()}&state={quote(state)}")
    location = wire.decide(ticket_in(page.text)).headers["location"]
    assert location.endswith(f"&state={quote(state, safe='')}")


@pytest.mark.parametrize("query", ["", "&state="])
def test_no_state_comes_back_where_none_was_sent(wire: Wire, query: str) -> None:
    """Without a state, or with an empty one, the callback has none."""
    page = wire.open_page(authorization_query() + query)
    assert set(callback_parameters(wire.decide(ticket_in(page.text)))) == {"code"}


@pytest.mark.parametrize("decision", ["allow", "cancel"])
def test_ticket_works_once(wire: Wire, decision: str) -> None:
    """A page that was submitted can't be submitted again."""
    ticket = wire.ticket()
    callback_parameters(wire.decide(ticket, decision=decision))
    assert error_of(wire.decide(ticket))[0] == "invalid_request"


@pytest.mark.parametrize("ticket", ["", "guess", "x" * 5000])
def test_unknown_ticket_is_rejected(wire: Wire, ticket: str) -> None:
    """A form without the ticket of an open page is rejected."""
    error, message = error_of(wire.decide(ticket))
    assert error == "invalid_request"
    assert "has expired" in message


def test_ticket_expires(wire: Wire, clock: Clock) -> None:
    """A page that has been open for ten minutes can no longer be submitted."""
    early, late = wire.ticket(), wire.ticket()
    clock.move(minutes=9, seconds=59)
    callback_parameters(wire.decide(early))
    clock.move(seconds=1)
    assert "has expired" in error_of(wire.decide(late))[1]


def test_tickets_differ(wire: Wire) -> None:
    """Every page has a ticket of its own, too long to guess."""
    tickets = {wire.ticket() for _ in range(5)}
    assert len(tickets) == 5
    assert min(map(len, tickets)) >= 43


@pytest.mark.parametrize("decision", [None, "maybe"])
def test_form_without_decision_leaves_the_page_open(wire: Wire, decision: str | None) -> None:
    """A form without a known decision is rejected and uses nothing up."""
    ticket = wire.ticket()
    assert "Choose to allow" in error_of(wire.decide(ticket, decision=decision))[1]
    callback_parameters(wire.decide(ticket))


@pytest.mark.parametrize("account", [None, "1:22"])
def test_form_without_account_leaves_the_page_open(wire: Wire, account: str | None) -> None:
    """A form without a known account is rejected and uses nothing up."""
    ticket = wire.ticket()
    assert "Choose one of the accounts" in error_of(wire.decide(ticket, account=account))[1]
    callback_parameters(wire.decide(ticket))


@pytest.mark.parametrize(
    "headers",
    [
        [("Origin", "https://evil.example")],
        [("Origin", "http://sandbox.example")],
        [("Origin", "https://sandbox.example:8080")],
        [("Origin", "null")],
        [("Origin", "null"), ("Sec-Fetch-Site", "cross-site")],
        [("Origin", "null"), ("Sec-Fetch-Site", "same-site")],
        [("Origin", "null"), ("Sec-Fetch-Site", "none")],
        [("Origin", "https://evil.example"), ("Sec-Fetch-Site", "same-origin")],
        [("Sec-Fetch-Site", "cross-site")],
    ],
)
def test_form_of_another_page_is_rejected(wire: Wire, headers: list[tuple[str, str]]) -> None:
    """A form that another site's page sends is rejected, even with a ticket that is valid."""
    ticket = wire.ticket()
    error, _ = error_of(wire.decide(ticket, headers=headers), status=403)
    assert error == "access_denied"
    callback_parameters(wire.decide(ticket))


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("Origin", BASE_URL)],
        [("Origin", "HTTP://Sandbox.Example:8080")],
        [("Origin", BASE_URL), ("Sec-Fetch-Site", "same-origin")],
        [("Origin", "null"), ("Sec-Fetch-Site", "same-origin")],
    ],
)
def test_form_of_the_own_page_is_taken(wire: Wire, headers: list[tuple[str, str]]) -> None:
    """The sandbox's own page is known by its origin; a program that is no browser has none."""
    callback_parameters(wire.decide(wire.ticket(), headers=headers))


def test_decision_must_be_a_form(wire: Wire) -> None:
    """A decision in another format is rejected."""
    response = wire.request(
        "POST", "/sandbox/consent", content=b"{}", headers=[("Content-Type", "application/json")]
    )
    assert FORM in error_of(response)[1]


@pytest.mark.parametrize(
    ("scope", "words"),
    [
        ("contacts:read", "See your contacts (people and organizations)"),
        ("users:read", "See the people who use your company&#39;s account"),
        ("made:up", "Use a scope that the sandbox has no description for"),
        ("deals:else", "Use a scope that the sandbox has no description for"),
    ],
)
def test_scopes_in_words(scope: str, words: str) -> None:
    """A scope is shown in words and by its name, one that isn't known included."""
    app = attrs.evolve(DEFAULT_APP, scopes=[scope])
    page = Wire(create_app(apps=[app])).open_page(authorization_query()).text
    assert f"<li>{words} <code>{scope}</code></li>" in page


def test_declining_needs_no_account(wire: Wire) -> None:
    """Cancel leads back to the app whatever the field for an account contains."""
    response = wire.post_form(
        "/sandbox/consent",
        {"ticket": wire.ticket(state="s"), "other_account": "9:9", "decision": "cancel"},
    )
    assert response.status_code == 303
    assert callback_parameters(response) == {"error": "user_denied", "state": "s"}


def test_only_a_thousand_open_pages_are_remembered() -> None:
    """A thousand open pages are remembered; one opened before them is not."""
    sandbox = create_app()
    wire = Wire(sandbox)
    first = wire.ticket()
    for _ in range(999):
        sandbox._state.open_ticket(DEFAULT_APP, None)  # as the page does, but faster
    last = wire.ticket()
    assert error_of(wire.decide(first))[0] == error_of(wire.decide("unknown"))[0]
    assert wire.decide(last).status_code == 303
