from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from attrs import evolve

from pipedrive_oauth_client import AppCredentials, PipedriveOAuth, Token
from pipedrive_oauth_client.stores import MemoryTokenStore
from pipedrive_oauth_client.stores.leased import Lease
from pipedrive_oauth_client.web import disconnect

TOKEN = Token(
    access_token="access",
    refresh_token="refresh",
    token_type="Bearer",
    scope="base",
    api_domain="https://acme.example",
    expires_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
)


class NotedStore(MemoryTokenStore):
    """A store that notes what is done with it."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []

    @contextmanager
    def lock(self, account: str) -> Generator[Lease]:
        """Note when the lock is taken and given back."""
        self.noted.append("locked")
        with super().lock(account) as lease:
            yield lease
        self.noted.append("unlocked")

    def delete(self, account: str) -> None:
        """Note that the token is deleted."""
        self.noted.append("deleted")
        super().delete(account)


@pytest.mark.parametrize(
    ("token", "revoked"),
    [(TOKEN, "refresh_token"), (evolve(TOKEN, refresh_token=None), "access_token")],
)
def test_order(token: Token, revoked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No renewal comes in between: the grant ends and its token goes under the account's lock."""
    store = NotedStore()
    store.save("1:11", token)

    def revoke(_oauth: PipedriveOAuth, found: Token, hint: str) -> None:
        assert found == token
        store.noted.append(hint)

    monkeypatch.setattr(PipedriveOAuth, "revoke", revoke)
    credentials = AppCredentials("id", "secret", "https://app.example.com/callback")
    with PipedriveOAuth(credentials) as oauth:
        disconnect(oauth, store, "1:11")
    assert store.noted == ["locked", revoked, "deleted", "unlocked"]
