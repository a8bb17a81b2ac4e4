"""`status`: the accounts of a store, as a table, a list or JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from datetime import UTC, datetime

from rich.cells import cell_len
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from pipedrive_oauth_client.cli.exits import OutputClosedError
from pipedrive_oauth_client.cli.standing import Standing, State, standing_of
from pipedrive_oauth_client.cli.terminal import console, say, write
from pipedrive_oauth_client.errors import TokenNotFoundError
from pipedrive_oauth_client.stores.protocol import TokenStore

__all__ = ["print_status", "standings"]

_STYLES = {
    State.VALID: "green",
    State.STALE: "",
    State.ENDING: "yellow",
    State.LAPSED: "bold red",
    State.UNREADABLE: "bold red",
}
_HEADERS = ("ACCOUNT", "STATE", "COMPANY", "ACCESS TOKEN", "REFRESH TOKEN")
_SCOPES_COLUMNS = 16
_MOST_COLUMNS = 10_000


def standings(store: TokenStore, account: str | None) -> list[Standing]:
    """Look at the accounts of a store.

    Args:
        store: The store.
        account: The only one to look at, or None for all.

    Returns:
        How they stand, by name.

    Raises:
        TokenNotFoundError: The account that was named has no token.
        StoreError: The store does not work.
    """
    now = datetime.now(UTC)
    names = sorted(store.accounts()) if account is None else [account]
    found = [each for name in names if (each := standing_of(store, name, now)) is not None]
    if account is not None and not found:
        raise TokenNotFoundError(f"No token is stored for the account {account}.")
    return found


def print_status(found: Sequence[Standing], shown: str) -> None:
    """Print accounts to standard output.

    Args:
        found: The accounts.
        shown: What can be shown of the store's address.
    """
    if not found:
        write(f"No accounts in {shown}. Log in: pipedrive-oauth login\n")
        return
    _tell_problems(found)
    if sys.stdout is None:
        raise OutputClosedError("Standard output is closed.")
    to = console(sys.stdout)
    table = _table(found)
    size = Measurement.get(to, to.options.update(max_width=_MOST_COLUMNS), table)
    if not to.is_terminal:
        to = console(sys.stdout, width=size.maximum)  # for programs that read lines
    elif to.width < size.minimum:
        _print(to, *(_lines(each) for each in found), f"Store: {shown}")
        return
    _print(to, table, f"Store: {shown}")


def _tell_problems(found: Sequence[Standing]) -> None:
    for each in found:
        if each.problem:
            say(f"{each.account}: {each.problem}")


def _table(found: Sequence[Standing]) -> Table:
    rows = [
        (each.account, each.state.value, each.company or "-", each.expiry, each.lapse)
        for each in found
    ]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for number, header in enumerate(_HEADERS):
        widest = max(cell_len(text) for text in (header, *(row[number] for row in rows)))
        table.add_column(header, no_wrap=True, min_width=widest)
    table.add_column("SCOPES", min_width=_SCOPES_COLUMNS)
    for each, (account, state, *others) in zip(found, rows, strict=True):
        scopes = " ".join(each.scopes) or "-"
        styled = Text(state, style=_STYLES[each.state])
        table.add_row(Text(account), styled, *map(Text, others), Text(scopes))
    return table


def _lines(each: Standing) -> Text:
    text = Text()
    text.append(each.account, style="bold")
    text.append("\n  state:         ")
    text.append(each.state.value, style=_STYLES[each.state])
    text.append(f" ({each.state.advice})")
    text.append(f"\n  company:       {each.company or '-'}")
    text.append(f"\n  access token:  {each.expiry}")
    text.append(f"\n  refresh token: {each.lapse}")
    text.append(f"\n  scopes:        {' '.join(each.scopes) or '-'}\n")
    return text


def _print(to: Console, *parts: Text | Table | str) -> None:
    with to.capture() as captured:
        for part in parts:
            to.print(part)
    # Not by Rich, which lets the whole program end where nobody reads its output.
    write("".join(f"{line.rstrip(' ')}\n" for line in captured.get().splitlines()))
