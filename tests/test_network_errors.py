"""What network failures say: the host, the proxy and its variable, the reason, and what to do."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest

from pipedrive_oauth_client import (
    Client,
    ConfigurationError,
    PipedriveOAuthError,
    TransportError,
)
from tests.support.driver import call
from tests.support.samples import GET_TOKENS, SECRETS
from tests.support.sweep import found, visible
from tests.support.tls import self_signed, tls_server
from tests.support.wire import Peer, Wire, always, answer, client_of, refusing, silent

SENT = "Nothing was sent (POST /oauth/token)."


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, no_proxy: None) -> None:
    """No variable of the machine decides about proxies and certificates."""
    del no_proxy
    for name in ("NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)


def message(mode: str, client: Client) -> str:
    """Return what the error of a request says; it shows no secret."""
    with pytest.raises(PipedriveOAuthError) as caught:
        call(mode, GET_TOKENS.module, client=client, **GET_TOKENS.arguments)
    assert found(visible(caught.value), SECRETS) == []
    assert isinstance(caught.value, TransportError | ConfigurationError)
    assert "planted" not in str(caught.value)
    return str(caught.value)


def test_refused(mode: str) -> None:
    """A refused connection names the host and its port."""
    with refusing() as authority:
        assert message(mode, client_of(f"https://{authority}")) == (
            f"Cannot connect to https://{authority}: connection refused. {SENT}"
            " Check the address and the network, then try again."
        )


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (socket.EAI_NONAME, "host not found"),
        (socket.EAI_AGAIN, "the name server does not respond"),
    ],
)
def test_unknown_host(mode: str, monkeypatch: pytest.MonkeyPatch, number: int, reason: str) -> None:
    """An unknown host is told from a name server that is down."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise socket.gaierror(number, "as the system words it")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    text = message(mode, client_of("https://oauth.example"))
    assert text.startswith(f"Cannot connect to https://oauth.example: {reason}. {SENT}")


