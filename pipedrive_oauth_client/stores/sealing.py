"""Tokens inside of tokens: an encrypted one has the form of a token, so that any store keeps it."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from pipedrive_oauth_client.errors import ConfigurationError, CorruptTokenError
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.tokens import Token

__all__ = ["Sealer", "is_sealed"]

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
