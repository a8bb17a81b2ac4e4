from __future__ import annotations

from typing import Any

import pytest

from pipedrive_oauth_client import ConfigurationError, PipedriveOAuth
from pipedrive_oauth_client.web.messages import WebRequest
from pipedrive_oauth_client.web.redirect_targets import RedirectTargets
from pipedrive_oauth_client.web.settings import WebCore, WebSettings
from tests.support.flows import CREDENTIALS
from tests.support.untyped import untyped

ELSEWHERE = [
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "\\/evil.example",
    "/a\\..\\evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "/\r\nSet-Cookie: a=b",
    "\t//evil.example",
    " //evil.example",
    "/\x00/evil.example",
    "/\x85/evil.example",
    "/\u2028/evil.example",
    "/%2fevil.example",
    "/%2Fevil.example",
    "/%5cevil.example",
    "/%252fevil.example",
    "/%25252fevil.example",
    "/%2525252525252525252fevil.example",
    "/%09/evil.example",
    "/%0d%0aLocation:%20https://evil.example",
    "/..//evil.example",
    "/./%2fevil.example",
    "https://evil.example",
    "https:evil.example",
    "https:/evil.example",
    "HTTPS://evil.example",
    "https://app.example.com.evil.example",
    "https://app.example.com@evil.example",
    "https://app.example.com:8443/",
    "https://app.example.com\\@evil.example",
    "https://app.example.com\t@evil.example",
    "\nhttps://app.example.com/",
    "\uff0f\uff0fevil.example",
    "http://app.example.com/",
    "javascript:alert(1)",
    "javascript://app.example.com/%0aalert(1)",
    "data:text/html,x",
    "evil.example",
    "deals",
    "?next=/deals",
    "#there",
    "",
    "/\udcff",
    "/" + "a" * 500,
    "/" + "\u00e4" * 100,
]


@pytest.mark.parametrize("address", ELSEWHERE, ids=ascii)
def test_elsewhere(address: str) -> None:
    """An address that does not plainly lead where it may is not gone to."""
    assert RedirectTargets(["https://app.example.com"]).allowed(address) is None


@pytest.mark.parametrize(
    ("address", "plain"),
    [
        ("/", "/"),
        ("/deals", "/deals"),
        ("/deals?url=https://other.example//x", "/deals?url=https://other.example//x"),
        ("/deals#//x", "/deals#//x"),
        ("/a%20b/c%2Bd", "/a%20b/c%2Bd"),
        ("/a b?c=\\\r\n", "/a%20b?c=%5C%0D%0A"),
        ("/\u00e4/\u2603", "/%C3%A4/%E2%98%83"),
        ("/100%", "/100%"),
        ('/"quoted"<>', "/%22quoted%22%3C%3E"),
        ("https://app.example.com", "https://app.example.com"),
        ("https://app.example.com/in?a=b", "https://app.example.com/in?a=b"),
        ("https://app.example.com?a=b", "https://app.example.com?a=b"),
        ("https://app.example.com#a", "https://app.example.com#a"),
    ],
)
def test_inside(address: str, plain: str) -> None:
    """A path of the app, or an address of a named origin, is gone to, in ASCII."""
    assert RedirectTargets(["https://app.example.com/"]).allowed(address) == plain


def test_no_address() -> None:
    """Where no address was named, there is none."""
    assert RedirectTargets().allowed(None) is None


@pytest.mark.parametrize(
    "origins",
    [
        "https://app.example.com",
        ["app.example.com"],
        ["https://app.example.com/in"],
        [""],
        [7],
        ["http://app.example.com"],
        ["https://*.example.com"],
        ["javascript://x"],
    ],
)
def test_what_is_no_origin(origins: object) -> None:
    """What is no list of origins is refused."""
    with pytest.raises(ConfigurationError, match=r"return_origins|hosts"):
        untyped(RedirectTargets)(origins)


@pytest.mark.parametrize(
    ("root", "location"),
    [
        ("", "/deals"),
        ("/", "/deals"),
        ("//", "/deals"),
        ("/crm/", "/crm/deals"),
        ("crm", "/crm/deals"),
        ("//evil.example", "/evil.example/deals"),
        ("/\\evil.example", "/evil.example/deals"),
        ("\\/evil.example", "/evil.example/deals"),
        ("/crm//evil", "/deals"),
        ("/\t/evil.example", "/deals"),
        ("/%2f/evil", "/deals"),
        ("/a" * 300, "/deals"),
    ],
)
def test_root_is_normalized(root: str, location: str) -> None:
    """Whatever a server or a proxy says the root is, a browser stays at this site."""
    request = WebRequest(
        method="GET",
        query="",
        cookies={},
        header=lambda _: [],
        start=f"{root}/pipedrive/connect",
        root=root,
        native=None,
        read_body=lambda _: None,
    )
    settings = WebSettings[Any, Any](secret_keys=["k" * 20], after_connect="/deals")
    core = WebCore(PipedriveOAuth(CREDENTIALS), settings)
    assert core.return_to(None, request.root) == location
    assert request.start.startswith("/")
    assert not request.start.startswith(("//", "/\\"))
