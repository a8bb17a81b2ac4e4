"""What stands in the files of `FileTokenStore`: a token with its account, or who holds a lock."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, Final

from attrs import frozen

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.stores.accounts import checked_account
from pipedrive_oauth_client.stores.base import Kept
from pipedrive_oauth_client.stores.private_files import MOST_BYTES

__all__ = ["BOOT", "Entry", "content_of", "content_of_loan", "entry_of", "loan_of", "version_of"]


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return ""  # another system than Linux; what is left of an earlier boot is outlived


BOOT: Final = _boot()
"""Since when this machine is running, as a random word."""


@frozen
class Entry:
    """A token's file.

    Attributes:
        account: Whose token it is.
        kept: The token and its version.
    """

    account: str
    kept: Kept


def content_of(account: str, kept: Kept) -> bytes:
    """Write a token's file."""
    entry = {"account": account, "version": kept.version, "token": json.loads(kept.text)}
    return json.dumps(entry, indent=1).encode()


def entry_of(content: bytes | None) -> Entry | None:
    """Read a token's file; None where that is not what is in it."""
    try:
        match _parsed(content):
            case {"account": str(account), "version": str(version), "token": token}:
                return Entry(checked_account(account), Kept(json.dumps(token), version))
            case _:
                return None
    except (ConfigurationError, RecursionError):
        return None


def version_of(content: bytes | None) -> str | None:
    """Give the version of what is in a token's file; None where there is no file.

    What is damaged has a version, too: whoever has the lock may replace it as long as it stays as
    it is.
    """
    if content is None:
        return None
    entry = entry_of(content)
    return hashlib.sha256(content).hexdigest() if entry is None else entry.kept.version


def content_of_loan(owner: str, until: float) -> bytes:
    """Write the file of a lock, with the time at which it ends in seconds since the boot."""
    return json.dumps({"owner": owner, "until": until, "boot": BOOT}).encode()


def loan_of(content: bytes | None) -> tuple[str | None, float]:
    """Read the file of a lock: who has it, and until when.

    A power cut may leave half of such a file, and nobody who had a lock before the machine was
    started is still there.
    """
    match _parsed(content):
        case {"owner": str(owner), "until": int() | float() as until, "boot": boot} if boot == BOOT:
            return owner, until
        case _:
            return None, 0.0


def _parsed(content: bytes | None) -> Any:
    if content is None or len(content) > MOST_BYTES:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
