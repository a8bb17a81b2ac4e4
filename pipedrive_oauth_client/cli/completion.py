"""Account names for shell completion.

It is a module of its own because its rules are its own: a shell runs it while a line is typed, so
it connects to nothing, creates nothing and reports no error.
"""

from __future__ import annotations

import os
import re
from itertools import islice
from typing import Any, Final

import typer

__all__ = ["complete_account"]

_MAX_NAMES = 200
# A shell may expand what it completes: `$(command)` in a name would run. Other names are valid, but
# have to be typed.
_SAFE_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:@+-]*")


def complete_account(context: typer.Context, incomplete: str) -> list[str]:
    """Return the accounts whose names begin with what is typed so far."""
    # Only a file store is searched: a database or Redis could keep the shell waiting, and would
    # need a password.
    from pipedrive_oauth_client.cli.store_url import default_url, folder_from_url  # noqa: PLC0415

    given: Any = context.params.get("store") or os.environ.get("PIPEDRIVE_OAUTH_STORE")
    try:
        folder = folder_from_url(given or default_url())
        if not folder.is_dir():
            return []
        from pipedrive_oauth_client.stores import FileTokenStore  # noqa: PLC0415

        names = (
            each
            for each in FileTokenStore(folder).accounts()
            if each.startswith(incomplete) and _SAFE_NAME.fullmatch(each)
        )
        return sorted(islice(names, _MAX_NAMES))
    except Exception:  # noqa: BLE001 - the shell would show it in the line
        return []
