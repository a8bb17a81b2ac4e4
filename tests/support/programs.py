"""The web apps of examples/, each as a process of its own, with a sandbox to look into."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import httpx
from attrs import evolve, frozen

from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import (
    DEFAULT_APP,
    DEFAULT_USER,
    OTHER_USER,
    Clock,
    create_app,
    run,
)
from tests.support.wire import free_port

ROOT: Final = Path(__file__).parents[2]
PROGRAMS: Final = ("examples.fastapi_app", "examples.flask_app", "examples.django_app")
PATIENCE_SECONDS: Final = 60


@frozen
class Running:
    """A program that runs, in one process or several.

    Attributes:
        box: The service.
        addresses: Where each process listens; the first one is where the service sends browsers.
        log: What the processes print.
    """

    box: PipedriveSandbox
    addresses: list[str]
    log: Path

    def url(self, path: str) -> str:
        """Give the address of a path at the first process."""
        return self.addresses[0] + path

    def printed(self) -> str:
        """Give what was printed so far."""
        return self.log.read_text(encoding="utf-8")


@contextmanager
def running(program: str, folder: Path, *, workers: int = 1, store: str = "") -> Generator[Running]:
    """Run a module as a program until the end of the block."""
    ports = [free_port() for _ in range(workers)]
    uri = f"http://127.0.0.1:{ports[0]}/pipedrive/callback"
    app = evolve(DEFAULT_APP, redirect_uri=uri)
    clock = Clock()
    created = create_app(
        apps=[app],
        users=[DEFAULT_USER, OTHER_USER],
        clock=clock,
        api_calls_per_two_seconds=100_000,
    )
    log = folder / f"{program}.log"
    with ExitStack() as stack:
        server = stack.enter_context(run(created))
        output = stack.enter_context(log.open("w", encoding="utf-8"))
        # One client, as creating one loads all certificate authorities: the programs need the time.
        client = stack.enter_context(httpx.Client(trust_env=False))
        addresses = [f"http://127.0.0.1:{port}" for port in ports]
        for port, address in zip(ports, addresses, strict=True):
            process = subprocess.Popen(
                [sys.executable, "-m", program, *(["--store", store] if store else [])],
                cwd=ROOT,
                env={
                    **os.environ,
                    "APP_DATABASE": str(folder / "app.db"),
                    "APP_SECRET_KEY": "a-key-that-all-workers-of-the-app-have",
                    "PIPEDRIVE_BASE_URL": server.base_url,
                    "PIPEDRIVE_CLIENT_ID": app.client_id,
                    "PIPEDRIVE_CLIENT_SECRET": app.client_secret,
                    "PIPEDRIVE_REDIRECT_URI": uri,
                    "PORT": str(port),
                },
                stdout=output,
                stderr=output,
            )
            stack.callback(end, process)
            # One after the other, as the first one makes the tables.
            wait_for(client, address, log)
        yield Running(PipedriveSandbox(server, clock), addresses, log)


def hidden_field(page: str) -> dict[str, str]:
    """Return the hidden field of the forms of a page, by which an example app knows its own."""
    found = re.search(r'name="(secret|csrfmiddlewaretoken)" value="([^"]+)"', page)
    assert found is not None
    return {found[1]: found[2]}


def log_in(client: httpx.Client, address: str, user: str = "ada") -> None:
    """Log a user in to an example app, as a browser does it."""
    form = {**hidden_field(client.get(f"{address}/").text), "user": user}
    assert client.post(f"{address}/login", data=form).status_code in {302, 303}


@contextmanager
def started(
    command: str, folder: Path, environ: Mapping[str, str], log: str
) -> Generator[subprocess.Popen[bytes]]:
    """Start a program that does not end by itself, and end it with all that it has started."""
    with (folder / log).open("wb") as output:
        process = subprocess.Popen(
            shlex.split(command),
            cwd=folder,
            env=environ,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)


def wait_until(check: Callable[[], object], what: str, seconds: float = PATIENCE_SECONDS) -> None:
    """Wait until something holds."""
    for _ in range(int(seconds * 10)):
        if check():
            return
        time.sleep(0.1)
    raise AssertionError(what)


def end(process: subprocess.Popen[bytes]) -> None:
    """End a process, by force if need be."""
    process.terminate()
    try:
        process.wait(PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(PATIENCE_SECONDS)


def wait_for(client: httpx.Client, address: str, log: Path) -> None:
    """Wait until a program responds at an address; its log explains a failure."""
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            client.get(address).raise_for_status()
        except httpx.HTTPError:
            printed = log.read_text(encoding="utf-8")
            assert time.monotonic() < until, f"{address} does not answer: {printed}"
            time.sleep(0.05)
        else:
            return
