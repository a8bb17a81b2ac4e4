"""Another project's tests of its "connect to Pipedrive" button, and of what can go wrong."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from pipedrive_oauth_client import (
    AuthorizationDeniedError,
    InvalidGrantError,
    InvalidResponseError,
    PipedriveOAuth,
    RateLimitedError,
    ServerError,
    StateMismatchError,
    Token,
    TransportError,
)
from pipedrive_oauth_client.sandbox import OTHER_USER, Fault

if TYPE_CHECKING:
    from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox


def connected(oauth: PipedriveOAuth, box: PipedriveSandbox) -> Token:
    """Return the token of a user who has approved the app."""
    return oauth.exchange(oauth.read_callback(box.authorize(state="ours"), "ours"))


def test_a_user_connects_an_account(pipedrive_sandbox: PipedriveSandbox) -> None:
    """After the consent the app can call the API in the user's name."""
    box = pipedrive_sandbox
    with PipedriveOAuth(box.credentials, base_url=box.base_url, clock=box.clock) as oauth:
        request = oauth.authorization_url()
        callback = box.authorize(user=OTHER_USER, state=request.state)
        token = oauth.exchange(oauth.read_callback(callback, request.state))
    response = httpx.get(
        f"{token.api_domain}/api/v1/users/me",
        headers={"Authorization": f"Bearer {token.access_token}"},
    )
    assert response.json()["data"]["name"] == OTHER_USER.name
    assert box.requests.count(path="/oauth/token", outcome="ok") == 1


def test_a_user_declines(pipedrive_sandbox: PipedriveSandbox) -> None:
    """A declined consent is an error of its own, and the app requests no token."""
    box = pipedrive_sandbox
    with PipedriveOAuth(box.credentials, base_url=box.base_url) as oauth:
        callback = box.authorize(approve=False, state="ours")
        with pytest.raises(AuthorizationDeniedError):
            oauth.read_callback(callback, "ours")
    assert box.requests.count(path="/oauth/token") == 0


def test_the_callback_of_another_attempt(pipedrive_sandbox: PipedriveSandbox) -> None:
    """A callback with another state is not used."""
    box = pipedrive_sandbox
    with (
        PipedriveOAuth(box.credentials, base_url=box.base_url) as oauth,
        pytest.raises(StateMismatchError),
    ):
        oauth.read_callback(box.authorize(state="theirs"), "ours")


def test_a_code_works_once(pipedrive_sandbox: PipedriveSandbox) -> None:
    """The sandbox is a new one for each test, and as strict as the service."""
    box = pipedrive_sandbox
    assert len(box.requests) == 0
    with PipedriveOAuth(box.credentials, base_url=box.base_url) as oauth:
        code = oauth.read_callback(box.authorize(state="ours"), "ours")
        oauth.exchange(code)
        with pytest.raises(InvalidGrantError):
            oauth.exchange(code)
    assert [record.status for record in box.requests.select(path="/oauth/token")] == [200, 400]


def test_a_token_expires_and_is_refreshed(pipedrive_sandbox: PipedriveSandbox) -> None:
    """Advancing the sandbox's clock is enough to see a token expire."""
    box = pipedrive_sandbox
    with PipedriveOAuth(box.credentials, base_url=box.base_url, clock=box.clock) as oauth:
        token = connected(oauth, box)
        box.clock.advance(timedelta(hours=2))
        assert token.is_stale(now=box.clock())
        refreshed = oauth.refresh(token)
        assert not refreshed.is_stale(now=box.clock())
        with pytest.raises(InvalidGrantError):
            oauth.refresh(token)


def test_the_service_limits_requests(pipedrive_sandbox: PipedriveSandbox) -> None:
    """The error says how long to wait, and the next attempt works."""
    box = pipedrive_sandbox
    with PipedriveOAuth(box.credentials, base_url=box.base_url, retry=None) as oauth:
        token = connected(oauth, box)
        box.faults.add("/oauth/token/", Fault.status(429, retry_after=7))
        with pytest.raises(RateLimitedError) as caught:
            oauth.refresh(token)
        assert caught.value.retry_after == timedelta(seconds=7)
        oauth.refresh(token)


def test_the_service_is_down(pipedrive_sandbox: PipedriveSandbox) -> None:
    """Maintenance, a broken connection and a web page are three different errors."""
    box = pipedrive_sandbox
    with PipedriveOAuth(box.credentials, base_url=box.base_url, retry=None) as oauth:
        token = connected(oauth, box)
        for fault, error in (
            (Fault.status(503), ServerError),
            (Fault.reset(), TransportError),
            (Fault.page(), InvalidResponseError),
        ):
            box.faults.add("/oauth/token/", fault)
            with pytest.raises(error):
                oauth.refresh(token)
    assert box.requests.count(path="/oauth/token/", outcome="ok") == 0
