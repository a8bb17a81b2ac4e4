"""The faults that are still to come, by route, in the order in which they were added."""

from __future__ import annotations

import threading
from collections.abc import Collection

import attrs

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.fault import Fault
from pipedrive_oauth_client.sandbox.peeking import GRANT_TYPES
from pipedrive_oauth_client.sandbox.settings import need_count


@attrs.define(eq=False)
class _Planned:
    path: str
    grant_type: str | None
    fault: Fault
    remaining: int


class Faults:
    """What will go wrong, and how often. Every sandbox has one; any thread may use it.

    Each request takes at most one fault: the first one added for its route that is not used up.

    Args:
        paths: The paths that the sandbox has.
    """

    def __init__(self, paths: Collection[str]) -> None:
        self._paths = tuple(paths)
        self._lock = threading.Lock()
        self._planned: list[_Planned] = []

    def __repr__(self) -> str:
        return f"<Faults, {self.remaining()} to come>"

    def add(
        self, path: str, fault: Fault, *, times: int = 1, grant_type: str | None = None
    ) -> None:
        """Let the next requests of a route meet a fault.

        Args:
            path: The route's exact path; `/oauth/token` and `/oauth/token/` are two routes.
            fault: What goes wrong.
            times: How many requests meet it.
            grant_type: Only requests with this `grant_type` in their form; all unless given.

        Raises:
            ConfigurationError: The sandbox has no such path or grant type, or `times` is not at
                least 1.
        """
        if path not in self._paths:
            raise ConfigurationError(
                "The sandbox has no such path; one of: " + ", ".join(self._paths)
            )
        need_count("times", times)
        if grant_type not in {None, *GRANT_TYPES}:
            raise ConfigurationError("grant_type must be one of " + ", ".join(GRANT_TYPES) + ".")
        with self._lock:
            self._planned.append(_Planned(path, grant_type, fault, times))

    def remaining(self, path: str | None = None) -> int:
        """Return how many requests are still to meet a fault, of one path or of all."""
        with self._lock:
            return sum(each.remaining for each in self._planned if path in {None, each.path})

    def clear(self) -> None:
        """Forget all faults that are still to come."""
        with self._lock:
            self._planned.clear()

    def take(self, path: str, grant_type: str | None) -> Fault | None:
        """Use up and return the fault that a request meets, or None."""
        with self._lock:
            for each in self._planned:
                if each.path == path and each.grant_type in {None, grant_type}:
                    each.remaining -= 1
                    if not each.remaining:
                        self._planned.remove(each)
                    return each.fault
            return None
