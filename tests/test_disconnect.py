"""`disconnect`: what is revoked, in which order, and what is left when it fails."""

from __future__ import annotations

from functools import partial
from typing import Any

import anyio
import pytest
from cryptography.fernet import Fernet

from pipedrive_oauth_client import (
    AsyncPipedriveOAuth,
    ConfigurationError,
    CorruptTokenError,
    InvalidGrantError,
    ServerError,
    StoreError,
    TokenNotFoundError,
    disconnect,
)
from pipedrive_oauth_client._renewal import pending_saves
from pipedrive_oauth_client.events import Event, GrantEnded
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import DEFAULT_USER, Fault
from pipedrive_oauth_client.stores import EncryptedTokenStore
from pipedrive_oauth_client.web import disconnect as web_disconnect
from tests.support.auths import ACCOUNT, Account, WatchedStore, connected
from tests.support.untyped import untyped

REVOKE_PATH = "/oauth/revoke"


def revocations(account: Account) -> int:
    """Count the revocations that the service was asked for."""
    return account.box.requests.count(path=REVOKE_PATH)


def is_installed(account: Account) -> bool:
    """Tell whether the grant is alive at the service."""
    return account.box.server.sandbox.is_installed(DEFAULT_USER)


def test_one_function_for_all() -> None:
    """The web part hands on the function of the core."""
    assert web_disconnect is disconnect


def test_order(account: Account) -> None:
    """Under the lock, the grant is revoked before its token is deleted."""
    steps: list[str] = []

    def note(name: str) -> None:
        steps.append(f"{name} {revocations(account)}")

    for name in ("lock", "load", "delete", "release"):
        account.store.at(name, partial(note, name))
    assert disconnect(account.oauth, account.store, ACCOUNT)
    assert steps == ["lock 0", "load 0", "delete 1", "release 1"]
    assert not is_installed(account)
    assert account.store.inner.load(ACCOUNT) is None


def test_nothing_stored(account: Account) -> None:
    """Without a stored token nothing is sent; a second time does no harm."""
    assert disconnect(account.oauth, account.store, ACCOUNT)
    assert not disconnect(account.oauth, account.store, ACCOUNT)
    assert not disconnect(account.oauth, account.store, "unknown")
    assert revocations(account) == 1


@pytest.mark.parametrize("is_deleted", [False, True])
def test_token_that_waits_to_be_saved(account: Account, *, is_deleted: bool) -> None:
    """The newest token is revoked, although the store has not taken it; nothing is pending then."""
    account.expire()
    account.store.at("save", StoreError("It is full."))
    with pytest.raises(StoreError):
        account.auth().token()
    pending = pending_saves.get(account.store, ACCOUNT)
    assert pending is not None
    if is_deleted:
        account.store.inner.delete(ACCOUNT)
    assert disconnect(account.oauth, account.store, ACCOUNT)
    assert not is_installed(account)
    with pytest.raises(InvalidGrantError):
        account.oauth.refresh(pending)
    assert not pending_saves.has(account.store, ACCOUNT)
    with pytest.raises(TokenNotFoundError):
        account.auth().token()


def test_pending_token_that_can_not_be_saved(account: Account) -> None:
    """If the store still fails, nothing is revoked, and the next attempt finishes it."""
    account.expire()
    account.store.at("save", StoreError("It is full."), StoreError("It is full."))
    with pytest.raises(StoreError):
        account.auth().token()
    with pytest.raises(StoreError, match=r"It is full\."):
        disconnect(account.oauth, account.store, ACCOUNT)
    assert revocations(account) == 0
    assert disconnect(account.oauth, account.store, ACCOUNT)
    assert not is_installed(account)


def test_ciphertext(account: Account) -> None:
    """What the store holds encrypted is not sent to the service, and stays as it is."""
    sealed = EncryptedTokenStore(account.store.inner, [Fernet.generate_key()])
    sealed.save(ACCOUNT, account.token)
    before = account.stored()
    with pytest.raises(CorruptTokenError, match="EncryptedTokenStore"):
        disconnect(account.oauth, account.store, ACCOUNT)
    assert revocations(account) == 0
    assert account.stored() == before
    assert disconnect(account.oauth, sealed, ACCOUNT)
    assert not is_installed(account)


def test_service_that_fails(account: Account) -> None:
    """A grant that was not revoked keeps its token."""
    account.box.faults.add(REVOKE_PATH, Fault.status(503))
    with pytest.raises(ServerError):
        disconnect(account.oauth, account.store, ACCOUNT)
    assert account.stored() == account.token
    assert disconnect(account.oauth, account.store, ACCOUNT)


def test_token_that_is_not_deleted(account: Account) -> None:
    """If the store fails after the revocation, the error says that the grant is revoked."""
    account.store.at("delete", StoreError("It is broken."))
    with pytest.raises(StoreError, match=r"is revoked, but its token.*It is broken\."):
        disconnect(account.oauth, account.store, ACCOUNT)
    assert not is_installed(account)
    assert disconnect(account.oauth, account.store, ACCOUNT)
    assert account.store.inner.load(ACCOUNT) is None


def test_asynchronous_flow(account: Account) -> None:
    """An asynchronous flow serves as well, in a thread."""
    box = account.box

    async def main() -> bool:
        async with AsyncPipedriveOAuth(
            box.credentials, base_url=box.base_url, retry=None, clock=box.clock
        ) as oauth:
            return await anyio.to_thread.run_sync(disconnect, oauth, account.store, ACCOUNT)

    assert anyio.run(main)
    assert not is_installed(account)


def test_event(box: PipedriveSandbox) -> None:
    """It is reported once the lock is released, and only if something was disconnected."""
    seen: list[Event] = []
    store = WatchedStore()

    def note(event: Event) -> None:
        assert store.calls["release"] == 1
        seen.append(event)

    with connected(box, store=store, on_event=note) as account:
        disconnect(account.oauth, store, "unknown")
        store.calls.clear()
        disconnect(account.oauth, store, ACCOUNT)
    assert seen == [GrantEnded(account=ACCOUNT, at=box.clock(), error="disconnected")]


@pytest.mark.parametrize("arguments", [(None, None, 5), ("oauth", "store", "")])
def test_arguments(account: Account, arguments: tuple[Any, ...]) -> None:
    """Wrong arguments are rejected before anything is done."""
    flow, store, name = arguments
    flow = account.oauth if flow == "oauth" else flow
    store = account.store if store == "store" else store
    with pytest.raises(ConfigurationError):
        untyped(disconnect)(flow, store, name)
    assert account.store.calls["lock"] == 0
