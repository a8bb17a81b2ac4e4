"""A walk through the installed package; run by each Python, far from the project's folder.

Its one argument is the version that has to be installed. It needs the extra `sandbox`.
"""

from __future__ import annotations

import asyncio
import sys
from importlib.metadata import version
from pathlib import Path

import httpx

import pipedrive_oauth_client
from pipedrive_oauth_client import (
    NO_STATE,
    AppCredentials,
    AsyncPipedriveOAuth,
    InvalidGrantError,
    PipedriveAuth,
    PipedriveOAuth,
    sandbox,
)
from pipedrive_oauth_client.stores import MemoryTokenStore


def main() -> None:
    """Walk, and say what was counted."""
    place = Path(pipedrive_oauth_client.__file__).resolve()
    found = (version("pipedrive-oauth-client"), pipedrive_oauth_client.__version__)
    if not place.is_relative_to(Path(sys.prefix).resolve()) or set(found) != {sys.argv[1]}:
        sys.exit(f"{place} is version {found}, and {sys.argv[1]} should be installed")
    with sandbox.run() as server:
        app = server.app
        credentials = AppCredentials(app.client_id, app.client_secret, app.redirect_uri)
        store = MemoryTokenStore()
        with PipedriveOAuth(credentials, base_url=server.base_url) as oauth:
            request = oauth.authorization_url()
            callback = server.visit(request.url)
            token = oauth.exchange(oauth.read_callback(callback, request.state))
            store.save("acme", token)
            auth = PipedriveAuth(oauth, store, "acme")
            renewed = auth.token(rejected=token)
            with httpx.Client(base_url=str(renewed.api_domain), auth=auth) as pipedrive:
                pipedrive.get("/api/v1/users/me").raise_for_status()
            oauth.revoke(renewed, "refresh_token")
            try:
                oauth.refresh(renewed)
            except InvalidGrantError:
                pass
            else:
                sys.exit("a revoked token was renewed")
        asyncio.run(walk_async(server, credentials))
        counted = server.requests.count(outcome="ok")
    print(f"DONE {counted} requests answered")


async def walk_async(server: sandbox.SandboxServer, credentials: AppCredentials) -> None:
    """Exchange and renew once more, awaited."""
    async with AsyncPipedriveOAuth(credentials, base_url=server.base_url) as oauth:
        callback = await asyncio.to_thread(server.install)
        token = await oauth.exchange(oauth.read_callback(callback, NO_STATE))
        await oauth.refresh(token)


if __name__ == "__main__":
    main()
