from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from pipedrive_oauth_client import sandbox

SOURCES = sorted(Path(sandbox.__file__).parent.glob("**/*.py"))
BLOCK = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
"""
MISSING = (
    BLOCK
    + """
from pipedrive_oauth_client import ConfigurationError

try:
    import pipedrive_oauth_client.sandbox
except ConfigurationError as error:
    assert isinstance(error, ImportError)
    assert isinstance(error.__cause__, ModuleNotFoundError), error.__cause__
    print(error)
"""
)
CORE = """
import sys
import pipedrive_oauth_client
import pipedrive_oauth_client.errors
names = {"starlette", "uvicorn", "jinja2", "pipedrive_oauth_client.sandbox"}
print(sorted(names & set(sys.modules)))
"""


def run_python(code: str, *arguments: str) -> str:
    """Return what a new interpreter prints when it runs the code."""
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        check=True,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=60,
    )
    return done.stdout.strip()


def test_public_names() -> None:
    """The package offers these names and no others."""
    assert sandbox.__all__ == [
        "DEFAULT_APP",
        "DEFAULT_USER",
        "OTHER_USER",
        "REFUSALS",
        "App",
        "Clock",
        "Fault",
        "Faults",
        "Refusal",
        "RequestLog",
        "RequestRecord",
        "Sandbox",
        "SandboxServer",
        "ServiceRequest",
        "UninstallNotice",
        "User",
        "create_app",
        "run",
        "serve",
    ]
    assert all(hasattr(sandbox, name) for name in sandbox.__all__)


@pytest.mark.parametrize("package", ["starlette", "uvicorn", "jinja2"])
def test_missing_extra_is_named(package: str) -> None:
    """Without one of the extra's packages the import says what to install."""
    assert 'pip install "pipedrive-oauth-client[sandbox]"' in run_python(MISSING, package)


def test_core_does_not_need_the_sandbox() -> None:
    """Importing the package imports neither the sandbox nor what the sandbox needs."""
    assert run_python(CORE) == "[]"


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_sandbox_shares_no_code_with_the_client(source: Path) -> None:
    """Of the rest of the package the sandbox imports the errors alone."""
    imported = set[str]()
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    own = {name for name in imported if name.partition(".")[0] == "pipedrive_oauth_client"}
    allowed = ("pipedrive_oauth_client.errors.", "pipedrive_oauth_client.sandbox.")
    assert {name for name in own if not f"{name}.".startswith(allowed)} == set()
