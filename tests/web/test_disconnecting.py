from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from attrs import evolve

from pipedrive_oauth_client import (
    AppCredentials,
    ConfigurationError,
    PipedriveAuth,
    PipedriveOAuth,
    StoreError,
    Token,
)
from pipedrive_oauth_client.events import GrantEnded
from pipedrive_oauth_client.sandbox import DEFAULT_USER, OTHER_USER
from pipedrive_oauth_client.stores import MemoryTokenStore
from pipedrive_oauth_client.stores.leased import Lease
from pipedrive_oauth_client.web import SharingNotice, UninstallNotice, disconnect
from tests.support.auths import WatchedStore
from tests.web.conftest import CLIENT
from tests.web.sites import ASYNC_KINDS, ONE_OF_EACH, Build, Site


def basic(pair: str) -> str:
    """Give a Basic header."""
    return "Basic " + base64.b64encode(pair.encode()).decode()


RIGHT = {"Authorization": basic(f"{CLIENT.client_id}:{CLIENT.client_secret}")}
FIELDS: dict[str, Any] = {
    "client_id": CLIENT.client_id,
    "company_id": DEFAULT_USER.company_id,
    "user_id": DEFAULT_USER.id,
    "timestamp": "2026-01-31T12:00:00.000Z",
}


def notify(site: Site, content: Any = None, headers: Any = None, **changes: Any) -> httpx.Response:
    """Send a notice."""
    fields = {name: value for name, value in {**FIELDS, **changes}.items() if value != "missing"}
    body = json.dumps(fields) if content is None else content
    given = RIGHT if headers is None else headers
    return site.browser().send("DELETE", site.callback, content=body, headers=given)


def is_connected(site: Site) -> bool:
    """Tell whether the token is kept."""
    return site.store.load(DEFAULT_USER.account) is not None


@pytest.fixture
def connected(site: Site) -> Site:
    """An app with an account connected."""
    site.browser().connect()
    return site


def test_notice_of_the_service(build: Build) -> None:
    """The service's notice deletes the token of that account alone, and the app is told of it."""
    told: list[tuple[UninstallNotice, str | None]] = []
    site = build(uninstalled=lambda notice, account: told.append((notice, account)))
    for user in (DEFAULT_USER, OTHER_USER):
        site.browser().connect(user=user)
    notice = site.box.server.sandbox.uninstall(DEFAULT_USER, app=CLIENT)
    response = site.browser().send(
        "DELETE", notice.url, headers=notice.headers, content=notice.content
    )
    assert response.status_code == 200
    assert list(site.store.accounts()) == [OTHER_USER.account]
    ((said, account),) = told
    assert account == DEFAULT_USER.account == said.account
    assert (said.company_id, said.user_id) == (1, 11)
    assert said.at == site.box.clock()
    assert said.at.tzinfo is UTC


def test_a_notice_is_reported(build: Build) -> None:
    """As the end of the grant, once."""
    seen: list[object] = []
    site = build(on_event=seen.append)
    site.browser().connect()
    for _ in range(2):
        assert notify(site).status_code == 200
    account, now = DEFAULT_USER.account, site.box.clock()
    assert seen == [GrantEnded(account=account, at=now, error="uninstalled")]


def test_secrets_of_before(build: Build) -> None:
    """After a reset, a notice that shows the old secret is accepted as long as that is named."""
    old = {"Authorization": basic(f"{CLIENT.client_id}:the-old-secret")}
    assert notify(build(), headers=old).status_code == 401
    site = build(former_client_secrets=["the-older-secret", "the-old-secret"])
    site.browser().connect()
    assert notify(site, headers=old).status_code == 200
    assert not is_connected(site)
    assert notify(site).status_code == 200
    with pytest.raises(ConfigurationError, match="former_client_secrets"):
        build(former_client_secrets="the-old-secret")


def test_repeated_notice(connected: Site) -> None:
    """A notice that comes again, or for an account that nobody knows, does no harm."""
    assert [notify(connected).status_code for _ in range(3)] == [200, 200, 200]
    assert notify(connected, user_id=999).status_code == 200


WRONG_CREDENTIALS: dict[str, Any] = {
    "none": {},
    "empty": {"Authorization": ""},
    "another secret": {"Authorization": basic(f"{CLIENT.client_id}:wrong")},
    "another app": {"Authorization": basic(f"other:{CLIENT.client_secret}")},
    "the beginning": {"Authorization": RIGHT["Authorization"][:-1]},
    "more": {"Authorization": RIGHT["Authorization"] + "A"},
    "no scheme": {"Authorization": RIGHT["Authorization"].removeprefix("Basic ")},
    "another scheme": {"Authorization": RIGHT["Authorization"].replace("Basic", "Bearer")},
    "no ASCII": [(b"Authorization", "Basic Ω≈ç".encode())],
    "no UTF-8": [(b"Authorization", b"Basic \xff\xfe\x80")],
    "twice": [("Authorization", RIGHT["Authorization"])] * 2,
    "right and wrong": [("Authorization", RIGHT["Authorization"]), ("Authorization", "Basic x")],
    "wrong and right": [("Authorization", "Basic x"), ("Authorization", RIGHT["Authorization"])],
    "the placeholder": {"Authorization": basic("None:None")},
}


