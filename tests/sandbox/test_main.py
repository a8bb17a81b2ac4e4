from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from pipedrive_oauth_client.sandbox import DEFAULT_APP, run
from pipedrive_oauth_client.sandbox.__main__ import main
from tests.support.time_limits import killed_after

PROGRAM = [sys.executable, "-m", "pipedrive_oauth_client.sandbox"]


@pytest.mark.skipif(os.name != "posix", reason="sends Ctrl-C as a signal")
def test_program_serves_until_ctrl_c() -> None:
    """The program says how to use the sandbox, serves it, and ends with 0 at Ctrl-C."""
    with subprocess.Popen(
        PROGRAM, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        try:
            lines = dict[str, str]()
            with killed_after(process):
                for line in process.stdout:
                    name, _, value = line.strip().partition("  ")
                    lines[name] = value.strip()
                    if "Ctrl-C" in line:
                        break
            url = lines["authorize"].removeprefix("open ")
            with httpx.Client(trust_env=False) as client:
                page = client.get(url)
                home = client.get(lines["home page"].split(" ")[1])
            process.send_signal(signal.SIGINT)
            rest, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert page.status_code == home.status_code == 200
    assert url.startswith(lines["base URL"] + "/oauth/authorize?client_id=")
    assert lines["client_id"] == DEFAULT_APP.client_id
    assert lines["redirect_uri"] == DEFAULT_APP.redirect_uri
    assert lines["client_secret"] == "in sandbox.DEFAULT_APP"
    assert DEFAULT_APP.client_secret not in str(lines)
    assert (process.returncode, rest, errors) == (0, "", "")


def test_taken_port_ends_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    """A port in use ends the program with 1 and a message, not with a traceback."""
    with run() as server:
        port = httpx.URL(server.base_url).port
        assert main(["--port", str(port)]) == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"Cannot listen on port {port} of 127.0.0.1")


def test_ctrl_c_before_the_first_client(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C while the server starts ends the program with 0 as well."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipedrive_oauth_client.sandbox.__main__.serve", interrupt)
    assert main([]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_full_disk_ends_the_program(unbuffered: str) -> None:
    """Where its lines can't be written, the program ends with 1 and one line."""
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            PROGRAM, env=environment, stdout=full, stderr=subprocess.PIPE, text=True,
            check=False, timeout=60,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "The output can't be written: No space left on device.\n"
