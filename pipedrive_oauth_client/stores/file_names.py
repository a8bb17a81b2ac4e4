"""In which file of a folder an account's token is kept.

File systems take other names for the same than Python does: some ignore case, some change the form
of accents, and Windows knows names that are no files. So a file's name holds small ASCII letters
and digits alone. A short account is written out, all else in it as the hexadecimal numbers of its
UTF-8 bytes (`acme:1` is `acme=3a1`); of a longer one there is the beginning, and a digest of all.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.stores.accounts import checked_account

__all__ = ["is_token_file", "lease_file", "lock_file", "spelled_account", "token_file"]

# With what is put around it, a name stays below the 143 bytes that encrypting file systems leave.
_MOST_SPELLED: Final = 116
_BEGINNING: Final = 48
_PLAIN: Final = frozenset(b"abcdefghijklmnopqrstuvwxyz0123456789-_.")
_TOKEN_FILE: Final = re.compile(r"token-([a-z0-9._=~-]+)\.json")


def token_file(account: str) -> str:
    """Give the name of the file with the account's token."""
    return f"token-{_stem(account)}.json"


def lease_file(account: str) -> str:
    """Give the name of the file that says who holds the account's lock."""
    return f"lease-{_stem(account)}.json"


def lock_file(account: str) -> str:
    """Give the name of the file that is locked for a step; 256 of them serve all accounts."""
    return f"step-{_digest(account)[:2]}.lock"


def is_token_file(name: str) -> bool:
    """Tell whether a file of this name can be one with a token."""
    return _TOKEN_FILE.fullmatch(name) is not None


def spelled_account(name: str) -> str | None:
    """Read an account from the name of its file.

    Args:
        name: The name of a file.

    Returns:
        The account; None where its name does not tell it, or is of no file of ours.
    """
    match = _TOKEN_FILE.fullmatch(name)
    if match is None:
        return None
    try:
        escaped = re.sub(
            rb"=([0-9a-f]{2})", lambda found: bytes.fromhex(found[1].decode()), match[1].encode()
        )
        account = checked_account(escaped.decode())
    except (UnicodeDecodeError, ConfigurationError):
        return None
    return account if token_file(account) == name else None


def _stem(account: str) -> str:
    spelled = "".join(chr(byte) if byte in _PLAIN else f"={byte:02x}" for byte in account.encode())
    if len(spelled) <= _MOST_SPELLED:
        return spelled
    return f"{spelled[:_BEGINNING]}~{_digest(account)}"


def _digest(account: str) -> str:
    return hashlib.sha256(account.encode()).hexdigest()
