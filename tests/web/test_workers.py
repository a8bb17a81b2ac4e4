from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from secrets import token_hex
from threading import Barrier
from urllib.parse import quote

import httpx
import pytest
from sqlalchemy import text

from tests.support.backends import admin_engine, postgres_url
from tests.support.programs import PROGRAMS, Running, log_in, running
from tests.support.redis_server import RedisServer

DEAL = "Coffee for a year"
REQUESTS = 8


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database that no other test uses; of Django the database of the project."""
    if request.param == "":
        yield ""
        return
    if request.param == "redis":
        with RedisServer(tmp_path) as server:
            yield server.url
        return
    url, schema = postgres_url(), f"web_{token_hex(6)}"
    engine = admin_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
        yield f"{url}?options={quote(f'-csearch_path={schema}')}"
        with engine.begin() as connection:
            connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
    finally:
        engine.dispose()


def connected(app: Running) -> httpx.Cookies:
    """Connect an account, and give the cookies of the person's browser."""
    with httpx.Client(base_url=app.addresses[0], trust_env=False) as browser:
        log_in(browser, app.addresses[0])
        page = browser.get("/pipedrive/connect").headers["Location"]
        assert browser.get(app.box.server.visit(page)).status_code == 303
        return browser.cookies


@pytest.mark.parametrize(
    ("program", "store"),
    list(zip(PROGRAMS, ["postgresql", "redis", ""], strict=True)),
    indirect=["store"],
)
def test_one_refresh_for_two_workers(program: str, store: str, tmp_path: Path) -> None:
    """Two processes that serve one person when the token expires make one refresh together."""
    with running(program, tmp_path, workers=2, store=store) as app:
        cookies = connected(app)
        app.box.clock.advance(timedelta(hours=2))
        together = Barrier(REQUESTS, timeout=60)

        def ask(number: int) -> str:
            address = app.addresses[number % 2]
            with httpx.Client(base_url=address, cookies=cookies, trust_env=False) as browser:
                together.wait()
                return browser.get("/deals").text

        with ThreadPoolExecutor(max_workers=REQUESTS) as pool:
            pages = list(pool.map(ask, range(REQUESTS)))
        assert all(DEAL in page for page in pages), app.printed()
        assert app.box.requests.count(grant_type="refresh_token", outcome="ok") == 1
        assert app.box.requests.count(grant_type="refresh_token") == 1


@pytest.mark.parametrize(
    ("program", "store"), [("examples.fastapi_app", "redis")], indirect=["store"]
)
def test_any_worker_takes_the_callback(program: str, store: str, tmp_path: Path) -> None:
    """What one worker has begun another one ends, and either disconnects."""
    with running(program, tmp_path, workers=2, store=store) as app:
        with httpx.Client(trust_env=False) as browser:
            log_in(browser, app.addresses[0])
            page = browser.get(app.addresses[1] + "/pipedrive/connect").headers["Location"]
            assert browser.get(app.box.server.visit(page)).status_code == 303
            shown = browser.get(app.addresses[1] + "/deals").text
            (secret,) = set(re.findall(r'name="secret" value="([^"]+)"', shown))
            form = {"secret": secret}
            assert browser.post(app.addresses[1] + "/disconnect", data=form).status_code == 303
        assert app.box.requests.count(path="/oauth/revoke", outcome="ok") == 1


@pytest.mark.parametrize("store", ["redis"], indirect=True)
def test_workers_share_what_was_used(store: str, tmp_path: Path) -> None:
    """Of many callbacks with one code, at two processes at once, one is exchanged."""
    with running("tests.support.sharing_app", tmp_path, workers=2, store=store) as app:
        with httpx.Client(base_url=app.addresses[0], trust_env=False) as browser:
            page = browser.get("/pipedrive/connect").headers["Location"]
            cookies = browser.cookies
        callback = httpx.URL(app.box.server.visit(page)).raw_path.decode()
        together = Barrier(REQUESTS, timeout=60)

        def call(number: int) -> int:
            address = app.addresses[number % 2]
            with httpx.Client(base_url=address, cookies=cookies, trust_env=False) as browser:
                together.wait()
                return browser.get(callback).status_code

        with ThreadPoolExecutor(max_workers=REQUESTS) as pool:
            statuses = list(pool.map(call, range(REQUESTS)))
        assert sorted(statuses) == [303] + [400] * (REQUESTS - 1), app.printed()
        assert app.box.requests.count(grant_type="authorization_code") == 1
