"""Token stores, and the protocol of a store of your own.

`MemoryTokenStore` is for one process, `FileTokenStore` for one machine, `SQLTokenStore` and
`RedisTokenStore` for any number of them. `EncryptedTokenStore` wraps any of them. All but the first
need an extra, which is imported when the store is first used. `TokenStore` says what a store of
your own has to do, and `stores.conformance` has the tests for it.
"""

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from pipedrive_oauth_client._lazy import lazy_attributes, raise_missing_extra

if TYPE_CHECKING:
    from pipedrive_oauth_client.stores.encrypted import EncryptedTokenStore
    from pipedrive_oauth_client.stores.file import FileTokenStore
    from pipedrive_oauth_client.stores.leased import DEFAULT_LEASE, Lease, LeasedStore
    from pipedrive_oauth_client.stores.memory import MemoryTokenStore
    from pipedrive_oauth_client.stores.protocol import (
        AccountOverview,
        TokenStore,
        accounts_with_prefix,
        checked_account,
    )
    from pipedrive_oauth_client.stores.redis import RedisTokenStore
    from pipedrive_oauth_client.stores.sql import SQLTokenStore

__all__ = [
    "DEFAULT_LEASE",
    "AccountOverview",
    "EncryptedTokenStore",
    "FileTokenStore",
    "Lease",
    "LeasedStore",
    "MemoryTokenStore",
    "RedisTokenStore",
    "SQLTokenStore",
    "TokenStore",
    "accounts_with_prefix",
    "checked_account",
]

# The names of each module, which is imported at their first use.
_NAMES = {
    "encrypted": ["EncryptedTokenStore"],
    "file": ["FileTokenStore"],
    "leased": ["DEFAULT_LEASE", "Lease", "LeasedStore"],
    "memory": ["MemoryTokenStore"],
    "protocol": ["AccountOverview", "TokenStore", "accounts_with_prefix", "checked_account"],
    "redis": ["RedisTokenStore"],
    "sql": ["SQLTokenStore"],
}
# The package that a store needs, and the extra that installs it.
_EXTRAS = {
    "EncryptedTokenStore": ("cryptography", "encryption"),
    "FileTokenStore": ("filelock", "file"),
    "RedisTokenStore": ("redis", "redis"),
    "SQLTokenStore": ("sqlalchemy", "sql"),
}

if not TYPE_CHECKING:
    _find = lazy_attributes(__name__, _NAMES)

    def __getattr__(name: str) -> Any:
        try:
            return _find(name)
        except ModuleNotFoundError as error:
            package, extra = _EXTRAS.get(name, ("", ""))
            raise_missing_extra(error, name, package=package, extra=extra)


def __dir__() -> list[str]:
    # Without the names that would raise, for programs that look at every attribute.
    missing = {name for name, (package, _) in _EXTRAS.items() if not find_spec(package)}
    return sorted(set(__all__) - missing)
