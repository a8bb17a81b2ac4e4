"""Another project's tests of Marketplace installs and of its asynchronous code."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import httpx
import pytest

from pipedrive_oauth_client import (
    NO_STATE,
    AsyncPipedriveOAuth,
    InvalidGrantError,
    PipedriveOAuth,
    Token,
)
from pipedrive_oauth_client.sandbox import DEFAULT_USER, OTHER_USER

if TYPE_CHECKING:
    from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
    from pipedrive_oauth_client.sandbox import User


def test_an_install_without_a_state(pipedrive_sandbox: PipedriveSandbox) -> None:
    """An install from the Marketplace comes back without a state and is accepted as such."""
    box = pipedrive_sandbox
    with PipedriveOAuth(box.credentials, base_url=box.base_url) as oauth:
        token = oauth.exchange(oauth.read_callback(box.server.install(), NO_STATE))
    assert "deals:full" in token.scopes


def test_an_uninstall_ends_one_account(pipedrive_sandbox: PipedriveSandbox) -> None:
    """The notice names the account, whose refresh token is revoked; the other one's works."""
    box = pipedrive_sandbox
    with PipedriveOAuth(box.credentials, base_url=box.base_url) as oauth:
        gone, kept = (
            oauth.exchange(oauth.read_callback(box.server.install(user=user), NO_STATE))
            for user in (DEFAULT_USER, OTHER_USER)
        )
        notice = json.loads(box.server.sandbox.uninstall(DEFAULT_USER).content)
        assert notice["user_id"] == DEFAULT_USER.id
        with pytest.raises(InvalidGrantError):
            oauth.refresh(gone)
        oauth.refresh(kept)


def test_the_app_revokes_its_token(pipedrive_sandbox: PipedriveSandbox) -> None:
    """Revoking the refresh token uninstalls the app."""
    box = pipedrive_sandbox
    with PipedriveOAuth(box.credentials, base_url=box.base_url) as oauth:
        token = oauth.exchange(oauth.read_callback(box.server.install(), NO_STATE))
        assert box.server.sandbox.is_installed(DEFAULT_USER)
        oauth.revoke(token, "refresh_token")
    assert not box.server.sandbox.is_installed(DEFAULT_USER)


async def name_of(token: Token) -> str:
    """Return the name of the user whose token it is."""
    headers = {"Authorization": f"Bearer {token.access_token}"}
    async with httpx.AsyncClient(base_url=str(token.api_domain), headers=headers) as api:
        response = await api.get("/api/v1/users/me")
    return str(response.json()["data"]["name"])


def test_two_users_connect_at_once(pipedrive_sandbox: PipedriveSandbox) -> None:
    """Each gets a token of their own, whatever order the responses come in."""
    box = pipedrive_sandbox

    async def connect(oauth: AsyncPipedriveOAuth, user: User) -> str:
        request = oauth.authorization_url()
        callback = await asyncio.to_thread(box.authorize, user=user, state=request.state)
        token = await oauth.exchange(oauth.read_callback(callback, request.state))
        return await name_of(await oauth.refresh(token))

    async def main() -> list[str]:
        async with AsyncPipedriveOAuth(box.credentials, base_url=box.base_url) as oauth:
            return await asyncio.gather(
                *(connect(oauth, user) for user in (DEFAULT_USER, OTHER_USER))
            )

    assert asyncio.run(main()) == [DEFAULT_USER.name, OTHER_USER.name]
    assert box.requests.count(grant_type="refresh_token", outcome="ok") == 2
