"""Which texts name a place that a token may go to, and what the token's own place lets in."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import httpx
import httpx2
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipedrive_oauth_client import ConfigurationError, CorruptTokenError, Token
from pipedrive_oauth_client._origins import Origin, api_origin, origin_of, parse_hosts
from pipedrive_oauth_client.token_source import Bearer
from tests.support.sweep import found, visible
from tests.support.untyped import untyped

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOME: Final = "acme.pipedrive.com"

ACCEPTED: Final[dict[str, Origin]] = {
    "acme.pipedrive.com": ("https", b"acme.pipedrive.com", None),
    "ACME.Pipedrive.COM": ("https", b"acme.pipedrive.com", None),
    "acme.pipedrive.com.": ("https", b"acme.pipedrive.com.", None),
    "acme.com/": ("https", b"acme.com", None),
    "acme.com:443": ("https", b"acme.com", None),
    "acme.com:8443": ("https", b"acme.com", 8443),
    "acme.com:65535": ("https", b"acme.com", 65535),
    "https://acme.com": ("https", b"acme.com", None),
    "HTTPS://ACME.com:0443/": ("https", b"acme.com", None),
    "https://acme.com:80": ("https", b"acme.com", 80),
    "localhost": ("https", b"localhost", None),
    "a_b.internal": ("https", b"a_b.internal", None),
    "192.0.2.7:8443": ("https", b"192.0.2.7", 8443),
    "[2001:db8::1]": ("https", b"2001:db8::1", None),
    "https://[2001:db8::1]:8443": ("https", b"2001:db8::1", 8443),
    "bücher.example": ("https", b"xn--bcher-kva.example", None),
    "BÜCHER.example": ("https", b"xn--bcher-kva.example", None),
    "xn--bcher-kva.example": ("https", b"xn--bcher-kva.example", None),
    "http://127.0.0.1:8000": ("http", b"127.0.0.1", 8000),
    "http://127.9.9.9": ("http", b"127.9.9.9", None),
    "http://localhost:80": ("http", b"localhost", None),
    "HTTP://LOCALHOST": ("http", b"localhost", None),
    "http://[::1]:8000/": ("http", b"::1", 8000),
}

REFUSED: Final = (
    "",
    " ",
    "https://",
    "https:///",
    "https:acme.com",
    "//acme.com",
    "ftp://acme.com",
    "file:///etc/passwd",
    "javascript://acme.com",
    "https://https://acme.com",
    "acme.com/v1",
    "acme.com//",
    "acme.com/.",
    "acme.com?",
    "acme.com?x=1",
    "acme.com#",
    "acme.com#top",
    "person@acme.com",
    "person:pw@acme.com",
    "@acme.com",
    "*",
    "*.acme.com",
    "acme.*",
    "acme.com,other.com",
    "acme.com;other.com",
    "acme.com other.com",
    " acme.com",
    "acme.com ",
    "acme.com\n",
    "\tacme.com",
    "acme.com\x00",
    "acme\x7f.com",
    "a\u200bcme.com",
    "a\u00a0cme.com",
    "acme.com\\",
    "acme.com\\@evil.example",
    "https:\\\\acme.com",
    "%61cme.com",
    "acme%2ecom",
    "acme.com:",
    "acme.com:0",
    "acme.com:65536",
    "acme.com:-1",
    "acme.com:+443",
    "acme.com: 443",
    "acme.com:https",
    "acme.com:\u0664\u0664\u0663",
    "acme.com:443:443",
    ".acme.com",
    "acme..com",
    "::1",
    "[::1",
    "[acme.com]",
    "[127.0.0.1]",
    "[fe80::1%25eth0]",
    "999.1.1.1",
    "http://acme.com",
    "http://acme.com:443",
    "http://127.0.0.1.evil.com",
    "http://localhost.evil.com",
    "http://localhost@evil.com",
    "http://evil.com#localhost",
    "http://localhost.",
    "http://127.1",
    "http://2130706433",
    "http://0.0.0.0",
    "http://192.168.0.1",
    "http://[2001:db8::1]",
    "http://\uff4cocalhost",
)


@pytest.mark.parametrize(("text", "expected"), ACCEPTED.items(), ids=ACCEPTED)
def test_hosts_and_origins_are_read(text: str, expected: Origin) -> None:
    """A host stands for https and the usual port, and an origin for itself."""
    assert parse_hosts([text]) == {expected}


@pytest.mark.parametrize(("text", "expected"), ACCEPTED.items(), ids=ACCEPTED)
def test_an_origin_is_the_one_of_the_urls_that_are_requested(text: str, expected: Origin) -> None:
    """What is accepted is found again in a request of either library to it."""
    address = text if "://" in text else f"https://{text}"
    assert origin_of(httpx.URL(address).join("/api/v1/users/me?x=1#y")) == expected
    assert origin_of(httpx2.URL(address).join("/api/v1/users/me?x=1#y")) == expected


@pytest.mark.parametrize("text", REFUSED, ids=ascii)
def test_anything_else_is_refused(text: str) -> None:
    """What is no host and no origin, or would be read on the way, is an error that says so."""
    with pytest.raises(ConfigurationError, match="hosts must name hosts"):
        parse_hosts(["acme.com", text])


@pytest.mark.parametrize(
    "hosts", ["acme.com", b"acme.com", "", None, 7, [b"acme.com"], [None], [["acme.com"]]], ids=repr
)
def test_something_else_than_a_list_of_strings_is_refused(hosts: object) -> None:
    """A single string is not taken for a list of letters, and the error names the argument."""
    with pytest.raises(ConfigurationError, match=r"^hosts must be"):
        untyped(parse_hosts)(hosts)


def test_half_of_a_surrogate_pair_is_refused() -> None:
    """What can't be encoded ends in the error of this package."""
    with pytest.raises(ConfigurationError, match="hosts is not valid Unicode"):
        parse_hosts(["acme\ud800.com"])


