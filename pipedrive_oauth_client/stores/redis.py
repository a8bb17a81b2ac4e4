"""Tokens in Redis: `RedisTokenStore`. It needs the extra `redis`.

All keys begin with the prefix, whose word in braces keeps them on one node of a cluster:

    PREFIX:token:ACCOUNT  a hash: the token as JSON, the version (a random word for each save), and
                          the account's member of PREFIX:expiries
    PREFIX:names          a sorted set of the accounts that have a token
    PREFIX:expiries       a sorted set of the same, each behind the time when its token expires
    PREFIX:lock:ACCOUNT   the random word of whoever renews the token; Redis removes it in time
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Final, Self

from redis.client import NEVER_DECODE

from pipedrive_oauth_client.errors import ConfigurationError, StoreError
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.stores import redis_scripts
from pipedrive_oauth_client.stores.base import AnyVersion, Kept, LeasedStore
from pipedrive_oauth_client.stores.leases import DEFAULT_LEASE, Taken
from pipedrive_oauth_client.stores.redis_client import RedisClient, checked_client, client_of
from pipedrive_oauth_client.stores.redis_errors import (
    BACKEND_ERRORS,
    is_worth_another_attempt,
    tidy,
    what_to_do,
)
from pipedrive_oauth_client.stores.times import microseconds

__all__ = ["RedisTokenStore"]

_DEFAULT_PREFIX: Final = "{pipedrive-oauth}"
# The first pair of braces with something in it is what a cluster places a key by.
_PREFIX: Final = re.compile(r"[!-z|~]*\{[!-z|~]+\}[!-~]*", re.ASCII)
_PAGE: Final = 500
# So that times before 1970 sort before the others, as digits.
_SHIFT: Final = 10**18


class RedisTokenStore(LeasedStore):
    """Keeps tokens in Redis, for any number of machines.

    Each step is one command or one script. A step whose connection was lost is done again, once.
    Redis has to keep what it is given: with `maxmemory-policy noeviction`, and with an append-only
    file or replicas. An account whose token Redis has lost has none any more.

    Args:
        url_or_client: The address, for example `rediss://user:password@host:6379/0` (with TLS); or
            a `redis.Redis` or `redis.RedisCluster` of yours, which is used as it is and never
            closed. Forked processes make connections of their own.
        prefix: What all keys begin with: printable ASCII without blanks, with a word in braces.
        lease: How long a lock is lent for, at least a millisecond.
        wait: How long `lock` waits for another holder; 15 seconds more than the lease by default.

    Raises:
        ConfigurationError: The address, the client or the prefix can't be right, or a time is no
            timedelta above zero.
    """

    def __init__(
        self,
        url_or_client: str | RedisClient,
        *,
        prefix: str = _DEFAULT_PREFIX,
        lease: timedelta = DEFAULT_LEASE,
        wait: timedelta | None = None,
    ) -> None:
        super().__init__(lease=lease, wait=wait)
        if not _PREFIX.fullmatch(argument("prefix", prefix, str)):
            raise ConfigurationError(
                "prefix must be printable ASCII without blanks, with a word in braces that keeps"
                " its keys together in a cluster, for example '{my-app}'."
            )
        self._prefix = prefix
        self._owns_client = isinstance(url_or_client, str)
        self._client: Any = (
            client_of(url_or_client)
            if isinstance(url_or_client, str)
            else checked_client(url_or_client)
        )
        register = self._client.register_script
        self._write_script = register(redis_scripts.WRITE)
        self._remove_script = register(redis_scripts.REMOVE)
        self._take_script = register(redis_scripts.TAKE)
        self._release_script = register(redis_scripts.RELEASE)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(prefix={self._prefix!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, unless they are those of a client that was given.

        The store can be used afterwards, and connects again.
        """
        if self._owns_client:
            self._client.close()
            self._client.connection_pool.disconnect()

    def accounts(self) -> Iterator[str]:
        """Give all accounts that have a token; see `TokenStore.accounts`.

        Returns:
            The accounts, one by one, in the order of their bytes.

        Raises:
            StoreError: Redis does not work.
        """
        for member in self._members("names", b"+"):
            yield _name(member)

    def due(self, before: datetime) -> Iterator[str]:
        """Give the accounts whose access token expires before a time.

        Args:
            before: The time, aware.

        Returns:
            The accounts, one by one, the earliest first.

        Raises:
            ConfigurationError: `before` has no time zone.
            StoreError: Redis does not work.
        """
        end = b"(" + _sortable(microseconds("before", before))
        return (_name(member.partition(b":")[2]) for member in self._members("expiries", end))

    def _members(self, which: str, end: bytes) -> Iterator[bytes]:
        start = b"-"
        while page := self._command("ZRANGEBYLEX", self._key(which), start, end, "LIMIT", 0, _PAGE):
            yield from page
            start = b"(" + page[-1]

    def _read(self, account: str) -> Kept | None:
        text, version = self._command("HMGET", self._key("token", account), "token", "version")
        return None if text is None else Kept(text, _word(version or b""))

    def _write(
        self, account: str, kept: Kept, expires_at: datetime, expected: AnyVersion | str | None
    ) -> bool:
        name = account.encode()
        due = _sortable(microseconds("expires_at", expires_at)) + b":" + name
        wanted = "version" if isinstance(expected, str) else "anything" if expected else "nothing"
        version = expected if isinstance(expected, str) else ""
        stored = self._run(
            self._write_script,
            self._token_keys(account),
            [kept.text, kept.version, due, name, wanted, version.encode()],
        )
        return bool(stored)

    def _remove(self, account: str) -> None:
        self._run(self._remove_script, self._token_keys(account), [account.encode()])

    def _take(self, account: str, owner: str, stale: str | None) -> Taken:
        keys = [self._key("token", account), self._key("lock", account)]
        lease = max(1, self._lease // timedelta(milliseconds=1))
        holder, version = self._run(self._take_script, keys, [owner, stale or "", lease])
        if holder is not None:
            return Taken(holder=_word(holder))
        return Taken(version=None if version is None else _word(version))

    def _release(self, account: str, owner: str) -> None:
        self._run(self._release_script, [self._key("lock", account)], [owner])

    def _key(self, *parts: str) -> bytes:
        return ":".join((self._prefix, *parts)).encode()

    def _token_keys(self, account: str) -> list[bytes]:
        return [self._key("token", account), self._key("names"), self._key("expiries")]

    def _command(self, *parts: Any) -> Any:
        # As bytes, whatever the client makes of other answers.
        return self._attempt(lambda: self._client.execute_command(*parts, **{NEVER_DECODE: True}))

    def _run(self, script: Any, keys: list[bytes], arguments: list[Any]) -> Any:
        return self._attempt(lambda: script(keys=keys, args=arguments))

    def _attempt(self, step: Any) -> Any:
        try:
            return step()
        except BACKEND_ERRORS as error:
            if not is_worth_another_attempt(error):
                raise StoreError(what_to_do(error)) from tidy(error)
        try:
            return step()
        except BACKEND_ERRORS as error:
            raise StoreError(what_to_do(error)) from tidy(error)


def _sortable(time: int) -> bytes:
    return b"%019d" % (time + _SHIFT)


def _name(member: bytes) -> str:
    return member.decode(errors="replace")


def _word(word: str | bytes) -> str:
    return word if isinstance(word, str) else word.decode(errors="replace")
