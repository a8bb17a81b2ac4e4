"""`manage.py pipedrive_refresh`: keep the grants of dormant accounts alive."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pipedrive_oauth_client._checks import read_clock
from pipedrive_oauth_client.errors import PipedriveOAuthError
from pipedrive_oauth_client.fleet import refresh_due
from pipedrive_oauth_client.web.django.configuration import names, refresh, site

_MOST_SHOWN = 20


class Command(BaseCommand):
    """Refreshes the tokens of accounts that have not been used for a while."""

    help = (
        "Refresh the tokens that were last refreshed some days ago. A refresh token that is not"
        " used for 60 days expires: run this once a day. With names, refresh those accounts now."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Describe the options.

        Args:
            parser: Reads them.
        """
        parser.add_argument("accounts", nargs="*", metavar="account", help="for example 123:456")
        parser.add_argument("--name", help="only this app, where PIPEDRIVE_OAUTH describes several")
        parser.add_argument("--days", type=float, default=30, help="how many days ago; 30")
        parser.add_argument("--concurrency", type=int, default=8, help="how many at once; 8")
        parser.add_argument("--per-second", type=float, default=10, help="how fast at most; 10")

    def handle(self, *_arguments: Any, **options: Any) -> None:
        """Refresh, and say what was done.

        Args:
            options: Accounts, or days, concurrency and speed; and the name of an app.

        Raises:
            CommandError: An account was not refreshed, or the run had to stop.
        """
        try:
            known = names()
            chosen = known if options["name"] is None else (site(options["name"]).name,)
        except PipedriveOAuthError as error:
            raise CommandError(str(error)) from error
        if options["accounts"]:
            self._refresh_now(options["accounts"], chosen)
            return
        problems: list[str] = []
        for name in chosen:
            label = f"{name}: " if len(known) > 1 else ""
            # What is wrong with one app keeps no other from its refreshes.
            problem = self._refresh_due(name, label, options)
            if problem:
                problems.append(label + problem)
        if problems:
            raise CommandError(" ".join(problems))

    def _refresh_due(self, name: str, label: str, options: dict[str, Any]) -> str:
        """Refresh an app's accounts that are due, and give what went wrong."""
        try:
            found = site(name)
            report = refresh_due(
                found.oauth,
                found.store,
                read_clock(found.oauth.clock) - timedelta(days=options["days"]),
                concurrency=options["concurrency"],
                per_second=options["per_second"],
            )
        except (PipedriveOAuthError, OverflowError) as error:
            return str(error)
        ended = f", {report.ended} ended (see pipedrive_status)" if report.ended else ""
        self.stdout.write(
            f"{label}{report.renewed} refreshed, {report.already_done} done elsewhere{ended},"
            f" {len(report.errors)} failed."
        )
        for account, problem in list(report.errors.items())[:_MOST_SHOWN]:
            self.stderr.write(f"{label}{account}: {problem}")
        return f"{len(report.errors)} accounts were not refreshed." if report.errors else ""

    def _refresh_now(self, accounts: list[str], chosen: tuple[str, ...]) -> None:
        failed = 0
        for account in accounts:
            try:
                for name in _apps_of(account, chosen):
                    refresh(account, name=name)
            except PipedriveOAuthError as error:
                failed += 1
                self.stderr.write(f"{account}: {error}")
            else:
                self.stdout.write(f"{account}: refreshed.")
        if failed:
            raise CommandError(f"{failed} accounts were not refreshed.")


def _apps_of(account: str, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """Give the apps that an account is connected to; without any, the first explains it."""
    if len(chosen) == 1:
        return chosen
    found = tuple(name for name in chosen if site(name).store.load(account) is not None)
    return found or chosen[:1]
