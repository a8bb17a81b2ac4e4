"""`RedisTokenStore` when Redis fails, and that no error shows a token."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_hex

import pytest
import redis

from pipedrive_oauth_client import ConfigurationError
from pipedrive_oauth_client.errors import CorruptTokenError, StoreError
from pipedrive_oauth_client.stores import RedisTokenStore
from pipedrive_oauth_client.stores.conformance import a_token
from tests.support.backends import address, redis_client, redis_url, through, throwaway_prefix
from tests.support.redis_server import RedisServer
from tests.support.samples import ACCESS_TOKEN, REFRESH_TOKEN
from tests.support.sweep import found, visible
from tests.support.tcp_proxy import TCPProxy

PASSWORD = "pass-71c0e4aa92"
# A part of a token is as bad.
SECRETS = (ACCESS_TOKEN[:9], REFRESH_TOKEN[:9], PASSWORD)
TOKEN = a_token(access_token=ACCESS_TOKEN, refresh_token=REFRESH_TOKEN)

STEPS: dict[str, Callable[[RedisTokenStore], object]] = {
    "load": lambda store: store.load("acme"),
    "save": lambda store: store.save("acme", TOKEN),
    "delete": lambda store: store.delete("acme"),
    "lock": lambda store: store.lock("acme").__enter__(),
    "accounts": lambda store: list(store.accounts()),
    "due": lambda store: list(store.due(datetime.max.replace(tzinfo=UTC))),
    "overview": lambda store: list(store.overview()),
}
WRITES = ("save", "lock")


@pytest.fixture
def prefix() -> Generator[str]:
    """Give a prefix of this test's own on the shared Redis."""
    with throwaway_prefix(redis_url()) as name:
        yield name


@pytest.fixture
def behind() -> Generator[redis.Redis]:
    """Give a client for looking behind the store's back."""
    with redis_client(redis_url()) as client:
        yield client


@pytest.fixture
def store(prefix: str) -> Generator[RedisTokenStore]:
    """Give a store on the shared Redis."""
    with RedisTokenStore(redis_url(), prefix=prefix) as opened:
        yield opened


def refusal(store: RedisTokenStore, step: str) -> StoreError:
    """Give the error of a step, which shows no secret and has a cause."""
    with pytest.raises(StoreError) as caught:
        STEPS[step](store)
    assert not found(visible(caught.value), SECRETS)
    assert caught.value.__cause__ is not None
    return caught.value


