"""Sessions of requests send the token where it may go, renewed once, whatever else they do."""

from __future__ import annotations

import io
import threading
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from pipedrive_oauth_client import (
    ConfigurationError,
    InvalidGrantError,
    PipedriveAuth,
    PipedriveOAuth,
    Token,
)
from pipedrive_oauth_client.adapters.requests import PipedriveRequestsAuth
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import Fault
from pipedrive_oauth_client.stores import MemoryTokenStore
from tests.adapters.sessions import installed, session
from tests.support.flows import CREDENTIALS
from tests.support.samples import ACCESS_TOKEN, REFRESH_TOKEN
from tests.support.sites import (
    DONE,
    HOUR,
    NEW,
    NOW,
    OLD,
    OLD_ACCESS_TOKEN,
    REDIRECTS,
    UNAUTHORIZED,
    Site,
    authorized,
    redirect,
    served,
)
from tests.support.sweep import found, visible
from tests.support.untyped import untyped
from tests.support.wire import answer

ME: Final = "/api/v1/users/me"
PATIENCE_SECONDS: Final = 20


def bodies(site: Site) -> list[bytes]:
    """Give the bodies that arrived at the API."""
    return [request.partition(b"\r\n\r\n")[2] for request in site.api.requests]


# --- Against the sandbox ---


def test_a_valid_token_is_sent(pipedrive_sandbox: PipedriveSandbox) -> None:
    """The API answers, and nothing is renewed."""
    with installed(pipedrive_sandbox) as auth, session(auth) as opened:
        for _ in range(3):
            done = opened.get(f"{pipedrive_sandbox.base_url}{ME}")
            assert done.json()["success"] is True
            assert done.history == []
    assert pipedrive_sandbox.requests.count(grant_type="refresh_token") == 0


def test_a_stale_token_is_renewed_first(pipedrive_sandbox: PipedriveSandbox) -> None:
    """The API never sees the old one."""
    with installed(pipedrive_sandbox) as auth, session(auth) as opened:
        pipedrive_sandbox.clock.advance(HOUR)
        assert opened.get(f"{pipedrive_sandbox.base_url}{ME}").status_code == 200
        assert opened.get(f"{pipedrive_sandbox.base_url}{ME}").status_code == 200
    assert pipedrive_sandbox.requests.count(grant_type="refresh_token") == 1
    assert pipedrive_sandbox.requests.count(path=ME, status=401) == 0


def test_a_401_is_answered_with_a_new_token(pipedrive_sandbox: PipedriveSandbox) -> None:
    """The request is sent once more, and what the API said first stands in the history."""
    pipedrive_sandbox.faults.add(ME, Fault.status(401))
    with installed(pipedrive_sandbox) as auth, session(auth) as opened:
        done = opened.get(f"{pipedrive_sandbox.base_url}{ME}")
    assert done.json()["success"] is True
    assert [each.status_code for each in done.history] == [401]
    assert done.request.headers["Authorization"] != done.history[0].request.headers["Authorization"]
    assert pipedrive_sandbox.requests.count(grant_type="refresh_token") == 1


def test_renewals_that_do_not_help_are_given_a_rest(pipedrive_sandbox: PipedriveSandbox) -> None:
    """The second 401 is the caller's, and so are those of the next minute, without a renewal."""
    pipedrive_sandbox.faults.add(ME, Fault.status(401), times=1000)
    count = pipedrive_sandbox.requests.count
    with installed(pipedrive_sandbox) as auth, session(auth) as opened:
        for _ in range(5):
            assert opened.get(f"{pipedrive_sandbox.base_url}{ME}").status_code == 401
        assert (count(path=ME), count(grant_type="refresh_token")) == (6, 1)
        pipedrive_sandbox.clock.advance(timedelta(seconds=61))
        assert opened.get(f"{pipedrive_sandbox.base_url}{ME}").status_code == 401
        assert (count(path=ME), count(grant_type="refresh_token")) == (8, 2)


