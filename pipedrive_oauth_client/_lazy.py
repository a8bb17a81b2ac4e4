"""Names that are imported when they are first used, and the error where an extra is missing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from importlib import import_module
from typing import Any, NoReturn

__all__ = ["lazy_attributes", "raise_missing_extra"]


def lazy_attributes(
    package: str, names: Mapping[str, Iterable[str]], modules: Mapping[str, str] | None = None
) -> Callable[[str], Any]:
    """Make the `__getattr__` of a package.

    `names` gives the names of each module, relative to the package, and `modules` the names that
    stand for a whole module. Put it under `if not TYPE_CHECKING`, and the imports themselves under
    `if TYPE_CHECKING`: type checkers then see each name with its type, and reject unknown ones.
    """
    # The function caches nothing: what a test puts into a module for a while must not stay here.
    homes = {name: module for module, each in names.items() for name in each}
    whole = modules or {}

    def find(name: str) -> Any:
        if name in homes:
            return getattr(import_module(f"{package}.{homes[name]}"), name)
        if name in whole:
            return import_module(f"{package}.{whole[name]}")
        module = sys.modules[package]
        message = f"module {package!r} has no attribute {name!r}"
        raise AttributeError(message, name=name, obj=module)

    return find


def raise_missing_extra(
    error: ModuleNotFoundError, what: str, *, package: str, extra: str
) -> NoReturn:
    """Raise a `MissingExtraError` if an import failed for lack of `package`, else the same error.

    `what` is what the caller has asked for, and `extra` the extra that installs the package.
    """
    if not package or (error.name or "").partition(".")[0] != package:
        raise error
    from pipedrive_oauth_client.errors import MissingExtraError  # noqa: PLC0415 - rarely needed

    raise MissingExtraError(
        f"{what} needs the extra `{extra}`: pip install 'pipedrive-oauth-client[{extra}]'.",
        name=package,
    ) from error