@pytest.mark.parametrize("step", STEPS)
def test_server_goes_and_comes_back(tmp_path: Path, step: str) -> None:
    """While the server is away each step fails with the reason, and works when it is back."""
    with (
        RedisServer(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as server,
        RedisTokenStore(server.url) as store,
    ):
        store.save("acme", TOKEN)
        server.kill()
        assert "can't reach Redis" in str(refusal(store, step))
        server.start()
        assert store.load("acme") == TOKEN
        STEPS[step](store)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", ["of its own", "of the app"])
def test_restart_is_not_noticed(tmp_path: Path, step: str, kind: str) -> None:
    """A server that was restarted since the last step is connected to anew, without an error."""
    with (
        RedisServer(tmp_path, "--appendonly", "yes") as server,
        redis.Redis(port=server.port) as client,
        RedisTokenStore(server.url if kind == "of its own" else client) as store,
    ):
        store.save("acme", TOKEN)
        server.stop()
        server.start()
        STEPS[step](store)


@pytest.mark.parametrize("step", STEPS)
def test_lost_answer_is_asked_for_again(prefix: str, step: str) -> None:
    """A step whose answer is lost on the way is done again, and the result is that of one."""
    with (
        TCPProxy(*address(redis_url())) as proxy,
        redis.Redis.from_url(through(redis_url(), proxy.port)) as client,
    ):
        store = RedisTokenStore(client, prefix=prefix)
        store.save("acme", a_token(1))
        with store.lock("acme"):
            pass
        store.delete("other")
        before = proxy.connections
        # Connecting anew brings answers as well: the cut hits the open connection.
        proxy.cut_before_answer(0)
        STEPS[step](store)
        assert proxy.connections > before
        if step == "save":
            assert store.load("acme") == TOKEN


def test_save_under_the_lock_survives_a_lost_answer(prefix: str) -> None:
    """A save under the lock that took place, but whose answer was lost, is not refused."""
    with (
        TCPProxy(*address(redis_url())) as proxy,
        redis.Redis.from_url(through(redis_url(), proxy.port)) as client,
    ):
        store = RedisTokenStore(client, prefix=prefix)
        store.save("acme", a_token(1))
        with store.lock("acme"):
            proxy.cut_before_answer(0)
            store.save("acme", TOKEN)
        assert list(store.accounts()) == ["acme"]
        assert store.load("acme") == TOKEN


def test_scripts_come_back(store: RedisTokenStore, behind: redis.Redis) -> None:
    """Scripts that the server has forgotten are sent again."""
    store.save("acme", a_token())
    behind.script_flush()
    with store.lock("acme"):
        behind.script_flush()
        store.save("acme", TOKEN)
    assert store.load("acme") == TOKEN


def test_lost_data_is_no_token(store: RedisTokenStore, behind: redis.Redis, prefix: str) -> None:
    """An account whose data Redis has lost has no token, and can get one."""
    store.save("acme", a_token())
    behind.delete(*behind.scan_iter(match=f"{prefix}*"))
    assert store.load("acme") is None
    store.save("acme", TOKEN)
    assert store.load("acme") == TOKEN


@pytest.mark.parametrize("step", WRITES)
def test_full_server(tmp_path: Path, step: str) -> None:
    """A server without memory keeps what it has, and the error says so."""
    with RedisServer(tmp_path) as server, RedisTokenStore(server.url) as store:
        store.save("other", a_token())
        server.ask(lambda client: client.config_set("maxmemory", "1"))
        assert "maxmemory" in str(refusal(store, step))
        assert list(store.accounts()) == ["other"]
        server.ask(lambda client: client.config_set("maxmemory", "0"))
        STEPS[step](store)


def test_full_server_takes_a_renewed_token(tmp_path: Path) -> None:
    """A token that is renewed already, so that the one before is worthless, still finds room."""
    with RedisServer(tmp_path) as server, RedisTokenStore(server.url) as store:
        store.save("acme", a_token())
        with store.lock("acme"):
            server.ask(lambda client: client.config_set("maxmemory", "1"))
            store.save("acme", TOKEN)
        assert store.load("acme") == TOKEN


@pytest.mark.parametrize("step", WRITES)
def test_replica(tmp_path: Path, step: str) -> None:
    """A replica is read from, and the error of a write says to take the primary."""
    with RedisServer(tmp_path) as server, RedisTokenStore(server.url) as store:
        store.save("acme", a_token())
        server.ask(lambda client: client.replicaof("127.0.0.1", "1"))
        server.ask(lambda client: client.config_set("replica-serve-stale-data", "yes"))
        assert "replica" in str(refusal(store, step))
        assert store.load("acme") == a_token()


@pytest.fixture(scope="module")
def locked_server(tmp_path_factory: pytest.TempPathFactory) -> Generator[RedisServer]:
    """Give a server with a password, for all tests that need one."""
    with RedisServer(tmp_path_factory.mktemp("locked"), "--requirepass", "right") as server:
        yield server


@pytest.mark.parametrize("user", ["", f":{PASSWORD}@", f"another:{PASSWORD}@"])
@pytest.mark.parametrize("step", STEPS)
def test_wrong_password(locked_server: RedisServer, step: str, user: str) -> None:
    """A server that rejects the password, or a missing one, is not called unreachable."""
    with RedisTokenStore(locked_server.url.replace("//", f"//{user}")) as store:
        assert "password" in str(refusal(store, step))
    url = locked_server.url.replace("//", "//:right@")
    with RedisTokenStore(url, prefix=f"{{{token_hex(4)}}}") as store:
        STEPS[step](store)


def test_user_without_rights(tmp_path: Path) -> None:
    """A user who may not run scripts gets an error that says so."""
    with RedisServer(tmp_path) as server:
        server.ask(
            lambda client: client.acl_setuser(
                "app", enabled=True, passwords=[f"+{PASSWORD}"], keys=["*"], commands=["+hmget"]
            )
        )
        with RedisTokenStore(server.url.replace("//", f"//app:{PASSWORD}@")) as store:
            assert store.load("acme") is None
            assert "may run scripts" in str(refusal(store, "save"))


def test_server_that_is_loading(tmp_path: Path) -> None:
    """The error of a server that is loading its data says to try again."""
    with RedisServer(tmp_path) as server:
        server.ask(lambda client: client.mset({str(n): token_hex(4096) for n in range(100)}))
        server.ask(lambda client: client.save())
        server.stop()
        server.start(
            "--key-load-delay", "100000", "--loading-process-events-interval-bytes", "1024"
        )
        with RedisTokenStore(server.url) as store:
            assert "is loading its data" in str(refusal(store, "load"))


def test_unknown_command_repeats_nothing(tmp_path: Path) -> None:
    """A server without scripts repeats what was sent; the error does not."""
    renamed = [("--rename-command", name, "") for name in ("EVALSHA", "EVAL")]
    with (
        RedisServer(tmp_path, *(word for words in renamed for word in words)) as server,
        RedisTokenStore(server.url, prefix="{a}") as store,
    ):
        error = refusal(store, "save")
    assert "text is hidden" in str(error.__cause__)


@pytest.mark.parametrize("key", ["token:acme", "names", "expiries", "lock:acme"])
def test_key_of_another_program(
    store: RedisTokenStore, behind: redis.Redis, prefix: str, key: str
) -> None:
    """A key that holds something else is left as it is, and the error says what to do."""
    behind.rpush(f"{prefix}:{key}", "theirs")
    step = "lock" if key.startswith("lock") else "save"
    assert "prefix" in str(refusal(store, step))
    assert behind.lrange(f"{prefix}:{key}", 0, -1) == [b"theirs"]


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"{", b"[]", b"null", f'{{"access_token": "{ACCESS_TOKEN}"}}'.encode()],
    ids=["empty", "no text", "cut", "list", "null", "without expiry"],
)
@pytest.mark.parametrize("decodes", [False, True], ids=["bytes", "decoding"])
def test_damaged_token(behind: redis.Redis, prefix: str, content: bytes, *, decodes: bool) -> None:
    """Damaged content is an error, stays as it is, does not block the lock, and can be replaced."""
    with redis.Redis.from_url(redis_url(), decode_responses=decodes) as client:
        store = RedisTokenStore(client, prefix=prefix)
        store.save("acme", TOKEN)
        behind.hset(f"{prefix}:token:acme", "token", content)
        with store.lock("acme"):
            with pytest.raises(CorruptTokenError) as caught:
                store.load("acme")
            assert not found(visible(caught.value), SECRETS)
            assert behind.hget(f"{prefix}:token:acme", "token") == content
            assert list(store.accounts()) == ["acme"]
            store.save("acme", TOKEN)
        assert store.load("acme") == TOKEN


