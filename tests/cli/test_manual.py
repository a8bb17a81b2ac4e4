"""docs/command-line.md: its examples work, and its tables are complete."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from pipedrive_oauth_client.cli.exit_codes import ExitCode
from pipedrive_oauth_client.cli.status import AccountState
from pipedrive_oauth_client.cli.store_url import redact_url
from pipedrive_oauth_client.sandbox import SandboxServer
from tests.cli.test_check import NAMES

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)


@pytest.mark.timeout(300)  # a dozen programs, one after the other
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl, which an example uses, is not here")
def test_examples_run_in_their_order(
    environ: dict[str, str], box: SandboxServer, tmp_path: Path
) -> None:
    """Every line of every example works, one after the other, against a sandbox."""
    assert len(BLOCKS) == 8
    tool = tmp_path / "bin" / "pipedrive-oauth"
    tool.parent.mkdir()
    python = shlex.quote(sys.executable)
    tool.write_text(f'#!/bin/sh\nexec {python} -m pipedrive_oauth_client.cli "$@"\n')
    tool.chmod(0o755)
    interpreter = tool.parent / "python"
    interpreter.write_text(f'#!/bin/sh\nexec {python} "$@"\n')
    interpreter.chmod(0o755)
    browser = tmp_path / "browser.py"
    browser.write_text(
        "import sys, urllib.request\n"
        "from pipedrive_oauth_client.sandbox.browser import visit\n"
        f"url = visit({box.base_url!r}, sys.argv[1], decision='allow', account=None)\n"
        "open_it = urllib.request.build_opener(urllib.request.ProxyHandler({})).open\n"
        "open_it(url, timeout=20).read()\n",
        encoding="utf-8",
    )
    opener = ["env", f"PYTHONPATH={ROOT}", sys.executable, str(browser)]
    done = subprocess.run(
        ["sh", "-eux", "-c", "\n".join(BLOCKS)],
        cwd=tmp_path,
        env={
            **os.environ,
            **environ,
            "PATH": f"{tool.parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "BROWSER": f"{shlex.join(opener)} %s &",
            "no_proxy": "127.0.0.1",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Saved as 1:11 in" in done.stdout
    assert "Alex Moreno" in done.stdout
    assert "Revoked acme" in done.stdout
    assert "Deleted the token of 1:11 from file " in done.stdout
    assert "1 copied, 0 failed." in done.stdout
    assert "1 encrypted with the first key, 0 failed." in done.stdout


def rows(heading: str) -> list[list[str]]:
    """Return the cells of the table whose first heading is this."""
    table = TEXT.partition(f"\n| {heading} |")[2].partition("\n\n")[0]
    lines = table.splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_exit_codes() -> None:
    """The table of exit codes is the one that the command uses."""
    assert rows("code") == [
        [str(int(code)), f"`{code.name.lower()}`", code.meaning] for code in ExitCode
    ]


def test_checks() -> None:
    """The table of checks has each of them, in their order."""
    assert [row[0].strip("`") for row in rows("check")] == NAMES


def test_states() -> None:
    """The table of states has each of them."""
    assert [row[0] for row in rows("state")] == [f"`{state}`" for state in AccountState]


@pytest.mark.parametrize(
    "url", re.findall(r"`(\w[\w+]*:[^`]*[^.`])`", "\n".join(map(str, rows("URL"))))
)
def test_store_urls(url: str) -> None:
    """The command accepts each URL of the table."""
    assert redact_url(url) != "(an invalid URL)"
