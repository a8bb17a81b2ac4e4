"""The state of each login attempt, bound to the browser that started it.

The state goes to the service and comes back. The data that belongs to it stays in the browser, in a
signed cookie of its own for each attempt, so that several tabs do not disturb each other and no
worker has to remember anything. The state alone, or a cookie of another browser, is useless.

The cookie does not depend on the app's session: an attacker who fixes a session can't plant an
attempt in it, and an app that rotates the session in between does no harm.

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
from pipedrive_oauth_client.generated.types import FrozenEquality
from pipedrive_oauth_client.web.messages import CookieChange

__all__ = ["LoginAttempt", "LoginAttempts", "ReplayGuard"]

_MOST: Final = 10_000


@define(eq=False)
class ReplayGuard:
    """Remembers in this process which callbacks were used."""

    clock: Callable[[], datetime]
    _until: dict[str, datetime] = field(factory=dict[str, datetime], init=False, repr=False)
    _lock: threading.Lock = field(factory=threading.Lock, init=False, repr=False)

    def __call__(self, key: str, lifetime: timedelta) -> bool:
        """Use something."""
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
# Servers reject requests whose headers are longer than 8 KiB.
_MOST_COOKIES: Final = 8
_MOST_CHARACTERS: Final = 3_500


@frozen(eq=False)
class LoginAttempt(FrozenEquality):
    """An attempt to connect."""

    state: str = field(repr=False)
    return_to: str
    session: str = field(repr=False)

    def check_session(self, session: str | None) -> None:
        """Require that the attempt ends in the session in which it began."""
        if not hmac.compare_digest(_session_digest(session), self.session):
            raise StateMismatchError(
                "The callback arrived in another session of the app than the login began in: a user"
                " logged in or out meanwhile. Start again."
            )


class _Signer(TimestampSigner):
    """Signs with the time of a clock that was passed in."""

    def __init__(self, *arguments: Any, clock: Callable[[], datetime], **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._clock = clock

    def get_timestamp(self) -> int:
        return int(read_clock(self._clock).timestamp())


class LoginAttempts:
    """Starts login attempts and finds them again by their state."""

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
        # Other names are not ours to remove, and frameworks reject some names that browsers send.
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
    ) -> tuple[LoginAttempt, tuple[CookieChange, ...]]:
        """Begin an attempt."""
        attempt = LoginAttempt(
            secrets.token_urlsafe(_STATE_BYTES), return_to, _session_digest(session)
        )
        content = [attempt.state, attempt.return_to, attempt.session]
        value = str(self._cookies.dumps(content))
        new = CookieChange(self._name(attempt.state), value, self._seconds, self._is_secure)
        dropped = self._surplus(cookies, len(new.name) + len(value))
        return attempt, (*map(self._removal, dropped), new)

    def find(self, state: str, cookies: Mapping[str, str]) -> LoginAttempt | None:
        """Find the attempt that a state belongs to."""
        read_one = self._read(cookies.get(self._name(state), ""))
        if read_one is None or not hmac.compare_digest(
            read_one[0].state.encode(), state.encode("utf-8", "surrogatepass")
        ):
            return None
        return read_one[0]

    def end(self, attempt: LoginAttempt) -> tuple[CookieChange, ...]:
        """End an attempt, so that its state is invalid in this browser."""
        return (self._removal(self._name(attempt.state)),)

    def _surplus(self, cookies: Mapping[str, str], characters: int) -> list[str]:
        kept: list[tuple[datetime, str]] = []
        dropped: list[str] = []
        for name, value in cookies.items():
            if self._is_ours(name):
                read_one = self._read(value)
                if read_one is None:
                    dropped.append(name)
                else:
                    kept.append((read_one[1], name))
                    characters += len(name) + len(value)
        kept.sort(key=lambda each: each[0])  # stable: browsers send the oldest first
        while kept and (len(kept) >= _MOST_COOKIES or characters > _MOST_CHARACTERS):
            name = kept.pop(0)[1]
            characters -= len(name) + len(cookies[name])
            dropped.append(name)
        return dropped

    def _read(self, value: str) -> tuple[LoginAttempt, datetime] | None:
        try:
            (state, return_to, session), begun_at = self._cookies.loads(
                value, max_age=self._seconds, return_timestamp=True
            )
        except (BadData, UnicodeError):
            return None
        return LoginAttempt(state, return_to, session), begun_at

    def _name(self, state: str) -> str:
        return self._prefix + _digest(state)[:16]

    def _removal(self, name: str) -> CookieChange:
        return CookieChange(name, "", 0, self._is_secure)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _session_digest(session: str | None) -> str:
    # A digest, since the session's name may be its secret key, and the cookie can be read.
    return "" if session is None else _digest(f"session:{session}")[:32]
