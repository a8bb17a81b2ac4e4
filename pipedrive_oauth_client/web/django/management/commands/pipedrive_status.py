"""`manage.py pipedrive_status`: which accounts are connected, and which grants still work."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.timezone import localtime

from pipedrive_oauth_client.errors import CorruptTokenError, PipedriveOAuthError
from pipedrive_oauth_client.fleet import AccountHealth, health
from pipedrive_oauth_client.stores.protocol import checked_prefix
from pipedrive_oauth_client.tokens import ACCESS_LIFETIME
from pipedrive_oauth_client.web.django.configuration import (
    Site,
    has_users,
    names,
    rows,
    site,
    table_store,
)

_PAGE_SIZE: Final = 500


class Command(BaseCommand):
    """Lists the accounts of the stores."""

    help = (
        "List the connected accounts with their users and states. It fails if the user of an"
        " account has to connect again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Describe the options.

        Args:
            parser: Reads them.
        """
        parser.add_argument(
            "--prefix", default="", help="only accounts that begin so, for example 123: (a company)"
        )
        parser.add_argument(
            "--name", help="only accounts of this app, where PIPEDRIVE_OAUTH describes several"
        )

    def handle(self, *_arguments: Any, **options: Any) -> None:
        """List the accounts.

        Args:
            options: The prefix, and the name of an app.

        Raises:
            CommandError: An account has to be connected again, or a store failed.
        """
        broken = count = 0
        try:
            known = names()
            for name in known if options["name"] is None else [options["name"]]:
                label = f"{name}  " if len(known) > 1 else ""
                listed, ended = self._list(site(name), options["prefix"], label)
                count += listed
                broken += ended
        except PipedriveOAuthError as error:
            raise CommandError(str(error)) from error
        if count == 0:
            self.stderr.write("No account is connected.")
        if broken:
            raise CommandError(f"{broken} of {count} accounts have to be connected again.")

    def _list(self, found: Site, prefix: str, label: str) -> tuple[int, int]:
        """List the accounts of an app; give how many there are, and how many do not work."""
        start = checked_prefix(prefix)
        every = health(found.store, clock=found.oauth.clock)
        accounts = (each for each in every if each.account.startswith(start))
        broken = count = 0
        # Page by page, also of the users: there may be hundreds of thousands.
        while page := list(islice(accounts, _PAGE_SIZE)):
            users = _users_of(found.name, page)
            for each in page:
                user = users.get(each.account)
                state = _state_of(found, each)
                self.stdout.write(
                    f"{label}{each.account}  {state}" + (f"  user {user}" if user else "")
                )
                count += 1
                broken += each.state in ("ended", "unreadable")
        return count, broken


def _users_of(name: str, page: Sequence[AccountHealth]) -> dict[str, str]:
    if not has_users() or table_store(name) is None:
        return {}
    accounts = rows(name).filter(account__in=[each.account for each in page], user__isnull=False)
    return {account: str(user) for account, user in accounts.values_list("account", "user")}


def _state_of(found: Site, each: AccountHealth) -> str:
    if each.since is None or each.lapses_at is None or each.state == "ended":
        return _state_of_broken(found, each)
    if each.state == "valid":
        return f"valid until {_shown(each.since + ACCESS_LIFETIME)}, then refreshed"
    if each.state == "stale":
        return f"expired on {_shown(each.since)}, refreshed when it is used"
    return f"ends on {_shown(each.lapses_at)} unless it is used: run pipedrive_refresh"


def _state_of_broken(found: Site, each: AccountHealth) -> str:
    # There are few of them, so that the reason may be loaded.
    try:
        token = found.store.load(each.account)
    except CorruptTokenError as error:
        return f"unreadable: {error}"
    if token is not None and token.grant_end is not None:
        return f"ended on {_shown(token.grant_end.at)} ({token.grant_end.error})"
    if each.since is None:
        return "unreadable: it is encrypted, and the store has no key"
    return f"ended on {_shown(each.since)} (not used for 60 days)"


def _shown(time: datetime) -> str:
    # In the time zone of the project, which works without USE_TZ as well.
    return localtime(time).isoformat(sep=" ", timespec="minutes")
