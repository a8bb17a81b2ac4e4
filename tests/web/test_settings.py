from __future__ import annotations

from collections.abc import Generator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from django.test import override_settings
from flask import Flask

from pipedrive_oauth_client import (
    AppCredentials,
    AsyncPipedriveOAuth,
    ConfigurationError,
    PipedriveOAuth,
)
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import DEFAULT_APP
from pipedrive_oauth_client.stores import MemoryTokenStore
from pipedrive_oauth_client.web.flask import PipedriveWeb as FlaskWeb
from pipedrive_oauth_client.web.starlette import PipedriveWeb
from tests.support.untyped import untyped
from tests.web.conftest import CLIENT
from tests.web.sites import KEY, KINDS, Build, made


async def asynchronous(*_arguments: Any) -> None:
    """Stand for a function of an app."""


class Awaitable:
    """Stands for what an asynchronous function gives."""

    def __await__(self) -> Generator[None, None, bool]:
        """Wait for nothing."""
        yield
        return False


class Asynchronous:
    """Stands for an object that is called, and gives something to be awaited."""

    async def __call__(self, *_arguments: Any) -> None:
        """Do nothing."""


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no key": ({"secret_keys": []}, "secret_keys"),
    "a key in place of a list": ({"secret_keys": KEY}, "secret_keys"),
    "a short key": ({"secret_keys": ["dev"]}, "secret_keys"),
    "a short key behind": ({"secret_keys": [KEY, "dev"]}, "secret_keys"),
    "a key of another type": ({"secret_keys": [7]}, "secret_keys"),
    "a place elsewhere": ({"after_connect": "//evil.example"}, "after_connect"),
    "an origin not named": ({"after_connect": "https://other.example/"}, "after_connect"),
    "no place": ({"after_connect": ""}, "after_connect"),
    "no origin": ({"return_origins": ["other.example"]}, "return_origins"),
    "no function": ({"connected": "hello"}, "connected"),
    "half of a pair": ({"account_for": lambda *_: "a"}, "account_of"),
    "the other half": ({"account_of": lambda _: "a"}, "account_for"),
    "a switch of text": ({"allow_marketplace_installs": "no"}, "allow_marketplace_installs"),
    "too short": ({"lifetime": timedelta(seconds=1)}, "lifetime"),
    "too long": ({"lifetime": timedelta(days=1)}, "lifetime"),
    "no time": ({"lifetime": 600}, "lifetime"),
}


@pytest.mark.parametrize(("settings", "name"), WRONG.values(), ids=WRONG.keys())
def test_wrong_setting(build: Build, kind: str, settings: dict[str, Any], name: str) -> None:
    """A setting that can't be right is refused when the app is made, by its name."""
    if settings == {"secret_keys": []} and kind not in {"starlette", "fastapi"}:
        return  # those two frameworks have a key of their own, which is taken
    with pytest.raises(ConfigurationError, match=f"(?i){name}"):
        build(**settings)


@pytest.mark.parametrize("kind", ["flask", "django"], indirect=True)
@pytest.mark.parametrize("function", [asynchronous, Asynchronous()])
def test_asynchronous_function_where_nobody_awaits_it(build: Build, function: Any) -> None:
    """A function that is asynchronous is refused where the framework is not."""
    with pytest.raises(ConfigurationError, match="connected must not be asynchronous"):
        build(connected=function).browser().get("/pipedrive/connect")


@pytest.mark.parametrize("kind", ["flask", "django"], indirect=True)
def test_function_that_gives_something_to_await(build: Build) -> None:
    """Where nobody awaits, what would have to be is no answer: it would count as a yes."""
    site = build(first_use=lambda *_: Awaitable())
    browser = site.browser()
    callback = browser.consent(browser.begin())
    with pytest.raises(ConfigurationError, match="must not be asynchronous"):
        browser.get(callback)
    assert list(site.store.accounts()) == []


@pytest.mark.parametrize("name", ["connected", "failed"])
def test_answer_of_another_kind(build: Build, kind: str, name: str) -> None:
    """What a function answers has to be a response of the framework, or the error says so."""
    site = build(**{name: lambda *_: {1, 2}})
    browser = site.browser()
    callback = browser.consent(browser.begin(), approve=name == "connected")
    with pytest.raises(TypeError if kind == "flask" else ConfigurationError, match="set"):
        browser.get(callback)


