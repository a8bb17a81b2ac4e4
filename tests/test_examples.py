"""Every program in examples/ does what it says."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from examples import demo
from pipedrive_oauth_client import sandbox

ROOT = Path(__file__).parents[1]


def test_every_example_is_tested() -> None:
    """A program that is added to examples/ needs a test here."""
    programs = {path.stem for path in (ROOT / "examples").glob("*.py")}
    assert programs == {"__init__", "demo"}


def test_the_demo_walks_through_both_journeys() -> None:
    """`python -m examples.demo` takes every step twice, masks the secrets and exits with 0.

    It does so at a terminal that knows nothing but ASCII, too.
    """
    done = subprocess.run(
        [sys.executable, "-m", "examples.demo"],
        cwd=ROOT,
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    steps = [line.split("  ")[1] for line in done.stdout.splitlines() if line.startswith("  ")]
    journey = [
        "authorize",
        "consent",
        "get_tokens",
        "GET /api/v1/users/me",
        "refresh_tokens",
        "GET /api/v1/users/me",
        "refresh_tokens",
    ]
    assert steps == journey * 2
    assert done.stdout.count("the old one is refused: Invalid grant") == 2
    assert sandbox.DEFAULT_APP.client_secret not in done.stdout
    assert "v1u:" not in done.stdout


def test_the_demo_fails_when_a_step_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A service that does not rotate refresh tokens makes the demo exit with 1 and say why."""
    run = sandbox.run
    lax = sandbox.create_app(rotate_refresh_tokens=False)
    monkeypatch.setattr(sandbox, "run", lambda: run(lax))
    assert demo.main() == 1
    assert "the refresh token is the old one" in capsys.readouterr().err
