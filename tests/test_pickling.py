"""What can't be pickled, copied or passed to another process, and what it says then."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import pytest
from cryptography.fernet import Fernet

from pipedrive_oauth_client import (
    AppCredentials,
    AsyncPipedriveOAuth,
    AuthenticatedClient,
    Client,
    ConfigurationError,
    PipedriveAuth,
    PipedriveOAuth,
    sandbox,
)
from pipedrive_oauth_client.adapters.httpx2 import PipedriveHttpx2Auth
from pipedrive_oauth_client.adapters.requests import PipedriveRequestsAuth
from pipedrive_oauth_client.stores import (
    EncryptedTokenStore,
    FileTokenStore,
    LeasedStore,
    MemoryTokenStore,
    RedisTokenStore,
    SQLTokenStore,
)
from pipedrive_oauth_client.stores.leased import ExpectedVersion, LockAttempt, StoredToken
from pipedrive_oauth_client.web import flask, starlette
from tests.support.sweep import found, visible

SECRET: Final = "client-secret-9d31"
PASSWORD: Final = "password-70ab"
KEY: Final = Fernet.generate_key().decode()
CREDENTIALS: Final = AppCredentials("id", SECRET, "https://app.example.com/callback")


def an_auth() -> PipedriveAuth:
    """Make one."""
    return PipedriveAuth(PipedriveOAuth(CREDENTIALS), MemoryTokenStore(), "acme")


def a_server() -> sandbox.SandboxServer:
    """Give one that is over: what matters is its class."""
    with sandbox.run() as server:
        return server


# Each with a word of what to do instead.
MADE: Final[dict[str, tuple[Callable[[Path], object], str]]] = {
    "PipedriveOAuth": (lambda _: PipedriveOAuth(CREDENTIALS), "AppCredentials"),
    "AsyncPipedriveOAuth": (lambda _: AsyncPipedriveOAuth(CREDENTIALS), "AppCredentials"),
    "PipedriveAuth": (lambda _: an_auth(), "Pass the account"),
    "TokenSource": (lambda _: an_auth().token_source, "TokenSource"),
    "PipedriveRequestsAuth": (lambda _: PipedriveRequestsAuth(an_auth()), "Pass the account"),
    "PipedriveHttpx2Auth": (lambda _: PipedriveHttpx2Auth(an_auth()), "Pass the account"),
    "MemoryTokenStore": (lambda _: MemoryTokenStore(), "another kind of store"),
    "FileTokenStore": (lambda folder: FileTokenStore(folder / "tokens"), "Pass the folder"),
    "SQLTokenStore": (
        lambda _: SQLTokenStore(f"postgresql+psycopg://user:{PASSWORD}@127.0.0.1:1/db"),
        "Pass the URL",
    ),
    "RedisTokenStore": (
        lambda _: RedisTokenStore(f"redis://:{PASSWORD}@127.0.0.1:1"),
        "Pass the URL",
    ),
    "EncryptedTokenStore": (
        lambda _: EncryptedTokenStore(MemoryTokenStore(), KEY),
        "read the keys there",
    ),
    "Client": (lambda _: Client(), "make a new one there"),
    "AuthenticatedClient": (lambda _: AuthenticatedClient(token=SECRET), "make a new one there"),
    "Sandbox": (lambda _: sandbox.create_app(), "pass the address"),
    "SandboxServer": (lambda _: a_server(), "base_url"),
}


def spawned(value: object) -> None:
    """Try to pass a value to a spawned process."""
    process = multiprocessing.get_context("spawn").Process(target=print, args=(value,))
    try:
        process.start()
    finally:
        process.close()


def in_a_container(value: object) -> None:
    """Try to pickle it as an attribute of something else."""
    pickle.dumps([{"store": value}])


WAYS: Final = [copy.copy, copy.deepcopy, pickle.dumps, in_a_container, spawned]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize("name", MADE)
def test_what_holds_connections_stays_where_it_is(
    name: str, way: Callable[[Any], object], tmp_path: Path
) -> None:
    """The error names the class and what to pass instead, and holds no secret."""
    make, instead = MADE[name]
    with pytest.raises(ConfigurationError, match=rf"^{name} can't be pickled") as caught:
        way(make(tmp_path))
    assert instead in str(caught.value)
    assert not found(visible(caught.value), [SECRET, PASSWORD, KEY])


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
@pytest.mark.parametrize(
    "make",
    [
        lambda: starlette.PipedriveWeb(
            PipedriveOAuth(CREDENTIALS), MemoryTokenStore(), secret_keys=["k" * 32]
        ),
        lambda: flask.PipedriveWeb(secret_keys=["k" * 32]),
    ],
    ids=["Starlette", "Flask"],
)
def test_web_parts_stay_where_they_are(
    make: Callable[[], object], way: Callable[[Any], object]
) -> None:
    """So do the routes of the frameworks."""
    with pytest.raises(ConfigurationError, match=r"^PipedriveWeb can't be pickled"):
        way(make())


class Remote(LeasedStore):
    """A store of an app's own that says how another process makes it."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address

    def __reduce__(self) -> Any:
        return Remote, (self.address,)

    def accounts(self) -> Iterator[str]:
        """Give none."""
        return iter(())

    def due(self, before: datetime) -> Iterator[str]:
        """Give none."""
        del before
        return iter(())

    def _read(self, account: str) -> StoredToken | None:
        raise NotImplementedError

    def _write(
        self, account: str, new: StoredToken, expires_at: datetime, expected: ExpectedVersion
    ) -> bool:
        raise NotImplementedError

    def _remove(self, account: str) -> None:
        raise NotImplementedError

    def _take(self, account: str, owner: str, stale: str | None) -> LockAttempt:
        raise NotImplementedError

    def _release(self, account: str, owner: str) -> None:
        raise NotImplementedError


def test_a_store_of_ones_own_may_be_pickled() -> None:
    """Its `__reduce__` counts."""
    for again in (copy.copy(Remote("here")), pickle.loads(pickle.dumps(Remote("here")))):  # noqa: S301
        assert isinstance(again, Remote)
        assert again.address == "here"
