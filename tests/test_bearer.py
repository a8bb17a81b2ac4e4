"""Which requests carry the token, over real connections to two origins, and until when."""

from __future__ import annotations

import gc
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipedrive_oauth_client import (
    AsyncPipedriveOAuth,
    ConfigurationError,
    CorruptTokenError,
    PipedriveAuth,
    Token,
)
from pipedrive_oauth_client._origins import parse_hosts
from pipedrive_oauth_client.stores import MemoryTokenStore
from pipedrive_oauth_client.token_source import Bearer
from tests.support.flows import CREDENTIALS, play
from tests.support.samples import REFRESH_TOKEN, token_body
from tests.support.sites import (
    DONE,
    HOUR,
    NEW,
    NOW,
    OLD,
    OLD_ACCESS_TOKEN,
    REDIRECTS,
    UNAUTHORIZED,
    authorized,
    redirect,
    served,
)
from tests.support.sweep import found, visible
from tests.support.tls import UNTRUSTING
from tests.support.wire import answer

each_redirect = pytest.mark.parametrize("status", REDIRECTS)


def request(mode: str, auth: PipedriveAuth, method: str, url: str, **body: Any) -> httpx.Response:
    """Send one request that follows redirects, with a client of the mode's kind."""
    settings: dict[str, Any] = {"auth": auth, "follow_redirects": True, "verify": UNTRUSTING}

    async def main() -> httpx.Response:
        if mode == "sync":
            with httpx.Client(**settings) as client:
                return client.request(method, url, **body)  # noqa: ASYNC212 - it is the sync mode
        async with httpx.AsyncClient(**settings) as async_client:
            return await async_client.request(method, url, **body)

    return play(mode, main)


def test_the_api_gets_the_token_and_nobody_else(mode: str) -> None:
    """The same host at another port is somebody else, and what is sent there stays as it is."""
    with served() as site, authorized(site) as auth:
        request(mode, auth, "GET", f"{site.api.url}/api/v1/users/me")
        request(mode, auth, "GET", f"{site.other.url}/api/v1/users/me")
        own = {"Authorization": "Basic own"}
        request(mode, auth, "GET", f"{site.other.url}/", headers=own)
    assert site.headers() == ([OLD], [None, "Basic own"], 0)


def test_somebody_else_is_asked_first(mode: str) -> None:
    """Before anything is known of the token, too, a foreign host gets none."""
    with served() as site, authorized(site) as auth:
        request(mode, auth, "GET", site.other.url)
    assert site.headers() == ([], [None], 0)


def test_a_stale_token_is_not_renewed_for_somebody_else(mode: str) -> None:
    """A 401 of theirs does not renew it either."""
    with served() as site, authorized(site) as auth:
        request(mode, auth, "GET", site.api.url)
        site.other_answers[:] = [UNAUTHORIZED]
        assert request(mode, auth, "GET", site.other.url).status_code == 401
    assert site.headers() == ([OLD], [None], 0)


@each_redirect
def test_a_redirect_to_another_origin_does_not_carry_the_token(mode: str, status: int) -> None:
    """Whatever its status, and whatever the method."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [redirect(f"{site.other.url}/stolen", status)]
        assert request(mode, auth, "GET", site.api.url).status_code == 200
        assert request(mode, auth, "POST", site.api.url, content=b"x=y").status_code == 200
    assert site.headers() == ([OLD, OLD], [None, None], 0)


@each_redirect
def test_a_redirect_within_the_api_carries_the_token(mode: str, status: int) -> None:
    """It is the same origin."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [redirect("/api/v2/deals", status), DONE]
        request(mode, auth, "GET", f"{site.api.url}/api/v1/deals")
    assert site.headers() == ([OLD, OLD], [], 0)


@each_redirect
def test_a_redirect_from_elsewhere_to_the_api_carries_no_token(mode: str, status: int) -> None:
    """A stranger does not get to choose what is asked with the token."""
    with served() as site, authorized(site) as auth:
        site.other_answers[:] = [redirect(f"{site.api.url}/api/v1/deals/1", status)]
        site.api_answers[:] = [UNAUTHORIZED]
        assert request(mode, auth, "GET", site.other.url).status_code == 401
    assert site.headers() == ([None], [None], 0)


def test_a_401_of_a_redirect_s_foreign_target_renews_nothing(mode: str) -> None:
    """They were not shown the token, so it is not the token that they mind."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [redirect(site.other.url)]
        site.other_answers[:] = [UNAUTHORIZED]
        assert request(mode, auth, "GET", site.api.url).status_code == 401
    assert site.headers() == ([OLD], [None], 0)


def test_a_redirect_there_and_back_renews_nothing(mode: str) -> None:
    """The API itself was not shown the token the second time, and says 401 for that."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [redirect(site.other.url), UNAUTHORIZED]
        site.other_answers[:] = [redirect(site.api.url)]
        assert request(mode, auth, "GET", site.api.url).status_code == 401
    assert site.headers() == ([OLD, None], [None], 0)


