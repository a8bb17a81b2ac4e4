"""Tokens that are stored encrypted: `EncryptedTokenStore`. It needs the extra `encryption`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from logging import getLogger
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from pipedrive_oauth_client.errors import ConfigurationError, CorruptTokenError, StoreError
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.stores.protocol import TokenStore, checked_account, checked_store
from pipedrive_oauth_client.tokens import Token

__all__ = ["EncryptedTokenStore", "Sealer", "is_sealed"]

_SEALED: Final = "encrypted"
_KEY: Final = re.compile(r"[A-Za-z0-9_+/-]{43}=")
_AGAIN: Final = "Restore it from a backup, or have the person authorize the app again."


def is_sealed(token: Token) -> bool:
    """Tell whether a stored token is an encrypted one."""
    return token.token_type == _SEALED


class Sealer:
    """Encrypts tokens and decrypts them.

    Args:
        keys: One key or several. The first one encrypts, and any of them decrypts.

    Raises:
        ConfigurationError: There is no key, or one can't be right.

    Source:
        The specification of Fernet: AES-128 in CBC mode, with HMAC-SHA256.
    """

    def __init__(self, keys: str | bytes | Sequence[str | bytes]) -> None:
        given: Sequence[object] = [keys] if isinstance(keys, str | bytes) else keys
        if not argument("keys", given, Sequence):
            raise ConfigurationError("keys must be a key, or a list of keys with the newest first.")
        ciphers = [_cipher(key, number) for number, key in enumerate(given, 1)]
        self._count = len(ciphers)
        self._first = ciphers[0]
        self._any = MultiFernet(ciphers)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(<{self._count} keys>)"

    def seal(self, account: str, token: Token) -> Token:
        """Encrypt a token with the first key.

        Args:
            account: Whose token it is; also encrypted, so that it can't be taken for another's.
            token: The token.

        Returns:
            What a store can keep in its place. The expiry stays readable, for `due`.
        """
        entry = {"account": account, "token": token.to_dict()}
        text = self._first.encrypt(json.dumps(entry).encode()).decode()
        return Token(access_token=text, token_type=_SEALED, expires_at=token.expires_at)

    def open(self, account: str, sealed: Token) -> Token:
        """Decrypt a token.

        Args:
            account: Whose token it has to be.
            sealed: What is stored.

        Returns:
            The token.

        Raises:
            CorruptTokenError: It is not encrypted, or with none of the keys, or for another
                account, or was changed.
        """
        if not is_sealed(sealed):
            raise CorruptTokenError(
                "The stored token is in the clear. If it was stored before you began to encrypt,"
                " call rotate(account, seal_clear=True), or rotate_all for all of them."
            )
        try:
            entry = _read(self._any.decrypt(sealed.access_token))
        except InvalidToken as error:
            raise CorruptTokenError(
                "A stored token can't be decrypted. If it was encrypted with a key that is not"
                f" among `keys`, add that key at their end. Otherwise it was changed: {_AGAIN}"
            ) from error
        if entry is None:
            raise CorruptTokenError(f"What was decrypted is no token of an account. {_AGAIN}")
        if entry[0] != account:
            raise CorruptTokenError(f"A stored token was encrypted for another account. {_AGAIN}")
        token = Token.from_dict(entry[1])
        if token.expires_at != sealed.expires_at:
            raise CorruptTokenError(
                "The expiry that is stored in the clear is not the one that was encrypted with the"
                f" token. {_AGAIN}"
            )
        return token

    def has_first_key(self, sealed: Token) -> bool:
        """Tell whether a token was encrypted with the first key."""
        try:
            self._first.decrypt(sealed.access_token)
        except InvalidToken:
            return False
        return True


def _read(content: bytes) -> tuple[str, Any] | None:
    try:
        match json.loads(content):
            case {"account": str(account), "token": token}:
                return account, token
            case _:
                return None
    except (ValueError, RecursionError):
        return None


def _cipher(key: object, number: int) -> Fernet:
    # No error is chained here: what a decoder says holds parts of the key.
    if isinstance(key, str | bytes):
        text = key.decode("latin-1") if isinstance(key, bytes) else key
        if _KEY.fullmatch(text.strip()):
            return Fernet(text.strip())
    raise ConfigurationError(
        f"Key {number} of keys must be 32 bytes in URL-safe base64, 44 characters. Make one with"
        " cryptography.fernet.Fernet.generate_key()."
    )


_LOGGER: Final = getLogger("pipedrive_oauth_client")


class EncryptedTokenStore:
    """Encrypts what another store keeps.

    The other store can be any. It sees the account's name and when the access token expires, so
    that it can find tokens that are due; all else is encrypted and can't be changed unnoticed, nor
    put in another account's place.

    To change the key, put the new one first, everywhere, and keep the old one behind it; call
    `rotate_all`; then drop the old one.

    Args:
        inner: The store that keeps what was encrypted.
        keys: One key or several, as `Fernet.generate_key()` gives them. The first one encrypts,
            and any of them decrypts.

    Raises:
        ConfigurationError: `inner` is no store, or there is no key, or one can't be right.

    Source:
        The specification of Fernet: AES-128 in CBC mode, with HMAC-SHA256.
    """

    def __init__(self, inner: TokenStore, keys: str | bytes | Sequence[str | bytes]) -> None:
        self._inner = checked_store("inner", inner)
        self._sealer = Sealer(keys)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._inner!r}, {self._sealer!r})"

    @property
    def due(self) -> Callable[[datetime], Iterator[str]]:
        """The method `due` of the store inside; a store without one gives this one none, either."""
        own: Callable[[datetime], Iterator[str]] = getattr(self._inner, "due")  # noqa: B009 - not in the protocol
        return own

    def load(self, account: str) -> Token | None:
        """Give the token of an account; see `TokenStore.load`.

        Args:
            account: The account.

        Returns:
            The token, or None where there is none.

        Raises:
            CorruptTokenError: What is stored is not encrypted, or with none of these keys, or for
                another account; it is left as it is.
            StoreError: The store inside does not work.
        """
        sealed = self._inner.load(checked_account(account))
        return None if sealed is None else self._sealer.open(account, sealed)

    def save(self, account: str, token: Token) -> None:
        """Keep a token in place of the one before; see `TokenStore.save`.

        Args:
            account: The account.
            token: The token.

        Raises:
            StoreLockTimeoutError: This thread has lost the account's lock, and somebody else has
                saved or deleted since; nothing was written.
            StoreError: The store inside does not work; the token before is still there.
        """
        checked_account(account)
        self._inner.save(account, self._sealer.seal(account, argument("token", token, Token)))

    def delete(self, account: str) -> None:
        """Forget the token of an account, if there is one; see `TokenStore.delete`.

        Args:
            account: The account.

        Raises:
            StoreError: The store inside does not work.
        """
        self._inner.delete(checked_account(account))

    def lock(self, account: str) -> AbstractContextManager[object]:
        """Let one caller at a time renew the token of an account; see `TokenStore.lock`.

        Args:
            account: The account.

        Returns:
            The context manager of the store inside.

        Raises:
            StoreLockTimeoutError: Somebody else did not let go of it in time.
            StoreError: The store inside does not work.
        """
        return self._inner.lock(checked_account(account))

    def accounts(self) -> Iterator[str]:
        """Give all accounts that have a token; see `TokenStore.accounts`.

        Returns:
            The accounts, one by one, whether or not their tokens can be decrypted.

        Raises:
            StoreError: The store inside does not work.
        """
        return self._inner.accounts()

    def rotate(self, account: str, *, seal_clear: bool = False) -> bool:
        """Encrypt what is stored for an account with the first key.

        It takes the account's lock.

        Args:
            account: The account.
            seal_clear: Whether to encrypt also a token that is stored in the clear. Ask for it
                once, when you begin to encrypt: it trusts whoever may write to the store.

        Returns:
            Whether there was something to do.

        Raises:
            CorruptTokenError: What is stored can't be decrypted, or is in the clear; it is left as
                it is.
            StoreError: The store inside does not work.
        """
        with self.lock(account):
            stored = self._inner.load(account)
            if stored is None:
                return False
            if seal_clear and not is_sealed(stored):
                self.save(account, stored)
                return True
            token = self._sealer.open(account, stored)
            if self._sealer.has_first_key(stored):
                return False
            self.save(account, token)
            return True

    def rotate_all(self, *, seal_clear: bool = False) -> int:
        """Encrypt all that is stored with the first key; see `rotate`.

        An account that fails does not stop it, and is named in the log. Call it again afterwards:
        what is done already is passed over.

        Args:
            seal_clear: Whether to encrypt also tokens that are stored in the clear.

        Returns:
            How many accounts there was something to do for.

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
                _LOGGER.warning("The token of %r was not encrypted anew: %s", account, error)
                failures.append(error)
        if failures:
            raise StoreError(
                f"{len(failures)} tokens were not encrypted anew and {changed} were. Keep the old"
                " key, look for the accounts in the log, and call rotate_all again."
            ) from failures[0]
        return changed
