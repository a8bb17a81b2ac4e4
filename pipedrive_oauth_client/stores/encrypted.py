"""Tokens that are stored encrypted: `EncryptedTokenStore`. It needs the extra `encryption`.

What the inner store sees is a `Token` whose type is `encrypted` and whose access token is the
ciphertext of the account and the whole token.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from logging import getLogger
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    ProcessBound,
    StoreError,
)
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.stores.leased import Lease, is_of, load_first, save_last
from pipedrive_oauth_client.stores.protocol import (
    AccountOverview,
    TokenStore,
    accounts_with_prefix,
    checked_account,
    checked_store,
)
from pipedrive_oauth_client.tokens import Token

__all__ = ["EncryptedTokenStore"]

_ENCRYPTED_TYPE: Final = "encrypted"
_KEY: Final = re.compile(r"[A-Za-z0-9_+/-]{43}=")
_RECOVERY: Final = "Restore it from a backup, or have the user authorize the app again."
_LOGGER: Final = getLogger("pipedrive_oauth_client")


class EncryptedTokenStore(ProcessBound):
    """Encrypts what another store stores.

    The inner store can be any. It sees the account's name and when the access token expires, so
    that it can find tokens that are due; everything else is encrypted and can't be changed
    unnoticed, nor moved to another account.

    To change the key, put the new one first, everywhere, and keep the old one after it; call
    `rotate_all`; then remove the old one.

    Args:
        inner: The store for the encrypted tokens.
        keys: One key or several, as `Fernet.generate_key()` returns them. The first one encrypts,
            and any of them decrypts.

    Raises:
        ConfigurationError: `inner` is not a store, there is no key, or one is not a valid key.

    Source:
        The specification of Fernet: AES-128 in CBC mode, with HMAC-SHA256.
    """

    _instead = "Pass what the inner store is made of, read the keys there, and make a new store."

    def __init__(self, inner: TokenStore, keys: str | bytes | Sequence[str | bytes]) -> None:
        self._inner = checked_store("inner", inner)
        given: Sequence[object] = [keys] if isinstance(keys, str | bytes) else keys
        if not argument("keys", given, Sequence):
            raise ConfigurationError("keys must be a key, or a list of keys with the newest first.")
        ciphers = [_cipher(key, number) for number, key in enumerate(given, 1)]
        self._key_count = len(ciphers)
        self._first_key = ciphers[0]
        self._any_key = MultiFernet(ciphers)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._inner!r}, <{self._key_count} keys>)"

    @property
    def due(self) -> Callable[[datetime], Iterator[str]]:
        """The method `due` of the inner store; missing where the inner store has none."""
        own: Callable[[datetime], Iterator[str]] = getattr(self._inner, "due")  # noqa: B009 - not in the protocol
        return own

    @property
    def ended(self) -> Callable[[], Iterator[str]]:
        """The method `ended` of the inner store, which needs no key; missing where it has none."""
        own: Callable[[], Iterator[str]] = getattr(self._inner, "ended")  # noqa: B009 - not in the protocol
        return own

    @property
    def overview(self) -> Callable[[], Iterator[AccountOverview]]:
        """The method `overview` of the inner store; missing where the inner store has none."""
        own: Callable[[], Iterator[AccountOverview]] = getattr(self._inner, "overview")  # noqa: B009 - not in the protocol
        return own

    def load(self, account: str) -> Token | None:
        """Return the token of an account; see `TokenStore.load`.

        Args:
            account: The account.

        Returns:
            The token, or None if there is none.

        Raises:
            CorruptTokenError: The stored content is not encrypted, or with none of these keys, or
                for another account; it is left unchanged.
            StoreError: The inner store is unavailable or failed.
        """
        stored = self._inner.load(checked_account(account))
        return None if stored is None else self._decrypt(account, stored)

    def _load_first(self, account: str, lease: Lease) -> Token | None:
        if not is_of(self.load, EncryptedTokenStore.load):
            return self.load(account)
        stored = load_first(self._inner, account, lease)
        return None if stored is None else self._decrypt(account, stored)

    def _save_last(self, account: str, token: Token) -> None:
        if is_of(self.save, EncryptedTokenStore.save):
            save_last(self._inner, account, self._encrypted(account, token))
        else:
            self.save(account, token)

    def save(self, account: str, token: Token) -> None:
        """Store a token in place of the previous one; see `TokenStore.save`.

        Args:
            account: The account.
            token: The token.

        Raises:
            StoreLockTimeoutError: This thread has lost the account's lock, and another caller has
                saved or deleted the token since; nothing was written.
            StoreError: The inner store is unavailable or failed; the previous token is still there.
        """
        self._inner.save(account, self._encrypted(account, token))

    def _encrypted(self, account: str, token: Token) -> Token:
        # The account is encrypted as well, so that its token can't be moved to another one.
        entry = {
            "account": checked_account(account),
            "token": argument("token", token, Token).to_dict(),
        }
        text = self._first_key.encrypt(json.dumps(entry).encode()).decode()
        # The expiry stays readable for `due`, and the end of the grant for `ended`.
        return Token(
            access_token=text,
            token_type=_ENCRYPTED_TYPE,
            expires_at=token.expires_at,
            grant_end=token.grant_end,
        )

    def delete(self, account: str) -> None:
        """Delete the token of an account, if there is one; see `TokenStore.delete`.

        Args:
            account: The account.

        Raises:
            StoreError: The inner store is unavailable or failed.
        """
        self._inner.delete(checked_account(account))

    def lock(self, account: str) -> AbstractContextManager[object]:
        """Let one caller at a time refresh the token of an account; see `TokenStore.lock`.

        Args:
            account: The account.

        Returns:
            The context manager of the inner store.

        Raises:
            StoreLockTimeoutError: The current holder did not release the lock in time.
            StoreError: The inner store is unavailable or failed.
        """
        return self._inner.lock(checked_account(account))

    def accounts(self, prefix: str = "") -> Iterator[str]:
        """Return the accounts that have a token; see `TokenStore.accounts`.

        Args:
            prefix: What the accounts' names begin with; by default all are returned.

        Returns:
            The accounts, one by one, whether or not their tokens can be decrypted.

        Raises:
            ConfigurationError: No name of an account can begin with `prefix`.
            StoreError: The inner store is unavailable or failed.
        """
        return accounts_with_prefix(self._inner, prefix)

    def rotate(self, account: str, *, seal_clear: bool = False) -> bool:
        """Encrypt the stored token of an account with the first key.

        It takes the account's lock.

        Args:
            account: The account.
            seal_clear: Whether to encrypt a token that is stored in the clear as well. Use it once,
                when you begin to encrypt: it trusts every program that can write to the store.

        Returns:
            Whether there was something to encrypt.

        Raises:
            CorruptTokenError: The stored token can't be decrypted, or is in the clear; it is left
                unchanged.
            StoreError: The inner store is unavailable or failed.
        """
        with self.lock(account):
            stored = self._inner.load(account)
            if stored is None:
                return False
            if seal_clear and stored.token_type != _ENCRYPTED_TYPE:
                self.save(account, stored)
                return True
            token = self._decrypt(account, stored)
            if self._is_under_first_key(stored):
                return False
            self.save(account, token)
            return True

    def rotate_all(self, *, seal_clear: bool = False) -> int:
        """Encrypt all stored tokens with the first key; see `rotate`.

        An account that fails does not stop it, and is named in the log. Call it again afterwards:
        tokens that are done already are skipped.

        Args:
            seal_clear: Whether to encrypt tokens that are stored in the clear as well.

        Returns:
            The number of tokens that were encrypted.

        Raises:
            StoreError: Some accounts failed, so that the old key is still needed; the cause is the
                first one's error.
        """
        changed = 0
        failures: list[StoreError] = []
        for account in self.accounts():
            try:
                changed += self.rotate(account, seal_clear=seal_clear)
            except StoreError as error:
                _LOGGER.warning(
                    "The token of %r was not encrypted with the first key: %s", account, error
                )
                failures.append(error)
        if failures:
            raise StoreError(
                f"{len(failures)} tokens were not encrypted with the first key, and {changed} were."
                " Keep the old key, look for the accounts in the log, and call rotate_all again."
            ) from failures[0]
        return changed

    def _decrypt(self, account: str, stored: Token) -> Token:
        if stored.token_type != _ENCRYPTED_TYPE:
            raise CorruptTokenError(
                f"The token of {account!r} is stored in the clear. If it was stored before you"
                " began to encrypt, call rotate(account, seal_clear=True), or rotate_all for all of"
                " them."
            )
        try:
            content = self._any_key.decrypt(stored.access_token)
        except InvalidToken as error:
            raise CorruptTokenError(
                f"The stored token of {account!r} can't be decrypted. If it was encrypted with a"
                " key that is not among `keys`, add that key at their end. Otherwise it was"
                f" changed: {_RECOVERY}"
            ) from error
        entry = _parse_entry(content)
        if entry is None:
            raise CorruptTokenError(
                f"The decrypted content for {account!r} is not a token of an account. {_RECOVERY}"
            )
        if entry[0] != account:
            raise CorruptTokenError(
                f"The stored token of {account!r} was encrypted for another account. {_RECOVERY}"
            )
        token = Token.from_dict(entry[1])
        if token.expires_at != stored.expires_at:
            raise CorruptTokenError(
                f"The expiry of the token of {account!r} that is stored in the clear is not the one"
                f" that was encrypted with the token. {_RECOVERY}"
            )
        return token

    def _is_under_first_key(self, stored: Token) -> bool:
        try:
            self._first_key.decrypt(stored.access_token)
        except InvalidToken:
            return False
        return True


def _parse_entry(content: bytes) -> tuple[str, Any] | None:
    try:
        match json.loads(content):
            case {"account": str(account), "token": token}:
                return account, token
            case _:
                return None
    except (ValueError, RecursionError):
        return None


def _cipher(key: object, number: int) -> Fernet:
    # No error is chained here: the text of a decoder's error holds parts of the key.
    if isinstance(key, str | bytes):
        text = key.decode("latin-1") if isinstance(key, bytes) else key
        if _KEY.fullmatch(text.strip()):
            return Fernet(text.strip())
    raise ConfigurationError(
        f"Key {number} of keys must be 32 bytes in URL-safe base64, 44 characters. Make one with"
        " cryptography.fernet.Fernet.generate_key()."
    )
