"""Where tokens are stored, as a URL: `StoreURL`."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

from attrs import field, frozen

from pipedrive_oauth_client.cli.output import one_line
from pipedrive_oauth_client.errors import ConfigurationError

if TYPE_CHECKING:
    from pipedrive_oauth_client.stores.protocol import TokenStore

__all__ = ["StoreURL", "default_url", "folder_from_url", "redact_url"]

_FORMS: Final = (
    "memory:, file:///folder, sqlite:////folder/tokens.db, postgresql+psycopg://user@host/name,"
    " mysql+pymysql://user@host/name, redis://host:6379/0 or rediss://host:6379/0"
)
_SQL: Final = frozenset({"sqlite", "postgresql", "mysql", "mariadb"})
_REDIS: Final = frozenset({"redis", "rediss", "unix"})
_SCHEME: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


@frozen(eq=False)
class StoreURL:
    """A store that is not open yet. `name` is its table or its key prefix."""

    url: str = field(repr=lambda url: repr(redact_url(url)))
    name: str | None = None
    keys: tuple[str, ...] = field(default=(), repr=lambda keys: f"<{len(keys)} hidden>")

    @property
    def redacted(self) -> str:
        """The URL without its secrets."""
        return redact_url(self.url) + (" (encrypted)" if self.keys else "")

    @property
    def is_temporary(self) -> bool:
        """Whether the store ends with the command."""
        return _scheme(self.url) == "memory"

    @contextmanager
    def open(self) -> Generator[TokenStore]:
        """Open the store, and close it at the end. A database or Redis is not connected to yet."""
        from pipedrive_oauth_client import stores  # noqa: PLC0415 - help needs no store

        inner: Any = self._open()
        try:
            yield stores.EncryptedTokenStore(inner, list(self.keys)) if self.keys else inner
        finally:
            getattr(inner, "close", tuple)()

    def _open(self) -> TokenStore:
        from pipedrive_oauth_client import stores  # noqa: PLC0415

        scheme = _scheme(self.url)
        kind = scheme.partition("+")[0]
        if kind in _SQL:
            named: dict[str, Any] = {} if self.name is None else {"table": self.name}
            return stores.SQLTokenStore(self.url, **named)
        if kind in _REDIS:
            prefix: dict[str, Any] = {} if self.name is None else {"prefix": self.name}
            return stores.RedisTokenStore(self.url, **prefix)
        if self.name is not None:
            raise ConfigurationError("--store-name applies only to databases and Redis.")
        if scheme == "memory":
            return stores.MemoryTokenStore()
        return stores.FileTokenStore(folder_from_url(self.url))


def folder_from_url(url: str) -> Path:
    """Return the folder of a file store; `file:folder` is relative to the current folder."""
    found = re.fullmatch(r"file:(?://(?:localhost)?(?=/))?([^?#]+)", url, re.IGNORECASE)
    path = unquote(found[1]) if found else ""
    if path.strip("/") and not path.startswith("//"):
        try:
            return Path(path).expanduser()
        except RuntimeError as error:  # no such user
            raise ConfigurationError(f"Cannot find the folder of the store: {error}") from error
    # The URL is not repeated: it may hold a password.
    raise ConfigurationError(f"The store's URL must have one of these forms: {_FORMS}.")


def default_url() -> str:
    """Return the URL of the default store: a folder of this user."""
    from platformdirs import user_data_path  # noqa: PLC0415 - only where no store is named

    try:
        folder = user_data_path("pipedrive-oauth", appauthor=False) / "tokens"
    except RuntimeError:  # platformdirs has found no home folder; older versions leave the "~"
        folder = None
    if folder is None or not folder.is_absolute():
        raise ConfigurationError(
            "This user has no home folder to store tokens in. Set HOME, or name a store:"
            " PIPEDRIVE_OAUTH_STORE=file:///folder."
        )
    return folder.as_uri()


def redact_url(url: str) -> str:
    """Return a store's URL without user, password and parameters."""
    scheme = _scheme(url)
    kind = scheme.partition("+")[0]
    if kind == "memory":
        return "memory"
    if kind == "file":
        return one_line(f"file {unquote(url[len('file:') :].removeprefix('//'))}")
    if kind not in _SQL | _REDIS or "://" not in url:
        return "(an invalid URL)"
    rest = url.partition("://")[2]
    if kind != "sqlite" or not rest.startswith("/"):
        # Either a password that contains ? and ends at this @, or a parameter that contains @.
        if re.search("[?#].*@", rest, re.DOTALL):
            return f"{scheme}://..."
        # A password may contain any other delimiter of a URL.
        rest = rest.rpartition("@")[2]
    return one_line(f"{scheme}://{re.split('[?#]', rest, maxsplit=1)[0]}")


def _scheme(url: str) -> str:
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""
