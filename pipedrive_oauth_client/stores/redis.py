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
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any, Final, Self, TypeAlias

import redis
from redis import exceptions as exc
from redis.backoff import NoBackoff
from redis.client import NEVER_DECODE, Pipeline
from redis.retry import Retry

from pipedrive_oauth_client.errors import ConfigurationError, StoreError
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.stores.leased import (
    DEFAULT_LEASE,
    AnyVersion,
    Kept,
    LeasedStore,
    Taken,
    microseconds,
)

__all__ = [
    "BACKEND_ERRORS",
    "RELEASE",
    "REMOVE",
    "TAKE",
    "WRITE",
    "RedisClient",
    "RedisTokenStore",
    "checked_client",
    "client_of",
    "is_worth_another_attempt",
    "tidy",
    "what_to_do",
]

# What somebody has put in by hand may lack a version, and is a token all the same.
_STORED: Final = """
local stored = redis.call('HMGET', KEYS[1], 'token', 'version', 'due')
local version = stored[1] and (stored[2] or '')
"""

WRITE: Final = (
    _STORED
    + """
local expected, new = ARGV[5], ARGV[2]
if version ~= new then
  if expected == 'nothing' and version then return 0 end
  if expected == 'version' and version ~= ARGV[6] then return 0 end
end
if stored[3] then redis.call('ZREM', KEYS[3], stored[3]) end
redis.call('HSET', KEYS[1], 'token', ARGV[1], 'version', new, 'due', ARGV[3])
redis.call('ZADD', KEYS[2], 0, ARGV[4])
redis.call('ZADD', KEYS[3], 0, ARGV[3])
return 1
"""
)
"""Keys: token, names, expiries. Arguments: text, version, expiry and name, name, what is expected
(`anything`, `nothing`, `version`), and which version.

It begins with what takes no room: Redis lets a script that has begun to write go on without memory,
and the token that replaces a worthless one is not lost."""

REMOVE: Final = """
local due = redis.call('HGET', KEYS[1], 'due')
if due then redis.call('ZREM', KEYS[3], due) end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[1])
return 1
"""
"""Keys: token, names, expiries. Argument: name."""

TAKE: Final = (
    """
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] and holder ~= ARGV[2] then return {holder, false} end
"""
    + _STORED
    + """
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
return {false, version}
"""
)
"""Keys: token, lock. Arguments: owner, the stale one or nothing, milliseconds. Returns the holder,
if that is somebody else, and the version of what is stored."""

RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""
"""Key: lock. Argument: owner."""


BACKEND_ERRORS: Final = (exc.RedisError, OSError, UnicodeError)
"""What comes out of redis-py."""

# Answers whose text is the server's own. Others, such as that to an unknown command, repeat the
# beginning of what was sent.
_READABLE: Final = (
    *("OOM", "WRONGTYPE", "READONLY", "NOAUTH", "WRONGPASS", "NOPERM", "LOADING", "MISCONF"),
    *("CLUSTERDOWN", "MASTERDOWN", "NOREPLICAS", "BUSY", "TRYAGAIN", "NOSCRIPT", "UNBLOCKED"),
    *("MOVED", "ASK", "CROSSSLOT"),
)
_DENIED: Final = (exc.AuthenticationError, exc.AuthorizationError, exc.NoPermissionError)
_NOT_NOW: Final = (*_DENIED, exc.BusyLoadingError, exc.MaxConnectionsError)

# Inside of a script, an error may come without a class of its own.
_ADVICE: Final[tuple[tuple[tuple[type[BaseException], ...], tuple[str, ...], str], ...]] = (
    (
        _DENIED,
        ("NOPERM", "NOAUTH", "WRONGPASS"),
        (
            "Redis refuses the user. Check the password, and that the user may run scripts and use"
            " the keys of the store."
        ),
    ),
    (
        (exc.BusyLoadingError,),
        ("LOADING",),
        "Redis is loading its data. Try again in a while.",
    ),
    (
        (exc.ReadOnlyError,),
        ("READONLY",),
        "This Redis is a replica, which can't be written to. Give the store the primary's address.",
    ),
    (
        (exc.OutOfMemoryError,),
        ("OOM",),
        "Redis has reached its `maxmemory`, and keeps no more. Give it more, then try again.",
    ),
    (
        (),
        ("WRONGTYPE",),
        (
            "A key of the token store holds something else. Give the store a `prefix` that nobody"
            " else uses, or remove the key."
        ),
    ),
    (
        (),
        ("MISCONF",),
        "Redis can't write to its disk, and takes nothing in. Make room on it.",
    ),
    (
        (exc.MaxConnectionsError,),
        (),
        "All connections of the client are in use. Give its pool more, or try again.",
    ),
    (
        (exc.ConnectionError, exc.TimeoutError, OSError),
        (),
        (
            "The token store can't reach Redis. Make sure that it runs, and that its address is"
            " right; then try again."
        ),
    ),
)


