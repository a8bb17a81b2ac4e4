"""A rest from renewals that do not help."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from attrs import define, field

__all__ = ["Rest"]

_LENGTH: Final = timedelta(seconds=60)


@define
class Rest:
    """Remembers that the API rejected even a token that had just been renewed.

    Then it is not the token that it minds, and the next answers with status 401 are given to the
    caller as they are, for a minute: else each of them would cost a renewal.
    """

    _since: datetime | None = field(default=None, init=False)

    def begin(self, now: datetime) -> None:
        """Begin it.

        Args:
            now: The present, aware.
        """
        self._since = now

    def is_on(self, now: datetime) -> bool:
        """Tell whether it goes on.

        Args:
            now: The present, aware. A clock that was put back does not prolong it.

        Returns:
            Whether a renewal would be in vain.
        """
        since = self._since
        return since is not None and timedelta(0) <= now - since < _LENGTH
