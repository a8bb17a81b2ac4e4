"""What is said when a package of an extra is not installed."""

from __future__ import annotations

from typing import NoReturn

from pipedrive_oauth_client.errors import ConfigurationError

__all__ = ["refuse_without"]


def refuse_without(error: ModuleNotFoundError, what: str, *, package: str, extra: str) -> NoReturn:
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
    raise ConfigurationError(
        f"{what} needs the extra `{extra}`: pip install 'pipedrive-oauth-client[{extra}]'."
    ) from error
