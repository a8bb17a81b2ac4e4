"""Attempts to connect: the state of each, bound to the browser that began it.

The state goes to the service and comes back. What belongs to it stays in the browser, in a signed
cookie of its own for each attempt, so that several tabs do not disturb each other and no worker has
to remember anything. Whoever has the state alone, or a cookie of another browser, has nothing.

The cookie does not depend on the app's session: nothing of an attempt can be planted with a session
that somebody else knows, and a session that the app renews in between does no harm.

Source:
    RFC 6749, section 10.12; RFC 9700, sections 2.1 and 4.7; RFC 6265bis, section 4.1.3.2, on
    `__Host-`.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from attrs import define, field, frozen

from pipedrive_oauth_client._checks import read_clock
from pipedrive_oauth_client._lazy import raise_missing_extra
from pipedrive_oauth_client.errors import StateMismatchError
from pipedrive_oauth_client.web.messages import CookieChange

__all__ = ["Attempt", "Attempts", "FirstUses"]

_MOST: Final = 10_000


@define(eq=False)
class FirstUses:
    """Remembers, in this process, what was used.

    Attributes:
        clock: Gives the present as an aware datetime.
    """

    clock: Callable[[], datetime]
    _until: dict[str, datetime] = field(factory=dict[str, datetime], init=False, repr=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def __call__(self, key: str, lifetime: timedelta) -> bool:
        """Use something.

        Args:
            key: What is used.
            lifetime: How long to remember it.

        Returns:
            Whether this is the first time.
        """
        now = read_clock(self.clock)
        with self._lock:
            if self._until.get(key, now) > now:
                return False
            self._until.pop(key, None)
            self._until[key] = now + lifetime
            # In the order of their use, and all live equally long: the first is over first.
            while len(self._until) > _MOST or next(iter(self._until.values())) <= now:
                del self._until[next(iter(self._until))]
            return True


try:
    from itsdangerous import BadData, TimestampSigner, URLSafeTimedSerializer
except ModuleNotFoundError as missing:
    raise_missing_extra(missing, "pipedrive_oauth_client.web", package="itsdangerous", extra="web")


_STATE_BYTES: Final = 32
# What a browser keeps of us: servers refuse requests whose headers are longer than 8 KiB.
_MOST_COOKIES: Final = 8
_MOST_CHARACTERS: Final = 3_500


@frozen
class Attempt:
    """An attempt to connect.

    Attributes:
        state: What the callback has to carry; hidden in `repr`.
        return_to: Where the browser goes afterwards.
        session: Stands for the app's own session that it was begun in; hidden in `repr`.
    """

    state: str = field(repr=False)
    return_to: str
    session: str = field(repr=False)

    def check_session(self, session: str | None) -> None:
        """Make sure that it ends in the session that it was begun in.

        Args:
            session: What names the session now.

        Raises:
            StateMismatchError: It is another one.
        """
        if not hmac.compare_digest(_stand_in(session), self.session):
            raise StateMismatchError(
                "The callback ends in another session of the app than the one that it was begun in:"
                " somebody has logged in or out meanwhile. Begin again."
            )


class _Signer(TimestampSigner):
    """Signs with the time of a clock that was passed in."""

    def __init__(self, *arguments: Any, clock: Callable[[], datetime], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(read_clock(self._clock).timestamp())


class Attempts:
    """Begins attempts and finds them again.

    Args:
        keys: What cookies are signed with; the first one signs, all of them are believed.
        client_id: The app, so that two apps on one host do not take each other's cookies.
        lifetime: How long a person may take at the service.
        clock: Gives the present as an aware datetime.
        is_secure: Whether the callback is `https://`.
    """

    def __init__(
        self,
        keys: Sequence[str],
        client_id: str,
        *,
        lifetime: timedelta,
        clock: Callable[[], datetime],
        is_secure: bool,
    ) -> None:
        self._seconds = int(lifetime.total_seconds())
        self._is_secure = is_secure
        prefix = "__Host-" if is_secure else ""
        self._prefix = f"{prefix}pipedrive-{_digest(client_id)[:8]}-"
        # No other name is ours to remove, and frameworks refuse to name some that browsers send.
        self._is_ours = re.compile(re.escape(self._prefix) + "[0-9a-f]{16}").fullmatch
        self._cookies = URLSafeTimedSerializer(
            list(reversed(keys)),
            salt=f"pipedrive_oauth_client.web.login_state:{client_id}",
            signer=_Signer,
            signer_kwargs={
                "clock": clock,
                "key_derivation": "hmac",
                "digest_method": hashlib.sha256,
            },
        )

    def begin(
        self, return_to: str, session: str | None, cookies: Mapping[str, str]
    ) -> tuple[Attempt, tuple[CookieChange, ...]]:
        """Begin an attempt.

        Args:
            return_to: Where the browser is to go afterwards.
            session: What names the app's own session, or None.
            cookies: The browser's cookies: of too many attempts the oldest are given up.

        Returns:
            The attempt, and what becomes of the cookies.
        """
        attempt = Attempt(secrets.token_urlsafe(_STATE_BYTES), return_to, _stand_in(session))
        content = [attempt.state, attempt.return_to, attempt.session]
        value = str(self._cookies.dumps(content))
        new = CookieChange(self._name(attempt.state), value, self._seconds, self._is_secure)
        given_up = self._too_many(cookies, len(new.name) + len(value))
        return attempt, (*map(self._removal, given_up), new)

    def find(self, state: str, cookies: Mapping[str, str]) -> Attempt | None:
        """Find the attempt that a state belongs to.

        Args:
            state: The state of the callback.
            cookies: The browser's cookies.

        Returns:
            The attempt; None where this browser has not begun it, or too long ago.
        """
        read_one = self._read(cookies.get(self._name(state), ""))
        if read_one is None or not hmac.compare_digest(
            read_one[0].state.encode(), state.encode("utf-8", "surrogatepass")
        ):
            return None
        return read_one[0]

    def end(self, attempt: Attempt) -> tuple[CookieChange, ...]:
        """End an attempt, so that its state is worth nothing in this browser.

        Args:
            attempt: The attempt.

        Returns:
            What becomes of the cookies.
        """
        return (self._removal(self._name(attempt.state)),)

    def _too_many(self, cookies: Mapping[str, str], characters: int) -> list[str]:
        kept: list[tuple[datetime, str]] = []
        given_up: list[str] = []
        for name, value in cookies.items():
            if self._is_ours(name):
                read_one = self._read(value)
                if read_one is None:
                    given_up.append(name)
                else:
                    kept.append((read_one[1], name))
                    characters += len(name) + len(value)
        kept.sort(key=lambda each: each[0])  # stable: browsers send the oldest first
        while kept and (len(kept) >= _MOST_COOKIES or characters > _MOST_CHARACTERS):
            name = kept.pop(0)[1]
            characters -= len(name) + len(cookies[name])
            given_up.append(name)
        return given_up

    def _read(self, value: str) -> tuple[Attempt, datetime] | None:
        try:
            (state, return_to, session), begun_at = self._cookies.loads(
                value, max_age=self._seconds, return_timestamp=True
            )
        except (BadData, UnicodeError):
            return None
        return Attempt(state, return_to, session), begun_at

    def _name(self, state: str) -> str:
        return self._prefix + _digest(state)[:16]

    def _removal(self, name: str) -> CookieChange:
        return CookieChange(name, "", 0, self._is_secure)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _stand_in(session: str | None) -> str:
    # Not the name itself: it may be the session's secret key, and the cookie can be read.
    return "" if session is None else _digest(f"session:{session}")[:32]
