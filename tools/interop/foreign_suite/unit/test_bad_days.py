"""Another project's tests of what it does when Pipedrive is slow, down or odd."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from pipedrive_oauth_client import (
    InvalidGrantError,
    InvalidResponseError,
    PipedriveOAuth,
    RateLimitedError,
    ServerError,
    Token,
    TransportError,
)
from pipedrive_oauth_client.sandbox import Fault

if TYPE_CHECKING:
    from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox


def connected(oauth: PipedriveOAuth, box: PipedriveSandbox) -> Token:
    """Return the token of a person who has said yes."""
    return oauth.exchange(oauth.read_callback(box.authorize(state="ours"), "ours"))


def test_a_token_expires_and_is_renewed(pipedrive_sandbox: PipedriveSandbox) -> None:
    """Moving the clock on is all that it takes to see a token expire."""
    box = pipedrive_sandbox
    with PipedriveOAuth(box.credentials, base_url=box.base_url, clock=box.clock) as oauth:
        token = connected(oauth, box)
        box.clock.advance(timedelta(hours=2))
        assert token.is_stale(now=box.clock())
        renewed = oauth.refresh(token)
        assert not renewed.is_stale(now=box.clock())
        with pytest.raises(InvalidGrantError):
            oauth.refresh(token)


def test_the_service_wants_us_to_wait(pipedrive_sandbox: PipedriveSandbox) -> None:
    """How long to wait is told, and the next attempt works."""
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
