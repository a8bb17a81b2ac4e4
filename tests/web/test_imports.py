from __future__ import annotations

import json
import subprocess
import sys

import pytest

FRAMEWORKS = {"starlette", "fastapi", "flask", "django"}
SCRIPT = """
import importlib, json, sys
importlib.import_module(sys.argv[1])
print(json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""
BLOCKED = """
import sys
sys.modules["itsdangerous"] = None
try:
    import pipedrive_oauth_client.web
except Exception as error:
    print(type(error).__name__, error)
"""


def imported_by(module: str) -> set[str]:
    """Give the top-level modules that are loaded with a module."""
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, module],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize(
    ("module", "own"),
    [
        ("pipedrive_oauth_client.web", set[str]()),
        ("pipedrive_oauth_client.web.connect", set[str]()),
        ("pipedrive_oauth_client.web.starlette", {"starlette"}),
        ("pipedrive_oauth_client.web.flask", {"flask"}),
        ("pipedrive_oauth_client.web.django", {"django"}),
    ],
)
def test_each_framework_by_its_own_module(module: str, own: set[str]) -> None:
    """The core loads no framework, and the module of each loads its own alone."""
    assert imported_by(module) & FRAMEWORKS == own


def test_package_loads_nothing_of_it() -> None:
    """The package itself loads neither the routes nor what signs the cookies."""
    assert not imported_by("pipedrive_oauth_client") & {*FRAMEWORKS, "itsdangerous"}


def test_extra_is_missing() -> None:
    """Without the extra the error says how to install it."""
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith("MissingExtraError")
    assert "pipedrive-oauth-client[web]" in done.stdout