def test_token_without_a_version(store: RedisTokenStore, behind: redis.Redis, prefix: str) -> None:
    """A token that was stored by hand can be loaded, and refreshed under the lock."""
    store.save("acme", a_token())
    behind.hdel(f"{prefix}:token:acme", "version")
    with store.lock("acme"):
        assert store.load("acme") == a_token()
        store.save("acme", TOKEN)
    assert store.load("acme") == TOKEN


def test_lock_of_a_clock_that_was_put_back(prefix: str, behind: redis.Redis) -> None:
    """A lock that ends in a year, by the clock that it was taken by, is not waited for so long."""
    short = timedelta(seconds=0.2)
    with RedisTokenStore(redis_url(), prefix=prefix, lease=short) as store, store.lock("acme"):
        assert behind.pexpire(f"{prefix}:lock:acme", timedelta(days=365))
        with RedisTokenStore(redis_url(), prefix=prefix, lease=short) as other, other.lock("acme"):
            pass


def test_nothing_is_logged(store: RedisTokenStore, caplog: pytest.LogCaptureFixture) -> None:
    """No log shows a token, whatever its level."""
    with caplog.at_level(logging.DEBUG):
        for step in STEPS.values():
            step(store)
    assert not found(caplog.text, SECRETS)


def test_time_without_zone_is_refused(store: RedisTokenStore) -> None:
    """A time without a zone is refused at once."""
    with pytest.raises(ConfigurationError, match="time zone"):
        store.due(datetime(2030, 1, 1))  # noqa: DTZ001 - that is the point