def test_any_iterable_names_hosts() -> None:
    """A generator does, a set does, and none at all is fine; names of one origin are one."""
    assert parse_hosts(f"{name}.com" for name in "ab") == parse_hosts({"a.com", "b.com"})
    assert parse_hosts([]) == frozenset()
    assert len(parse_hosts(["acme.com", "https://ACME.com:443/"])) == 1


@given(st.text() | st.from_regex(r"(https?://)?[a-z.:\[\]@\\/%*0-9 -]{0,20}", fullmatch=True))
def test_whatever_is_accepted_is_a_place_on_a_safe_line(text: str) -> None:
    """No text ends in another error or in an origin with anything odd about it."""
    try:
        ((scheme, host, port),) = parse_hosts([text])
    except ConfigurationError:
        return
    assert re.fullmatch(rb"[a-z0-9_.-]+|[0-9a-f:.]+", host)
    assert port is None or 0 < port < 65536
    assert scheme == "https" or host in (b"localhost", b"::1") or host.startswith(b"127.")


LABELS: Final = st.sampled_from(["acme", "acme.pipedrive", "evil", "localhost", "127.0.0.1"])
URLS: Final = st.tuples(
    st.sampled_from(["http", "https", "HTTPS"]),
    st.builds("{}{}".format, LABELS, st.sampled_from(["", ".com", ".COM", ".com.", ".com.evil"])),
    st.sampled_from([None, 80, 443, 8443]),
)


