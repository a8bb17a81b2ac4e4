"""Which texts name an origin that a token or a secret may go to."""

from __future__ import annotations

import ipaddress
import re
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

import httpx
import httpx2
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pipedrive_oauth_client import (
    AsyncPipedriveOAuth,
    ConfigurationError,
    CorruptTokenError,
    PipedriveOAuth,
    Token,
)
from pipedrive_oauth_client._origins import (
    Origin,
    api_origin,
    is_api_domain,
    may_be_api,
    origin_of,
    parse_hosts,
    require_https,
    require_same_base_url,
)
from pipedrive_oauth_client.token_source import Bearer
from tests.support.flows import CREDENTIALS
from tests.support.sweep import found, visible
from tests.support.tls import UNTRUSTING
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


# --- Where secrets may go, and the many addresses that only look like it ---


ADDRESS: Final = "https://oauth.example"


# --- The API of a company ---


GOOD: Final = [
    "https://acme.pipedrive.com",
    "https://acme.pipedrive.com/",
    "https://acme.pipedrive.com:443",
    "https://acme.pipedrive.com:443/",
    "https://acme-2.eu.pipedrive.com",
    "https://api.pipedrive.com",
    "https://ACME.Pipedrive.COM",
    "HTTPS://acme.pipedrive.com",
    "https://xn--mnchen-3ya.pipedrive.com",
]

# An address of nobody, or one that is unclear; whatever the service, no token goes there.
MALFORMED: Final = [
    "",
    " ",
    "acme.pipedrive.com",
    "//acme.pipedrive.com",
    "https:acme.pipedrive.com",
    "https:/acme.pipedrive.com",
    "https:///acme.pipedrive.com",
    "https://",
    "https:// acme.pipedrive.com",
    " https://acme.pipedrive.com",
    "https://acme.pipedrive.com ",
    "https://acme.pipedrive.com\n",
    "https://acme.pipedrive.com\r\nX-Admin: 1",
    "https://acme.pipedrive.com\x00.evil.example",
    "https://acme.pipedrive.com\t",
    "https://\tacme.pipedrive.com",
    "http://acme.pipedrive.com",
    "HTTP://acme.pipedrive.com",
    "ftp://acme.pipedrive.com",
    "file://acme.pipedrive.com/etc/passwd",
    "javascript://acme.pipedrive.com/%0Aalert(1)",
    "wss://acme.pipedrive.com",
    "httpss://acme.pipedrive.com",
    # User information
    "https://evil.example@acme.pipedrive.com",
    "https://user:password@acme.pipedrive.com",
    "https://acme.pipedrive.com@evil.example",
    "https://acme.pipedrive.com:443@evil.example",
    "https://acme.pipedrive.com%40evil.example",
    "https://@acme.pipedrive.com",
    # Path, query and fragment
    "https://acme.pipedrive.com/api",
    "https://acme.pipedrive.com//",
    "https://acme.pipedrive.com/..",
    "https://acme.pipedrive.com?x=1",
    "https://acme.pipedrive.com#x",
    "https://evil.example?.pipedrive.com",
    "https://evil.example#.pipedrive.com",
    "https://evil.example/.pipedrive.com",
    # Backslashes, which browsers take for slashes and others do not
    "https://evil.example\\.pipedrive.com",
    "https://evil.example\\@acme.pipedrive.com",
    "https:\\\\acme.pipedrive.com",
    "https://acme.pipedrive.com\\",
    # Percent-encoding
    "https://acme.pipedrive.com%2f.evil.example",
    "https://acme.pipedrive.com%00",
    "https://acme%2epipedrive.com",
    # Ports
    "https://acme.pipedrive.com:",
    "https://acme.pipedrive.com:https",
    "https://acme.pipedrive.com:-1",
    "https://acme.pipedrive.com:443443",
    "https://acme.pipedrive.com:٤٤٣",
    # Letters and dots of other alphabets, some of which turn into these on the way
    "https://acme。pipedrive.com",
    "https://acme．pipedrive．com",
    "https://acme.pıpedrive.com",
    "https://acme.pİpedrive.com",
    "https://acmeſ.pipedrive.com",
    "https://acme\u212a.pipedrive.com",
    "https://acme.рipedrive.com",
    "https://ａcme.pipedrive.com",
    "https://münchen.pipedrive.com",
    "https://acme.pipedrive.com\u200b",
    "https://acme\u00ad.pipedrive.com",
    "https://evil.example／.pipedrive.com",
    "https://evil.example？.pipedrive.com",
    # Names that are none
    "https://.pipedrive.com",
    "https://acme..pipedrive.com",
    "https://..",
    "https://[2001:db8::1]",
    "https://[:::]",
    # Characters that no host name has
    "https://acme_x.pipedrive.com",
    "https://*.pipedrive.com",
    "https://acme,evil.example.pipedrive.com",
    "https://[::1].pipedrive.com",
    "https://acme.pipedrive.com,https://evil.example",
    "https://acme.pipedrive.com https://evil.example",
]

