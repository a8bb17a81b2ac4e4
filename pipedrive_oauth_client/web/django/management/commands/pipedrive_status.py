"""`manage.py pipedrive_status`: which accounts are connected, and which grants still work."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.timezone import localtime

from pipedrive_oauth_client._checks import read_clock
from pipedrive_oauth_client.errors import CorruptTokenError, PipedriveOAuthError
from pipedrive_oauth_client.stores import accounts_with_prefix
from pipedrive_oauth_client.web.django.configuration import has_users, site, table_store
from pipedrive_oauth_client.web.django.models import PipedriveAccount


class Command(BaseCommand):
    """Lists the accounts of the store."""

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

    def handle(self, *_arguments: Any, **options: Any) -> None:
        """List the accounts.

        Args:
            options: The prefix.

        Raises:
            CommandError: An account has to be connected again, or the store failed.
        """
        broken = count = 0
        try:
            users = _users()
            for account in accounts_with_prefix(site().store, options["prefix"]):
                state, works = _state_of(account)
                user = users.get(account)
                self.stdout.write(f"{account}  {state}" + (f"  user {user}" if user else ""))
                count += 1
                broken += not works
        except PipedriveOAuthError as error:
            raise CommandError(str(error)) from error
        if count == 0:
            self.stderr.write("No account is connected.")
        if broken:
            raise CommandError(f"{broken} of {count} accounts have to be connected again.")


def _users() -> dict[str, str]:
    if not has_users() or table_store() is None:
        return {}
    accounts = PipedriveAccount.objects.filter(user__isnull=False).values_list("account", "user")
    return {account: str(user) for account, user in accounts}


def _state_of(account: str) -> tuple[str, bool]:
    try:
        token = site().store.load(account)
    except CorruptTokenError as error:
        return f"unreadable: {error}", False
    if token is None:
        return "disconnected a moment ago", True
    if token.grant_end is not None:
        return f"ended on {_shown(token.grant_end.at)} ({token.grant_end.error})", False
    if token.expires_at > read_clock(site().oauth.clock):
        return f"valid until {_shown(token.expires_at)}, then refreshed", True
    if token.refresh_token is None:
        return f"expired on {_shown(token.expires_at)}, and can't be refreshed", False
    return f"expired on {_shown(token.expires_at)}, refreshed when it is used", True


def _shown(time: datetime) -> str:
    # In the time zone of the project, which works without USE_TZ as well.
    return localtime(time).isoformat(sep=" ", timespec="minutes")
