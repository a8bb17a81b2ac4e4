"""Store URLs: which store each opens, and what is shown of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pipedrive_oauth_client.cli.store_url import StoreURL, default_url, folder_from_url, redact_url
from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.stores import MemoryTokenStore
from tests.cli.conftest import Ran

Run = Callable[..., Ran]


REDACTED = {
    "memory:": "memory",
    "file:///srv/tokens": "file /srv/tokens",
    "file:///srv/a%20b": "file /srv/a b",
    "sqlite:////srv/tokens.db": "sqlite:////srv/tokens.db",
    "postgresql+psycopg://u:PW@db:5432/app?sslmode=require": "postgresql+psycopg://db:5432/app",
    "postgresql://u:PW/PW@db/app": "postgresql://db/app",
    "postgresql://u:PW@PW@db/app": "postgresql://db/app",
    "postgresql://u:PW?PW#PW@db/app": "postgresql://...",
    "redis://cache/0?password=PW@PW": "redis://...",
    "sqlite+pysqlcipher://:PW@/srv/tokens.db": "sqlite+pysqlcipher:///srv/tokens.db",
    "sqlite:////srv/a@b.db": "sqlite:////srv/a@b.db",
    "file:///srv/%1b%5b31m\x07": "file /srv/ [31m",
    "mysql+pymysql://db/app?password=PW": "mysql+pymysql://db/app",
    "redis://:PW@cache:6379/0": "redis://cache:6379/0",
    "rediss://PW@cache/0?password=PW#PW": "rediss://cache/0",
    "unix://u:PW@/run/redis.sock?db=0": "unix:///run/redis.sock",
    "postgres:PW@db": "(an invalid URL)",
    "PW": "(an invalid URL)",
    "": "(an invalid URL)",
}


@pytest.mark.parametrize(("url", "redacted"), REDACTED.items())
def test_redacted_url_has_no_password(url: str, redacted: str) -> None:
    """A redacted URL has no user, password or parameters."""
    assert redact_url(url) == redacted
    assert "PW" not in repr(StoreURL(url, keys=("PW",))) + StoreURL(url).redacted


@pytest.mark.parametrize(
    "url", ["PW", "", "file:", "file:///", "file://host/PW", "https://PW", "postgres://u:PW@h/x"]
)
def test_invalid_url_is_not_repeated(url: str) -> None:
    """An invalid store URL is rejected, and not repeated."""
    with (
        pytest.raises(ConfigurationError) as caught,
        StoreURL(url).open(),
    ):
        pass
    assert "PW" not in str(caught.value)


def test_stores_of_urls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each URL opens the store that it names."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert folder_from_url("file:///srv/a%20b") == Path("/srv/a b")
    assert folder_from_url("file:~/tokens") == tmp_path / "tokens"
    assert folder_from_url("file:tokens") == Path("tokens")
    with StoreURL("memory:").open() as store:
        assert isinstance(store, MemoryTokenStore)
    with StoreURL(f"sqlite:///{tmp_path}/t.db", "mine").open() as store:
        assert "table='mine'" in repr(store)
    with StoreURL("redis://127.0.0.1:1/0", "{mine}").open() as store:
        assert "prefix='{mine}'" in repr(store)
    with pytest.raises(ConfigurationError, match="store-name"), StoreURL("memory:", "x").open():
        pass


def unresolved(*_: object, **__: object) -> Path:
    """Return what older versions of platformdirs do where there is no home folder."""
    return Path("~/.local/share/x")


def not_found(*_: object, **__: object) -> Path:
    """Fail as newer versions do."""
    raise RuntimeError("could not determine the home directory")


@pytest.mark.parametrize("user_data_path", [unresolved, not_found])
def test_no_home(
    run: Run, monkeypatch: pytest.MonkeyPatch, user_data_path: Callable[..., Path]
) -> None:
    """A user without a home folder is told to name a store."""
    monkeypatch.setattr("platformdirs.user_data_path", user_data_path)
    ran = run("status", PIPEDRIVE_OAUTH_STORE="")
    assert (ran.code, ran.out) == (2, "")
    assert "Set HOME, or name a store" in ran.err


def test_default_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default store is a folder of the user."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert folder_from_url(default_url()).is_relative_to(tmp_path)
