"""The pages under docs/ say what is true: their code runs, and their names exist."""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import asdict, evolve
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from pipedrive_oauth_client import (
    AppCredentials,
    AsyncPipedriveOAuth,
    InvalidClientError,
    PipedriveAuth,
    PipedriveOAuth,
    ServerError,
    disconnect,
    sandbox,
    stores,
)
from pipedrive_oauth_client.events import GrantRestored
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import DEFAULT_USER, Fault
from pipedrive_oauth_client.stores import MemoryTokenStore

DOCS = Path(__file__).parents[1] / "docs"


def blocks(page: str) -> list[str]:
    """Give the pieces of Python code of a page."""
    text = (DOCS / page).read_text(encoding="utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)


def run(block: str) -> dict[str, Any]:
    """Run a piece of code, and give the names that it leaves."""
    names: dict[str, Any] = {}
    exec(compile(block, "docs", "exec"), names)  # noqa: S102 - the project's own code
    return names


KEEPING = blocks("keeping-tokens.md")


QUICK = blocks("quick-start.md")
FLEET = blocks("worker-fleet.md")

# How many pieces of code each page has; a test below runs each.
PIECES = {
    "errors.md": 1,
    "events.md": 3,
    "moving.md": 2,
    "python/diagnostics.md": 1,
    "keeping-tokens.md": 6,
    "quick-start.md": 3,
    # What tests/test_operations_guide.py runs:
    "operations.md": 3,
    "testing-your-app.md": 1,
    "web-apps.md": 4,
    # What tests/browser/test_django_guide.py runs:
    "web-django.md": 4,
    "web-django-more.md": 7,
    # What tests/web/test_guides.py runs:
    "disconnected-accounts.md": 2,
    "web-extensions.md": 3,
    "web-fastapi.md": 2,
    "web-flask.md": 2,
    # What tests/browser/test_guides.py runs:
    "web-databases.md": 3,
    "worker-fleet.md": 3,
}


# What a page shows without running it: excerpts of a diff, and what a tool has printed.
SHOWN = {
    # The reports are checked by tests/specdiff/test_page.py.
    "changing-the-api.md": {"diff", "text"},
    "spec-diff.md": {"diff", "text"},
    # Checked by tests/test_operations_guide.py and tests/sandbox/test_in_containers.py.
    "operations.md": {"ini", "text", "yaml"},
    "testing-your-app.md": {"yaml"},
}


def test_every_piece_of_code_is_tested() -> None:
    """A piece of code that is added to a page needs a test, and is marked as what it is."""
    pages = [page.relative_to(DOCS).as_posix() for page in DOCS.rglob("*.md")]
    assert {page: len(blocks(page)) for page in pages if blocks(page)} == PIECES
    for page in pages:
        text = (DOCS / page).read_text(encoding="utf-8")
        fences = re.findall(r"^ *```(.*)$", text, re.MULTILINE)
        assert set(fences[::2]) <= {"python", "sh", "mermaid"} | SHOWN.get(page, set()), page


def test_the_guide_for_other_clients(pipedrive_sandbox: PipedriveSandbox) -> None:
    """The loop of the guide takes over tokens of each client, which the new app can refresh."""
    code = "\n".join(blocks("moving.md"))
    names = run(code)
    box = pipedrive_sandbox
    response: dict[str, Any] = {"scope": "base", "api_domain": box.base_url, "expires_in": 3599}
    kept: dict[str, dict[str, Any]] = {}
    with PipedriveOAuth(box.credentials, base_url=box.base_url, clock=box.clock) as oauth:
        seconds = int(box.clock().timestamp()) + 3599
        for account, own in (
            ("authlib", {"expires_at": seconds, "token_type": "Bearer"}),
            ("requests-oauthlib", {"expires_at": seconds + 0.5, "scope": ["base"]}),
            ("node callback", {"token_type": "Bearer"}),
            ("table", {"issued_at": box.clock(), "id": 5}),
            ("broken", {"expires_at": "yesterday"}),
        ):
            token = oauth.exchange(oauth.read_callback(box.authorize(state="s"), "s"))
            tokens = {"access_token": token.access_token, "refresh_token": token.refresh_token}
            kept[account] = {**response, **tokens, **own}
        store = MemoryTokenStore()
        failed = names["move"](kept.items(), store)
        assert list(failed) == ["broken"]
        assert kept["broken"]["access_token"] not in failed["broken"]
        assert sorted(store.accounts()) == [
            "authlib",
            "node callback",
            "requests-oauthlib",
            "table",
        ]
        for account in store.accounts():
            moved = store.load(account)
            assert moved is not None
            assert moved.scopes == {"base"}
            new = oauth.refresh(moved)
            store.save(account, new)
        before = {account: store.load(account) for account in store.accounts()}
        assert list(names["move"](kept.items(), store)) == ["broken"]
        assert {account: store.load(account) for account in store.accounts()} == before


def test_the_health_endpoint(capsys: pytest.CaptureFixture[str]) -> None:
    """The health endpoint of the diagnostics page says that its store works."""
    names = run(blocks("python/diagnostics.md")[0])
    assert capsys.readouterr().out == "200\n"
    status, body = names["health"]()
    assert (status, body["ok"]) == (200, True)


def test_settings_page_has_every_variable() -> None:
    """The page of settings names each variable that the package reads, and no other."""
    page = (DOCS / "settings.md").read_text(encoding="utf-8")
    package = DOCS.parent / "pipedrive_oauth_client"
    code = "".join(file.read_text("utf-8") for file in package.rglob("*.py"))
    read = set(re.findall(r'"(PIPEDRIVE_[A-Z_]+)"', code)) - {"PIPEDRIVE_OAUTH"}
    assert set(re.findall(r"`(PIPEDRIVE_[A-Z_]+)`", page)) == read | {"PIPEDRIVE_OAUTH"}


def test_the_quick_start(capsys: pytest.CaptureFixture[str]) -> None:
    """The quick start runs as it stands, and shows no token."""
    names = run(QUICK[0])
    printed = capsys.readouterr().out
    assert printed.strip() == DEFAULT_USER.name
    assert names["store"].load("acme:ada") == names["token"]


def test_the_script_of_the_quick_start(
    pipedrive_sandbox: PipedriveSandbox,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    """With the page's variables, the script prints the URL, takes the pasted one, and connects."""
    box = pipedrive_sandbox
    text = (DOCS / "quick-start.md").read_text(encoding="utf-8")
    named = re.findall(r"export (\w+)=", text)
    credentials = box.credentials
    values = (credentials.client_id, credentials.client_secret, credentials.redirect_uri)
    for name, value in zip(named, values, strict=True):
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    # The one change: the sandbox in place of the service.
    at_the_sandbox = partial(PipedriveOAuth, base_url=box.base_url, clock=box.clock)
    monkeypatch.setattr("pipedrive_oauth_client.PipedriveOAuth", at_the_sandbox)
    monkeypatch.setattr("builtins.input", lambda _prompt: box.server.visit(_printed_url(capsys)))
    account = run(QUICK[1])["connect"]()
    assert account == f"{DEFAULT_USER.company_id}:{DEFAULT_USER.id}"
    assert f"{DEFAULT_USER.name} of " in capsys.readouterr().out
    assert list(stores.FileTokenStore("tokens").accounts()) == [account]


def _printed_url(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out.splitlines()[-1]


async def _async_quick_start(box: PipedriveSandbox, store: MemoryTokenStore) -> str:
    async with AsyncPipedriveOAuth(box.credentials, base_url=box.base_url) as oauth:
        return str(await run(QUICK[2])["connect"](oauth, store, box.authorize(state="s"), "s"))


@pytest.mark.parametrize("runner", [asyncio.run, trio.run])
def test_the_quick_start_awaited(pipedrive_sandbox: PipedriveSandbox, runner: Any) -> None:
    """The asynchronous example connects and asks who it is, on both kinds of event loop."""
    store = MemoryTokenStore()

    async def work() -> str:
        return await _async_quick_start(pipedrive_sandbox, store)

    assert runner(work() if runner is asyncio.run else work) == DEFAULT_USER.name
    assert store.load("acme:ada") is not None


WEB = blocks("web-apps.md")


@pytest.mark.parametrize("block", WEB, ids=range(len(WEB)))
def test_the_web_app_is_the_example(block: str) -> None:
    """Each piece of the page stands, letter for letter, in the example that other tests run."""
    example = (DOCS.parent / "examples/web_app.py").read_text(encoding="utf-8")
    assert block in example


def test_the_errors_ladder(pipedrive_sandbox: PipedriveSandbox) -> None:
    """The example of errors says something else for each kind, and connects where none is."""
    box = pipedrive_sandbox
    finish = run(blocks("errors.md")[0])["finish"]
    with PipedriveOAuth(box.credentials, base_url=box.base_url, retry=None) as oauth:
        said = [
            finish(oauth, box.authorize(state="s"), "s"),
            finish(oauth, box.authorize(state="s", approve=False), "s"),
            finish(oauth, box.authorize(state="s"), "another"),
        ]
        box.faults.add("/oauth/token", Fault.status(503))
        said.append(finish(oauth, box.authorize(state="s"), "s"))
        used_up = box.authorize(state="s")
        finish(oauth, used_up, "s")
        said.append(finish(oauth, used_up, "s"))
    firsts = [text.split(".")[0].split(" until")[0] for text in said]
    assert firsts == [
        "Connected",
        "You declined access",
        "That link is used up",
        "Pipedrive is unavailable right now",
        "That link is used up",
    ]


def test_a_worker(pipedrive_sandbox: PipedriveSandbox) -> None:
    """The worker reads deals, and gives nothing where the person has to authorize again."""
    box = pipedrive_sandbox
    deal_titles = run(FLEET[0])["deal_titles"]
    store = MemoryTokenStore()
    with PipedriveOAuth(box.credentials, base_url=box.base_url, clock=box.clock) as oauth:
        token = oauth.exchange(oauth.read_callback(box.authorize(state="s"), "s"))
        store.save("acme", token)
        titles = deal_titles(oauth, store, "acme")
        assert titles
        assert all(isinstance(title, str) for title in titles)
        oauth.revoke(token, "refresh_token")
        assert deal_titles(oauth, store, "acme") is None


def test_keeping_a_token(capsys: pytest.CaptureFixture[str]) -> None:
    """The first example of keeping tokens runs as it stands, and shows no token."""
    names = run(KEEPING[0])
    printed = capsys.readouterr().out
    assert printed.strip() == DEFAULT_USER.name
    assert names["store"].load("acme:ada") == names["token"]


def test_keeping_dormant_accounts_alive(
    pipedrive_sandbox: PipedriveSandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """The job refreshes what is due, reports its progress, and names the accounts that failed."""
    box = pipedrive_sandbox
    keep_alive = run(FLEET[1])["keep_alive"]
    store = MemoryTokenStore()
    with PipedriveOAuth(box.credentials, base_url=box.base_url) as oauth:
        token = oauth.exchange(oauth.read_callback(box.authorize(state="s"), "s"))
        old = evolve(token, expires_at=datetime.now(UTC) - timedelta(days=40))
        store.save("acme", old)
        store.save("gone", evolve(old, refresh_token="1:1:unknown"))
        store.save("busy", token)
        report = keep_alive(oauth, store)
    assert report.renewed == 1
    assert list(report.errors) == ["gone"]
    assert store.load("busy") == token
    printed = capsys.readouterr().out
    assert "1 refreshed, 1 failed" in printed
    assert "gone GrantEndedError" in printed


def test_overview_of_a_fleet(
    pipedrive_sandbox: PipedriveSandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    """The overview counts the states, and names the accounts that have to connect again."""
    box = pipedrive_sandbox
    store = MemoryTokenStore()
    with PipedriveOAuth(box.credentials, base_url=box.base_url) as oauth:
        token = oauth.exchange(oauth.read_callback(box.authorize(state="s"), "s"))
    for account, days in (("acme", 0), ("dormant", 40), ("late", 55), ("gone", 61)):
        store.save(account, evolve(token, expires_at=token.expires_at - timedelta(days=days)))
    states = run(FLEET[2])["overview"](store)
    assert states == {"valid": 1, "stale": 1, "ending": 1, "ended": 1}
    assert capsys.readouterr().out.startswith("gone has to connect again, since 20")


def test_workers_in_other_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pipedrive_sandbox: PipedriveSandbox
) -> None:
    """The module of the page hands accounts to spawned workers, each with objects of its own."""
    url = f"sqlite:///{tmp_path / 'tokens.db'}"
    box = pipedrive_sandbox
    with (
        stores.SQLTokenStore(url) as store,
        PipedriveOAuth(box.credentials, base_url=box.base_url) as oauth,
    ):
        token = oauth.exchange(oauth.read_callback(box.authorize(state="s"), "s"))
        for account in ("acme", "umbrella"):
            # The module names no base_url, and with Pipedrive's a token belongs to a host of its.
            store.save(account, evolve(token, api_domain="https://acme.pipedrive.com"))
    (tmp_path / "workers.py").write_text(KEEPING[1], encoding="utf-8")
    main = "import sys, workers\nif __name__ == '__main__':\n"
    main += "    print(*workers.scopes_of_all(sys.argv[1], sys.argv[2:]), sep='\\n')\n"
    (tmp_path / "main.py").write_text(main, encoding="utf-8")
    monkeypatch.setenv("PIPEDRIVE_CLIENT_ID", box.credentials.client_id)
    monkeypatch.setenv("PIPEDRIVE_CLIENT_SECRET", box.credentials.client_secret)
    monkeypatch.setenv("PIPEDRIVE_REDIRECT_URI", box.credentials.redirect_uri)
    monkeypatch.setenv("PYTHONPATH", str(DOCS.parent))
    done = subprocess.run(
        [sys.executable, "main.py", url, "acme", "umbrella"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [" ".join(sorted(token.scopes))] * 2


def test_other_http_libraries(pipedrive_sandbox: PipedriveSandbox) -> None:
    """The adapters of both libraries are used as shown."""
    box = pipedrive_sandbox
    whoami = run(KEEPING[4])["whoami"]
    store = MemoryTokenStore()
    with PipedriveOAuth(box.credentials, base_url=box.base_url, clock=box.clock) as oauth:
        store.save("acme", oauth.exchange(oauth.read_callback(box.authorize(state="s"), "s")))
        auth = PipedriveAuth(oauth, store, "acme")
        assert whoami(auth) == (DEFAULT_USER.name, DEFAULT_USER.name)


def test_encryption() -> None:
    """The store of the page returns tokens, and the store underneath holds none in the clear."""
    names = run(KEEPING[5])
    inner = MemoryTokenStore()
    store = names["encrypted"](inner)
    with sandbox.run() as server:
        app = server.app
        credentials = AppCredentials(app.client_id, app.client_secret, app.redirect_uri)
        with PipedriveOAuth(credentials, base_url=server.base_url) as oauth:
            request = oauth.authorization_url()
            code = oauth.read_callback(server.visit(request.url), request.state)
            token = oauth.exchange(code)
    store.save("acme", token)
    assert store.load("acme") == token
    assert token.access_token not in str(inner.load("acme").to_dict())  # type: ignore[union-attr]
    assert isinstance(names["store"], stores.EncryptedTokenStore)


def test_the_test_of_the_page_passes(tmp_path: Path) -> None:
    """The test of the page passes in another project's folder, and is short."""
    (block,) = blocks("testing-your-app.md")
    body = block[block.index("def test_") :]
    assert len(body.strip().splitlines()) <= 15
    (tmp_path / "test_app.py").write_text(block, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_every_name_of_the_fixture_exists(pipedrive_sandbox: PipedriveSandbox) -> None:
    """The table of the fixture and the list of faults name what there is."""
    text = (DOCS / "testing-your-app.md").read_text(encoding="utf-8")
    names = re.findall(r"^\| `(\w+)", text, re.MULTILINE)
    assert len(names) == 8
    assert all(hasattr(pipedrive_sandbox, name) for name in names)
    faults = re.findall(r"`Fault\.(\w+)", text)
    assert len(faults) > 6
    assert all(hasattr(Fault, name) for name in faults)


EVENTS = blocks("events.md")


def test_the_recipe_for_logs(
    pipedrive_sandbox: PipedriveSandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Each event becomes a record with its account, at a level that says what to do."""
    box, names = pipedrive_sandbox, run(EVENTS[0])
    caplog.set_level("INFO", "acme.pipedrive")
    with names["make_oauth"](box.credentials, box.base_url) as oauth:
        store = MemoryTokenStore()
        store.save("acme:ada", oauth.exchange(oauth.read_callback(box.authorize(state="s"), "s")))
        auth = PipedriveAuth(oauth, store, "acme:ada")
        auth.token(rejected=auth.token())
        box.faults.add("/oauth/token/", Fault.status(503), times=9)
        with _without_retries(oauth) as impatient:
            failing = PipedriveAuth(impatient, store, "acme:ada")
            with pytest.raises(ServerError):
                failing.token(rejected=failing.token())
        box.faults.clear()
        assert disconnect(oauth, store, "acme:ada")
        oauth.emit(GrantRestored(account="acme:ada"))
    records = [each for each in caplog.records if each.name == "acme.pipedrive"]
    told = [(each.levelname, each.getMessage()) for each in records[:3]]
    assert told == [("INFO", "refreshed"), ("ERROR", "refresh failed"), ("ERROR", "grant ended")]
    assert [getattr(each, "account", None) for each in records] == ["acme:ada"] * 3 + [None]
    assert records[3].getMessage() == "GrantRestored(account='acme:ada')"


def _without_retries(oauth: PipedriveOAuth) -> PipedriveOAuth:
    return PipedriveOAuth(
        oauth.credentials, base_url=oauth.base_url, retry=None, on_event=oauth._on_event
    )


def test_the_recipe_for_metrics(pipedrive_sandbox: PipedriveSandbox) -> None:
    """The SDK collects refreshes by outcome, their time, and the number of ended grants."""
    box = pipedrive_sandbox
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    ended = ["globex:grace"]
    on_event = run(EVENTS[1])["metrics"](provider.get_meter("acme"), lambda: ended)
    with PipedriveOAuth(
        box.credentials, base_url=box.base_url, retry=None, clock=box.clock, on_event=on_event
    ) as oauth:
        store = MemoryTokenStore()
        store.save("acme:ada", oauth.exchange(oauth.read_callback(box.authorize(state="s"), "s")))
        auth = PipedriveAuth(oauth, store, "acme:ada")
        for _ in range(2):
            box.clock.advance(timedelta(hours=2))
            auth.token()
        box.faults.add("/oauth/token/", Fault.status(503))
        with pytest.raises(ServerError):
            auth.token(rejected=auth.token())
        oauth.emit(GrantRestored(account="acme:ada"))
    data: Any = reader.get_metrics_data()
    provider.shutdown()
    found = {
        metric.name: {
            tuple(sorted((point.attributes or {}).values())): getattr(
                point, "count", getattr(point, "value", None)
            )
            for point in metric.data.data_points
        }
        for metric in data.resource_metrics[0].scope_metrics[0].metrics
    }
    refreshes = {("expired", "refreshed"): 2, ("ServerError", "rejected"): 1}
    assert found == {
        "pipedrive.token.refreshes": refreshes,
        "pipedrive.token.refresh.duration": refreshes,
        "pipedrive.grants.ended": {(): 1},
    }


def test_the_recipe_for_the_level_of_logs() -> None:
    """With it, each refresh is printed."""
    program = f"{EVENTS[2]}\nlogging.getLogger('pipedrive_oauth_client').info('refreshed')"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stderr.endswith("INFO pipedrive_oauth_client refreshed\n")


def test_scopes(capsys: pytest.CaptureFixture[str]) -> None:
    """With the scope there are deals; without it, and after it was removed, it is asked for."""
    first_deals = run(KEEPING[2])["first_deals"]
    clock, store = sandbox.Clock(), MemoryTokenStore()
    with sandbox.run(sandbox.create_app(clock=clock)) as server:
        box = PipedriveSandbox(server, clock)
        with PipedriveOAuth(box.credentials, base_url=box.base_url, clock=clock) as oauth:
            callback = box.authorize(state="s")
            store.save("acme", oauth.exchange(oauth.read_callback(callback, "s")))
            assert len(first_deals(oauth, store, "acme")) > 1
            server.sandbox.change_scopes(["base"])
            assert first_deals(oauth, store, "acme") == []
            clock.advance(timedelta(hours=2))
            assert first_deals(oauth, store, "acme") == []
    printed = "Please connect Pipedrive again: deals:read\n"
    assert capsys.readouterr().out == printed * 2


def test_a_new_client_secret(tmp_path: Path) -> None:
    """The flow of the page reads its credentials again when the app's secret has been reset."""
    file = tmp_path / "app.json"
    with sandbox.run() as server:
        box = PipedriveSandbox(server, sandbox.Clock())

        def write() -> None:
            file.write_text(json.dumps(asdict(box.credentials)), encoding="utf-8")

        write()
        with run(KEEPING[3])["flow"](file, box.base_url) as oauth:
            token = oauth.exchange(oauth.read_callback(box.authorize(state="s"), "s"))
            server.sandbox.reset_client_secret()
            with pytest.raises(InvalidClientError):
                oauth.refresh(token)
            write()
            assert oauth.refresh(token) != token
