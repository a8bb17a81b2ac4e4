"""The web apps of examples/, each as a process of its own, with a sandbox to look into."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

import httpx
from attrs import evolve, frozen

from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import DEFAULT_APP, Clock, create_app, run
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
    created = create_app(apps=[app], clock=clock, api_calls_per_two_seconds=100_000)
    log = folder / f"{program}.log"
    with ExitStack() as stack:
        server = stack.enter_context(run(created))
        output = stack.enter_context(log.open("w", encoding="utf-8"))
        for port in ports:
            process = subprocess.Popen(
                [sys.executable, "-m", program, "--store", store],
                cwd=ROOT,
                env={
                    **os.environ,
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
        addresses = [f"http://127.0.0.1:{port}" for port in ports]
        # One client, as creating one loads all certificate authorities: the programs need the time.
        with httpx.Client(trust_env=False) as client:
            for address in addresses:
                wait_for(client, address, log)
        yield Running(PipedriveSandbox(server, clock), addresses, log)


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
