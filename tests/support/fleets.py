"""Many accounts whose tokens have not been renewed for long, and a service that renews them."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import httpx
from attrs import evolve, field, frozen

from pipedrive_oauth_client import AppCredentials, PipedriveOAuth, Token
from pipedrive_oauth_client.sandbox import DEFAULT_USER, Clock, SandboxServer, create_app, run
from pipedrive_oauth_client.stores import TokenStore
from tests.support.flows import CREDENTIALS
from tests.support.samples import token_body

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
DAY: Final = timedelta(days=1)
OLD_ACCESS_TOKEN: Final = "old-access-90b2"
OLD_REFRESH_TOKEN: Final = "old-refresh-77e1"
OLD: Final = Token(
    access_token=OLD_ACCESS_TOKEN,
    refresh_token=OLD_REFRESH_TOKEN,
    api_domain="https://acme.pipedrive.com",
    expires_at=NOW - 50 * DAY,
)
FRESH: Final = evolve(OLD, expires_at=NOW + timedelta(hours=1))


@frozen
class Fleet:
    """Accounts of a sandbox that were last renewed 50 days ago.

    Attributes:
        names: The accounts.
        before: All of them expired before that; nothing that is renewed now does.
    """

    server: SandboxServer
    clock: Clock
    oauth: PipedriveOAuth
    store: TokenStore
    names: list[str]
    before: datetime = field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "before", self.clock() - 45 * DAY)

    def renewals(self, **conditions: Any) -> int:
        """Count the requests for renewals."""
        return self.server.requests.count(grant_type="refresh_token", **conditions)


@contextmanager
def fleet(count: int, store: TokenStore) -> Generator[Fleet]:
    """Install the sandbox's app for many people, and let 50 days pass."""
    clock = Clock()
    users = [evolve(DEFAULT_USER, id=number, company_id=number) for number in range(1, count + 1)]
    with run(create_app(clock=clock, users=users)) as server:
        app = server.app
        credentials = AppCredentials(app.client_id, app.client_secret, app.redirect_uri)
        with PipedriveOAuth(
            credentials, base_url=server.base_url, retry=None, clock=clock
        ) as oauth:
            names = []
            for user in users:
                code = httpx.URL(server.install(user=user)).params["code"]
                store.save(user.account, oauth.exchange(code))
                names.append(user.account)
            clock.advance(50 * DAY)
            yield Fleet(server, clock, oauth, store, names)


@contextmanager
def answered(
    handle: Callable[[httpx.Request], httpx.Response], **settings: Any
) -> Generator[PipedriveOAuth]:
    """Open a flow that a function answers, at a time that stands still."""
    wanted: dict[str, Any] = {"retry": None, "clock": lambda: NOW, **settings}
    with (
        httpx.Client(transport=httpx.MockTransport(handle)) as client,
        PipedriveOAuth(CREDENTIALS, client=client, **wanted) as oauth,
    ):
        yield oauth


def renewed(_request: httpx.Request) -> httpx.Response:
    """Answer as the service does when all is well."""
    return httpx.Response(200, content=token_body())


class LazyStore:
    """A store with the five methods and nothing else, whose accounts are made while it is read."""

    def __init__(self, accounts: Iterator[str]) -> None:
        self._accounts = accounts
        self.listed = 0
        self.is_closed = False
        self.saved: dict[str, Token] = {}

    def load(self, account: str) -> Token | None:
        """Give the token of an account; nothing is stored for those that begin with `gone`."""
        if account.startswith("gone"):
            return None
        return self.saved.get(account, FRESH if account.startswith("fresh") else OLD)

    def save(self, account: str, token: Token) -> None:
        """Keep a token."""
        self.saved[account] = token

    def delete(self, account: str) -> None:
        """Forget a token."""
        raise NotImplementedError

    def lock(self, account: str) -> AbstractContextManager[object]:
        """Lock nothing: there is one run at a time."""
        return nullcontext(account)

    def accounts(self) -> Iterator[str]:
        """Give the accounts one by one, and count them."""
        try:
            for account in self._accounts:
                self.listed += 1
                yield account
        finally:
            self.is_closed = True


class ListedStore(LazyStore):
    """One that says itself which accounts are due, right or wrong."""

    def due(self, _before: datetime) -> Iterator[str]:
        """Give all accounts."""
        return self.accounts()