def test_a_redirect_to_a_named_host_renews_nothing(mode: str) -> None:
    """It might have got the token, but httpx takes that off on the way."""
    with served() as site, authorized(site, hosts=[site.other.url]) as auth:
        site.api_answers[:] = [redirect(site.other.url)]
        site.other_answers[:] = [UNAUTHORIZED]
        assert request(mode, auth, "GET", site.api.url).status_code == 401
    assert site.headers() == ([OLD], [None], 0)


def test_a_renewed_request_that_is_redirected_leaves_the_token_behind(mode: str) -> None:
    """The second attempt is no less careful than the first one."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [UNAUTHORIZED, redirect(site.other.url)]
        request(mode, auth, "GET", site.api.url)
    assert site.headers() == ([OLD, NEW], [None], 1)


def test_a_renewed_token_may_be_for_another_api(mode: str) -> None:
    """The new token goes where it says itself, and the request to the old place is not repeated."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [UNAUTHORIZED]
        site.service_answers[:] = [answer(token_body(api_domain=site.other.url))]
        assert request(mode, auth, "GET", site.api.url).status_code == 401
        request(mode, auth, "GET", site.api.url)
        request(mode, auth, "GET", site.other.url)
    assert site.headers() == ([OLD, None], [NEW], 1)


def test_hosts_adds_one(mode: str) -> None:
    """A host that the user names gets the token as the API does, renewed if need be."""
    with served() as site, authorized(site, hosts=[site.other.url]) as auth:
        site.other_answers[:] = [UNAUTHORIZED, DONE]
        request(mode, auth, "GET", site.api.url)
        assert request(mode, auth, "GET", site.other.url).status_code == 200
        request(mode, auth, "GET", site.api.url)
    assert site.headers() == ([OLD, NEW], [OLD, NEW], 1)


def test_hosts_alone_will_do(mode: str) -> None:
    """A token that does not say where its API lives goes to the hosts that are named."""
    with served() as site, authorized(site, api_domain=None, hosts=[site.other.url]) as auth:
        request(mode, auth, "GET", site.api.url)
        request(mode, auth, "GET", site.other.url)
    assert site.headers() == ([None], [OLD], 0)


def test_no_place_at_all_is_an_error(mode: str) -> None:
    """Nothing is sent, not even without the token: the request would fail in a confusing way."""
    with served() as site, authorized(site, api_domain=None) as auth:
        for _ in range(2):
            with pytest.raises(ConfigurationError, match="hosts=") as caught:
                request(mode, auth, "GET", site.api.url)
            assert found(visible(caught.value), [OLD_ACCESS_TOKEN, REFRESH_TOKEN]) == []
    assert site.headers() == ([], [], 0)


def test_a_renewal_may_bring_the_place(mode: str) -> None:
    """A stale token without one is renewed, and the answer says where the API lives."""
    with served() as site, authorized(site, api_domain=None, lifetime=-HOUR) as auth:
        request(mode, auth, "GET", site.api.url)
    assert site.headers() == ([NEW], [], 1)


@pytest.mark.parametrize("api_domain", ["http://api.example.com", "acme.pipedrive.com", ""])
def test_a_strange_stored_place_gets_nothing(mode: str, api_domain: str) -> None:
    """The token is not sent, and hosts of the user's own do not hide that something is wrong."""
    with (
        served() as site,
        authorized(site, api_domain=api_domain or " ", hosts=[site.api.url]) as auth,
        pytest.raises(CorruptTokenError),
    ):
        request(mode, auth, "GET", site.api.url)
    assert site.headers() == ([], [], 0)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_scheme_is_part_of_the_place(mode: str, scheme: str) -> None:
    """A token for https is never sent in the clear, not even after a redirect."""
    seen: list[tuple[str, str | None]] = []

    def handle(asked: httpx.Request) -> httpx.Response:
        seen.append((asked.url.scheme, asked.headers.get("Authorization")))
        if asked.url.path == "/down":
            return httpx.Response(302, headers={"Location": "http://acme.pipedrive.com/"})
        return httpx.Response(200)

    async def main() -> None:
        transport = httpx.MockTransport(handle)
        for path in ("/", "/down"):
            url = f"{scheme}://acme.pipedrive.com{path}"
            if mode == "sync":
                with httpx.Client(transport=transport, auth=auth, follow_redirects=True) as client:
                    client.get(url)  # noqa: ASYNC212 - it is the sync mode
            else:
                async with httpx.AsyncClient(
                    transport=transport, auth=auth, follow_redirects=True
                ) as async_client:
                    await async_client.get(url)

    with served() as site, authorized(site, api_domain="https://acme.pipedrive.com") as auth:
        play(mode, main)
    token = OLD if scheme == "https" else None
    assert seen == [(scheme, token), (scheme, token), ("http", None)]


