"""What `RedisTokenStore` can be made from, and what it shows of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
import redis
import redis.asyncio

from pipedrive_oauth_client import ConfigurationError
from pipedrive_oauth_client.stores import RedisTokenStore
from tests.support.sweep import found, visible
from tests.support.untyped import untyped

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
def test_database_that_is_no_number_is_refused(url: str) -> None:
    """redis-py would take it for the first database."""
    with pytest.raises(ConfigurationError, match="no number"):
        RedisTokenStore(url)


@pytest.mark.parametrize(
    "url", ["redis://h:1", "redis://h/", "rediss://u:p@h:1/12?socket_timeout=1"]
)
def test_database_that_is_a_number_is_taken(url: str) -> None:
    """So is none at all."""
    with RedisTokenStore(url):
        pass
