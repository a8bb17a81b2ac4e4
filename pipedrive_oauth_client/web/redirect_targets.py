r"""Where a browser may be sent after connecting: into the app or to a listed origin, nowhere else.

A browser takes more texts for an address of another host than a parser of URLs does: `//evil`,
`/\evil`, and those with a tab in between. So nothing is parsed here: what is not plainly a path is
not gone to.

Source:
    RFC 9700, section 4.11.1 (open redirectors); WHATWG URL Standard, section 4.4.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, unquote

from pipedrive_oauth_client._origins import parse_hosts
from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.generated.encode import argument

__all__ = ["MOST_CHARACTERS", "RedirectTargets"]

MOST_CHARACTERS: Final = 500
"""The longest address to go back to; it travels in a cookie."""

_MOST_ENCODINGS: Final = 5
# What ASCII has besides letters and digits, and a URL may hold as it stands.
_AS_IT_STANDS: Final = "!#$%&'()*+,-./:;=?@[]_~"
_CONTROL = re.compile(r"[^\S ]|[\x00-\x1f\x7f-\x9f]")


class RedirectTargets:
    """Says where a browser may be sent."""

    def __init__(self, origins: Iterable[str] = ()) -> None:
        if isinstance(origins, str | bytes):
            raise ConfigurationError("return_origins must be a list of strings.")
        self._origins = tuple(argument("return_origins", each, str).rstrip("/") for each in origins)
        parse_hosts(self._origins)
        if not all("://" in each for each in self._origins):
            raise ConfigurationError(
                "return_origins must name origins with their scheme: https://app.example.com."
            )

    def allowed(self, address: str | None) -> str | None:
        """Check an address."""
        if not address:
            return None
        try:
            plain = quote(address, safe=_AS_IT_STANDS)
        except UnicodeError:
            return None
        if len(plain) > MOST_CHARACTERS:
            return None
        return plain if self._is_path(plain) or self._is_of_origin(plain) else None

    def _is_path(self, address: str) -> bool:
        if not address.startswith("/"):
            return False
        path = re.split(r"[?#]", address, maxsplit=1)[0]
        # Decoded as often as proxies and routers between here and there could.
        for _ in range(_MOST_ENCODINGS):
            if "//" in path or "\\" in path or _CONTROL.search(path):
                return False
            decoded = unquote(path, errors="replace")
            if decoded == path:
                return True
            path = decoded
        return False

    def _is_of_origin(self, address: str) -> bool:
        return any(
            address == origin or address.startswith((f"{origin}/", f"{origin}?", f"{origin}#"))
            for origin in self._origins
        )
