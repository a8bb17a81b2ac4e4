"""`status`: the accounts of a store, as a table, a list or JSON; and durations in words."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from typing import Final
from urllib.parse import urlsplit

from attrs import frozen
from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipedrive_oauth_client.cli.exit_codes import OutputClosedError
from pipedrive_oauth_client.cli.output import console, one_line, print_parts, say, write
from pipedrive_oauth_client.errors import ConfigurationError, StoreError, TokenNotFoundError
from pipedrive_oauth_client.stores.protocol import TokenStore
from pipedrive_oauth_client.tokens import (
    ACCESS_LIFETIME,
    DEFAULT_LEEWAY,
    ENDING_SOON,
    REFRESH_LIFETIME,
    GrantEnd,
    Token,
)

__all__ = [
    "MAX_LISTED",
    "AccountState",
    "AccountStatus",
    "format_duration",
    "format_relative",
    "list_statuses",
    "listed",
    "not_found_error",
    "parse_duration",
    "print_status",
    "status_of",
]

MAX_LISTED: Final = 5
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION = re.compile(r"([0-9]{1,6})\s*([smhdw])")
_HEADERS = ("ACCOUNT", "STATE", "COMPANY", "ACCESS TOKEN", "REFRESH TOKEN")
_SCOPES_COLUMNS = 16
_MAX_COLUMNS = 10_000


def parse_duration(text: str) -> timedelta:
    """Parse a duration such as `30d`."""
    found = _DURATION.fullmatch(text.strip().lower())
    span = timedelta(**{_UNITS[found[2]]: int(found[1])}) if found else None
    if span is None or span > timedelta(days=36_500):
        raise ConfigurationError(
            "A duration is a whole number and a unit: 90s, 15m, 12h, 30d or 8w."
        )
    return span


def format_duration(span: timedelta) -> str:
    """Return a duration in words, in its largest unit and rounded down: `41 minutes`."""
    seconds = int(abs(span).total_seconds())
    for size, unit in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        # Only from two of a unit on: "1 day" could be nearly two.
        if seconds >= 2 * size:
            return f"{seconds // size} {unit}s"
    return "1 second" if seconds == 1 else f"{seconds} seconds"


def format_relative(span: timedelta) -> str:
    """Return when something happens: `in 41 minutes`, or `3 days ago`."""
    words = format_duration(span)
    return f"{words} ago" if span < timedelta(0) else f"in {words}"


def not_found_error(store: TokenStore, account: str, location: str) -> TokenNotFoundError:
    """Make the error of an account without a token; it names those that have one."""
    found = sorted(islice(store.accounts(), MAX_LISTED + 1))
    there = f"Stored accounts: {listed(found)}." if found else "No account is stored there."
    return TokenNotFoundError(f"No token is stored for '{account}' in {location}. {there}")


def listed(accounts: Sequence[str]) -> str:
    """Name accounts, of many only the first ones."""
    more = ", ..." if len(accounts) > MAX_LISTED else ""
    return ", ".join(accounts[:MAX_LISTED]) + more


class AccountState(StrEnum):
    """The state of an account, in one word."""

    VALID = "valid"
    STALE = "stale"
    ENDING = "ending"
    LAPSED = "lapsed"
    ENDED = "ended"
    UNREADABLE = "unreadable"

    @property
    def advice(self) -> str:
        """What the state means, and what to do."""
        return {
            AccountState.VALID: "the access token is valid",
            AccountState.STALE: "refreshed at the next use",
            AccountState.ENDING: "refresh it soon, or the grant lapses",
            AccountState.LAPSED: "log in again",
            AccountState.ENDED: "Pipedrive has rejected it: log in again",
            AccountState.UNREADABLE: "damaged, or encrypted with another key",
        }[self]


@frozen
class AccountStatus:
    """What can be shown of an account.

    `lapses_at` is when its unused refresh token lapses, and `grant_end` when Pipedrive has first
    rejected it. `problem` is why it needs the user.
    """

    account: str
    state: AccountState
    company: str
    scopes: tuple[str, ...]
    expires_at: datetime | None
    lapses_at: datetime | None
    now: datetime
    problem: str | None = None
    grant_end: GrantEnd | None = None

    @property
    def expiry(self) -> str:
        """When the access token expires, in words."""
        if self.expires_at is None:
            return "unknown"
        words = format_relative(self.expires_at - self.now)
        return f"expired {words}" if self.expires_at <= self.now else f"expires {words}"

    @property
    def lapse(self) -> str:
        """How long until the unused refresh token lapses, in words."""
        if self.state is AccountState.UNREADABLE:
            return "unknown"
        if self.grant_end is not None:
            return f"ended {format_relative(self.grant_end.at - self.now)}"
        if self.lapses_at is None:
            return "none"
        left = self.lapses_at - self.now
        return f"{format_duration(left)} left" if left > timedelta(0) else "lapsed"

    @property
    def why_it_ended(self) -> str:
        """What has ended the grant, in words."""
        if self.grant_end is None and self.lapses_at is None:
            return "its access token has expired, and it has no refresh token"
        if self.grant_end is None:
            return "its refresh token was not used for 60 days"
        when = format_relative(self.grant_end.at - self.now)
        return f"Pipedrive rejected its refresh token {when} ({one_line(self.grant_end.error)})"

    @property
    def reconnect(self) -> str | None:
        """The command that connects an account again whose grant has ended or lapsed."""
        if self.state not in (AccountState.ENDED, AccountState.LAPSED):
            return None
        return f"pipedrive-oauth login --account {shlex.quote(self.account)}"

    def to_dict(self) -> dict[str, object]:
        """Return the JSON object of the account."""
        days = None if self.lapses_at is None else (self.lapses_at - self.now).days
        return {
            "account": self.account,
            "state": self.state.value,
            "company_domain": self.company or None,
            "scopes": list(self.scopes),
            "expires_at": self.expires_at and self.expires_at.isoformat(),
            "refresh_token_lapses_at": self.lapses_at and self.lapses_at.isoformat(),
            "refresh_token_days_left": days,
            "grant_ended_at": self.grant_end and self.grant_end.at.isoformat(),
            "grant_error": self.grant_end and one_line(self.grant_end.error),
            "reconnect": self.reconnect,
            "problem": self.problem,
        }


def status_of(store: TokenStore, account: str, now: datetime) -> AccountStatus | None:
    """Return the status of an account, or None if it has no token."""
    try:
        token = store.load(account)
    except StoreError as error:
        # If the whole store fails, this raises; otherwise only this account is unreadable.
        next(iter(store.accounts()), None)
        return _unreadable(account, str(error), None, now)
    if token is None:
        return None
    if token.token_type.lower() != "bearer":
        return _unreadable(
            account, "It is encrypted; pass the key: --store-keys-file.", token.expires_at, now
        )
    lapses_at = None
    if token.refresh_token is not None:
        # `datetime` ends in the year 9999.
        latest = datetime.max.replace(tzinfo=UTC) - REFRESH_LIFETIME
        lapses_at = min(token.expires_at, latest) + REFRESH_LIFETIME - ACCESS_LIFETIME
    return AccountStatus(
        account=one_line(account),
        state=_state(token, lapses_at, now),
        company=_host(token.api_domain or ""),
        scopes=tuple(sorted(map(one_line, token.scopes))),
        expires_at=token.expires_at,
        lapses_at=lapses_at,
        now=now,
        grant_end=token.grant_end,
    )


def _unreadable(
    account: str, problem: str, expires_at: datetime | None, now: datetime
) -> AccountStatus:
    return AccountStatus(
        account=one_line(account),
        state=AccountState.UNREADABLE,
        company="",
        scopes=(),
        expires_at=expires_at,
        lapses_at=None,
        now=now,
        problem=one_line(problem),
    )


def _host(api_domain: str) -> str:
    try:
        return one_line(urlsplit(api_domain).netloc)
    except ValueError:
        return one_line(api_domain)


def _state(token: Token, lapses_at: datetime | None, now: datetime) -> AccountState:
    if token.grant_end is not None:
        return AccountState.ENDED
    is_stale = token.is_stale(DEFAULT_LEEWAY, now)
    if lapses_at is None:
        return AccountState.LAPSED if is_stale else AccountState.ENDING
    if lapses_at <= now:
        return AccountState.LAPSED
    if lapses_at - now < ENDING_SOON:
        return AccountState.ENDING
    return AccountState.STALE if is_stale else AccountState.VALID


_STYLES = {
    AccountState.VALID: "green",
    AccountState.STALE: "",
    AccountState.ENDING: "yellow",
    AccountState.LAPSED: "bold red",
    AccountState.ENDED: "bold red",
    AccountState.UNREADABLE: "bold red",
}


def list_statuses(store: TokenStore, account: str | None, location: str) -> list[AccountStatus]:
    """Return the status of the named account, or of all accounts by name."""
    now = datetime.now(UTC)
    names = sorted(store.accounts()) if account is None else [account]
    statuses = [each for name in names if (each := status_of(store, name, now)) is not None]
    if account is not None and not statuses:
        raise not_found_error(store, account, location)
    return statuses


def print_status(statuses: Sequence[AccountStatus], location: str) -> None:
    """Print accounts to standard output; `location` is the redacted URL of the store."""
    if not statuses:
        write(f"No accounts in {location}. Log in: pipedrive-oauth login\n")
        return
    _report_problems(statuses)
    if sys.stdout is None:
        raise OutputClosedError("Standard output is closed.")
    terminal = console(sys.stdout)
    table = _table(statuses)
    size = Measurement.get(terminal, terminal.options.update(max_width=_MAX_COLUMNS), table)
    if not terminal.is_terminal:
        terminal = console(sys.stdout, width=size.maximum)  # for programs that read lines
    elif terminal.width < size.minimum:
        print_parts(terminal, *map(_paragraph, statuses), f"Store: {location}")
        return
    print_parts(terminal, table, *_reconnecting(statuses), f"Store: {location}")


def _reconnecting(statuses: Sequence[AccountStatus]) -> list[Text]:
    return [
        Text(f"{each.account}: {each.why_it_ended}. Connect it again: {each.reconnect}")
        for each in statuses
        if each.reconnect
    ]


def _report_problems(statuses: Sequence[AccountStatus]) -> None:
    for each in statuses:
        if each.problem:
            say(f"{each.account}: {each.problem}")


def _table(statuses: Sequence[AccountStatus]) -> Table:
    rows = [
        (each.account, each.state.value, each.company or "-", each.expiry, each.lapse)
        for each in statuses
    ]
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for number, header in enumerate(_HEADERS):
        widest = max(cell_len(text) for text in (header, *(row[number] for row in rows)))
        table.add_column(header, no_wrap=True, min_width=widest)
    table.add_column("SCOPES", min_width=_SCOPES_COLUMNS)
    for each, (account, state, *others) in zip(statuses, rows, strict=True):
        scopes = " ".join(each.scopes) or "-"
        styled = Text(state, style=_STYLES[each.state])
        table.add_row(Text(account), styled, *map(Text, others), Text(scopes))
    return table


def _paragraph(each: AccountStatus) -> Group:
    state = Text(each.state.value, style=_STYLES[each.state]).append(f" ({each.state.advice})")
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column()
    table.add_column(overflow="fold")  # a domain may be wider than the terminal
    for label, value in (
        ("state", state),
        ("company", Text(each.company or "-")),
        ("access token", Text(each.expiry)),
        ("refresh token", Text(each.lapse)),
        ("scopes", Text(" ".join(each.scopes) or "-")),
    ):
        table.add_row(Text(f"{label}:", no_wrap=True), value)
    parts: list[RenderableType] = [Text(each.account, style="bold"), Padding(table, (0, 0, 0, 2))]
    if each.reconnect:
        why = f"{each.why_it_ended[0].upper()}{each.why_it_ended[1:]}. Connect it again:"
        parts.append(Padding(Text(f"{why}\n{each.reconnect}", overflow="fold"), (0, 0, 0, 2)))
    return Group(*parts, "")