def test_a_session_of_many_threads_renews_once(pipedrive_sandbox: PipedriveSandbox) -> None:
    """They all find a stale token at the same moment, and all get the new one."""
    statuses: list[int] = []
    ready = threading.Barrier(12, timeout=PATIENCE_SECONDS)

    def ask() -> None:
        ready.wait()
        statuses.append(opened.get(f"{pipedrive_sandbox.base_url}{ME}").status_code)

    with installed(pipedrive_sandbox) as auth, session(auth) as opened:
        opened.mount("http://", HTTPAdapter(pool_maxsize=12))
        pipedrive_sandbox.clock.advance(HOUR)
        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
    assert statuses == [200] * 12
    assert pipedrive_sandbox.requests.count(grant_type="refresh_token") == 1


def test_threads_that_are_all_rejected_renew_once(pipedrive_sandbox: PipedriveSandbox) -> None:
    """Each brings the same old token, and the first has it renewed for all."""
    statuses: list[int] = []
    ready = threading.Barrier(12, timeout=PATIENCE_SECONDS)

    def ask() -> None:
        ready.wait()
        statuses.append(opened.get(f"{pipedrive_sandbox.base_url}{ME}").status_code)

    with installed(pipedrive_sandbox) as auth, session(auth) as opened:
        opened.mount("http://", HTTPAdapter(pool_maxsize=12))
        old = auth.token()
        assert old.refresh_token is not None
        with PipedriveOAuth(
            pipedrive_sandbox.credentials, base_url=pipedrive_sandbox.base_url, retry=None
        ) as oauth:
            oauth.revoke(old, "access_token")
        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE_SECONDS)
    assert statuses == [200] * 12
    assert pipedrive_sandbox.requests.count(grant_type="refresh_token") == 1


def test_a_grant_that_is_over_is_an_error_of_this_package(
    pipedrive_sandbox: PipedriveSandbox,
) -> None:
    """Nothing is sent to the API, and the error shows no token."""
    with installed(pipedrive_sandbox) as auth, session(auth) as opened:
        token = auth.token()
        pipedrive_sandbox.clock.advance(timedelta(days=61))
        with pytest.raises(InvalidGrantError) as caught:
            opened.get(f"{pipedrive_sandbox.base_url}{ME}")
    assert token.refresh_token is not None
    assert found(visible(caught.value), [token.access_token, token.refresh_token]) == []
    assert pipedrive_sandbox.requests.count(path=ME) == 0


# --- Where the token goes ---


@pytest.mark.parametrize("own", [None, "Basic own"])
def test_a_foreign_host_gets_nothing(own: str | None) -> None:
    """Its requests stay as they are, its 401 renews nothing, and a stale token stays stale."""
    with served() as site, authorized(site) as auth, session(auth) as opened:
        opened.get(site.api.url)
        site.other_answers[:] = [UNAUTHORIZED]
        headers = {} if own is None else {"Authorization": own}
        assert opened.get(site.other.url, headers=headers).status_code == 401
    assert site.headers() == ([OLD], [own], 0)


@pytest.mark.parametrize("status", REDIRECTS)
def test_a_redirect_elsewhere_does_not_carry_the_token(status: int) -> None:
    """Whatever its status, and a 401 from there is not the token's."""
    with served() as site, authorized(site) as auth, session(auth) as opened:
        site.api_answers[:] = [redirect(site.other.url, status)]
        site.other_answers[:] = [UNAUTHORIZED]
        assert opened.get(site.api.url).status_code == 401
        assert opened.post(site.api.url, data={"a": "b"}).status_code == 401
    assert site.headers() == ([OLD, OLD], [None, None], 0)


@pytest.mark.parametrize("status", REDIRECTS)
def test_a_redirect_from_elsewhere_carries_no_token(status: int) -> None:
    """A stranger does not get to choose what is asked with the token."""
    with served() as site, authorized(site) as auth, session(auth) as opened:
        site.other_answers[:] = [redirect(site.api.url, status)]
        site.api_answers[:] = [UNAUTHORIZED]
        assert opened.get(site.other.url).status_code == 401
    assert site.headers() == ([None], [None], 0)


