from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pipedrive_oauth_client import web
from pipedrive_oauth_client.web import django as web_django

DOCS = Path(__file__).parents[2] / "docs"

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


def test_reference_has_every_name() -> None:
    """The pages of the web part have an entry for each name; an error has its own heading."""
    page = "".join((DOCS / f"python/{each}.md").read_text("utf-8") for each in ("web", "django"))
    entries = set(re.findall(r"^::: pipedrive_oauth_client\.web\.([\w.]+)$", page, re.MULTILINE))
    django = {f"django.{name}" for name in web_django.__all__}
    frameworks = {"flask.PipedriveWeb", "starlette.PipedriveWeb"}
    modules = ("django.admin.", "django.models.", "django.signals.")
    others = {name for name in entries if name.startswith(modules)}
    assert entries - others == {*web.__all__, *django, *frameworks} - {"SignedTokenError"}
