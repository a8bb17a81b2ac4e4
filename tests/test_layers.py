"""What the contract of layers in pyproject.toml can't say of the package's imports."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import pipedrive_oauth_client

NAME: Final = "pipedrive_oauth_client"
PACKAGE: Final = Path(pipedrive_oauth_client.__file__).parent

# Parts that need an extra as a whole; all others are the core.
EXTRAS: Final = ("sandbox/", "cli/", "pytest_plugin.py")
# What the core may import from outside: its three dependencies, and anyio, which httpx brings.
OUTSIDE: Final = frozenset({"attrs", "httpx", "dateutil", "anyio"})
# Modules of the core that use an extra, each of which is imported only by those who use it;
# `test_import_loads_nothing_but_the_package` proves it.
OPTIONAL: Final = {
    "retry.py": {"tenacity"},
    "stores/file.py": {"filelock"},
    "stores/sql.py": {"sqlalchemy"},
    "stores/_sql_engine.py": {"sqlalchemy"},
    "stores/redis.py": {"redis"},
    "stores/encrypted.py": {"cryptography"},
    "stores/conformance.py": {"pytest"},
    "adapters/requests.py": {"requests"},
    "adapters/httpx2.py": {"httpx2"},
    "web/login_state.py": {"itsdangerous"},
    "web/signed_tokens.py": {"jwt"},
    "web/starlette.py": {"starlette"},
    "web/flask.py": {"flask", "werkzeug"},
    "web/django/": {"django", "asgiref"},
}


def imported(package: Path, where: str) -> Iterator[str]:
    """Give each dotted name that a module imports, at its top or inside, with what it takes."""
    here = [NAME, *Path(where).with_suffix("").parts]
    for node in ast.walk(ast.parse((package / where).read_bytes())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = here[: -node.level] if node.level else []
            for alias in node.names:
                yield ".".join([*base, *filter(None, [node.module]), alias.name])


def faults(package: Path) -> list[str]:
    """List the imports that break a rule, each with its module."""
    found: list[str] = []
    modules = {file.name for file in package.iterdir()}
    for file in sorted(package.rglob("*.py")):
        where = file.relative_to(package).as_posix()
        optional = set[str]().union(
            *(OPTIONAL[each] for each in OPTIONAL if where.startswith(each))
        )
        for name in imported(package, where):
            first, _, rest = name.partition(".")
            inner = rest.partition(".")[0]
            if first != NAME:
                is_known = first in OUTSIDE | optional or first in sys.stdlib_module_names
                is_right = is_known or where.startswith(EXTRAS)
            elif where.startswith("sandbox/"):
                # It shares nothing with the client that it tests, but the errors.
                is_right = inner in ("errors", "sandbox")
            else:
                # Not the package itself, which imports all of them.
                is_right = f"{inner}.py" in modules or inner in modules
            if not is_right or (name.endswith(".*") and not where.startswith("generated/")):
                found.append(f"{where} imports {name}")
    return found


def test_imports_keep_the_rules() -> None:
    """The core imports no extra, the sandbox only errors, and no module the package or a star."""
    assert len(list(PACKAGE.rglob("*.py"))) > 50
    assert faults(PACKAGE) == []


def test_modules_with_an_extra_exist() -> None:
    """Each exception is for a module that is there and uses it."""
    for where, names in OPTIONAL.items():
        files = [PACKAGE / where, *(PACKAGE / where).rglob("*.py")]
        used = {
            name.partition(".")[0]
            for file in files
            if file.is_file()
            for name in imported(PACKAGE, file.relative_to(PACKAGE).as_posix())
        }
        assert names <= used, where


@pytest.mark.parametrize(
    ("where", "code"),
    [
        ("errors.py", "import starlette.requests"),
        ("generated/client.py", "def f():\n    from jinja2 import Template"),
        ("web/core.py", "import starlette.requests"),
        ("web/flask.py", "import starlette.requests"),
        ("helpers.py", "class C:\n    def f(self):\n        import tenacity"),
        ("sandbox/state.py", f"from {NAME}.credentials import AppCredentials"),
        ("sandbox/state.py", f"from {NAME} import generated"),
        ("sandbox/state.py", "from ..tokens import Token"),
        ("sandbox/state.py", "if TYPE_CHECKING:\n    from .. import tokens"),
        ("credentials.py", f"from {NAME} import AppCredentials"),
        ("credentials.py", f"import {NAME}"),
        ("credentials.py", "from .errors import *"),
    ],
)
def test_wrong_import_is_found(tmp_path: Path, where: str, code: str) -> None:
    """Every form of an import that breaks a rule is seen."""
    for name in (where, "errors.py", "credentials.py", "tokens.py", "generated/client.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("import os\n", encoding="utf-8")
    assert faults(tmp_path) == []
    (tmp_path / where).write_text(code, encoding="utf-8")
    (fault,) = faults(tmp_path)
    assert fault.startswith(f"{where} imports ")
