"""Tokens in Redis: `RedisTokenStore`. It needs the extra `redis`.

All keys begin with the prefix, whose word in braces keeps them on one node of a cluster:

    PREFIX:token:ACCOUNT  a hash: the token as JSON, the version (a random word for each save), and
                          the account's member of PREFIX:expiries
    PREFIX:names          a sorted set of the accounts that have a token
    PREFIX:expiries       a sorted set of the same, each after the time when its token expires
    PREFIX:lock:ACCOUNT   the random word of the lock's holder; Redis removes it when it expires
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
    ANY_VERSION,
    DEFAULT_LEASE,
    GRANT_ENDED_START,
    ExpectedVersion,
    LeasedStore,
    LockAttempt,
    StoredToken,
    from_microseconds,
    microseconds,
)
from pipedrive_oauth_client.stores.protocol import AccountOverview, checked_prefix

__all__ = ["RedisClient", "RedisTokenStore"]

RedisClient: TypeAlias = "redis.Redis | redis.RedisCluster"

_DEFAULT_PREFIX: Final = "{pipedrive-oauth}"
# The first pair of braces with something in it decides where a cluster stores a key.
_PREFIX: Final = re.compile(r"[!-z|~]*\{[!-z|~]+\}[!-~]*", re.ASCII)
_PAGE_SIZE: Final = 500
# So that times before 1970 sort before the others, as digits.
_TIME_SHIFT: Final = 10**18
_CONNECT_SECONDS: Final = 5.0
_RESPONSE_SECONDS: Final = 10.0
_IDLE_SECONDS: Final = 30


class RedisTokenStore(LeasedStore):
    """Stores tokens in Redis, for any number of machines.

    Each step is one command or one script. A step whose connection was lost is repeated once, and
    so is one that a read-only replica rejects, on a new connection: after a failover, the address
    may lead to another server than the open connections. Redis must not lose what it stores: use
    `maxmemory-policy noeviction`, and an append-only file or replicas. An account whose token Redis
    has lost has none any more.

    Args:
        url_or_client: The address, for example `rediss://user:password@host:6379/0` (with TLS); or
            your own `redis.Redis` or `redis.RedisCluster`, which is used as it is and never closed.
            Forked processes open their own connections.
        prefix: What all keys begin with: printable ASCII without blanks, with a word in braces.
        lease: How long a lock is held before it expires, at least a millisecond.
        wait: How long `lock` waits for another holder; by default 15 seconds more than the lease.

    Raises:
        ConfigurationError: The store can't use the address, the client or the prefix, or a duration
            is not a timedelta, not above zero, or longer than a day.
    """

    _instead = "Pass the URL, or what makes your client, and make a new store there."

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
            _make_client(url_or_client)
            if isinstance(url_or_client, str)
            else _checked_client(url_or_client)
        )
        register = self._client.register_script
        self._write_script = register(_WRITE)
        self._remove_script = register(_REMOVE)
        self._take_script = register(_TAKE)
        self._release_script = register(_RELEASE)
        self._overview_script = register(_OVERVIEW)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(prefix={self._prefix!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections, unless they are those of a client that was passed in.

        The store can be used afterwards, and connects again.
        """
        if self._owns_client:
            self._client.close()
            self._client.connection_pool.disconnect()

    def accounts(self, prefix: str = "") -> Iterator[str]:
        """Return the accounts that have a token; see `TokenStore.accounts`.

        Args:
            prefix: What the accounts' names begin with; by default all are returned.

        Returns:
            The accounts, one by one, in the order of their bytes.

        Raises:
            ConfigurationError: No name of an account can begin with `prefix`.
            StoreError: Redis is unavailable or failed.
        """
        start, end = b"-", b"+"
        if checked_prefix(prefix):
            # No UTF-8 has the byte 255.
            start, end = b"[" + prefix.encode(), b"(" + prefix.encode() + b"\xff"
        return (_text(name) for page in self._pages("names", start, end) for name in page)

    def overview(self) -> Iterator[AccountOverview]:
        """Return what Redis knows of each account, without transferring its token.

        Returns:
            The accounts, one by one, in the order of their bytes.

        Raises:
            StoreError: Redis is unavailable or failed.
        """
        for page in self._pages("names", b"-", b"+"):
            names = [_text(name) for name in page]
            keys = [self._key("token", name) for name in names]
            states = iter(self._run(self._overview_script, keys, [GRANT_ENDED_START]))
            for name, state, due in zip(names, states, states, strict=True):
                if state:  # else it was deleted meanwhile
                    yield _overview(name, int(state), _text(due))

    def due(self, before: datetime) -> Iterator[str]:
        """Return the accounts whose access token expires before a time.

        Args:
            before: The time, aware.

        Returns:
            The accounts, one by one, the earliest expiry first.

        Raises:
            ConfigurationError: `before` has no time zone.
            StoreError: Redis is unavailable or failed.
        """
        end = b"(" + _sortable(microseconds("before", before))
        pages = self._pages("expiries", b"-", end)
        return (_text(member.partition(b":")[2]) for page in pages for member in page)

    def _pages(self, which: str, start: bytes, end: bytes) -> Iterator[list[bytes]]:
        key = self._key(which)
        while page := self._command("ZRANGEBYLEX", key, start, end, "LIMIT", 0, _PAGE_SIZE):
            yield page
            start = b"(" + page[-1]

    def _read(self, account: str) -> StoredToken | None:
        text, version = self._command("HMGET", self._key("token", account), "token", "version")
        return None if text is None else StoredToken(text, _text(version or b""))

    def _write(
        self, account: str, new: StoredToken, expires_at: datetime, expected: ExpectedVersion
    ) -> bool:
        return self._write_last(account, new, expires_at, expected, "")[0]

    def _write_last(
        self,
        account: str,
        new: StoredToken,
        expires_at: datetime,
        expected: ExpectedVersion,
        owner: str,
    ) -> tuple[bool, bool]:
        name = account.encode()
        due = _sortable(microseconds("expires_at", expires_at)) + b":" + name
        kind, version = "version", b""
        if expected is None:
            kind = "nothing"
        elif expected is ANY_VERSION:
            kind = "anything"
        else:
            version = expected.encode()
        stored = self._run(
            self._write_script,
            [*self._token_keys(account), self._key("lock", account)],
            [new.text, new.version, due, name, kind, version, owner],
        )
        return bool(stored), bool(stored)

    def _remove(self, account: str) -> None:
        self._run(self._remove_script, self._token_keys(account), [account.encode()])

    def _take(self, account: str, owner: str, stale: str | None) -> LockAttempt:
        keys = [self._key("token", account), self._key("lock", account)]
        lease = max(1, self._lease // timedelta(milliseconds=1))
        holder, version, text = self._run(self._take_script, keys, [owner, stale or "", lease])
        if holder is not None:
            return LockAttempt(holder=_text(holder))
        if version is None:
            return LockAttempt.taken(None)
        if text is None:
            return LockAttempt(version=_text(version))
        return LockAttempt.taken(StoredToken(text, _text(version)))

    def _release(self, account: str, owner: str) -> None:
        self._run(self._release_script, [self._key("lock", account)], [owner])

    def _key(self, *parts: str) -> bytes:
        return ":".join((self._prefix, *parts)).encode()

    def _token_keys(self, account: str) -> list[bytes]:
        return [self._key("token", account), self._key("names"), self._key("expiries")]

    def _command(self, *parts: Any) -> Any:
        # As bytes, whatever the client does with other responses.
        return self._attempt(lambda: self._client.execute_command(*parts, **{NEVER_DECODE: True}))

    def _run(self, script: Any, keys: list[bytes], arguments: list[Any]) -> Any:
        return self._attempt(lambda: script(keys=keys, args=arguments))

    def _attempt(self, step: Callable[[], Any]) -> Any:
        # Repeating a step has the result of doing it once. It is repeated once for each reason: the
        # connection that replaces a lost one may lead to a server that has become a replica.
        seen: set[str] = set()
        while True:
            try:
                return step()
            except _BACKEND_ERRORS as error:
                reason = _reason_to_repeat(error)
                if reason == "read-only":
                    self._drop_connections()
                if reason is None or reason in seen:
                    raise self._translated(error) from _redact(error)
                seen.add(reason)

    def _drop_connections(self) -> None:
        # They lead to the previous primary, whose address may lead to the new one by now.
        is_cluster = isinstance(self._client, redis.RedisCluster)
        if is_cluster:
            self._client.disconnect_connection_pools()
            return
        pool = self._client.connection_pool
        try:
            pool.disconnect(inuse_connections=False)
        except TypeError:  # in redis-py 5, a pool that does not know which ones are in use
            pool.disconnect()

    def _translated(self, error: BaseException) -> StoreError:
        return StoreError(_advice_for(error, _address_of(self._client)))


def _sortable(time: int) -> bytes:
    return b"%019d" % (time + _TIME_SHIFT)


def _overview(account: str, state: int, due: str) -> AccountOverview:
    digits = due.partition(":")[0]
    time = from_microseconds(int(digits) - _TIME_SHIFT) if digits.isdecimal() else None
    is_damaged = state == _DAMAGED or time is None
    return AccountOverview(account, time, state == _ENDED, is_damaged)


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode(errors="replace")


def _make_client(url: str) -> redis.Redis:
    # redis-py would take a database that is not a number for the first one.
    if re.fullmatch(r"rediss?://[^/?#]*(?:/(?!\d*(?:[?#]|$)).*)", url, re.DOTALL):
        raise ConfigurationError(
            "url names a database of Redis that is not a number; it is the part after the host, for"
            " example redis://host:6379/0."
        )
    # redis-py 5 does not compare the name in the certificate unless it is told to.
    tls: dict[str, Any] = {"ssl_check_hostname": True} if url.startswith("rediss://") else {}
    if tls and "ssl_cert_reqs=" in url:
        tls = {}
    from_url: Callable[..., redis.Redis] = getattr(redis.Redis, "from_url")  # noqa: B009 - its types are incomplete
    try:
        # Parameters of the URL take precedence over these.
        client = from_url(
            url,
            socket_connect_timeout=_CONNECT_SECONDS,
            socket_timeout=_RESPONSE_SECONDS,
            health_check_interval=_IDLE_SECONDS,
            # The store itself repeats a step, once.
            retry=Retry(NoBackoff(), 0),
            **tls,
        )
        client.connection_pool.make_connection()  # checks the parameters; connects to nothing
    except (ValueError, TypeError, AttributeError, redis.RedisError) as error:
        problem = type(error).__name__  # its text may repeat the URL with its password
    else:
        return client
    raise ConfigurationError(
        "url is not the address of a Redis, such as rediss://user:password@host:6379/0, or has a"
        f" parameter that redis-py does not know ({problem})."
    )


def _checked_client(client: object) -> RedisClient:
    kind = type(client)
    if kind.__module__.startswith("redis.asyncio"):
        raise ConfigurationError(
            "The token store is synchronous and can't use a client of redis.asyncio. Pass a"
            " redis.Redis, or a URL."
        )
    if not isinstance(client, redis.Redis | redis.RedisCluster) or isinstance(client, Pipeline):
        raise ConfigurationError(
            "url_or_client must be a URL, a redis.Redis or a redis.RedisCluster, not"
            f" {kind.__name__}."
        )
    if getattr(client, "connection", None) is not None:
        raise ConfigurationError(
            "The client has single_connection_client=True: threads and forked processes would"
            " share its connection. Pass one without."
        )
    return client


def _address_of(client: Any) -> str:
    # A cluster and a pool that asks a Sentinel have no fixed address.
    settings = getattr(getattr(client, "connection_pool", None), "connection_kwargs", {})
    if "path" in settings:
        return f" at {settings['path']}"
    return f" at {settings['host']}:{settings.get('port', 6379)}" if "host" in settings else ""


# A token that was stored by hand may lack a version, and is a token all the same.
_STORED: Final = """
local stored = redis.call('HMGET', KEYS[1], 'token', 'version', 'due')
local version = stored[1] and (stored[2] or '')
"""

# Keys: token, names, expiries, lock. Arguments: text, version, expiry and name, name, what is
# expected (`anything`, `nothing`, `version`), which version, and who releases the lock.
# It begins with what needs no memory: Redis lets a script that has begun to write continue when it
# has none left, so that the token which replaces an invalidated one is not lost.
_WRITE: Final = (
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
if ARGV[7] ~= '' and redis.call('GET', KEYS[4]) == ARGV[7] then redis.call('DEL', KEYS[4]) end
return 1
"""
)

# Keys: token, names, expiries. Argument: name.
_REMOVE: Final = """
local due = redis.call('HGET', KEYS[1], 'due')
if due then redis.call('ZREM', KEYS[3], due) end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('DEL', KEYS[1])
return 1
"""

# Keys: token, lock. Arguments: owner, the stale owner or nothing, milliseconds. Returns the holder
# if the lock is taken, else the version of the stored token, and its text unless some client could
# not read it.
_TAKE: Final = (
    """
local holder = redis.call('GET', KEYS[2])
if holder and holder ~= ARGV[1] and holder ~= ARGV[2] then return {holder, false, false} end
"""
    + _STORED
    + """
redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
local text = stored[1]
if text and string.find(text, '[\\128-\\255]') then text = false end
return {false, version, text}
"""
)

# Key: lock. Argument: owner.
_RELEASE: Final = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1
"""

# Keys: tokens. Argument: the beginning of a token whose grant has ended. Returns a state and the
# member of the expiries for each token; 0 where there is none. Any text between two braces counts
# as readable.
_VALID, _ENDED, _DAMAGED = 1, 2, 3
_OVERVIEW: Final = f"""
local found = {{}}
for index, key in ipairs(KEYS) do
  local stored = redis.call('HMGET', key, 'token', 'due')
  local text, state = stored[1], 0
  if text then
    if string.sub(text, 1, 1) ~= '{{' or string.sub(text, -1) ~= '}}' then state = {_DAMAGED}
    elseif string.sub(text, 1, #ARGV[1]) == ARGV[1] then state = {_ENDED}
    else state = {_VALID} end
  end
  found[2 * index - 1] = state
  found[2 * index] = stored[2] or ''
end
return found
"""

_BACKEND_ERRORS: Final = (exc.RedisError, OSError, UnicodeError)
_CONNECTION_ERRORS: Final = (exc.ConnectionError, exc.TimeoutError, OSError)
_DENIED: Final = (exc.AuthenticationError, exc.AuthorizationError, exc.NoPermissionError)
# These are connection errors for redis-py, but a new connection does not help.
_REJECTED: Final = (*_DENIED, exc.BusyLoadingError, exc.MaxConnectionsError)

# Error responses whose text is the server's own. Others, such as that to an unknown command, repeat
# the beginning of what was sent.
_READABLE: Final = (
    *("OOM", "WRONGTYPE", "READONLY", "NOAUTH", "WRONGPASS", "NOPERM", "LOADING", "MISCONF"),
    *("CLUSTERDOWN", "MASTERDOWN", "NOREPLICAS", "BUSY", "TRYAGAIN", "NOSCRIPT", "UNBLOCKED"),
    *("MOVED", "ASK", "CROSSSLOT"),
)
# Classes, codes and what to do. Inside a script, an error may have no class of its own.
_ADVICE: Final[tuple[tuple[tuple[type[BaseException], ...], tuple[str, ...], str], ...]] = (
    (
        _DENIED,
        ("NOPERM", "NOAUTH", "WRONGPASS"),
        (
            "Redis{place} rejected the user. Check the password, and that the user may run scripts"
            " and use the keys of the store."
        ),
    ),
    (
        (exc.BusyLoadingError,),
        ("LOADING",),
        "Redis{place} is loading its data. Try again in a while.",
    ),
    (
        (exc.ReadOnlyError,),
        ("READONLY",),
        (
            "Redis{place} is a read-only replica, as after a failover. Make sure that the address"
            " leads to the primary; then try again."
        ),
    ),
    (
        (exc.OutOfMemoryError,),
        ("OOM",),
        "Redis{place} has reached its `maxmemory`. Raise it, then try again.",
    ),
    (
        (),
        ("WRONGTYPE",),
        (
            "A key of the token store contains other data. Give the store a `prefix` that no other"
            " program uses, or delete the key."
        ),
    ),
    (
        (),
        ("MISCONF",),
        "Redis{place} can't write to its disk, and accepts no writes. Make room on it.",
    ),
    (
        (exc.MaxConnectionsError,),
        (),
        "All connections of the Redis client are in use. Allow its pool more, or try again.",
    ),
    (
        _CONNECTION_ERRORS,
        (),
        (
            "The token store can't reach Redis{place}. Make sure that it runs, and that its address"
            " is right; then try again."
        ),
    ),
)


def _reason_to_repeat(error: BaseException) -> str | None:
    if isinstance(error, _CONNECTION_ERRORS) and not isinstance(error, _REJECTED):
        return "lost"
    response = str(error) if isinstance(error, exc.ResponseError) else ""
    if isinstance(error, exc.ReadOnlyError) or "READONLY" in response:
        return "read-only"
    return None


def _redact(error: BaseException) -> BaseException:
    """Remove from an error what may repeat a token."""
    if not isinstance(error, exc.ResponseError):
        return error
    # redis-py removes the code where it has a class of its own for it.
    if type(error) is not exc.ResponseError or str(error).startswith(_READABLE):
        return error
    word = str(error).partition(" ")[0]
    code = word if word.isupper() and word.isascii() else "unknown"
    error.args = (f"{code}: its text is hidden, since it may repeat what was sent",)
    error.__cause__ = error.__context__ = None
    return error


def _advice_for(error: BaseException, place: str) -> str:
    """Return what happened and what to do, without repeating the error's own text."""
    response = str(error) if isinstance(error, exc.ResponseError) else ""
    for kinds, words, advice in _ADVICE:
        if isinstance(error, kinds) or any(word in response for word in words):
            return advice.format(place=place)
    return f"Redis{place} failed in a step of the token store; the cause says why."