def test_a_redirect_there_and_back_renews_nothing() -> None:
    """The API was not shown the token the second time."""
    with served() as site, authorized(site) as auth, session(auth) as opened:
        site.api_answers[:] = [redirect(site.other.url), UNAUTHORIZED]
        site.other_answers[:] = [redirect(site.api.url)]
        assert opened.get(site.api.url).status_code == 401
    assert site.headers() == ([OLD, None], [None], 0)


def test_a_redirect_within_the_api_is_renewed_where_it_ended() -> None:
    """The page that said 401 is asked again, and not the one that led there."""
    with served() as site, authorized(site) as auth, session(auth) as opened:
        site.api_answers[:] = [redirect("/second"), UNAUTHORIZED, DONE]
        done = opened.get(f"{site.api.url}/first")
    assert done.status_code == 200
    assert [each.status_code for each in done.history] == [302]
    assert site.headers() == ([OLD, OLD, NEW], [], 1)


def test_a_renewed_request_may_be_redirected() -> None:
    """Within the API it gets there with one renewal, and elsewhere without the token."""
    with served() as site, authorized(site) as auth, session(auth) as opened:
        site.api_answers[:] = [UNAUTHORIZED, redirect("/second"), UNAUTHORIZED, DONE]
        assert opened.get(f"{site.api.url}/first").status_code == 200
        site.api_answers[:] = [redirect(site.other.url)]
        assert opened.get(f"{site.api.url}/first").status_code == 200
    api, other, renewals = site.headers()
    assert (api[:2], api[-2:], other, renewals) == ([OLD, NEW], [NEW, NEW], [None], 1)


def test_a_body_that_a_redirect_took_off_is_not_rewound() -> None:
    """After a 303 there is none, whatever was sent first."""
    with served() as site, authorized(site) as auth, session(auth) as opened:
        site.api_answers[:] = [redirect("/second", 303), UNAUTHORIZED, DONE]
        assert opened.post(f"{site.api.url}/first", data=io.BytesIO(b"x=y")).status_code == 200
    assert site.headers() == ([OLD, OLD, NEW], [], 1)
    assert bodies(site) == [b"x=y", b"", b""]


def test_hosts_adds_one() -> None:
    """A host that the user names gets the token as the API does, renewed if need be."""
    with (
        served() as site,
        authorized(site, hosts=[site.other.url]) as auth,
        session(auth) as opened,
    ):
        site.other_answers[:] = [UNAUTHORIZED, DONE]
        assert opened.get(site.other.url).status_code == 200
    assert site.headers() == ([], [OLD, NEW], 1)


def test_no_place_at_all_is_an_error() -> None:
    """Nothing is sent."""
    with (
        served() as site,
        authorized(site, api_domain=None) as auth,
        session(auth) as opened,
        pytest.raises(ConfigurationError, match="hosts="),
    ):
        opened.get(site.api.url)
    assert site.headers() == ([], [], 0)


def _fixed() -> AuthBase:
    store = MemoryTokenStore()
    token = Token(access_token="a", api_domain="https://acme.pipedrive.com", expires_at=NOW + HOUR)
    store.save("acme", token)
    oauth = PipedriveOAuth(CREDENTIALS, retry=None, clock=lambda: NOW)
    return PipedriveRequestsAuth(PipedriveAuth(oauth, store, "acme"))


FIXED: Final = _fixed()

ODD: Final = st.text(st.sampled_from("acme.pipedrive.com@\\/:#?%2e[]*x0 \t\u3002\uff0e\u212a"))


@given(ODD, ODD)
def test_nothing_but_the_exact_origin_gets_the_token(before: str, behind: str) -> None:
    """However a URL is bent, the host that requests connects to is the token's own."""
    prepared = requests.PreparedRequest()
    try:
        prepared.prepare(
            method="GET", url=f"https://{before}acme.pipedrive.com{behind}", auth=FIXED
        )
    except requests.exceptions.RequestException:
        return
    assert prepared.url is not None
    there = urlsplit(prepared.url)
    is_home = (there.hostname, there.port or 443) == ("acme.pipedrive.com", 443)
    assert ("Authorization" in prepared.headers) <= is_home
    assert is_home or before or behind