@pytest.mark.parametrize("headers", WRONG_CREDENTIALS.values(), ids=[*map(str, WRONG_CREDENTIALS)])
def test_wrong_credentials(connected: Site, headers: Any) -> None:
    """Whoever does not show the app's credentials is refused, and the token stays."""
    response = notify(connected, headers=headers)
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"].startswith("Basic ")
    assert CLIENT.client_id not in response.text + response.headers["WWW-Authenticate"]
    assert is_connected(connected)


def test_scheme_in_other_letters(connected: Site) -> None:
    """The scheme's name counts in any letters, with any number of blanks behind (RFC 7235)."""
    for scheme in ("bAsIc", "Basic  "):
        header = RIGHT["Authorization"].replace("Basic", scheme)
        assert notify(connected, headers={"Authorization": header}).status_code == 200


@pytest.mark.parametrize("content", [b"", b"hello", b"[" * 8_000, b'{"a": "\xff"}'])
def test_wrong_body(connected: Site, content: bytes) -> None:
    """A body that is no notice is refused, and the token stays."""
    assert notify(connected, content).status_code == 400
    assert is_connected(connected)


@pytest.mark.parametrize("client_id", ["another-app", "missing"])
def test_notice_for_another_app(connected: Site, client_id: str) -> None:
    """A notice for another app is refused, whoever sends it."""
    assert notify(connected, client_id=client_id).status_code == 400
    assert is_connected(connected)


def test_numbers_as_text(connected: Site) -> None:
    """Numbers may come as strings of digits, as they do elsewhere at the service."""
    assert notify(connected, company_id="1", user_id="11").status_code == 200
    assert not is_connected(connected)


@pytest.mark.parametrize("is_announced", [True, False])
def test_huge_body(connected: Site, kind: str, *, is_announced: bool) -> None:
    """A body of ten megabytes is refused as too long, whether its length was said before or not."""
    pieces = 0

    def parts() -> Iterator[bytes]:
        nonlocal pieces
        for _ in range(640):
            pieces += 1
            yield b" " * 16_384

    async def parts_async() -> AsyncIterator[bytes]:
        for part in parts():
            yield part

    content: Any = parts_async() if kind in ASYNC_KINDS else parts()
    headers = dict(RIGHT)
    if is_announced:
        headers["Content-Length"] = str(640 * 16_384)
    response = notify(connected, content, headers)
    # Without a length, a WSGI server gives no body to the app.
    is_seen = is_announced or kind in ASYNC_KINDS
    assert response.status_code == (413 if is_seen else 400)
    assert is_connected(connected)


@pytest.mark.parametrize("kind", ["starlette", "fastapi"], indirect=True)
def test_body_of_a_stranger_is_not_read(site: Site) -> None:
    """Nothing of a body is read before its sender is known."""
    asked = 0

    async def parts() -> AsyncIterator[bytes]:
        nonlocal asked
        asked += 1
        yield b"{}"

    assert notify(site, parts(), {}).status_code == 401
    assert asked == 0


def test_store_is_down(build: Build) -> None:
    """A store that does not work makes a 503, and the app is not told that a token is gone."""
    store = WatchedStore(MemoryTokenStore())
    told: list[Any] = []
    site = build(store=store, uninstalled=lambda *arguments: told.append(arguments))
    site.browser().connect()
    store.at("delete", StoreError("down"))
    assert notify(site).status_code == 503
    assert told == []
    assert notify(site).status_code == 200
    assert len(told) == 1


def test_hook_that_fails(build: Build) -> None:
    """What the app's function raises is its own; the token is gone by then."""

    def uninstalled(_notice: UninstallNotice, _account: str | None) -> None:
        raise KeyError("the app's own")

    site = build(uninstalled=uninstalled)
    site.browser().connect()
    with pytest.raises(KeyError):
        notify(site)
    assert not is_connected(site)


