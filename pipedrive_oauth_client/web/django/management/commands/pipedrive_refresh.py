"""`manage.py pipedrive_refresh`: keep the grants of dormant accounts alive."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pipedrive_oauth_client._checks import read_clock
from pipedrive_oauth_client.errors import PipedriveOAuthError
from pipedrive_oauth_client.fleet import refresh_due
from pipedrive_oauth_client.web.django.configuration import auth_for, site

_MOST_SHOWN = 20


class Command(BaseCommand):
    """Refreshes the tokens of accounts that have not been used for a while."""

    help = (
        "Refresh the tokens that were last refreshed some days ago. A refresh token that is not"
        " used for 60 days is dead: run this once a day. With names, refresh those accounts now."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Describe the options.

        Args:
            parser: Reads them.
        """
        parser.add_argument("accounts", nargs="*", metavar="account", help="for example 123:456")
        parser.add_argument("--days", type=float, default=30, help="how many days ago; 30")
        parser.add_argument("--concurrency", type=int, default=8, help="how many at once; 8")
        parser.add_argument("--per-second", type=float, default=10, help="how fast at most; 10")

    def handle(self, *_arguments: Any, **options: Any) -> None:
        """Refresh, and say what was done.

        Args:
            options: Accounts, or days, concurrency and speed.

        Raises:
            CommandError: An account was not refreshed, or the run had to stop.
        """
        if options["accounts"]:
            self._refresh_now(options["accounts"])
            return
        try:
            report = refresh_due(
                site().oauth,
                site().store,
                read_clock(site().oauth.clock) - timedelta(days=options["days"]),
                concurrency=options["concurrency"],
                per_second=options["per_second"],
            )
        except (PipedriveOAuthError, OverflowError) as error:
            raise CommandError(str(error)) from error
        ended = f", {report.ended} ended (see pipedrive_status)" if report.ended else ""
        self.stdout.write(
            f"{report.renewed} renewed, {report.already_done} done elsewhere{ended},"
            f" {len(report.errors)} failed."
        )
        for account, problem in list(report.errors.items())[:_MOST_SHOWN]:
            self.stderr.write(f"{account}: {problem}")
        if report.errors:
            raise CommandError(f"{len(report.errors)} accounts were not renewed.")

    def _refresh_now(self, accounts: list[str]) -> None:
        failed = 0
        for account in accounts:
            try:
                auth_for(account).token(rejected=site().store.load(account))
            except PipedriveOAuthError as error:
                failed += 1
                self.stderr.write(f"{account}: {error}")
            else:
                self.stdout.write(f"{account}: refreshed.")
        if failed:
            raise CommandError(f"{failed} accounts were not refreshed.")
