"""The sandbox in CI and in containers, as docs/testing-your-app.md says it: without Docker."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from pipedrive_oauth_client import AppCredentials, PipedriveOAuth
from pipedrive_oauth_client.sandbox import DEFAULT_APP
from pipedrive_oauth_client.sandbox.browser import visit
from tests.support.wire import free_port

PAGE: Final = Path(__file__).parents[2] / "docs" / "testing-your-app.md"
# No connection is kept, which nothing would close.
HTTP: Final = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0), trust_env=False)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the guide's commands are for a shell")


def guide(name: str, port: int) -> Any:
    """Read a file of the guide, with another port in place of 8900."""
    text = PAGE.read_text(encoding="utf-8")
    (found,) = re.findall(
        rf"^```yaml\n# {re.escape(name)}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE
    )
    return yaml.safe_load(found.replace("8900", str(port)))


@contextmanager
def running(command: Sequence[str], folder: Path) -> Generator[subprocess.Popen[bytes]]:
    """Run a command where `python` is this one, and end all that it has started."""
    (folder / "bin").mkdir()
    (folder / "bin" / "python").symlink_to(sys.executable)
    environ = {
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "PYTHONPATH": str(PAGE.parents[1]),
        "VIRTUAL_ENV": sys.prefix,
        "HOME": str(folder),
    }
    # A link to an interpreter finds the packages of its environment by this.
    environ["PYTHONPATH"] += os.pathsep + os.pathsep.join(
        path for path in sys.path if path.endswith("site-packages")
    )
    with subprocess.Popen(command, cwd=folder, env=environ, start_new_session=True) as process:
        try:
            yield process
        finally:
            os.killpg(process.pid, signal.SIGKILL)


def wait_for(url: str) -> None:
    """Wait until a server answers, at most twenty seconds."""
    for _ in range(200):
        try:
            HTTP.get(url)
        except httpx.ConnectError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"nothing answers at {url}")


def login(settings: Mapping[str, str]) -> None:
    """Log in as an app does that has these variables."""
    credentials = AppCredentials.from_env(settings)
    assert (credentials.client_id, credentials.client_secret) == (
        DEFAULT_APP.client_id,
        DEFAULT_APP.client_secret,
    )
    base_url = settings["PIPEDRIVE_BASE_URL"]
    with PipedriveOAuth(credentials, base_url=base_url, retry=None) as oauth:
        request = oauth.authorization_url()
        callback = visit(base_url, request.url, decision="allow", account=None)
        assert callback.startswith(credentials.redirect_uri)
        oauth.exchange(oauth.read_callback(callback, request.state))


def status(port: int, host: str) -> int:
    """Ask for the home page under a host."""
    return HTTP.get(f"http://127.0.0.1:{port}/", headers={"Host": host}).status_code


@pytest.mark.usefixtures("no_proxy")
def test_step_of_a_workflow(tmp_path: Path) -> None:
    """The step of the workflow ends with a sandbox that an app with the job's variables can use."""
    port = free_port()
    job = guide(".github/workflows/test.yml", port)["jobs"]["test"]
    (step,) = [each["run"] for each in job["steps"] if each.get("name") == "Start the sandbox"]
    # As GitHub runs it: the shell ends, and what it started in the background goes on.
    with running(["bash", "-e", "-c", f"{step}\nsleep 60"], tmp_path):
        wait_for(f"http://127.0.0.1:{port}/")
        login(job["env"])
    assert "sandbox.txt" in {path.name for path in tmp_path.iterdir()}


@pytest.mark.usefixtures("no_proxy")
def test_service_of_compose(tmp_path: Path) -> None:
    """The container's command serves the app beside it and the browser, and no other host."""
    port = free_port()
    services = guide("compose.yaml", port)["services"]
    shell, option, script = services["sandbox"]["command"]
    install, _, command = script.partition(" && ")
    assert shlex.split(install)[:2] == ["pip", "install"]
    with running([shell, option, command], tmp_path):
        wait_for(f"http://127.0.0.1:{port}/")
        login(services["app"]["environment"])
        check = services["sandbox"]["healthcheck"]["test"]
        assert check[:2] == ["CMD", "python"]
        subprocess.run([sys.executable, *check[2:]], check=True, timeout=60)
        assert status(port, f"localhost:{port}") == 200
        assert status(port, f"sandbox:{port}") == 421
    published = services["sandbox"]["ports"]
    assert f"127.0.0.1:{port}:{port}" in published
    assert all(each.startswith("127.0.0.1:") for each in published)
    assert services["app"]["network_mode"] == "service:sandbox"