def test_app_that_knows_better(build: Build) -> None:
    """An app that knows of a later connection keeps the token, and is told of the notice."""
    told: list[str | None] = []
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    site = build(
        account_for=lambda _request, _token, user: user.account,
        account_of=lambda notice: notice.account if notice.at > noon else None,
        uninstalled=lambda _notice, account: told.append(account),
    )
    site.browser().connect()
    assert notify(site, timestamp="2026-01-31T12:00:00Z").status_code == 200
    assert is_connected(site)
    assert told == [None]


def test_notice_ends_what_is_in_use(connected: Site) -> None:
    """A request of the app after the notice finds no token; one in other hands dies at the API."""
    client = connected.client
    credentials = type(connected.box.credentials)(
        client.client_id, client.client_secret, client.redirect_uri
    )
    clock = connected.box.clock
    with PipedriveOAuth(credentials, base_url=connected.box.base_url, clock=clock) as oauth:
        auth = PipedriveAuth(oauth, connected.store, DEFAULT_USER.account)
        with httpx.Client(base_url=connected.box.base_url, auth=auth) as api:
            assert api.get("/api/v1/users/me").status_code == 200
            notice = connected.box.server.sandbox.uninstall(DEFAULT_USER, app=CLIENT)
            notify(connected, notice.content)
            with pytest.raises(StoreError):
                api.get("/api/v1/users/me")


SHARING = {"company_id": 1, "user_id": 11, "isShared": True}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def test_sharing(build: Build) -> None:
    """The POST after an install gets 200, and the app is told what it says, marked as a claim."""
    told: list[SharingNotice] = []
    site = build(sharing_changed=told.append)
    sent = site.box.server.sandbox.share(OTHER_USER, app=CLIENT, is_shared=False)
    posts: list[tuple[Any, Any]] = [
        (sent.content, sent.headers),
        (json.dumps(SHARING), RIGHT),
        ("company_id=1&user_id=11&isShared=true", FORM),
    ]
    for content, headers in posts:
        response = site.browser().send("POST", site.callback, content=content, headers=headers)
        assert (response.status_code, response.text) == (200, "")
    first = SharingNotice(company_id=2, user_id=22, is_shared=False, is_authenticated=False)
    other = evolve(first, company_id=1, user_id=11, is_shared=True)
    assert told == [first, evolve(other, is_authenticated=True), other]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"\xff",
        b"[1]",
        json.dumps({**SHARING, "user_id": 0}),
        json.dumps({**SHARING, "isShared": "perhaps"}),
        "&".join(f"a{number}=1" for number in range(200)),
    ],
)
@pytest.mark.parametrize("kind", ONE_OF_EACH, indirect=True)
def test_sharing_that_can_not_be_read(build: Build, content: Any) -> None:
    """A POST that says nothing gets 200 all the same, and the app is told nothing."""
    told: list[Any] = []
    site = build(sharing_changed=told.append)
    site.browser().connect()
    assert site.browser().send("POST", site.callback, content=content).status_code == 200
    assert site.browser().send("POST", site.callback, content=b" " * 17_000).status_code == 413
    assert (told, is_connected(site)) == ([], True)


def test_sharing_that_nobody_asked_for(site: Site) -> None:
    """An app without a function for it answers the POST as well, and a code in it is not used."""
    callback = site.browser().consent(site.browser().begin())
    assert site.browser().send("POST", callback, json=SHARING).status_code == 200
    assert site.box.requests.count(grant_type="authorization_code") == 0


TOKEN = Token(
    access_token="access",
    refresh_token="refresh",
    token_type="Bearer",
    scope="base",
    api_domain="https://acme.example",
    expires_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
)


class NotedStore(MemoryTokenStore):
    """A store that notes what is done with it."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []

    @contextmanager
    def lock(self, account: str) -> Generator[Lease]:
        """Note when the lock is taken and given back."""
        self.noted.append("locked")
        with super().lock(account) as lease:
            yield lease
        self.noted.append("unlocked")

    def delete(self, account: str) -> None:
        """Note that the token is deleted."""
        self.noted.append("deleted")
        super().delete(account)


@pytest.mark.parametrize(
    ("token", "revoked"),
    [(TOKEN, "refresh_token"), (evolve(TOKEN, refresh_token=None), "access_token")],
)
def test_order(token: Token, revoked: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No renewal comes in between: the grant ends and its token goes under the account's lock."""
    store = NotedStore()
    store.save("1:11", token)

    def revoke(_oauth: PipedriveOAuth, found: Token, hint: str) -> None:
        assert found == token
        store.noted.append(hint)

    monkeypatch.setattr(PipedriveOAuth, "revoke", revoke)
    credentials = AppCredentials("id", "secret", "https://app.example.com/callback")
    with PipedriveOAuth(credentials) as oauth:
        disconnect(oauth, store, "1:11")
    assert store.noted == ["locked", revoked, "deleted", "unlocked"]