def test_a_single_request_may_have_it_of_its_own() -> None:
    """Without a session, and in a session that has another auth."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [UNAUTHORIZED, DONE]
        with session() as opened:
            opened.auth = ("person", "password")
            done = opened.get(site.api.url, auth=PipedriveRequestsAuth(auth))
        assert done.status_code == 200
        requests.get(site.api.url, auth=PipedriveRequestsAuth(auth), timeout=PATIENCE_SECONDS)
    assert site.headers() == ([OLD, NEW, NEW], [], 1)


# --- What else a session does ---


def test_hooks_of_the_user_s_own_see_the_last_answer_alone() -> None:
    """A hook that raises for a 401 does not keep the token from being renewed."""
    seen: list[tuple[str, int]] = []

    def strict(response: requests.Response, *_: Any, **__: Any) -> None:
        seen.append(("session", response.status_code))
        response.raise_for_status()

    def own(response: requests.Response, *_: Any, **__: Any) -> None:
        seen.append(("request", response.status_code))

    with served() as site, authorized(site) as auth, session(auth) as opened:
        opened.hooks["response"].append(strict)
        site.api_answers[:] = [UNAUTHORIZED, DONE]
        assert opened.get(site.api.url).status_code == 200
        assert opened.get(site.api.url, hooks={"response": [own]}).status_code == 200
        assert opened.hooks["response"] == [strict]
    assert seen[0] == ("session", 200)
    assert ("request", 200) in seen
    assert {status for _, status in seen} == {200}


def test_connections_are_used_again() -> None:
    """The 401 is read to its end, so that one connection carries everything."""
    rejected = answer(b"x" * 100_000, status=401)
    with served() as site, authorized(site) as auth, session(auth) as opened:
        site.api_answers[:] = [rejected, DONE]
        for _ in range(3):
            assert opened.get(site.api.url).status_code == 200
    assert site.headers()[0] == [OLD, NEW, NEW, NEW]
    assert len(site.api.peers) == 1


def test_a_streamed_answer_is_left_to_the_caller() -> None:
    """It is the new answer, and nobody has read it before."""
    with served() as site, authorized(site) as auth, session(auth) as opened:
        site.api_answers[:] = [UNAUTHORIZED, answer(b"piece by piece")]
        with opened.get(site.api.url, stream=True) as done:
            assert done.status_code == 200
            assert list(done.iter_content(6)) == [b"piece ", b"by pie", b"ce"]
    assert site.headers() == ([OLD, NEW], [], 1)


def test_cookies_of_both_answers_are_kept() -> None:
    """As they are without the token."""
    with served() as site, authorized(site) as auth, session(auth) as opened:
        site.api_answers[:] = [
            answer(status=401, headers={"Set-Cookie": "one=1"}),
            answer(headers={"Set-Cookie": "two=2"}),
        ]
        opened.get(site.api.url)
        assert dict(opened.cookies) == {"one": "1", "two": "2"}


@pytest.mark.parametrize("auth", [None, "token", ("id", "secret"), PipedriveRequestsAuth])
def test_something_else_than_an_auth_is_refused(auth: object) -> None:
    """The error names the argument."""
    with pytest.raises(ConfigurationError, match="auth must be PipedriveAuth"):
        untyped(PipedriveRequestsAuth)(auth)


def test_no_secret_is_shown() -> None:
    """`repr` names the account and no more."""
    with served() as site, authorized(site) as auth, session(auth) as opened:
        opened.get(site.api.url)
        shown = repr(opened.auth)
    assert shown == "PipedriveRequestsAuth(PipedriveAuth(account='acme'))"
    assert found(shown, [OLD_ACCESS_TOKEN, ACCESS_TOKEN, REFRESH_TOKEN]) == []
