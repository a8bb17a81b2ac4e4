"""A company's domain changes: requests to the former one go to the current one, in every process.

Here "api" is the former domain, "other" the current one, and both are servers of this machine.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final

import httpx
import pytest
import requests
from attrs import evolve
from requests.adapters import HTTPAdapter

from pipedrive_oauth_client import (
    GetTokensResponse,
    PipedriveAuth,
    PipedriveOAuth,
    Token,
)
from pipedrive_oauth_client.adapters.requests import PipedriveRequestsAuth
from pipedrive_oauth_client.stores import MemoryTokenStore
from pipedrive_oauth_client.token_source import Bearer
from tests.support.flows import CREDENTIALS
from tests.support.libraries import SENDERS, Outcome
from tests.support.samples import REFRESH_TOKEN, TOKENS, token_body
from tests.support.sites import (
    DONE,
    HOUR,
    NEW,
    NOW,
    OLD,
    OLD_ACCESS_TOKEN,
    UNAUTHORIZED,
    authorized,
    redirect,
    served,
)
from tests.support.sweep import found
from tests.support.tls import UNTRUSTING
from tests.support.wire import answer

Sender = Callable[..., Outcome]

each_library = pytest.mark.parametrize("send", SENDERS.values(), ids=SENDERS)
PATH: Final = "/api/v1/deals%2F7/x?title=a+b&q=%20&e="


def head_of(request: bytes) -> tuple[str, str]:
    """Give the target and the Host header of a request."""
    lines = request.decode("latin-1").split("\r\n")
    (host,) = [line[6:] for line in lines if line.lower().startswith("host: ")]
    return lines[0].split(" ")[1], host


def records(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    """Give what this package has logged at a level."""
    return [
        each.getMessage()
        for each in caplog.records
        if each.name.startswith("pipedrive_oauth_client") and each.levelno == level
    ]


@each_library
@pytest.mark.parametrize("body", [None, b"title=x"])
def test_the_current_domain_gets_the_request(
    send: Sender, body: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Same method, path, query and body; only host and Host header are others, and it is logged."""
    caplog.set_level(logging.INFO)
    with served() as site, authorized(site, lifetime=-HOUR) as auth:
        site.service_answers[:] = [answer(token_body(api_domain=site.other.url))]
        method, more = ("GET", {}) if body is None else ("POST", {"content": body})
        for _ in range(2):
            outcome = send(auth, method, f"{site.api.url}{PATH}", **more)
            assert outcome == (200, f"{site.other.url}{PATH}", NEW)
        assert site.headers() == ([], [NEW, NEW], 1)
        for request in site.other.requests:
            assert head_of(request) == (PATH, site.other.authority)
            assert request.partition(b"\r\n\r\n")[2] == (body or b"")
    (moved,) = [each for each in records(caplog, logging.INFO) if "moved" in each]
    assert site.api.url in moved
    assert site.other.url in moved
    assert records(caplog, logging.WARNING) == []


@each_library
def test_another_process_knows_it(send: Sender) -> None:
    """The former domain is stored with the token, so that a program started later goes there."""
    with served() as site:
        store = MemoryTokenStore()
        token = Token(
            access_token=OLD_ACCESS_TOKEN,
            api_domain=site.other.url,
            former_api_domains=(site.api.url,),
            expires_at=NOW + HOUR,
        )
        store.save("acme", Token.from_dict(json.loads(json.dumps(token.to_dict()))))
        with PipedriveOAuth(
            CREDENTIALS, base_url=site.service.url, retry=None, clock=lambda: NOW
        ) as oauth:
            auth = PipedriveAuth(oauth, store, "acme")
            assert send(auth, "GET", f"{site.api.url}{PATH}")[1] == f"{site.other.url}{PATH}"
    assert site.headers() == ([], [OLD], 0)