# A host that is somebody's, and not Pipedrive's.
FOREIGN: Final = [
    "https://evil.example",
    "https://evilpipedrive.com",
    "https://evil-pipedrive.com",
    "https://acme.evilpipedrive.com",
    "https://pipedrive.com.evil.example",
    "https://acme.pipedrive.com.evil.example",
    "https://acme.pipedrive.com-evil.example",
    "https://acme.pipedrive.comevil.example",
    "https://pipedrive.comm",
    "https://acme.pipedrive.co",
    "https://acme.pipedrive.org",
    "https://acmepipedrive.com",
    "https://acme.pipedrive-com",
    "https://xn--ppedrive-vkb.com",
    "https://acme.xn--ppedrive-vkb.com",
    "https://pipedrive.com",
    "https://127.0.0.1",
    "https://localhost",
    # Pipedrive's, in a form that it never sends
    "https://acme.pipedrive.com.",
    "https://acme.pipedrive.com:8443",
]


@pytest.mark.parametrize("domain", GOOD)
def test_a_host_of_pipedrive_is_api_domain(domain: str) -> None:
    """A company's own host over TLS, and nothing more than that."""
    assert is_api_domain(domain, any_host=False)
    assert is_api_domain(domain, any_host=True)


ODD_PORTS: Final = ["https://host:99999", "https://host:0", "https://host:65536"]


@pytest.mark.parametrize("domain", [*GOOD, *MALFORMED, *FOREIGN, *ODD_PORTS], ids=ascii)
@pytest.mark.parametrize("any_host", [False, True])
def test_what_arrives_can_be_sent_to(domain: str, any_host: bool) -> None:
    """What a response may name is a place to send the token to, so that no token is of no use."""
    is_sent = True
    try:
        token = Token(access_token="a", api_domain=domain, expires_at=NOW)
        bearer = Bearer(token, leeway=timedelta(0), now=NOW, hosts=frozenset())
        assert bearer.may_go_to(httpx.URL(domain))
    except CorruptTokenError:
        is_sent = False
    assert is_sent == is_api_domain(domain, any_host=True)
    assert is_sent or not is_api_domain(domain, any_host=any_host)
    assert not is_sent or api_origin(domain) == origin_of(httpx.URL(domain))
    assert not is_sent or may_be_api(origin_of(httpx.URL(domain))) == (domain in GOOD)


@pytest.mark.parametrize("domain", [*MALFORMED, *FOREIGN], ids=ascii)
def test_a_forged_host_is_refused(domain: str) -> None:
    """No token goes to a host that an answer names and that is not Pipedrive's."""
    assert not is_api_domain(domain, any_host=False)


@pytest.mark.parametrize("domain", FOREIGN)
def test_another_service_has_other_hosts(domain: str) -> None:
    """A flow that talks to a gateway or a sandbox takes the host that it is given, over TLS."""
    assert is_api_domain(domain, any_host=True)


@pytest.mark.parametrize("domain", MALFORMED, ids=ascii)
def test_another_service_can_not_have_any_address(domain: str) -> None:
    """What is malformed or in the clear is refused there as well."""
    assert not is_api_domain(domain, any_host=True)