@pytest.mark.parametrize(
    "spelled", ["http://LOCALHOST:{port}", "http://person:pw@localhost:{port}"]
)
def test_the_spelling_of_a_place_makes_no_difference(mode: str, spelled: str) -> None:
    """Upper case and a name before the host do not change where a request goes."""
    with served() as site:
        port = site.api.authority.rpartition(":")[2]
        with authorized(site, api_domain=f"http://localhost:{port}/") as auth:
            request(mode, auth, "GET", spelled.format(port=port))
    assert site.headers() == ([OLD], [], 0)


# --- For how long ---


def bearer(lifetime: timedelta, leeway: timedelta) -> Bearer:
    """Make a bearer of a token that has some time left."""
    token = Token(
        access_token=OLD_ACCESS_TOKEN,
        refresh_token=REFRESH_TOKEN,
        api_domain="https://acme.pipedrive.com",
        expires_at=NOW + lifetime,
    )
    return Bearer(token, leeway=leeway, now=NOW, hosts=frozenset())


def test_a_token_is_stale_its_leeway_before_its_end() -> None:
    """That is time for a request to arrive."""
    made = bearer(HOUR, timedelta(minutes=1))
    assert made.stale_at == NOW + timedelta(minutes=59)
    made = bearer(HOUR, timedelta(minutes=59))
    assert made.stale_at == NOW + timedelta(minutes=1)


@pytest.mark.parametrize("leeway", [HOUR, timedelta(days=365)])
def test_a_short_life_is_used_for_half_at_least(leeway: timedelta) -> None:
    """A leeway that is longer than the life does not renew the token for every request."""
    assert bearer(HOUR, leeway).stale_at == NOW + HOUR / 2


@given(
    st.timedeltas(timedelta(days=-400), timedelta(days=400)),
    st.timedeltas(timedelta(0), timedelta(days=400)),
)
def test_a_token_is_never_used_beyond_its_end(lifetime: timedelta, leeway: timedelta) -> None:
    """It is stale at its expiry at the latest, and a living one is good for at least a moment."""
    made = bearer(lifetime, leeway)
    assert made.stale_at <= NOW + lifetime
    assert made.stale_at >= NOW or lifetime < timedelta(0)


def test_the_places_of_the_user_come_on_top() -> None:
    """The token's own API is always one of them."""
    token = Token(access_token="a", api_domain="https://acme.pipedrive.com", expires_at=NOW)
    more = parse_hosts(["https://mirror.example"])
    made = Bearer(token, leeway=HOUR, now=NOW, hosts=more)
    assert made.origins == more | parse_hosts(["acme.pipedrive.com"])


def test_no_secret_is_shown() -> None:
    """Neither the token nor the header stands in `repr`."""
    made = bearer(HOUR, HOUR)
    assert made.header == OLD
    assert found(repr(made) + str(made), [OLD_ACCESS_TOKEN, REFRESH_TOKEN]) == []


def test_a_stranger_s_401_begins_no_rest() -> None:
    """A renewed request that was redirected elsewhere says nothing about the token."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [UNAUTHORIZED, redirect(site.other.url), UNAUTHORIZED, DONE]
        site.other_answers[:] = [UNAUTHORIZED]
        assert request("sync", auth, "GET", site.api.url).status_code == 401
        assert request("sync", auth, "GET", site.api.url).status_code == 200


def test_no_connection_stays_open_for_an_asynchronous_flow() -> None:
    """A renewal closes the connections of the synchronous flow that was made for it alone."""
    with served() as site:
        store = MemoryTokenStore()
        old = Token(
            access_token=OLD_ACCESS_TOKEN,
            refresh_token=REFRESH_TOKEN,
            api_domain=site.api.url,
            expires_at=NOW - HOUR,
        )
        store.save("acme", old)
        flow = AsyncPipedriveOAuth(
            CREDENTIALS, base_url=site.service.url, retry=None, clock=lambda: NOW
        )
        auth = PipedriveAuth(flow, store, "acme")
        assert auth.token().access_token == NEW.removeprefix("Bearer ")
        del auth
        gc.collect()  # a socket that is open still would be a ResourceWarning, which is an error
