"""Account names for the shell's completion, where that costs nothing."""

from __future__ import annotations

import os
from itertools import islice
from typing import Any

import typer

__all__ = ["complete_account"]

_MOST = 200


def complete_account(context: typer.Context, incomplete: str) -> list[str]:
    """Give the accounts that begin as what is written so far.

    Only a file store is looked into: a database or Redis could keep the shell waiting, and would
    want a password. Nothing is made, and no error is told: that would end up on the command line.

    Args:
        context: The command line so far.
        incomplete: What is written so far.

    Returns:
        The names.
    """
    from pipedrive_oauth_client.cli.store_url import default_url, folder_from_url  # noqa: PLC0415

    given: Any = context.params.get("store") or os.environ.get("PIPEDRIVE_OAUTH_STORE")
    try:
        folder = folder_from_url(given or default_url())
        if not folder.is_dir():
            return []
        from pipedrive_oauth_client.stores import FileTokenStore  # noqa: PLC0415

        names = (each for each in FileTokenStore(folder).accounts() if each.startswith(incomplete))
        return sorted(islice(names, _MOST))
    except Exception:  # noqa: BLE001 - see above
        return []
