"""The one redirect that a refresh survives, and all the others, which nothing is sent after.

Pipedrive's spec refreshes at `/oauth/token/`, and the service may send that on to `/oauth/token`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from pipedrive_oauth_client import InvalidGrantError, InvalidResponseError, Token, TransportError
from tests.support.flows import (
    CREDENTIALS,
    EXCHANGE,
    REFRESH,
    REVOKE,
    AnyFlow,
    Step,
    failure,
    in_turn,
    lines,
    sent,
    with_flow,
)
from tests.support.samples import ACCESS_TOKEN, SENT_REFRESH_TOKEN, token_body
from tests.support.wire import Wire, always, answer

pytestmark = pytest.mark.usefixtures("no_proxy")

GOOD: Final = answer(token_body())
FORM: Final = {"grant_type": "refresh_token", "refresh_token": SENT_REFRESH_TOKEN}

follows = pytest.mark.parametrize("follow_redirects", [False, True], ids=["stays", "follows"])


def moved(location: str | None, status: int = 307) -> bytes:
    """Write a redirect."""
    return answer(status=status, headers={} if location is None else {"Location": location})


def redirecting(locate: Callable[[str], str | None], status: int = 307) -> Wire:
    """Make a server that answers the first request with a redirect, and the next with tokens."""
    wire: Wire

    def redirect() -> bytes:
        return moved(locate(wire.authority), status)

    wire = Wire(in_turn(redirect, GOOD))
    return wire


async def refresh(flow: AnyFlow) -> Token:
    """Refresh once."""
    return await flow.refresh()


# --- To the token endpoint without the slash ---


SAME_ENDPOINT: Final[list[object]] = [
    pytest.param(lambda authority: f"http://{authority}/oauth/token", id="absolute"),
    pytest.param(lambda authority: f"HTTP://{authority}/oauth/token", id="scheme in capitals"),
    pytest.param(lambda authority: f"//{authority}/oauth/token", id="without a scheme"),
    pytest.param(lambda _: "/oauth/token", id="path"),
    pytest.param(lambda _: "../token", id="relative"),
]


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("locate", SAME_ENDPOINT)
def test_the_refresh_is_repeated_there_as_it_was(
    mode: str, locate: Callable[[str], str], status: int
) -> None:
    """The second request is a POST, too, with the same form and the same credentials."""
    with redirecting(locate, status) as wire:
        token = with_flow(mode, wire.url, refresh)
    assert token.access_token == ACCESS_TOKEN
    first, second = sent(wire)
    assert (first.line, second.line) == (
        "POST /oauth/token/ HTTP/1.1",
        "POST /oauth/token HTTP/1.1",
    )
    assert first.form == second.form == FORM
    assert first.headers == second.headers
    assert second.headers["authorization"] == CREDENTIALS.basic_auth_header
    assert second.headers["content-type"] == "application/x-www-form-urlencoded"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_an_own_client_that_follows_redirects_changes_nothing(mode: str, status: int) -> None:
    """It would make a GET of some of them; it is not asked."""
    with redirecting(lambda _: "/oauth/token", status) as wire:
        with_flow(mode, wire.url, refresh, through={"follow_redirects": True})
    assert lines(wire) == ["POST /oauth/token/", "POST /oauth/token"]
    assert [request.form for request in sent(wire)] == [FORM] * 2


def test_the_redirect_is_remembered(mode: str) -> None:
    """Later refreshes of the flow go to the path without the slash at once."""

    async def refreshes(flow: AnyFlow) -> None:
        for _ in range(3):
            await flow.refresh()

    with redirecting(lambda _: "/oauth/token") as wire:
        with_flow(mode, wire.url, refreshes)
    assert lines(wire) == ["POST /oauth/token/", *["POST /oauth/token"] * 3]
    assert [request.form for request in sent(wire)] == [FORM] * 4


def test_the_redirect_is_remembered_by_one_flow_only(mode: str) -> None:
    """Another flow asks the service anew."""
    with redirecting(lambda _: "/oauth/token") as wire:
        with_flow(mode, wire.url, refresh)
        with_flow(mode, wire.url, refresh)
    assert lines(wire) == ["POST /oauth/token/", "POST /oauth/token", "POST /oauth/token/"]


def test_without_a_redirect_the_slash_stays(mode: str) -> None:
    """A refresh goes to the path of the spec, in every one."""

    async def refreshes(flow: AnyFlow) -> None:
        await flow.refresh()
        await flow.exchange()
        await flow.refresh()

    with Wire(always(GOOD)) as wire:
        with_flow(mode, wire.url, refreshes)
    assert lines(wire) == ["POST /oauth/token/", "POST /oauth/token", "POST /oauth/token/"]


def test_the_path_of_the_base_url_belongs_to_the_endpoint(mode: str) -> None:
    """Below a path, the endpoint is there, and not at the root of the host."""
    with redirecting(lambda _: "/proxy/oauth/token") as wire:
        with_flow(mode, f"{wire.url}/proxy", refresh)
    assert lines(wire) == ["POST /proxy/oauth/token/", "POST /proxy/oauth/token"]
    with redirecting(lambda _: "/oauth/token") as wire:
        error = failure(mode, f"{wire.url}/proxy", REFRESH)
    assert isinstance(error, InvalidResponseError)
    assert len(wire.requests) == 1


def test_the_answer_after_the_redirect_is_read_as_any_other(mode: str) -> None:
    """A refresh token that is refused there is refused."""
    no = answer(b'{"error": "invalid_grant"}', status=400)
    with Wire(in_turn(moved("/oauth/token"), no)) as wire:
        error = failure(mode, wire.url, REFRESH)
    assert isinstance(error, InvalidGrantError)
    assert "refresh_tokens" in str(error)


# --- Anywhere else ---


ELSEWHERE: Final[list[object]] = [
    pytest.param(lambda _: None, id="no location"),
    pytest.param(lambda _: "", id="empty location"),
    pytest.param(lambda _: "/oauth/token/", id="the same path"),
    pytest.param(lambda _: "/oauth/token2", id="another path"),
    pytest.param(lambda _: "/oauth/Token", id="another case"),
    pytest.param(lambda _: "/oauth//token", id="another slash"),
    pytest.param(lambda _: "token", id="below the path"),
    pytest.param(lambda _: "/oauth/revoke", id="the other endpoint"),
    pytest.param(lambda _: "/oauth/token?x=1", id="query added"),
    pytest.param(lambda _: "/oauth/token#x", id="fragment added"),
    pytest.param(lambda authority: f"http://user@{authority}/oauth/token", id="user added"),
    pytest.param(lambda authority: f"http://:pw@{authority}/oauth/token", id="password added"),
    pytest.param(lambda authority: f"https://{authority}/oauth/token", id="another scheme"),
    pytest.param(lambda _: "http://127.0.0.1:9/oauth/token", id="another port"),
    pytest.param(
        lambda authority: f"http://localhost:{authority[10:]}/oauth/token", id="another name"
    ),
    pytest.param(lambda _: "//oauth.example/oauth/token", id="another host"),
    pytest.param(lambda _: "//127.0.0.1.example/oauth/token", id="longer host"),
    pytest.param(lambda _: "http://[", id="no url"),
    pytest.param(lambda _: "/oauth/token, /oauth/token", id="two locations"),
    pytest.param(lambda _: "/oauth/t\u00f6ken", id="not ASCII"),
]


@pytest.mark.parametrize("locate", ELSEWHERE)
def test_another_target_gets_no_request(mode: str, locate: Callable[[str], str | None]) -> None:
    """The redirect is an answer that can't be used, with its status, and no request follows.

    Not even through an own client that would follow it.
    """
    with redirecting(locate) as wire:
        error = failure(mode, wire.url, REFRESH, through={"follow_redirects": True})
    assert isinstance(error, InvalidResponseError)
    assert error.status_code == 307
    assert "redirects" in error.problem
    assert lines(wire) == ["POST /oauth/token/"]


@pytest.mark.parametrize(
    "location",
    [
        "http://h:port/oauth/token",
        "http://\x7f/",
        "http://xn--/",
    ],
)
def test_a_location_that_httpx_gives_up_on_ends_it(mode: str, location: str) -> None:
    """A `Location` that is no URL is read all the same, and may fail; nothing follows it."""
    with redirecting(lambda _: location) as wire:
        error = failure(mode, wire.url, REFRESH)
    assert isinstance(error, TransportError | InvalidResponseError)
    assert len(wire.requests) == 1


@follows
def test_another_origin_hears_nothing(mode: str, *, follow_redirects: bool) -> None:
    """The same path at another server is not the same endpoint; nobody even connects there."""
    with Wire(always(GOOD)) as other, redirecting(lambda _: f"{other.url}/oauth/token") as wire:
        error = failure(mode, wire.url, REFRESH, through={"follow_redirects": follow_redirects})
    assert isinstance(error, InvalidResponseError)
    assert len(wire.requests) == 1
    assert other.peers == []


@pytest.mark.parametrize("status", [300, 303, 304, 305, 306, 310, 399])
def test_another_status_is_no_reason_to_repeat(mode: str, status: int) -> None:
    """303, for one, says that the request was carried out: a second one would be one too many."""
    with redirecting(lambda _: "/oauth/token", status) as wire:
        error = failure(mode, wire.url, REFRESH, through={"follow_redirects": True})
    assert isinstance(error, InvalidResponseError)
    assert error.status_code == status
    assert len(wire.requests) == 1


@follows
@pytest.mark.parametrize("location", ["/oauth/token", "/oauth/token/"])
def test_a_second_redirect_is_not_gone_after(
    mode: str, location: str, *, follow_redirects: bool
) -> None:
    """A redirect in answer to the repeated refresh ends it: there is no loop."""
    with Wire(in_turn(moved("/oauth/token"), moved(location))) as wire:
        error = failure(mode, wire.url, REFRESH, through={"follow_redirects": follow_redirects})
    assert isinstance(error, InvalidResponseError)
    assert lines(wire) == ["POST /oauth/token/", "POST /oauth/token"]


@pytest.mark.parametrize("step", [EXCHANGE, REVOKE], ids=lambda step: step.name)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_other_operation_goes_after_a_redirect(mode: str, step: Step, status: int) -> None:
    """Neither an exchange nor a revocation is sent anywhere else, even at the same origin."""
    with redirecting(lambda _: f"{step.path}/", status) as wire:
        error = failure(mode, wire.url, step, through={"follow_redirects": True})
    assert isinstance(error, InvalidResponseError)
    assert error.status_code == status
    assert lines(wire) == [f"POST {step.path}"]


def test_a_refused_redirect_is_not_remembered(mode: str) -> None:
    """The next refresh goes to the path of the spec again."""

    async def two_refreshes(flow: AnyFlow) -> None:
        with pytest.raises(InvalidResponseError):
            await flow.refresh()
        await flow.refresh()

    with redirecting(lambda _: "/elsewhere") as wire:
        with_flow(mode, wire.url, two_refreshes)
    assert lines(wire) == ["POST /oauth/token/"] * 2
