"""`sandbox`: the variables that it prints, its port and its end."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable

import httpx

from tests.cli.conftest import Ran, spawned, started
from tests.support.time_limits import killed_after
from tests.support.tls import UNTRUSTING

Run = Callable[..., Ran]


def test_sandbox_runs_until_ctrl_c(environ: dict[str, str]) -> None:
    """The sandbox prints lines for a shell with which the other commands use it."""
    with started(environ, "sandbox") as process:
        assert process.stdout is not None
        lines: list[str] = []
        with killed_after(process):
            for line in process.stdout:
                lines.append(line)
                if "Ctrl-C" in line:
                    break
        exports = dict(
            line.strip().removeprefix("export ").split("=", 1)
            for line in lines
            if line.startswith("  export ")
        )
        names = ("CLIENT_ID", "CLIENT_SECRET", "REDIRECT_URI", "BASE_URL", "OAUTH_STORE")
        assert list(exports) == [f"PIPEDRIVE_{name}" for name in names]
        done = spawned({**environ, **exports, "PIPEDRIVE_OAUTH_STORE": "memory:"}, "token")
        assert done.returncode == 3
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)
    assert process.returncode == 0


def test_sandbox_port_in_use(run: Run) -> None:
    """A port in use is code 2 in one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        ran = run("sandbox", "--port", str(taken.getsockname()[1]))
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.count("\n") == 1


def test_sandbox_outside_the_main_thread() -> None:
    """A program can serve the sandbox from another thread; its end ends it."""
    program = (
        "import sys, threading\n"
        "from pipedrive_oauth_client.cli.__main__ import main\n"
        "threading.Thread(target=main, args=(['sandbox', '--json'],), daemon=True).start()\n"
        "sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        with killed_after(process):
            url = json.loads(process.stdout.readline())["PIPEDRIVE_BASE_URL"]
        with httpx.Client(verify=UNTRUSTING, trust_env=False) as client:
            assert client.get(url).status_code == 200
        process.communicate("\n", timeout=20)
    assert process.returncode == 0
