"""`RedisTokenStore`: the shared tests, its settings, TLS, a cluster, many accounts and forks."""

from __future__ import annotations

import datetime as dt
import os
import tracemalloc
from collections.abc import Callable, Generator
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import redis
import redis.asyncio
from redis.crc import key_slot

from pipedrive_oauth_client import ConfigurationError
from pipedrive_oauth_client.errors import StoreError
from pipedrive_oauth_client.stores import RedisTokenStore
from pipedrive_oauth_client.stores.conformance import (
    START,
    LeaseConformance,
    ListingConformance,
    TokenStoreConformance,
    a_token,
)
from tests.support.backends import redis_client, redis_url, throwaway_prefix
from tests.support.forks import in_child
from tests.support.redis_server import RedisServer
from tests.support.sweep import found, visible
from tests.support.tls import Files, self_signed
from tests.support.untyped import untyped
from tests.support.wire import free_port


class TestFromURL(TokenStoreConformance, LeaseConformance, ListingConformance):
    """The shared tests, each handle with connections of its own."""

    @pytest.fixture
    def open_store(self) -> Generator[Callable[..., RedisTokenStore]]:
        """Give stores with clients of their own on one prefix."""
        url = redis_url()
        with throwaway_prefix(url) as prefix, ExitStack() as closing:
            yield lambda **settings: closing.enter_context(
                RedisTokenStore(url, prefix=prefix, **settings)
            )


@pytest.mark.parametrize(
    "settings",
    [
        {"decode_responses": True},
        {"decode_responses": True, "encoding": "latin-1"},
        {"protocol": 3},
    ],
    ids=["decoding", "decoding latin-1", "RESP3"],
)
class TestFromClient(TokenStoreConformance, LeaseConformance, ListingConformance):
    """The shared tests, all handles with one client of the app, of several kinds."""

    @pytest.fixture
    def open_store(self, settings: dict[str, Any]) -> Generator[Callable[..., RedisTokenStore]]:
        """Give stores with one client on one prefix."""
        url = redis_url()
        with (
            throwaway_prefix(url) as prefix,
            redis.Redis.from_url(url, **settings) as client,
        ):
            yield lambda **times: RedisTokenStore(client, prefix=prefix, **times)


PASSWORD = "pass-71c0e4aa92"
URL = f"redis://user:{PASSWORD}@127.0.0.1:1/0"


def connection_of(store: RedisTokenStore) -> Any:
    """Give a connection of the store's client, which is not open."""
    return store._client.connection_pool.make_connection()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:6379",
        f"http://:{PASSWORD}@localhost",
        f"redis://:{PASSWORD}@localhost:port/0",
        f"redis://:{PASSWORD}@localhost/0?db=many",
        f"redis://:{PASSWORD}@localhost/0?no_such_setting={PASSWORD}",
        f"rediss://:{PASSWORD}@localhost/0?ssl_cert_reqs={PASSWORD}",
        f"redis://:{PASSWORD}@[::1/0",
    ],
)
def test_bad_url_is_refused(url: str) -> None:
    """An address that can't be right is refused at once, and its password is not repeated."""
    with pytest.raises(ConfigurationError) as caught:
        RedisTokenStore(url)
    assert not found(visible(caught.value), [PASSWORD])


@pytest.mark.parametrize("client", [5, None, b"redis://localhost", object(), redis.Redis])
def test_other_client_is_refused(client: object) -> None:
    """What is no client of redis-py is refused."""
    with pytest.raises(ConfigurationError, match=r"redis\.Redis"):
        untyped(RedisTokenStore)(client)


def test_async_client_is_refused() -> None:
    """A client of redis.asyncio is refused, with the reason."""
    with pytest.raises(ConfigurationError, match="synchronous"):
        untyped(RedisTokenStore)(redis.asyncio.Redis())


def test_pipeline_is_refused() -> None:
    """A pipeline, which answers later, is refused."""
    with (
        redis.Redis() as client,
        client.pipeline() as pipeline,
        pytest.raises(ConfigurationError, match="Pipeline"),
    ):
        untyped(RedisTokenStore)(pipeline)


def test_shared_connection_is_refused() -> None:
    """A client whose threads share one connection is refused."""
    client: Any = redis.Redis()
    client.connection = client.connection_pool.make_connection()
    with pytest.raises(ConfigurationError, match="single_connection_client"):
        RedisTokenStore(client)
    client.connection = None
    client.close()


@pytest.mark.parametrize(
    "prefix", ["", "app", "{}", "{app", "app}", "{a b}", "{app}\n", "{\u00e4}", "{}{app}"]
)
def test_bad_prefix_is_refused(prefix: str) -> None:
    """A prefix that a cluster would not keep together, or that can't be a key, is refused."""
    with pytest.raises(ConfigurationError, match="prefix"):
        RedisTokenStore(URL, prefix=prefix)


