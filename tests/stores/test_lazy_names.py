"""`pipedrive_oauth_client.stores` needs no extra until a store that needs one is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipedrive_oauth_client import stores

EXTRAS = {
    "EncryptedTokenStore": ("encrypted", "cryptography", "encryption"),
    "FileTokenStore": ("file", "filelock", "file"),
    "RedisTokenStore": ("redis", "redis", "redis"),
    "SQLTokenStore": ("sql", "sqlalchemy", "sql"),
}


def python(program: str) -> str:
    """Run a program in a fresh Python; give what it prints."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.stdout


def test_import_takes_no_extra() -> None:
    """Importing the package of stores, and using what needs no extra, imports none."""
    program = (
        "import sys\n"
        "from pipedrive_oauth_client import stores\n"
        "stores.MemoryTokenStore(), stores.TokenStore, stores.LeasedStore, dir(stores)\n"
        "print(sorted({name.partition('.')[0] for name in sys.modules}\n"
        "    & {'cryptography', 'filelock', 'redis', 'sqlalchemy', 'pytest'}))\n"
    )
    assert python(program) == "[]\n"


@pytest.mark.parametrize("name", stores.__all__)
def test_every_name_is_there(name: str) -> None:
    """Every public name can be had, and is the same each time."""
    assert getattr(stores, name) is getattr(stores, name) is not None
    assert name in dir(stores)


@pytest.mark.parametrize("name", EXTRAS)
def test_store_imports_its_own_extra_alone(name: str) -> None:
    """A store imports what it needs, and no other store's library."""
    module, package, _ = EXTRAS[name]
    # Redis's own client imports cryptography where it is there.
    others = {"filelock", "redis", "sqlalchemy", package}
    program = (
        "import sys\n"
        f"from pipedrive_oauth_client.stores import {name}\n"
        f"print({name}.__module__)\n"
        f"print(*sorted({{n.partition('.')[0] for n in sys.modules}} & {others}))\n"
    )
    assert python(program) == f"pipedrive_oauth_client.stores.{module}\n{package}\n"


@pytest.mark.parametrize("name", EXTRAS)
def test_missing_extra_is_named(name: str) -> None:
    """Without the extra, asking for the store says which one to install, each time."""
    module, package, extra = EXTRAS[name]
    program = (
        "import sys\n"
        f"sys.modules[{package!r}] = None\n"
        "from pipedrive_oauth_client.errors import ConfigurationError\n"
        "from pipedrive_oauth_client import stores\n"
        "for _ in range(2):\n"
        "    try:\n"
        f"        stores.{name}\n"
        "    except ConfigurationError as error:\n"
        "        print(error, type(error.__cause__).__name__)\n"
        f"del sys.modules[{package!r}]\n"
        f"print(stores.{name}.__module__)\n"
    )
    line = (
        f"{name} needs the extra `{extra}`: pip install 'pipedrive-oauth-client[{extra}]'."
        " ModuleNotFoundError\n"
    )
    assert python(program) == f"{line * 2}pipedrive_oauth_client.stores.{module}\n"


def test_broken_extra_is_not_called_missing() -> None:
    """Where something else is missing, its own error comes out."""
    program = (
        "import sys\n"
        "sys.modules['pipedrive_oauth_client.stores.file'] = None\n"
        "from pipedrive_oauth_client import stores\n"
        "try:\n"
        "    stores.FileTokenStore\n"
        "except ModuleNotFoundError as error:\n"
        "    print(error.name)\n"
    )
    assert python(program) == "pipedrive_oauth_client.stores.file\n"


def test_unknown_name_is_none() -> None:
    """A name that is not there is no attribute, as everywhere."""
    assert not hasattr(stores, "NoSuchStore")
    with pytest.raises(AttributeError, match="no attribute 'NoSuchStore'"):
        stores.NoSuchStore  # type: ignore[attr-defined]  # noqa: B018 - asking is the test
