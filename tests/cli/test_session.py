"""A whole session of a user: a shell in a pseudo-terminal and a real browser."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from attrs import evolve

from pipedrive_oauth_client import Token
from pipedrive_oauth_client.sandbox import DEFAULT_USER, SandboxServer
from pipedrive_oauth_client.stores import FileTokenStore
from tests.browser.conftest import browser, chromium
from tests.browser.driver import Browser
from tests.cli.conftest import SECRET
from tests.cli.screen import Screen, shell
from tests.support.sweep import found
from tests.support.time_limits import read_fifo

__all__ = ["browser", "chromium"]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def shell_environ(environ: dict[str, str], tmp_path: Path) -> dict[str, str]:
    """The environment of a shell with the command, and a browser that writes its URL to a pipe."""
    opened = tmp_path / "opened"
    os.mkfifo(opened)
    script = tmp_path / "browser"
    script.write_text(
        f'#!/bin/sh\nprintf "%s\\n" "$1" > {shlex.quote(str(opened))}\n', encoding="utf-8"
    )
    script.chmod(0o755)
    tool = tmp_path / "pipedrive-oauth"
    python, root = shlex.quote(sys.executable), shlex.quote(str(ROOT))
    tool.write_text(
        f'#!/bin/sh\nPYTHONPATH={root} exec {python} -m pipedrive_oauth_client.cli "$@"\n',
        encoding="utf-8",
    )
    tool.chmod(0o755)
    return {
        **environ,
        "BROWSER": f"{shlex.quote(str(script))} %s",
        "HOME": str(tmp_path),
        "LANG": "C.UTF-8",
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "no_proxy": "127.0.0.1",
    }


@pytest.fixture
def screen(shell_environ: dict[str, str], tmp_path: Path) -> Iterator[Screen]:
    """A shell with a hundred columns."""
    with shell(shell_environ, tmp_path) as shown:
        yield shown


def opened_url(tmp_path: Path) -> str:
    """Return the URL that the command has opened in the browser."""
    return read_fifo(tmp_path / "opened").strip()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl, which a script uses, is not here")
def test_whole_session(
    screen: Screen, browser: Browser, box: SandboxServer, store: FileTokenStore, tmp_path: Path
) -> None:
    """Login in Chromium, status, the token with curl, refresh and revoke all work; none shows it.

    The only secrets on the screen are those of `token` and `header`.
    """
    before = len(screen.shown)
    screen.type("pipedrive-oauth login\n")
    browser.open(opened_url(tmp_path))
    browser.button("Allow and install").click()
    callback = browser.arrive(box.app.redirect_uri)
    browser.wait(lambda: browser.driver.title == "You are logged in")
    assert "go back to the terminal" in browser.text()
    assert browser.complaints() == []
    shown = screen.rest(before)
    assert "Waiting for your decision in the browser." in shown
    assert "Logged in: Alex Moreno of Acme. Saved as 1:11 in file " in shown.replace("\n", "")
    first = store.load("1:11")
    assert first is not None

    shown = screen.run("pipedrive-oauth status")
    assert re.search(r"1:11 +valid +127\.0\.0\.1:\d+ +expires in 59 minutes +59 days left", shown)

    shown = screen.run(
        'curl -s -H "Authorization: Bearer $(pipedrive-oauth token)"'
        f" {box.base_url}/api/v1/users/me"
    )
    assert '"name":"Alex Moreno"' in shown.replace('": "', '":"')

    assert "Refreshed 1:11; the access token expires in 59 minutes." in screen.run(
        "pipedrive-oauth refresh"
    )
    second = store.load("1:11")
    assert second is not None
    assert second != first
    screen.run("pipedrive-oauth refresh --all --older-than 0d")

    before = len(screen.shown)
    screen.type("pipedrive-oauth revoke\n")
    screen.wait_for(
        r"Revoke the grant of 1:11, and uninstall the app there\? \[y/N\] ", after=before
    )
    screen.type("y\n")
    assert "Revoked 1:11; its token is deleted from file " in screen.rest(before)
    assert not box.sandbox.is_installed(DEFAULT_USER)
    assert "No accounts in " in screen.run("pipedrive-oauth status")

    code = parse_qs(urlsplit(callback).query)["code"][0]
    tokens = [
        each for token in (first, second) for each in (token.access_token, token.refresh_token)
    ]
    assert found(screen.shown, [SECRET, code, *filter(None, tokens)]) == []


def test_declining_in_the_browser(
    screen: Screen, browser: Browser, box: SandboxServer, store: FileTokenStore, tmp_path: Path
) -> None:
    """Declining is shown on the page and in the terminal, with code 4."""
    before = len(screen.shown)
    screen.type("pipedrive-oauth login; echo code $?\n")
    browser.open(opened_url(tmp_path))
    browser.button("Cancel").click()
    browser.arrive(box.app.redirect_uri)
    browser.wait(lambda: browser.driver.title == "Access was declined")
    shown = screen.rest(before)
    assert "Error: The authorization was not granted (user_denied)." in shown
    assert shown.endswith("code 4")
    assert list(store.accounts()) == []


def test_ctrl_c_at_the_keyboard(screen: Screen, store: FileTokenStore) -> None:
    """Ctrl-C ends a login with one line and code 130."""
    before = len(screen.shown)
    screen.type("pipedrive-oauth login --no-browser; echo code $?\n")
    screen.wait_for("/oauth/authorize", after=before)
    screen.type("\x03")
    screen.wait_for("Stopped by Ctrl-C", after=before)
    assert "Traceback" not in screen.shown
    assert list(store.accounts()) == []


def test_typed_secrets_are_not_shown(
    screen: Screen, box: SandboxServer, store: FileTokenStore
) -> None:
    """The client secret and the pasted URL are not shown while they are typed."""
    before = len(screen.shown)
    screen.type(
        "unset PIPEDRIVE_CLIENT_SECRET PIPEDRIVE_CLIENT_ID; pipedrive-oauth login --paste\n"
    )
    screen.wait_for("Client ID: ", after=before)
    screen.type(f"{box.app.client_id}\n")
    screen.wait_for(r"Client secret \(not shown\): ", after=before)
    screen.type(f"{SECRET}\n")
    url = screen.wait_for(r"(http://\S+/oauth/authorize\?\S+)", after=before)[1]
    screen.wait_for(r"input is hidden\): ", after=before)
    callback = box.visit(url)
    screen.type(f"{callback}\n")
    assert "Logged in: Alex Moreno" in screen.rest(before)
    code = parse_qs(urlsplit(callback).query)["code"][0]
    assert found(screen.shown, [SECRET, code]) == []
    assert store.load("1:11") is not None


@pytest.mark.parametrize(
    ("columns", "variables", "is_colored"),
    [
        (40, {}, True),
        (120, {}, True),
        (120, {"NO_COLOR": "1"}, False),
        (120, {"TERM": "dumb"}, False),
    ],
    ids=["narrow", "wide", "NO_COLOR", "dumb"],
)
def test_status_on_any_terminal(
    shell_environ: dict[str, str], tmp_path: Path, store: FileTokenStore,
    granted: Callable[[], Token], columns: int, variables: dict[str, str], *, is_colored: bool,
) -> None:  # fmt: skip
    """On 40 columns no word is cut, and without color each state is still named."""
    token = granted()
    store.save("fine", token)
    lapsed = datetime.now(UTC) - timedelta(days=70)
    store.save("a-rather-long-name", evolve(token, expires_at=lapsed))
    with shell(shell_environ, tmp_path, columns=columns) as screen:
        prefix = " ".join(f"{name}={value}" for name, value in variables.items())
        before = len(screen.shown)
        shown = screen.run(f"{prefix} pipedrive-oauth status")
        raw = screen.shown[before:]
    words = shown.split()
    for word in ("a-rather-long-name", "fine", "valid", "lapsed", "base", "contacts:read"):
        assert word in words
    assert max(map(len, shown.splitlines()[1:-1])) <= columns
    assert bool(re.search(r"\x1b\[(?:\d+;)*3\dm", raw)) is is_colored
