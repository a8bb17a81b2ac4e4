"""The project of docs/web-django.md, made as the page says it, and a sandbox for it."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
from attrs import evolve, frozen

from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import DEFAULT_APP, Clock, create_app, run
from tests.support.programs import ROOT, end, wait_for
from tests.support.wire import free_port

REPORTS = evolve(DEFAULT_APP, client_id="reports-client", client_secret="reports-secret-00000")
"""A second Pipedrive app of the project."""


def blocks(page: str) -> list[tuple[str, str]]:
    """Give the files of a page, each with its name, which its first line says."""
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    found = re.findall(r"^```python\n# ([\w/.]+)(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    return [(name, "#" + code) for name, code in found]


@frozen
class Project:
    """A project in a folder, and the service that it is configured for."""

    folder: Path
    python: Path
    port: int
    box: PipedriveSandbox

    def url(self, path: str) -> str:
        """Give the address of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    @property
    def _environment(self) -> dict[str, str]:
        given = self.box.credentials
        return {
            "PATH": os.environ["PATH"],
            "DJANGO_SETTINGS_MODULE": "mysite.settings",
            "PIPEDRIVE_BASE_URL": self.box.base_url,
            "PIPEDRIVE_CLIENT_ID": given.client_id,
            "PIPEDRIVE_CLIENT_SECRET": given.client_secret,
            "PIPEDRIVE_REDIRECT_URI": given.redirect_uri,
            "REPORTS_CLIENT_ID": REPORTS.client_id,
            "REPORTS_CLIENT_SECRET": REPORTS.client_secret,
            "REPORTS_REDIRECT_URI": self.url("/reports/callback"),
        }

    def run(self, *words: str) -> str:
        """Run Python in the folder, and give what it has printed."""
        done = subprocess.run(
            [self.python, *words],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=80,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    @contextmanager
    def served(self, *words: str) -> Generator[None]:
        """Serve the project until the end of the block."""
        log = self.folder / "log"
        with ExitStack() as stack:
            output = stack.enter_context(log.open("w", encoding="utf-8"))
            process = subprocess.Popen(
                [self.python, *words],
                cwd=self.folder,
                env=self._environment,
                stdout=output,
                stderr=output,
            )
            stack.callback(end, process)
            client = stack.enter_context(httpx.Client(trust_env=False))
            wait_for(client, self.url("/admin/login/"), log)
            yield


@contextmanager
def made_project(python: Path, folder: Path) -> Generator[Project]:
    """Make the project of the guide in a folder, with its synchronous pages."""
    port = free_port()
    app = evolve(DEFAULT_APP, redirect_uri=f"http://127.0.0.1:{port}/pipedrive/callback")
    clock = Clock()
    reports = evolve(REPORTS, redirect_uri=f"http://127.0.0.1:{port}/reports/callback")
    created = create_app(apps=[app, reports], clock=clock, api_calls_per_two_seconds=100_000)
    with run(created) as server:
        project = Project(folder, python, port, PipedriveSandbox(server, clock))
        subprocess.run(
            [python, "-m", "django", "startproject", "mysite", folder], check=True, timeout=80
        )
        settings, urls, views, _ = blocks("web-django.md")
        with (folder / settings[0]).open("a", encoding="utf-8") as file:
            file.write(settings[1])
        for name, code in (urls, views):
            (folder / name).write_text(code, encoding="utf-8")
        yield project