LOCAL: Final = [
    "localhost",
    "LocalHost",
    "127.0.0.1",
    "127.1.2.3",
    "127.255.255.254",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
]
NOT_LOCAL: Final = [
    "0.0.0.0",  # noqa: S104 - it has to be refused
    "[::]",
    "10.0.0.1",
    "192.168.0.1",
    "169.254.169.254",
    "128.0.0.1",
    "126.255.255.255",
    "[fe80::1]",
    "[::2]",
    "[::ffff:10.0.0.1]",
    "oauth.pipedrive.com",
    "host.docker.internal",
    "127.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io",
    "localhost.evil.example",
    "evil-localhost",
    "evil.localhost",
    "localhost.localdomain",
    "localhost.",
    # Spellings of 127.0.0.1 that not everybody reads alike
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f.0.0.1",
]
NO_ADDRESSES: Final = ["0177.0.0.1", "127.0.0.01", "127.0.0.256", "127.0.0.-1"]


@pytest.mark.parametrize("host", LOCAL)
@pytest.mark.parametrize("port", ["", ":80", ":8765", ":65535"])
def test_this_machine_may_speak_in_the_clear(host: str, port: str) -> None:
    """A sandbox on the loopback has no certificate, and what goes there doesn't leave."""
    for end in ("", "/"):
        assert is_api_domain(f"http://{host}{port}{end}", any_host=True)
        assert is_api_domain(f"https://{host}{port}{end}", any_host=True)
        require_https(f"http://{host}{port}{end}")
    assert not is_api_domain(f"http://{host}{port}", any_host=False)


@pytest.mark.parametrize("host", [*NOT_LOCAL, *NO_ADDRESSES])
def test_no_api_on_another_machine_may_speak_in_the_clear(host: str) -> None:
    """A name that begins like the loopback's is any name."""
    assert not is_api_domain(f"http://{host}", any_host=True)
    assert not is_api_domain(f"http://{host}:8765/", any_host=True)


@pytest.mark.parametrize("host", NOT_LOCAL)
def test_no_service_on_another_machine_may_speak_in_the_clear(host: str) -> None:
    """The client's secret would be read by everybody on the way."""
    for base_url in (f"http://{host}", f"http://{host}:8765/path"):
        with pytest.raises(ConfigurationError, match=r"base_url must begin with https://"):
            require_https(base_url)


@pytest.mark.parametrize("kind", [PipedriveOAuth, AsyncPipedriveOAuth])
def test_a_flow_refuses_to_send_secrets_in_the_clear(
    kind: type[PipedriveOAuth | AsyncPipedriveOAuth],
) -> None:
    """It is refused where the flow is made, so that nothing is ever sent."""
    for host in (*NOT_LOCAL, *NO_ADDRESSES):
        with pytest.raises(ConfigurationError, match="base_url") as caught:
            kind(CREDENTIALS, base_url=f"http://{host}", retry=None)
        assert CREDENTIALS.client_secret not in visible(caught.value)
    for base_url in ("HTTP://oauth.pipedrive.com", "http://oauth.pipedrive.com:443"):
        with pytest.raises(ConfigurationError, match="base_url"):
            kind(CREDENTIALS, base_url=base_url, retry=None)
    for base_url in ("HTTPS://OAUTH.pipedrive.com", "https://0.0.0.0", "http://LOCALHOST:1"):
        assert kind(CREDENTIALS, base_url=base_url, retry=None).base_url == base_url


PIECES: Final = [
    "https://",
    "http://",
    "acme",
    "evil.example",
    ".pipedrive.com",
    "localhost",
    "127.0.0.1",
    "[::1]",
    ".",
    "-",
    "/",
    "\\",
    "@",
    ":",
    ":443",
    ":8443",
    "?",
    "#",
    "%2e",
    "\u3002",
    "ı",
    "ſ",
    "\n",
]
# Half of the time nothing odd, so that some of the addresses are good ones.
odd = st.lists(st.sampled_from(PIECES) | st.characters(exclude_categories=["Cs"]), max_size=4)
addresses = st.tuples(
    st.sampled_from(["https://", "http://", "HTTPS://", ""]),
    st.just("") | odd.map("".join),
    st.sampled_from(["acme", "127.0.0.1", "localhost", ""]),
    st.sampled_from([".pipedrive.com", ".example", ""]),
    st.sampled_from(["", "/", ":443", ":8443/"]) | odd.map("".join),
).map("".join)