@pytest.mark.parametrize("times", [{"lease": timedelta(0)}, {"wait": 5}])
def test_bad_time_is_refused(times: dict[str, Any]) -> None:
    """Times are checked as in every store."""
    with pytest.raises(ConfigurationError):
        RedisTokenStore(URL, **times)


def test_password_is_not_shown() -> None:
    """Neither `repr` nor `str` shows the address."""
    store = RedisTokenStore(URL, prefix="{mine}")
    assert repr(store) == str(store) == "RedisTokenStore(prefix='{mine}')"


def test_sockets_have_timeouts() -> None:
    """A store that makes its client waits for no server without end."""
    connection = connection_of(RedisTokenStore(URL))
    assert connection.socket_connect_timeout == 5
    assert connection.socket_timeout == 10


def test_url_counts_more() -> None:
    """What the address sets is as it says."""
    connection = connection_of(RedisTokenStore(f"{URL}?socket_timeout=3&health_check_interval=7"))
    assert connection.socket_timeout == 3
    assert connection.health_check_interval == 7


def test_tls_checks_the_certificate_and_the_name() -> None:
    """With `rediss://` the certificate must be valid and be the server's."""
    connection = connection_of(RedisTokenStore(URL.replace("redis:", "rediss:")))
    assert isinstance(connection, redis.SSLConnection)
    assert connection.cert_reqs.name == "CERT_REQUIRED"
    assert connection.check_hostname is True


def test_unix_socket_can_be_named() -> None:
    """A Redis on a socket of the file system can be named."""
    store = RedisTokenStore(f"unix:///run/redis.sock?db=3&password={PASSWORD}")
    assert isinstance(connection_of(store), redis.UnixDomainSocketConnection)


def test_closing_leaves_the_apps_client_open() -> None:
    """A client that was given belongs to the app: the store does not close it."""

    class Watched(redis.Redis):
        closed = 0

        def close(self) -> None:
            self.closed += 1
            super().close()

    with Watched() as client:
        with RedisTokenStore(client):
            pass
        assert client.closed == 0


@pytest.mark.parametrize("url", ["redis://h:1/abc", "rediss://u:p@h/1x", "redis://h/0/1"])
def test_database_that_is_not_a_number_is_rejected(url: str) -> None:
    """redis-py would take it for the first database."""
    with pytest.raises(ConfigurationError, match="not a number"):
        RedisTokenStore(url)


@pytest.mark.parametrize(
    "url", ["redis://h:1", "redis://h/", "rediss://u:p@h:1/12?socket_timeout=1"]
)
def test_database_that_is_a_number_is_taken(url: str) -> None:
    """So is none at all."""
    with RedisTokenStore(url):
        pass


FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def tls_server(folder: Path, files: Files) -> RedisServer:
    """Give a server that speaks nothing but TLS."""
    server = RedisServer(
        folder,
        *("--tls-cert-file", str(files.certificate), "--tls-key-file", str(files.key)),
        *("--tls-auth-clients", "no"),
        client={"ssl": True, "ssl_ca_certs": str(files.certificate), "ssl_check_hostname": False},
        tls=True,
    )
    server.url = server.url.replace("redis:", "rediss:")
    return server


def test_tls(tmp_path: Path) -> None:
    """A server with a certificate that is trusted, for its own name, is spoken to over TLS."""
    files = self_signed(tmp_path, "127.0.0.1")
    with (
        tls_server(tmp_path, files) as server,
        RedisTokenStore(f"{server.url}?ssl_ca_certs={files.certificate}") as store,
    ):
        store.save("acme", a_token())
        assert store.load("acme") == a_token()


def test_tls_of_a_stranger(tmp_path: Path) -> None:
    """Nothing is sent to a server whose certificate is not trusted."""
    with (
        tls_server(tmp_path, self_signed(tmp_path, "127.0.0.1")) as server,
        RedisTokenStore(server.url) as store,
        pytest.raises(StoreError) as caught,
    ):
        store.save("acme", a_token())
    assert "certificate verify failed" in str(caught.value.__cause__)


def test_tls_of_another_host(tmp_path: Path) -> None:
    """A certificate that is trusted, but for another host, is refused."""
    files = self_signed(tmp_path, "127.0.0.2")
    with tls_server(tmp_path, files) as server:
        url = f"{server.url}?ssl_ca_certs={files.certificate}"
        with RedisTokenStore(url) as store, pytest.raises(StoreError) as caught:
            store.save("acme", a_token())
    assert "not valid for '127.0.0.1'" in str(caught.value.__cause__)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Generator[redis.RedisCluster]:
    """Give a client for a cluster of one node."""
    folder = tmp_path_factory.mktemp("cluster")
    options = ("--cluster-enabled", "yes", "--cluster-port", str(free_port()))
    with RedisServer(folder, *options) as server:
        server.ask(lambda client: client.cluster("ADDSLOTSRANGE", 0, 16383))
        server.wait_for(lambda client: client.cluster("INFO")["cluster_state"] == "ok")
        with redis.RedisCluster(host="127.0.0.1", port=server.port) as client:
            yield client


