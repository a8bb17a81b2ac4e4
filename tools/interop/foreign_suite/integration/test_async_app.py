"""Another project's tests of its asynchronous code, with nothing but pytest to run it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx

from pipedrive_oauth_client import AsyncPipedriveOAuth, Token
from pipedrive_oauth_client.sandbox import DEFAULT_USER, OTHER_USER

if TYPE_CHECKING:
    from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
    from pipedrive_oauth_client.sandbox import User


async def name_of(token: Token) -> str:
    """Ask the API whose token it is."""
    headers = {"Authorization": f"Bearer {token.access_token}"}
    async with httpx.AsyncClient(base_url=str(token.api_domain), headers=headers) as api:
        answer = await api.get("/api/v1/users/me")
    return str(answer.json()["data"]["name"])


def test_two_people_connect_at_once(pipedrive_sandbox: PipedriveSandbox) -> None:
    """Each gets a token of their own, whatever order the answers come in."""
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
