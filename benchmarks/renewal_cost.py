"""What a renewal costs on each store, against a bare POST of httpx that saves nothing.

python -m benchmarks renewal
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from benchmarks.measure import compared, table
from benchmarks.places import opened_places
from benchmarks.results import Table
from pipedrive_oauth_client import (
    NO_STATE,
    AppCredentials,
    PipedriveAuth,
    PipedriveOAuth,
    Token,
    sandbox,
)
from pipedrive_oauth_client.stores import TokenStore

ROUNDS, REPETITIONS = 20, 10


def measured() -> list[Table]:
    """Measure a renewal on each store that is there."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        server = stack.enter_context(sandbox.run())
        app = server.app
        credentials = AppCredentials(app.client_id, app.client_secret, app.redirect_uri)
        oauth = stack.enter_context(PipedriveOAuth(credentials, base_url=server.base_url))
        client = stack.enter_context(httpx.Client(trust_env=False))

        def new_token() -> Token:
            return oauth.exchange(oauth.read_callback(server.install(), NO_STATE))

        ways: list[tuple[str, Callable[[], object]]] = [
            ("httpx.post, nothing saved", _bare(client, server.base_url, credentials, new_token()))
        ]
        for name, store in opened_places(folder, stack):
            store.save("acme", new_token())
            ways.append((f"PipedriveAuth, {name}", _renewing(oauth, store)))
        figures = compared(ways, rounds=ROUNDS, repetitions=REPETITIONS)
        note = "Over loopback, with the sandbox's own work in it; `fsync` and servers as they are."
        return [table("A renewal, with the lock and the save", figures, note)]


def _bare(
    client: httpx.Client, base_url: str, credentials: AppCredentials, token: Token
) -> Callable[[], object]:
    held = [token.refresh_token]

    def post() -> None:
        form = {"grant_type": "refresh_token", "refresh_token": held[0]}
        header = {"Authorization": credentials.basic_auth_header}
        answer = client.post(f"{base_url}/oauth/token/", data=form, headers=header)
        held[0] = answer.json()["refresh_token"]

    return post


def _renewing(oauth: PipedriveOAuth, store: TokenStore) -> Callable[[], object]:
    auth = PipedriveAuth(oauth, store, "acme")
    held = [auth.token()]

    def renew() -> None:
        held[0] = auth.token(rejected=held[0])

    return renew