@given(URLS, URLS)
def test_two_urls_are_of_one_origin_if_scheme_host_and_port_are_one(
    one: tuple[str, str, int | None], other: tuple[str, str, int | None]
) -> None:
    """Upper case and a port that goes without saying make no difference; all else does."""

    def meant(parts: tuple[str, str, int | None]) -> tuple[str, str, int]:
        scheme, host, port = parts[0].lower(), parts[1].lower(), parts[2]
        return scheme, host, port or {"http": 80, "https": 443}[scheme]

    def spelled(parts: tuple[str, str, int | None]) -> httpx.URL:
        scheme, host, port = parts
        return httpx.URL(f"{scheme}://{host}{'' if port is None else f':{port}'}/path")

    assert (origin_of(spelled(one)) == origin_of(spelled(other))) == (meant(one) == meant(other))


ODD: Final = st.text(st.sampled_from("acme.pipedrive.com@\\/:#?%2e[]*x0 \t\u3002\uff0e\u212a"))


@given(ODD, ODD, ODD)
@example("", "", "")
@example("person:pw@", "", ":443")
@example("evil.example/", "", "")
@example("evil.example\\@", "", "")
@example("", ".evil.example", "")
@example("", "@evil.example", "")
@example("", "\\@evil.example", "")
@example("", "", ":444")
def test_nothing_but_the_exact_origin_gets_the_token(before: str, behind: str, port: str) -> None:
    """However a URL is bent, an independent reader finds the token's own host in it."""
    token = Token(access_token="a", api_domain=f"https://{HOME}", expires_at=NOW)
    bearer = Bearer(token, leeway=timedelta(0), now=NOW, hosts=frozenset())
    text = f"https://{before}{HOME}{behind}{port}"
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        return
    if not bearer.may_go_to(url):
        assert (before, behind, port) != ("", "", "")
        return
    read = urlsplit(str(url))
    assert (read.scheme, read.hostname, read.port or 443) == ("https", HOME, 443)


@pytest.mark.parametrize(
    "address",
    [
        f"http://{HOME}",
        f"https://{HOME}:8443",
        f"https://{HOME}.",
        f"https://{HOME}.evil.example",
        f"https://evil.example/{HOME}",
        f"https://evil.example?{HOME}",
        f"https://{HOME}@evil.example",
        f"https://{HOME}\\@evil.example",
        f"https://{HOME}:443@evil.example",
        "https://pipedrive.com",
        "https://other.pipedrive.com",
        "https://x.acme.pipedrive.com",
        "https://acme.pipedrive.co",
        "https://acme-pipedrive.com",
        "wss://acme.pipedrive.com",
        "/api/v1/users/me",
    ],
)
def test_neighbours_of_the_api_do_not_get_the_token(address: str) -> None:
    """Neither a subdomain, nor the domain above, nor another port or scheme is the same origin."""
    token = Token(access_token="a", api_domain=f"https://{HOME}", expires_at=NOW)
    bearer = Bearer(token, leeway=timedelta(0), now=NOW, hosts=frozenset())
    assert bearer.may_go_to(httpx.URL(f"https://{HOME}/api"))
    assert not bearer.may_go_to(httpx.URL(address))


@pytest.mark.parametrize(
    "api_domain",
    ["https://acme.pipedrive.com", "https://ACME.pipedrive.com/", "http://127.0.0.1:8000"],
)
def test_a_stored_api_domain_is_read(api_domain: str) -> None:
    """It is what the service sends, with a slash or without."""
    assert api_origin(api_domain) == origin_of(httpx.URL(api_domain))


@pytest.mark.parametrize(
    "api_domain",
    ["", "api-secret-1b9d", "http://acme.com", "https://u:api-secret-1b9d@acme.com"],
)
def test_a_strange_stored_api_domain_is_corrupt(api_domain: str) -> None:
    """The error says what to do and repeats nothing of what is stored."""
    assert api_origin(api_domain) is None
    token = Token(access_token="a", api_domain=api_domain, expires_at=NOW)
    with pytest.raises(CorruptTokenError, match="authorize the app again") as caught:
        Bearer(token, leeway=timedelta(0), now=NOW, hosts=frozenset())
    assert found(visible(caught.value), ["api-secret-1b9d"]) == []