def is_worth_another_attempt(error: BaseException) -> bool:
    """Tell whether a connection was lost, so that a new one may do.

    Args:
        error: The error.

    Returns:
        Whether to try the step again; doing it twice is the same as doing it once.
    """
    lost = exc.ConnectionError | exc.TimeoutError | OSError
    return isinstance(error, lost) and not isinstance(error, _NOT_NOW)


def tidy(error: BaseException) -> BaseException:
    """Take out of an error what it may repeat of a token.

    Args:
        error: The error, which is changed.

    Returns:
        The same error.
    """
    if isinstance(error, exc.ResponseError) and not _is_readable(error):
        word = str(error).partition(" ")[0]
        code = word if word.isupper() and word.isascii() else "unknown"
        error.args = (f"{code}: its text is hidden, since it may repeat what was sent",)
        error.__cause__ = error.__context__ = None
    return error


def what_to_do(error: BaseException) -> str:
    """Say what has happened, and what can be done.

    Args:
        error: The error.

    Returns:
        Sentences that repeat nothing of the error.
    """
    answer = str(error) if isinstance(error, exc.ResponseError) else ""
    for kinds, words, advice in _ADVICE:
        if isinstance(error, kinds) or any(word in answer for word in words):
            return advice
    return "Redis failed in a step of the token store; the cause says why."


def _is_readable(error: exc.ResponseError) -> bool:
    # redis-py takes the code away where it has a class of its own for it.
    return type(error) is not exc.ResponseError or str(error).startswith(_READABLE)


RedisClient: TypeAlias = "redis.Redis | redis.RedisCluster"

_CONNECT_SECONDS: Final = 5.0
_ANSWER_SECONDS: Final = 10.0
_UNUSED_SECONDS: Final = 30


def client_of(url: str) -> redis.Redis:
    """Make a client for the store alone.

    Args:
        url: The address: `redis://`, `rediss://` (TLS) or `unix://`. What it sets counts more
            than what is set here.

    Returns:
        The client, which has no connection yet.

    Raises:
        ConfigurationError: The address can't be right.
    """
    # A database that is no number would be taken for the first one.
    if re.fullmatch(r"rediss?://[^/?#]*(?:/(?!\d*(?:[?#]|$)).*)", url, re.DOTALL):
        raise ConfigurationError(
            "url names a database of Redis that is no number; it is the part behind the host, for"
            " example redis://host:6379/0."
        )
    # redis-py 5 does not compare the name in the certificate unless it is told to.
    tls: dict[str, Any] = {"ssl_check_hostname": True} if url.startswith("rediss://") else {}
    if tls and "ssl_cert_reqs=" in url:
        tls = {}
    from_url: Callable[..., redis.Redis] = getattr(redis.Redis, "from_url")  # noqa: B009 - its types are incomplete
    try:
        client = from_url(
            url,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=_ANSWER_SECONDS,
            health_check_interval=_UNUSED_SECONDS,
            # The store itself tries each step again, once.
            retry=Retry(NoBackoff(), 0),
            **tls,
        )
        client.connection_pool.make_connection()  # checks the parameters; connects to nothing
    except (ValueError, TypeError, AttributeError, redis.RedisError) as error:
        problem = type(error).__name__  # its text may repeat the URL with its password
    else:
        return client
    raise ConfigurationError(
        "url is no address of a Redis, such as rediss://user:password@host:6379/0, or has a"
        f" parameter that redis-py does not know ({problem})."
    )


def checked_client(client: object) -> RedisClient:
    """Check a client.

    Args:
        client: The client of the app.

    Returns:
        The client.

    Raises:
        ConfigurationError: It is asynchronous, or something else.
    """
    kind = type(client)
    if kind.__module__.startswith("redis.asyncio"):
        raise ConfigurationError(
            "The token store is synchronous and can't use a client of redis.asyncio. Give a"
            " redis.Redis, or a URL."
        )
    if not isinstance(client, redis.Redis | redis.RedisCluster) or isinstance(client, Pipeline):
        raise ConfigurationError(
            f"url_or_client must be a URL, a redis.Redis or a redis.RedisCluster, not"
            f" {kind.__name__}."
        )
    if getattr(client, "connection", None) is not None:
        raise ConfigurationError(
            "The client has single_connection_client=True: threads and forked processes would"
            " share its connection. Give one without."
        )
    return client


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
        self._write_script = register(WRITE)
        self._remove_script = register(REMOVE)
        self._take_script = register(TAKE)
        self._release_script = register(RELEASE)

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
