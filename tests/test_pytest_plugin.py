"""The fixture that other projects get by installing the extra `sandbox`."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from pipedrive_oauth_client import (
    AppCredentials,
    AuthorizationDeniedError,
    InvalidGrantError,
    PipedriveOAuth,
    RateLimitedError,
)
from pipedrive_oauth_client.sandbox import OTHER_USER, Fault

if TYPE_CHECKING:
    from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox

FOREIGN = """
import pytest


@pytest.fixture
def pipedrive_redirect_uri():
    return "https://testserver/pipedrive/callback"


def test_app(pipedrive_sandbox):
    uri = pipedrive_sandbox.credentials.redirect_uri
    assert uri == pipedrive_sandbox.environment["PIPEDRIVE_REDIRECT_URI"]
    assert pipedrive_sandbox.authorize().startswith("https://testserver/pipedrive/callback?code=")


@pytest.mark.parametrize("pipedrive_redirect_uri", ["http://localhost:5000/back"])
def test_other(pipedrive_sandbox):
    assert pipedrive_sandbox.authorize().startswith("http://localhost:5000/back?code=")
"""


def test_a_foreign_project_finds_the_fixture(tmp_path: Path) -> None:
    """Tests of another project use the fixture without setup, with a redirect URI of their own."""
    (tmp_path / "test_app.py").write_text(FOREIGN, encoding="utf-8")
    # Plugins of other projects only make pytest start slowly here.
    without = [f"-pno:{name}" for name in ("cacheprovider", "hypothesispytest", "anyio", "xdist")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", *without, str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


def test_variables_are_those_that_apps_read(pipedrive_sandbox: PipedriveSandbox) -> None:
    """The environment of the fixture is what an app reads its settings from."""
    environment = pipedrive_sandbox.environment
    assert AppCredentials.from_env(environment) == pipedrive_sandbox.credentials
    assert environment["PIPEDRIVE_BASE_URL"] == pipedrive_sandbox.base_url


def test_the_plugin_imports_nothing_of_the_extra() -> None:
    """Loading the plugin imports nothing of the extra; only the fixture needs it."""
    (plugin,) = entry_points(group="pytest11", name="pipedrive_oauth_client")
    code = (
        f"import {plugin.value}, sys;"
        "print([name for name in ('starlette', 'uvicorn', 'jinja2') if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"


def test_a_decline_is_a_callback_with_an_error(pipedrive_sandbox: PipedriveSandbox) -> None:
    """`authorize(approve=False)` returns a callback with an error, and nothing is exchanged."""
    callback = pipedrive_sandbox.authorize(approve=False, state="s")
    oauth = PipedriveOAuth(pipedrive_sandbox.credentials, base_url=pipedrive_sandbox.base_url)
    with pytest.raises(AuthorizationDeniedError):
        oauth.read_callback(callback, "s")
    assert pipedrive_sandbox.requests.count(path="/oauth/token") == 0


def test_time_and_faults_are_the_tests(pipedrive_sandbox: PipedriveSandbox) -> None:
    """The clock expires tokens, a fault is met once, and any user may decide."""
    clock = pipedrive_sandbox.clock
    with PipedriveOAuth(
        pipedrive_sandbox.credentials, base_url=pipedrive_sandbox.base_url, retry=None, clock=clock
    ) as oauth:
        callback = pipedrive_sandbox.authorize(user=OTHER_USER, state="s")
        token = oauth.exchange(oauth.read_callback(callback, "s"))
        headers = {"Authorization": f"Bearer {token.access_token}"}
        address = f"{token.api_domain}/api/v1/users/me"
        assert httpx.get(address, headers=headers).json()["data"]["name"] == OTHER_USER.name
        clock.advance(timedelta(hours=2))
        assert token.is_stale(now=clock())
        assert httpx.get(address, headers=headers).status_code == 401

        pipedrive_sandbox.faults.add("/oauth/token/", Fault.status(429, retry_after=7))
        with pytest.raises(RateLimitedError) as caught:
            oauth.refresh(token)
        assert caught.value.retry_after == timedelta(seconds=7)
        token = oauth.refresh(token)
        clock.advance(timedelta(days=61))
        with pytest.raises(InvalidGrantError):
            oauth.refresh(token)
