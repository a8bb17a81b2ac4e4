"""What is said when a package of an extra is not installed."""

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

    Put it under `if not TYPE_CHECKING`, and the imports themselves under `if TYPE_CHECKING`: type
    checkers then see each name with its type, and refuse those that are not there.

    Args:
        package: The package's `__name__`.
        names: The names of each module, which is named from the package on.
        modules: Names that stand for a whole module, with the module.

    Returns:
        The function. It keeps nothing: what somebody's test puts into a module for a while must
        not stay here for good.
    """
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
    """Say which extra is needed, if that is why an import failed.

    Args:
        error: What the import raised.
        what: What was asked for.
        package: The package that it needs.
        extra: The extra that brings it.

    Raises:
        ConfigurationError: The package is not there.
        ModuleNotFoundError: The error itself, if it is about something else.
    """
    if not package or (error.name or "").partition(".")[0] != package:
        raise error
    from pipedrive_oauth_client.errors import ConfigurationError  # noqa: PLC0415 - rarely needed

    raise ConfigurationError(
        f"{what} needs the extra `{extra}`: pip install 'pipedrive-oauth-client[{extra}]'."
    ) from error
