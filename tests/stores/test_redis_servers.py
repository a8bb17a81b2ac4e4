"""`RedisTokenStore` over TLS, in a cluster, with many accounts, and in forked processes."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import tracemalloc
from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from redis.crc import key_slot

from pipedrive_oauth_client.errors import StoreError
from pipedrive_oauth_client.stores import RedisTokenStore
from pipedrive_oauth_client.stores.conformance import (
    START,
    LeaseConformance,
    TokenStoreConformance,
    a_token,
)
from tests.support.backends import redis_client, redis_url, throwaway_prefix
from tests.support.forks import in_child
from tests.support.redis_server import RedisServer, free_port

FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


class Files(NamedTuple):
    """A self-signed certificate and its key."""

    certificate: Path
    key: Path


def self_signed(folder: Path, host: str) -> Files:
    """Make a certificate for an IP address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "redis of a test")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    files = Files(folder / f"{host}.crt", folder / f"{host}.key")
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    files.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


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
    """A server with a certificate that nobody has vouched for is told nothing."""
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


class TestCluster(TokenStoreConformance, LeaseConformance):
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