@given(addresses)
@settings(deadline=None, max_examples=300)
def test_whatever_is_accepted_leads_to_pipedrive(domain: str) -> None:
    """Two parsers that disagree about much read every address that is let through alike."""
    if not is_api_domain(domain, any_host=False):
        return
    url, parts = httpx.URL(domain), urlsplit(domain)
    assert (url.scheme, url.userinfo, url.path, url.query, url.fragment) == (
        "https",
        b"",
        "/",
        b"",
        "",
    )
    assert url.host.endswith(".pipedrive.com")
    assert (parts.scheme, parts.hostname, parts.username) == ("https", url.host, None)
    assert {url.port, parts.port} <= {None, 443}


@given(addresses)
@settings(deadline=None, max_examples=300)
def test_whatever_is_accepted_is_encrypted_or_stays_here(domain: str) -> None:
    """For another service than Pipedrive's the host is free, and the rest is not."""
    if not is_api_domain(domain, any_host=True):
        return
    try:
        url, parts = httpx.URL(domain), urlsplit(domain)
    except httpx.InvalidURL:
        return  # an address such as 127.0.0.999, to which nothing can be sent
    assert (url.userinfo, url.path, url.query, url.fragment) == (b"", "/", b"", "")
    assert (parts.scheme, parts.hostname, parts.username) == (url.scheme, url.host, None)
    if url.scheme != "https":
        assert url.host == "localhost" or ipaddress.ip_address(url.host).is_loopback


# --- An httpx client of one's own ---


def client_of(base_url: str, kind: str) -> httpx.Client | httpx.AsyncClient:
    """Make an httpx client with a root of its own."""
    if kind == "sync":
        return httpx.Client(base_url=base_url, verify=UNTRUSTING)
    return httpx.AsyncClient(base_url=base_url, verify=UNTRUSTING)


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(
    ("own", "base_url"),
    [
        ("", ADDRESS),
        (ADDRESS, ADDRESS),
        (f"{ADDRESS}/", ADDRESS),
        ("https://OAUTH.example", ADDRESS),
        ("https://oauth.example:443", ADDRESS),
        (ADDRESS, "https://OAuth.Example"),
        (ADDRESS, "https://oauth.example:443"),
        (f"{ADDRESS}/gateway/", f"{ADDRESS}/gateway"),
        ("http://127.0.0.1:8765", "http://127.0.0.1:8765"),
    ],
)
def test_a_client_with_no_other_root_is_taken(kind: str, own: str, base_url: str) -> None:
    """The same root, however it is spelled, leads nowhere else."""
    require_same_base_url(client_of(own, kind), base_url)


@pytest.mark.parametrize("kind", ["sync", "async"])
@pytest.mark.parametrize(
    "own",
    [
        "https://evil.example",
        "http://oauth.example",
        "https://oauth.example:8443",
        "https://oauth.example/gateway",
        "https://oauth.example.evil.example",
        "https://user@oauth.example",
        "/oauth",
    ],
)
def test_a_client_with_another_root_is_refused(kind: str, own: str) -> None:
    """Requests would go to the client's own root in place of the flow's."""
    with pytest.raises(ConfigurationError, match="base_url of its own") as caught:
        require_same_base_url(client_of(own, kind), ADDRESS)
    assert "evil" not in visible(caught.value)


@pytest.mark.parametrize("own", ["https://evil.example", "https://oauth.pipedrive.com/v1"])
def test_a_flow_looks_at_the_client_that_it_is_given(own: str) -> None:
    """It is refused where the flow is made, so that nothing is ever sent."""
    with pytest.raises(ConfigurationError, match="base_url of its own"):
        PipedriveOAuth(
            CREDENTIALS, client=httpx.Client(base_url=own, verify=UNTRUSTING), retry=None
        )
    with pytest.raises(ConfigurationError, match="base_url of its own"):
        AsyncPipedriveOAuth(
            CREDENTIALS, client=httpx.AsyncClient(base_url=own, verify=UNTRUSTING), retry=None
        )
