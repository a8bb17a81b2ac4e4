"""Imports inside the package run one way, and its modules stay small."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import pipedrive_oauth_client

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "pipedrive_oauth_client"
PACKAGE = Path(pipedrive_oauth_client.__file__).parent
MOST_LINES = 250

# Parts that need an extra; all others are the core.
EXTRAS = frozenset({"sandbox", "pytest_plugin", "cli"})

# Each part of the package with the parts that it may import. A new module has to be put in here.
_BASE = frozenset({"generated", "errors"})
_GRANT = _BASE | {"credentials", "tokens", "authorization", "retries"}
_FLOW = _GRANT | {"clock", "destinations", "calls", "plans"}
_RENEWAL = _BASE | {"clock", "tokens", "stores", "flow", "async_flow", "flights", "renewal"}
LAYERS: dict[str, frozenset[str]] = {
    "generated": frozenset(),
    "errors": frozenset({"generated"}),
    "lazy": frozenset(),
    "characters": frozenset(),
    "extras": _BASE,
    "clock": _BASE,
    "credentials": _BASE,
    "tokens": _BASE | {"characters"},
    "retry_after": frozenset(),
    "callback_fields": _BASE,
    "authorization": _BASE | {"credentials", "callback_fields", "characters"},
    "answers": _BASE | {"retry_after"},
    "destinations": _BASE,
    "origins": _BASE | {"destinations"},
    "retries": _BASE,
    "stores": _BASE | {"tokens", "extras", "lazy"},
    "calls": _BASE | {"retries"},
    "plans": _GRANT | {"answers", "destinations", "calls", "characters", "clock"},
    "flow": _FLOW,
    "async_flow": _FLOW | {"flow"},
    "unsaved": _BASE | {"tokens", "stores"},
    "flights": _BASE | {"tokens", "stores"},
    "renewal": _BASE | {"tokens", "stores", "flow", "unsaved"},
    "waiting": frozenset(),
    "bearer": _BASE | {"tokens", "origins"},
    "supply": _RENEWAL | {"bearer", "origins", "waiting"},
    "people": _BASE | {"retry_after"},
    "asking": _BASE | {"clock", "tokens", "destinations", "origins", "people"},
    "rest": frozenset(),
    "replays": frozenset(),
    "auth": _BASE
    | {"clock", "tokens", "stores", "flow", "async_flow"}
    | {"bearer", "supply", "rest", "replays"},
    "due": _BASE | {"tokens", "stores"},
    "pace": frozenset(),
    "fleet_run": _RENEWAL | {"pace", "unsaved"},
    "fleet": _RENEWAL | {"due", "pace", "fleet_run"},
    "adapters": _BASE | {"extras", "clock", "bearer", "auth"},
    "web": _FLOW
    | {"stores", "extras", "origins", "callback_fields", "people", "asking"}
    | {"flow", "async_flow", "auth", "fleet"},
    "__init__": _GRANT | {"lazy", "flow", "async_flow", "auth"},
    "sandbox": frozenset({"errors"}),
    "cli": _RENEWAL
    | {"credentials", "authorization", "destinations", "auth", "fleet", "unsaved"}
    | {"people", "asking"}
    | {"extras", "lazy", "sandbox"},
    "pytest_plugin": frozenset({"credentials", "flow", "sandbox"}),
}

# What the core may import from outside: its three dependencies, and anyio, which httpx brings.
OUTSIDE = {"attrs", "httpx", "dateutil", "anyio"}

# Single modules that use an extra. All but `retries`, which imports it where it is needed, are
# loaded when somebody asks for what they hold; `test_import_loads_nothing_but_the_package`
# proves it.
OPTIONAL = {
    "retries.py": {"tenacity"},
    "stores/file_steps.py": {"filelock"},
    "stores/sql": {"sqlalchemy"},
    "stores/redis": {"redis"},
    "stores/sealing.py": {"cryptography"},
    "stores/conformance/": {"pytest"},
    "adapters/requests.py": {"requests"},
    "adapters/httpx2.py": {"httpx2"},
    "web/attempts.py": {"itsdangerous"},
    "web/starlette.py": {"starlette"},
    "web/flask.py": {"flask", "werkzeug"},
    "web/django/": {"django", "asgiref"},
}


def modules(package: Path) -> list[Path]:
    """Give every module of a package."""
    return sorted(package.rglob("*.py"))


def part_of(module: Path, package: Path) -> str:
    """Give the part of the package that a module is in: the first name after the package's."""
    return module.relative_to(package).with_suffix("").parts[0]


def imported(module: Path, package: Path) -> Iterator[tuple[int, str]]:
    """Give each dotted name that a module imports, at its top or inside, with its line.

    A `from` import gives the names that it takes along with where it takes them from.
    """
    here = [NAME, *module.relative_to(package).with_suffix("").parts]
    for node in ast.walk(ast.parse(module.read_bytes())):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = here[: -node.level] if node.level else []
            for alias in node.names:
                yield node.lineno, ".".join([*base, *filter(None, [node.module]), alias.name])


def faults(package: Path, layers: dict[str, frozenset[str]]) -> list[str]:
    """List what breaks the order of the layers.

    Args:
        package: The folder of the package.
        layers: Each part with the parts that it may import.

    Returns:
        A line for each module without a place and each import against the order.
    """
    found: list[str] = []
    for module in modules(package):
        part = part_of(module, package)
        where = module.relative_to(package).as_posix()
        if part not in layers:
            found.append(f"{where} has no place in LAYERS")
            continue
        for line, name in imported(module, package):
            first, _, rest = name.partition(".")
            if first != NAME:
                if part not in EXTRAS and not known_outside(first, where):
                    found.append(f"{where}:{line} imports {first}, which is not of the core")
                continue
            target = rest.split(".")[0]
            if target not in layers:
                found.append(f"{where}:{line} imports {name}, which has no place in LAYERS")
            elif target != part and target not in layers[part]:
                found.append(f"{where}:{line} imports {target}")
    return found