@each_library
def test_a_401_of_the_former_domain(send: Sender) -> None:
    """The refresh after it names the new domain, and the request is sent once more, there."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [UNAUTHORIZED]
        site.service_answers[:] = [answer(token_body(api_domain=site.other.url))]
        assert send(auth, "POST", f"{site.api.url}{PATH}", content=b"x=y")[0] == 200
    assert site.headers() == ([OLD], [NEW], 1)
    assert head_of(site.other.requests[0]) == (PATH, site.other.authority)


@each_library
def test_a_redirect_of_the_current_domain_takes_the_token_off(send: Sender) -> None:
    """Nothing that comes back from the current domain leads the token elsewhere."""
    with served() as site, authorized(site, lifetime=-HOUR) as auth:
        site.service_answers[:] = [answer(token_body(api_domain=site.other.url))]
        site.other_answers[:] = [redirect(site.api.url)]
        send(auth, "GET", site.api.url)
        assert set(site.headers()[0]) <= {None}


def test_a_host_that_is_named_is_left_alone() -> None:
    """Where the user has named the former domain, requests go there, with the token."""
    with served() as site, authorized(site, lifetime=-HOUR, hosts=[site.api.url]) as auth:
        site.service_answers[:] = [answer(token_body(api_domain=site.other.url))]
        assert SENDERS["httpx"](auth, "GET", site.api.url)[1] == site.api.url
    assert site.headers() == ([NEW], [], 1)


@pytest.mark.parametrize(
    "former", ["http://acme.pipedrive.com", "ftp://evil.example", "", "a b", "https://x:99999"]
)
def test_a_former_domain_that_is_none(former: str) -> None:
    """What no api_domain may be is left out; nothing is led astray by it."""
    token = Token(
        access_token="a",
        api_domain="https://acme.pipedrive.com",
        former_api_domains=(former, "https://old.pipedrive.com"),
        expires_at=NOW,
    )
    bearer = Bearer(token, leeway=timedelta(0), now=NOW, hosts=frozenset())
    assert len(bearer.former) == 1
    current = bearer.current_origin(httpx.URL("https://OLD.pipedrive.com:443/x"))
    assert current == ("https", b"acme.pipedrive.com", None)
    assert bearer.current_origin(httpx.URL("http://old.pipedrive.com/x")) is None
    assert bearer.current_origin(httpx.URL("https://acme.pipedrive.com/x")) is None
    assert bearer.current_origin(httpx.URL("https://evil.example/x")) is None


def test_the_current_domain_is_no_former_one() -> None:
    """A company that takes its old name back is served as before."""
    token = Token(
        access_token="a",
        api_domain="https://acme.pipedrive.com/",
        former_api_domains=("https://new.pipedrive.com", "https://ACME.pipedrive.com"),
        expires_at=NOW,
    )
    bearer = Bearer(token, leeway=timedelta(0), now=NOW, hosts=frozenset())
    assert bearer.may_go_to(httpx.URL("https://acme.pipedrive.com/"))
    assert bearer.current_origin(httpx.URL("https://acme.pipedrive.com/")) is None


# --- What a token remembers ---


def refreshed(previous: Token | str | None, api_domain: str | None) -> Token:
    """Make the token of a response."""
    fields = {name: value for name, value in TOKENS.items() if name != "api_domain"}
    body = fields if api_domain is None else {**fields, "api_domain": api_domain}
    return Token.from_response(GetTokensResponse.from_dict(body), NOW, previous=previous)


FIRST: Final = Token(access_token="a", api_domain="https://a.pipedrive.com", expires_at=NOW)


def test_each_change_is_remembered() -> None:
    """The latest comes first, none is there twice, and the oldest of more than five is dropped."""
    token = FIRST
    for name in "abcabdefgh":
        token = refreshed(token, f"https://{name}.pipedrive.com")
    assert token.api_domain == "https://h.pipedrive.com"
    assert token.former_api_domains == tuple(f"https://{name}.pipedrive.com" for name in "gfedb")


@pytest.mark.parametrize("named", ["https://a.pipedrive.com", None])
def test_no_change_is_no_former_domain(named: str | None) -> None:
    """Neither the same domain nor a response without one makes the current one a former one."""
    token = refreshed(evolve(FIRST, former_api_domains=("https://b.pipedrive.com",)), named)
    assert token.api_domain == "https://a.pipedrive.com"
    assert token.former_api_domains == ("https://b.pipedrive.com",)


@pytest.mark.parametrize("previous", [None, REFRESH_TOKEN])
def test_a_login_remembers_nothing(previous: str | None) -> None:
    """It may be for another company: requests of the one must never go to the other."""
    assert refreshed(previous, "https://b.pipedrive.com").former_api_domains == ()


def test_it_is_stored_flat() -> None:
    """As one text, and only where there is something; older stored tokens load as before."""
    assert "former_api_domains" not in FIRST.to_dict()
    assert Token.from_dict(FIRST.to_dict()) == FIRST
    both = evolve(FIRST, former_api_domains=("https://b.pipedrive.com", "https://c.pipedrive.com"))
    stored = both.to_dict()
    assert stored["former_api_domains"] == "https://b.pipedrive.com https://c.pipedrive.com"
    assert Token.from_dict(stored) == both


@pytest.mark.parametrize("value", [None, 7, ["https://b.pipedrive.com"], {}, "\ud800", "é", ""])
def test_what_can_not_be_read_is_left_out(value: Any) -> None:
    """A grant is not lost for it."""
    assert Token.from_dict({**FIRST.to_dict(), "former_api_domains": value}) == FIRST


# --- A token that is withheld is told ---


@each_library
def test_a_withheld_token_is_told_once(send: Sender, caplog: pytest.LogCaptureFixture) -> None:
    """One warning for each origin names it and what to pass, however many objects there are."""
    with served() as site, authorized(site) as auth:
        source = auth.token_source
        for _ in range(2):
            again = PipedriveAuth(source._oauth, source._store, "acme")
            for url in (site.other.url, f"{site.other.url}/x?secret=1", site.service.url):
                send(again, "GET", url)
                send(auth, "GET", url)
    told = records(caplog, logging.WARNING)
    assert len(told) == 2
    for text, origin in zip(told, (site.other.url, site.service.url), strict=True):
        assert f"hosts=['{origin}']" in text
        assert "'acme'" in text
    assert found(caplog.text, [OLD_ACCESS_TOKEN, "secret=1"]) == []


@each_library
def test_a_redirect_that_takes_the_token_off_is_told(
    send: Sender, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the API leads to another host, which says 401 for the missing token, that is told."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [redirect(site.other.url)]
        site.other_answers[:] = [UNAUTHORIZED]
        if send is SENDERS["requests"]:
            assert send(auth, "GET", site.api.url)[0] == 401
        else:
            with httpx.Client(auth=auth, verify=UNTRUSTING, follow_redirects=True) as client:
                assert client.get(site.api.url).status_code == 401
    (told,) = records(caplog, logging.WARNING)
    assert site.other.url in told


def test_where_it_is_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    """The API itself, a named host, and a redirect there and back are no reason to warn."""
    with served() as site, authorized(site, hosts=[site.other.url]) as auth:
        site.api_answers[:] = [redirect(site.other.url), UNAUTHORIZED, DONE]
        site.other_answers[:] = [redirect(site.api.url), DONE]
        with httpx.Client(auth=auth, verify=UNTRUSTING, follow_redirects=True) as client:
            client.get(site.api.url)
            client.get(site.other.url)
    assert records(caplog, logging.WARNING) == []


def test_many_origins_fill_no_memory(caplog: pytest.LogCaptureFixture) -> None:
    """After a thousand of them, no more are told."""
    with served() as site, authorized(site) as auth:
        auth.token()
        for number in range(1100):
            auth.token_source.note_withheld(httpx.URL(f"https://host{number}.example"))
    assert len(records(caplog, logging.WARNING)) == 1000


# --- What a session of requests does besides ---


def test_a_session_finds_the_adapter_of_the_current_domain() -> None:
    """The address is changed before the session looks for an adapter, and a Host header goes."""
    seen: list[str] = []

    class Noting(HTTPAdapter):
        def send(self, request: requests.PreparedRequest, **settings: Any) -> Any:  # type: ignore[override]
            seen.append(str(request.url))
            return super().send(request, **settings)

    with served() as site, authorized(site, lifetime=-HOUR) as auth:
        site.service_answers[:] = [answer(token_body(api_domain=site.other.url))]
        with requests.Session() as session:
            session.trust_env = False
            session.auth = PipedriveRequestsAuth(auth)
            session.mount(site.other.url, Noting())
            headers = {"Host": site.api.authority}
            assert session.get(f"{site.api.url}/x", headers=headers, timeout=20).status_code == 200
    assert seen == [f"{site.other.url}/x"]
    assert head_of(site.other.requests[0]) == ("/x", site.other.authority)
