"""Another project's tests of its "connect to Pipedrive" button."""

from __future__ import annotations

from typing import TYPE_CHECKING

import httpx
import pytest

from pipedrive_oauth_client import (
    AuthorizationDeniedError,
    InvalidGrantError,
    PipedriveOAuth,
    StateMismatchError,
)
from pipedrive_oauth_client.sandbox import OTHER_USER

if TYPE_CHECKING:
    from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox


def test_a_person_connects_their_account(pipedrive_sandbox: PipedriveSandbox) -> None:
    """After the consent the app may ask the API who it acts for."""
    box = pipedrive_sandbox
    with PipedriveOAuth(box.credentials, base_url=box.base_url, clock=box.clock) as oauth:
        request = oauth.authorization_url()
        callback = box.authorize(user=OTHER_USER, state=request.state)
        token = oauth.exchange(oauth.read_callback(callback, request.state))
    answer = httpx.get(
        f"{token.api_domain}/api/v1/users/me",
        headers={"Authorization": f"Bearer {token.access_token}"},
    )
    assert answer.json()["data"]["name"] == OTHER_USER.name
    assert box.requests.count(path="/oauth/token", outcome="ok") == 1


def test_a_person_says_no(pipedrive_sandbox: PipedriveSandbox) -> None:
    """A refusal of consent reaches the app as one, and no token is asked for."""
    box = pipedrive_sandbox
    with PipedriveOAuth(box.credentials, base_url=box.base_url) as oauth:
        callback = box.authorize(approve=False, state="ours")
        with pytest.raises(AuthorizationDeniedError):
            oauth.read_callback(callback, "ours")
    assert box.requests.count(path="/oauth/token") == 0


def test_somebody_elses_callback(pipedrive_sandbox: PipedriveSandbox) -> None:
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