def known_outside(name: str, where: str) -> bool:
    """Tell whether a module of the core may import a top-level module from outside the package."""
    optional = [names for place, names in OPTIONAL.items() if where.startswith(place)]
    return name in OUTSIDE.union(*optional) or name in sys.stdlib_module_names


def test_imports_run_one_way() -> None:
    """Every module imports only from layers below its own, inside functions and for types, too."""
    assert len(modules(PACKAGE)) > 20
    assert faults(PACKAGE, LAYERS) == []


def test_layers_have_no_circle_and_no_ghost() -> None:
    """The table is an order: no part stands above and below another, and each part is there."""
    placed: set[str] = set()
    while placed != LAYERS.keys():
        ready = {part for part, below in LAYERS.items() if below <= placed} - placed
        assert ready, f"a circle among {LAYERS.keys() - placed}"
        placed |= ready
    assert {part_of(module, PACKAGE) for module in modules(PACKAGE)} == LAYERS.keys()


WRONG = {
    "from below": ("errors.py", f"from {NAME}.credentials import AppCredentials"),
    "a module from below": ("errors.py", f"from {NAME} import credentials"),
    "by its dotted name": ("errors.py", f"import {NAME}.credentials as c"),
    "in a function": ("errors.py", f"def f():\n    from {NAME}.credentials import AppCredentials"),
    "in a method": ("errors.py", f"class C:\n    def f(self):\n        import {NAME}.credentials"),
    "for types only": (
        "errors.py",
        f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from {NAME} import credentials",
    ),
    "relative": ("errors.py", "from .credentials import AppCredentials"),
    "relative, the package": ("errors.py", "from . import credentials"),
    "relative, from inside": ("generated/api/oauth/get_tokens.py", "from ....errors import X"),
    "out of generated": ("generated/client.py", f"from {NAME}.errors import CallbackError"),
    "the package itself": ("credentials.py", f"from {NAME} import AppCredentials"),
    "the package by name": ("credentials.py", f"import {NAME}"),
    "more than errors": ("sandbox/state.py", f"from {NAME}.credentials import AppCredentials"),
    "generated models": ("sandbox/state.py", f"from {NAME}.generated.models import X"),
    "the sandbox": ("__init__.py", "from .sandbox import run"),
    "an extra": ("errors.py", "import starlette.requests"),
    "an extra inside": ("generated/client.py", "def f():\n    from jinja2 import Template"),
    "a module without place": ("credentials.py", f"from {NAME}.helpers import help_me"),
    "a new module": ("helpers.py", "import os"),
    "a new folder": ("gadgets/__init__.py", ""),
    "a framework in the core of web": ("web/core.py", "import starlette.requests"),
    "another framework": ("web/flask.py", "import starlette.requests"),
}

RIGHT = {
    "from above": ("credentials.py", f"from {NAME}.errors import ConfigurationError"),
    "inside of generated": ("generated/api/oauth/get_tokens.py", "from ...client import Client"),
    "inside of the sandbox": ("sandbox/state.py", f"from {NAME}.sandbox.records import App"),
    "an extra in the sandbox": ("sandbox/state.py", "import starlette"),
    "the standard library": ("errors.py", "import json.decoder"),
    "a dependency": ("errors.py", "from dateutil.parser import isoparse"),
}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Give a package with a module in each layer, that imports nothing."""
    package = tmp_path / NAME
    for name in ("__init__", "errors", "credentials", "generated/client", "sandbox/state"):
        file = package / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("import os\n", encoding="utf-8")
    assert faults(package, LAYERS) == []
    return package


@pytest.mark.parametrize(("name", "code"), WRONG.values(), ids=WRONG.keys())
def test_wrong_import_is_found(tree: Path, name: str, code: str) -> None:
    """The check above sees an import against the order in every form that an import can have."""
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text(code, encoding="utf-8")
    (fault,) = faults(tree, LAYERS)
    assert fault.startswith(name)


@pytest.mark.parametrize(("name", "code"), RIGHT.values(), ids=RIGHT.keys())
def test_right_import_is_let_through(tree: Path, name: str, code: str) -> None:
    """The check above has nothing against imports from the layers below."""
    (tree / name).parent.mkdir(parents=True, exist_ok=True)
    (tree / name).write_text(code, encoding="utf-8")
    assert faults(tree, LAYERS) == []


HAND_WRITTEN = {
    module.relative_to(PACKAGE).as_posix(): module
    for module in modules(PACKAGE)
    if part_of(module, PACKAGE) != "generated"
}


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_module_takes_no_star(name: str) -> None:
    """No module imports everything of another."""
    names = [dotted for _line, dotted in imported(HAND_WRITTEN[name], PACKAGE)]
    assert not [dotted for dotted in names if dotted.endswith("*")]


@pytest.mark.parametrize("name", HAND_WRITTEN)
def test_module_is_short(name: str) -> None:
    """A module holds one idea: the longest has fewer lines than the limit."""
    assert len(HAND_WRITTEN[name].read_text(encoding="utf-8").splitlines()) < MOST_LINES
