"""Where tokens are kept, from a URL: `Place`."""

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


@frozen
class StoreURL:
    """A store that has not been opened yet.

    Attributes:
        url: Its address, which may hold a password.
        name: The table or the prefix of keys; the store's own by default.
        keys: Keys that encrypt, the newest first; none for a store in the clear.
    """

    url: str = field(repr=lambda url: repr(redact_url(url)))
    name: str | None = None
    keys: tuple[str, ...] = field(default=(), repr=lambda keys: f"<{len(keys)} hidden>")

    @property
    def shown(self) -> str:
        """What can be shown of it."""
        return redact_url(self.url) + (" (encrypted)" if self.keys else "")

    @property
    def is_forgotten(self) -> bool:
        """Whether it is gone when the command ends."""
        return _scheme(self.url) == "memory"

    @contextmanager
    def opened(self) -> Generator[TokenStore]:
        """Open the store, and close it at the end.

        Yields:
            The store. One in a database or Redis has no connection yet.

        Raises:
            ConfigurationError: The address, the name or a key can't be right, or an extra is not
                installed.
            StoreError: The folder of a file store can't be used.
        """
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
            raise ConfigurationError("Only stores in databases and Redis have a --store-name.")
        if scheme == "memory":
            return stores.MemoryTokenStore()
        return stores.FileTokenStore(folder_from_url(self.url))


def folder_from_url(url: str) -> Path:
    """Give the folder of a file store.

    Args:
        url: `file:///folder`; `file:folder` is one below the current folder.

    Returns:
        The folder.

    Raises:
        ConfigurationError: It names no folder of this machine.
    """
    found = re.fullmatch(r"file:(?://(?:localhost)?(?=/))?([^?#]+)", url, re.IGNORECASE)
    path = unquote(found[1]) if found else ""
    if path.strip("/") and not path.startswith("//"):
        try:
            return Path(path).expanduser()
        except RuntimeError as error:  # there is no such user
            raise ConfigurationError(f"The store's folder can't be found: {error}") from error
    # The address is not repeated: it may be another one's, with a password in it.
    raise ConfigurationError(f"The store's address must be one of {_FORMS}.")


def default_url() -> str:
    """Give the address of the store that is used when none is named: a folder of this user."""
    from platformdirs import user_data_path  # noqa: PLC0415 - only where no store is named

    try:
        folder = user_data_path("pipedrive-oauth", appauthor=False) / "tokens"
    except RuntimeError:  # platformdirs has found no home folder; older versions leave the "~"
        folder = None
    if folder is None or not folder.is_absolute():
        raise ConfigurationError(
            "This user has no home folder to keep tokens in. Set HOME, or name a store:"
            " PIPEDRIVE_OAUTH_STORE=file:///folder."
        )
    return folder.as_uri()


def redact_url(url: str) -> str:
    """Give what can be shown of a store's address: no user, no password, no parameters.

    Args:
        url: The address.

    Returns:
        Its kind and its place; of what is no address of a store, nothing.
    """
    scheme = _scheme(url)
    kind = scheme.partition("+")[0]
    if kind == "memory":
        return "memory"
    if kind == "file":
        return one_line(f"file {unquote(url[len('file:') :].removeprefix('//'))}")
    if kind not in _SQL | _REDIS or "://" not in url:
        return "(an address that can't be read)"
    rest = url.partition("://")[2]
    if kind != "sqlite" or not rest.startswith("/"):
        # Is it a password with a ? in it that ends at this @, or a parameter with an @?
        if re.search("[?#].*@", rest, re.DOTALL):
            return f"{scheme}://..."
        # A password may hold any other of the signs that part an address.
        rest = rest.rpartition("@")[2]
    return one_line(f"{scheme}://{re.split('[?#]', rest, maxsplit=1)[0]}")


def _scheme(url: str) -> str:
    found = _SCHEME.match(url)
    return found[1].lower() if found else ""