class TestCluster(TokenStoreConformance, LeaseConformance, ListingConformance):
    """The shared tests with the client for a cluster."""

    @pytest.fixture
    def open_store(self, cluster: redis.RedisCluster) -> Generator[Callable[..., RedisTokenStore]]:
        """Give stores with one client; the keys of the test before are gone."""
        cluster.flushall(target_nodes=redis.RedisCluster.ALL_NODES)
        with ExitStack() as closing:
            yield lambda **times: closing.enter_context(RedisTokenStore(cluster, **times))


def test_keys_stay_together() -> None:
    """All keys of the store are in one slot of a cluster, whatever the account is called."""
    store = RedisTokenStore("redis://127.0.0.1:1", prefix="app{x}")
    keys = [key for name in ("acme", "{acme}", "}{") for key in store._token_keys(name)]
    keys.append(store._key("lock", "{acme}"))
    assert {key_slot(key) for key in keys} == {key_slot(b"x")}


def test_many_accounts_are_read_page_by_page() -> None:
    """A hundred thousand accounts are listed once each, in memory for a few."""
    count = 100_000
    url = redis_url()
    with throwaway_prefix(url) as prefix, RedisTokenStore(url, prefix=prefix) as store:
        with redis_client(url) as behind:
            for first in range(0, count, 10_000):
                numbers = range(first, first + 10_000)
                names = {b"account %d" % number: 0 for number in numbers}
                behind.zadd(f"{prefix}:names", names)
                # All at the same time.
                due = b"1001893456000000000:"
                behind.zadd(f"{prefix}:expiries", {due + name: 0 for name in names})
        listings: tuple[Callable[[], Any], ...] = (
            store.accounts,
            lambda: store.due(START + dt.timedelta(days=1)),
        )
        for listing in listings:
            tracemalloc.start()
            total = sum(int(name.removeprefix("account ")) for name in listing())
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            assert total == count * (count - 1) // 2
            assert peak < 2 * 1024 * 1024


def test_overview_of_odd_tokens() -> None:
    """What was cut off or has no expiry may be damaged; what is gone is left out."""
    url = redis_url()
    with (
        throwaway_prefix(url) as prefix,
        RedisTokenStore(url, prefix=prefix) as store,
        redis_client(url) as behind,
    ):
        for name in ("a", "b", "c", "d", "e"):
            store.save(name, a_token())
        behind.hdel(f"{prefix}:token:b", "due")
        behind.hset(f"{prefix}:token:c", "token", '{"access_token": "cut o')
        behind.hset(f"{prefix}:token:d", "token", "")
        behind.delete(f"{prefix}:token:e")
        assert [tuple(each) for each in store.overview()] == [
            ("a", START, False, False),
            ("b", None, False, True),
            ("c", START, False, True),
            ("d", START, False, True),
        ]
        assert list(store.ended()) == []


def test_listing_goes_on_while_tokens_change() -> None:
    """Accounts that are renewed or deleted during a listing hide no other account."""
    url = redis_url()
    with throwaway_prefix(url) as prefix, RedisTokenStore(url, prefix=prefix) as store:
        names = [f"account {number:04}" for number in range(1100)]
        for name in names:
            store.save(name, a_token())
        seen: list[str] = []
        for name in store.due(START + dt.timedelta(seconds=1)):
            seen.append(name)
            store.save(name, a_token(expires_at=START + dt.timedelta(days=1)))
        assert seen == names
        for name in store.accounts():
            store.delete(name)
        assert list(store.accounts()) == []


def test_exact_times() -> None:
    """Times are told apart by a microsecond, long ago and far ahead."""
    url = redis_url()
    tick = dt.timedelta(microseconds=1)
    with throwaway_prefix(url) as prefix, RedisTokenStore(url, prefix=prefix) as store:
        for when in (
            dt.datetime.min.replace(tzinfo=dt.UTC) + tick,
            dt.datetime(1969, 12, 31, tzinfo=dt.UTC),
            dt.datetime.max.replace(tzinfo=dt.UTC) - tick,
        ):
            store.save("acme", a_token(expires_at=when))
            assert list(store.due(when)) == []
            assert list(store.due(when + tick)) == ["acme"]


@FORKS
@pytest.mark.parametrize("kind", ["of its own", "of the app"])
def test_fork(kind: str) -> None:
    """A forked process makes connections of its own, and those of its parent still work."""
    url = redis_url()
    with (
        throwaway_prefix(url) as prefix,
        redis.Redis.from_url(url) as client,
        RedisTokenStore(url if kind == "of its own" else client, prefix=prefix) as store,
    ):
        store.save("acme", a_token(0))
        before = store._client.client_id()
        with store.lock("acme"):

            def child() -> str:
                store.save("child", a_token(1))
                assert store.load("acme") == a_token(0)
                return str(store._client.client_id())

            assert in_child(child) != str(before)
            store.save("acme", a_token(2))
        assert store._client.client_id() == before
        assert store.load("child") == a_token(1)
        assert store.load("acme") == a_token(2)
