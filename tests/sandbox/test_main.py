from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from typer.main import get_command

from pipedrive_oauth_client.cli.app import app
from pipedrive_oauth_client.sandbox import DEFAULT_APP, run
from pipedrive_oauth_client.sandbox.__main__ import main
from pipedrive_oauth_client.sandbox.program import OPTIONS
from tests.support.time_limits import killed_after

PROGRAM = [sys.executable, "-m", "pipedrive_oauth_client.sandbox"]
COMMAND = [sys.executable, "-m", "pipedrive_oauth_client.cli", "sandbox"]


@contextmanager
def started(
    *command: str, **environ: str
) -> Generator[tuple[subprocess.Popen[str], dict[str, str]]]:
    """Start the program, and give it with the variables that it announces as JSON."""
    environment = {**os.environ, **environ}
    with subprocess.Popen(
        [*command, "--json"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        encoding="utf-8", env=environment,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            lines = list[str]()
            with killed_after(process):
                for line in process.stdout:
                    lines.append(line)
                    if line.rstrip().endswith("}"):
                        break
            yield process, json.loads("".join(lines))
        finally:
            process.kill()


@pytest.mark.skipif(os.name != "posix", reason="sends Ctrl-C as a signal")
@pytest.mark.parametrize("command", [PROGRAM, COMMAND], ids=["python -m", "pipedrive-oauth"])
def test_program_serves_until_ctrl_c(command: list[str]) -> None:
    """Both commands are one program: options, variables, what is announced, and the end."""
    options = ["--host", "127.0.0.2", "--allowed-host", "box.test", "--allowed-host", "b.test"]
    uri = "http://127.0.0.1:1/callback"
    with started(*command, *options, "--redirect-uri", uri) as (process, announced):
        base_url = announced["PIPEDRIVE_BASE_URL"]
        assert announced == {
            "PIPEDRIVE_CLIENT_ID": DEFAULT_APP.client_id,
            "PIPEDRIVE_CLIENT_SECRET": DEFAULT_APP.client_secret,
            "PIPEDRIVE_REDIRECT_URI": uri,
            "PIPEDRIVE_BASE_URL": base_url,
            "PIPEDRIVE_OAUTH_STORE": "file:sandbox-tokens",
        }
        assert base_url.startswith("http://127.0.0.2:")
        with httpx.Client(trust_env=False) as client:
            for host, expected in (("box.test", 200), ("b.test:1", 200), ("c.test", 421)):
                assert client.get(base_url, headers={"Host": host}).status_code == expected
        process.send_signal(signal.SIGINT)
        rest, errors = process.communicate(timeout=60)
    assert (process.returncode, rest.strip(), errors) == (0, "", "")


@pytest.mark.parametrize("command", [PROGRAM, COMMAND], ids=["python -m", "pipedrive-oauth"])
def test_variables_stand_in_for_options(command: list[str]) -> None:
    """What a container gets as variables does the same as options."""
    variables = {
        "PIPEDRIVE_OAUTH_SANDBOX_HOST": "0.0.0.0",  # noqa: S104
        "PIPEDRIVE_OAUTH_SANDBOX_PORT": "0",
        "PIPEDRIVE_OAUTH_SANDBOX_ALLOWED_HOSTS": "box.test b.test",
        "PIPEDRIVE_OAUTH_SANDBOX_REDIRECT_URI": "http://127.0.0.1:2/callback",
    }
    with started(*command, **variables) as (_, announced):
        url = httpx.URL(announced["PIPEDRIVE_BASE_URL"])
        assert url.host == "box.test"
        assert announced["PIPEDRIVE_REDIRECT_URI"] == "http://127.0.0.1:2/callback"
        with httpx.Client(trust_env=False) as client:
            here = url.copy_with(host="127.0.0.1")
            assert client.get(here, headers={"Host": "b.test"}).status_code == 200


def test_both_commands_have_the_same_options() -> None:
    """Names, variables, defaults and help texts are the same."""
    found = {
        each.name: (each.opts[0], each.envvar, each.default, each.help)
        for each in get_command(app).commands["sandbox"].params  # type: ignore[attr-defined]
        if each.name in OPTIONS
    }
    assert set(found) == set(OPTIONS)
    for name, option in OPTIONS.items():
        flag, variable, default, text = found[name]
        assert (flag, variable, text) == (option.flag, option.variable, option.help)
        assert str(default or "") == option.default.replace("0", "" if name == "port" else "0")


def test_container_without_a_host_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    """Other addresses than loopback ones need to be told a host; the error says how."""
    assert main(["--host", "0.0.0.0"]) == 2  # noqa: S104
    assert "--allowed-host" in capsys.readouterr().err


def test_taken_port_ends_the_program(capsys: pytest.CaptureFixture[str]) -> None:
    """A port in use ends the program with 2 and a message, not with a traceback."""
    with run() as server:
        port = httpx.URL(server.base_url).port
        assert main(["--port", str(port)]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.startswith(f"Error: Cannot listen on port {port} of 127.0.0.1")


def test_ctrl_c_before_the_first_client(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C while the server starts ends the program with 0 as well."""

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("pipedrive_oauth_client.sandbox.program.serve", interrupt)
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