def test_no_route(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another failure of the system is in the system's words."""

    def fail(*_: object, **__: object) -> NoReturn:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(socket, "create_connection", fail)
    text = message("sync", client_of("https://oauth.example"))
    assert text.startswith("Cannot connect to https://oauth.example: network is unreachable. ")


def test_untrusted_certificate(mode: str, tmp_path: Path) -> None:
    """A certificate of an unknown authority names the variable for another authority."""
    with tls_server(self_signed(tmp_path, "127.0.0.1")) as url:
        text = message(mode, Client(url))
    assert text.startswith(f"Cannot connect to {url}: certificate not trusted (self-signed cert")
    assert text.endswith(
        f"{SENT} If your network's own authority signs certificates, name a file with its root"
        " certificate in the environment variable SSL_CERT_FILE, then try again."
    )


@pytest.mark.parametrize(
    ("host", "has_expired", "reason"),
    [
        ("127.0.0.2", False, "IP address mismatch, certificate is not valid for '127.0.0.1'"),
        ("127.0.0.1", True, "certificate has expired"),
    ],
)
def test_unsuitable_certificate(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    has_expired: bool,
    reason: str,
) -> None:
    """A certificate of another host, or an old one, is named as that, with the file of trust."""
    files = self_signed(tmp_path, host, has_expired=has_expired)
    monkeypatch.setenv("SSL_CERT_FILE", str(files.certificate))
    with tls_server(files) as url:
        text = message("sync", Client(url))
    assert f": certificate not trusted ({reason}). " in text
    assert f"environment variable SSL_CERT_FILE ({files.certificate}): check them" in text


def test_trusted_certificate(mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the right SSL_CERT_FILE the request is sent; the server that closes is named."""
    files = self_signed(tmp_path, "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(files.certificate))
    with tls_server(files) as url:
        text = message(mode, Client(url))
    assert text.startswith(f"POST /oauth/token failed: the connection to {url} broke (")


def test_no_tls() -> None:
    """A server that does not speak TLS is told from one with a wrong certificate."""

    def speak_plainly(peer: Peer) -> None:
        peer.send(answer(status=400))
        peer.read_to_end()

    with Wire(speak_plainly) as wire:
        text = message("sync", client_of(f"https://{wire.authority}"))
    assert text.startswith(f"Cannot connect to https://{wire.authority}: no TLS connection (")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such file or directory"),
        ("planted, no certificate", "it holds no certificate in the form of PEM"),
        ("", "it holds no certificate in the form of PEM"),
    ],
)
def test_unreadable_ssl_cert_file(
    mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None, reason: str
) -> None:
    """An SSL_CERT_FILE that cannot be used is named, with its path and the reason."""
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content, encoding="utf-8")
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    assert message(mode, Client("https://oauth.example")) == (
        f"Cannot read the certificates to trust from {path}: {reason}. Correct the environment"
        " variable SSL_CERT_FILE, or remove it."
    )


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
def test_proxy_that_is_down(mode: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A proxy of the environment is named with its variable, without its password."""
    with refusing() as authority:
        monkeypatch.setenv(name, f"http://user:planted@{authority}")
        assert message(mode, client_of("https://oauth.example")) == (
            f"Cannot connect to https://oauth.example through the proxy http://{authority}"
            f" ({name.upper()}): connection refused. {SENT} Check the proxy, or exclude the host"
            " from it in the variable NO_PROXY, then try again."
        )


def test_proxy_that_is_not_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy that the program has set is named without a variable."""
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example:3128")
    with refusing() as authority:
        arguments = {"proxy": f"http://user:planted@{authority}"}
        text = message("sync", client_of("https://oauth.example", httpx_args=arguments))
    assert f" through the proxy http://{authority}: connection refused." in text


def test_network_in_no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A network in NO_PROXY excludes nothing in httpx, and a failing proxy reminds of that."""
    monkeypatch.setenv("NO_PROXY", "localhost,10.0.0.0/8")
    with refusing() as authority:
        monkeypatch.setenv("HTTPS_PROXY", f"http://{authority}")
        text = message("sync", client_of("https://10.1.2.3"))
    assert "NO_PROXY (httpx reads no networks there, only names and single addresses)" in text


@pytest.mark.parametrize("entry", ["fe80::/10", "example.com:port"])
def test_unreadable_no_proxy(mode: str, monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    """An entry of NO_PROXY that httpx cannot read is named."""
    monkeypatch.setenv("NO_PROXY", f"localhost, {entry}")
    text = message(mode, client_of("https://oauth.example"))
    assert text.startswith(
        f"The environment variable NO_PROXY has an entry that httpx cannot read ({entry}). List"
    )


@pytest.mark.parametrize("name", ["ALL_PROXY", "https_proxy"])
def test_socks_without_its_package(mode: str, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """A SOCKS proxy names its variable, and the package that it needs."""
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv(name, "socks5://user:planted@127.0.0.1:1080")
    assert message(mode, client_of("https://oauth.example")) == (
        f"The environment variable {name.upper()} names a SOCKS proxy, which needs another package:"
        " pip install 'httpx[socks]'. Or name an http:// proxy."
    )


@pytest.mark.parametrize("status", [403, 407, 502])
def test_proxy_that_refuses(mode: str, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    """A proxy that opens no tunnel is named with its status; its text is not repeated."""
    with Wire(always(answer(status=status))) as wire:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:planted@{wire.authority}")
        text = message(mode, client_of("https://oauth.example"))
    assert text.startswith(
        f"Cannot connect to https://oauth.example through the proxy {wire.url} (HTTPS_PROXY): the"
        f" proxy rejected the connection (status {status}). {SENT}"
    )
    assert "Whatever" not in text


def test_time_limit_of_the_connection(mode: str) -> None:
    """A connection that takes too long says how long was waited."""
    timeout = httpx.Timeout(20, connect=0.05)
    with Wire(silent) as wire:
        text = message(mode, client_of(f"https://{wire.authority}", timeout=timeout))
    assert text.startswith(
        f"Cannot connect to https://{wire.authority}: no connection within 0.05 seconds. {SENT}"
    )


def test_time_limit_of_the_response(mode: str) -> None:
    """A response that takes too long names the host, and how long was waited."""
    with Wire(silent) as wire:
        text = message(mode, client_of(wire.url, timeout=httpx.Timeout(20, read=0.05)))
    assert text.startswith(
        f"POST /oauth/token timed out: no response from {wire.url} within 0.05 seconds. The"
        " service may have acted on it"
    )


def test_client_that_does_not_tell_its_proxy() -> None:
    """A failure is reported also where an httpx client does not tell its proxies."""

    class Hidden(httpx.Client):
        _transport_for_url: Any = None

        def send(self, request: httpx.Request, **_: object) -> NoReturn:
            del request
            raise httpx.ConnectError("planted") from ConnectionRefusedError(111, "planted")

    with Hidden() as own:
        client = Client("https://oauth.example").set_httpx_client(own)
        text = message("sync", client)
    assert text.startswith("Cannot connect to https://oauth.example: connection refused.")