@pytest.mark.parametrize("kind", ["flask", "django"], indirect=True)
@pytest.mark.parametrize("fallbacks", [[], [KEY]])
def test_short_key_of_the_framework(box: PipedriveSandbox, kind: str, fallbacks: list[str]) -> None:
    """The framework's own key has to be as long as any other that signs cookies."""
    if kind == "flask":
        app = Flask("tests.web")
        app.config.update(SECRET_KEY="dev", SECRET_KEY_FALLBACKS=fallbacks)
        credentials = AppCredentials("id", "secret", CLIENT.redirect_uri)
        with (
            PipedriveOAuth(credentials) as oauth,
            pytest.raises(ConfigurationError, match="SECRET_KEY"),
        ):
            FlaskWeb().init_app(app, store=MemoryTokenStore(), oauth=oauth)
        return
    with (
        override_settings(SECRET_KEY="dev", SECRET_KEY_FALLBACKS=fallbacks),
        pytest.raises(ConfigurationError, match="SECRET_KEY"),
        made("django", box, CLIENT, MemoryTokenStore(), secret_keys=[]),
    ):
        pass


def starlette(**changes: Any) -> Any:
    """Make the routes of Starlette with other arguments."""
    credentials = AppCredentials(CLIENT.client_id, CLIENT.client_secret, CLIENT.redirect_uri)
    arguments = {
        "oauth": AsyncPipedriveOAuth(credentials),
        "store": MemoryTokenStore(),
        "secret_keys": [KEY],
        **changes,
    }
    return untyped(PipedriveWeb)(**arguments)


ELSEWHERE = AppCredentials("id", "secret", "https://app.example.com/oauth/return")


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"oauth": ELSEWHERE}, "oauth"),
        ({"name": "pipe.drive"}, "name"),
        ({"name": ""}, "name"),
        ({"store": MemoryTokenStore}, "store"),
        ({"api_client": "httpx"}, "api_client"),
        ({"start_path": "connect"}, "start_path"),
        ({"callback_path": "callback"}, "callback_path"),
        ({"start_path": "/callback"}, "three different paths"),
        ({"install_path": "/connect"}, "three different paths"),
        ({"install_path": "install"}, "install_path"),
        ({"oauth": AsyncPipedriveOAuth(ELSEWHERE)}, "callback_path"),
    ],
)
def test_wrong_argument(changes: dict[str, Any], name: str) -> None:
    """What the routes are made of is checked, and that the redirect URI leads to them."""
    with pytest.raises(ConfigurationError, match=name):
        starlette(**changes)


@pytest.mark.parametrize(
    ("kind", "redirect_uri"),
    [
        *((kind, "http://app.example.com/pipedrive/callback") for kind in KINDS),
        ("starlette", "HTTP://localhost.example.com/pipedrive/callback"),
        ("starlette", "http://127.0.0.1.example.com/pipedrive/callback"),
        ("starlette", "myapp://localhost/pipedrive/callback"),
    ],
    indirect=["kind"],
)
def test_redirect_uri_without_encryption(build: Build, redirect_uri: str) -> None:
    """Codes and cookies that would travel unencrypted are refused when the app is made."""
    client = SimpleNamespace(client_id="id", client_secret="secret", redirect_uri=redirect_uri)
    with pytest.raises(ConfigurationError, match="redirect_uri must begin with https://"):
        build(client)


@pytest.mark.parametrize("host", ["localhost:1", "127.0.0.9", "[::1]:8123"])
def test_redirect_uri_of_this_machine(host: str) -> None:
    """On this machine nothing has to be encrypted."""
    credentials = AppCredentials("id", "secret", f"http://{host}/callback")
    assert starlette(oauth=AsyncPipedriveOAuth(credentials)).routes


def test_client_for_coroutines_alone() -> None:
    """A client that refreshes can't be made from is refused with the flow, not at first use."""
    credentials = AppCredentials(CLIENT.client_id, CLIENT.client_secret, CLIENT.redirect_uri)
    own = httpx.AsyncClient()
    with pytest.raises(ConfigurationError, match=r"PipedriveOAuth with an httpx\.Client"):
        starlette(oauth=AsyncPipedriveOAuth(credentials, client=own))


def test_client_with_a_base_url(box: PipedriveSandbox, kind: str) -> None:
    """A client that can't reach the API of the token's user is refused, too."""
    with (
        httpx.Client(base_url=box.base_url) as own,
        pytest.raises(ConfigurationError, match="base_url"),
        made(kind, box, CLIENT, MemoryTokenStore(), own_client=own),
    ):
        pass


def test_other_paths() -> None:
    """The routes go where the app's own redirect URI leads."""
    web = starlette(oauth=AsyncPipedriveOAuth(ELSEWHERE), callback_path="/return", start_path="/go")
    assert [route.path for route in web.routes] == ["/go", "/return", "/install"]


def test_redirect_uri_of_the_sandbox() -> None:
    """The sandbox's own app, whose redirect URI ends in /callback, fits without a setting."""
    app = DEFAULT_APP
    credentials = AppCredentials(app.client_id, app.client_secret, app.redirect_uri)
    assert starlette(oauth=AsyncPipedriveOAuth(credentials)).routes
