"""What the conformance tests save, and under which names."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pipedrive_oauth_client.tokens import Token

__all__ = ["NAMES", "NO_NAMES", "START", "a_token"]

START: Final = datetime(2030, 1, 1, tzinfo=UTC)

# Pairs that a file system, a database or a URL takes for the same, or for something else.
NAMES: Final = (
    *("acme", "Acme", "acme:1", "acme/1", "acme\\1", "../acme", ".", "..", "acme.", "acme.json"),
    *("caf\u00e9", "cafe\u0301", "stra\u00dfe", "strasse", "%61cme", "a%", "a_", "a*", "'; --"),
    *("con", "{acme}", "[acme]", "123", "0123", "a b", "\U0001f980", "x" * 200),
)
NO_NAMES: Final = ("", " acme", "acme ", "ac\nme", "ac\0me", "x" * 201, "\ud800", 5, None, b"acme")


def a_token(number: int = 0, **changes: Any) -> Token:
    """Make a token of a number, with changes."""
    given: dict[str, Any] = {
        "access_token": f"v1u:access-{number}",
        "refresh_token": f"1:1:refresh-{number}",
        "scope": "deals:full,base",
        "api_domain": "https://acme.pipedrive.com",
        "expires_at": START + timedelta(seconds=number),
    }
    return Token(**{**given, **changes})
