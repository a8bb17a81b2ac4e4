"""`manage.py pipedrive_disconnect`: end the connections of accounts."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from pipedrive_oauth_client.errors import PipedriveOAuthError
from pipedrive_oauth_client.web.django.configuration import disconnect, names, site


class Command(BaseCommand):
    """Revokes the grants of accounts, and deletes their tokens."""

    help = (
        "Revoke the grants of accounts and delete their tokens. Pipedrive marks the app as"
        " uninstalled for their users, who have to connect again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Describe the options.

        Args:
            parser: Reads them.
        """
        parser.add_argument("accounts", nargs="+", metavar="account", help="for example 123:456")
        parser.add_argument("--name", help="the app, where PIPEDRIVE_OAUTH describes several")
        parser.add_argument(
            "--noinput", "--no-input", action="store_false", dest="asks", help="ask nothing"
        )

    def handle(self, *_arguments: Any, **options: Any) -> None:
        """Disconnect the accounts, once that is confirmed.

        Args:
            options: The accounts, the name of their app, and whether to ask.

        Raises:
            CommandError: An account is not connected, or was not disconnected.
        """
        accounts: list[str] = options["accounts"]
        try:
            name = _chosen(options["name"])
            missing = [each for each in accounts if site(name).store.load(each) is None]
        except PipedriveOAuthError as error:
            raise CommandError(str(error)) from error
        if missing:
            raise CommandError(f"No token is stored for {', '.join(missing)}. Nothing was done.")
        if options["asks"]:
            answer = input(f"Disconnect {', '.join(accounts)}? [y/N] ")
            if answer.strip().lower() not in ("y", "yes"):
                raise CommandError("Nothing was done.")
        failed = 0
        for account in accounts:
            try:
                disconnect(account, name=name)
            except PipedriveOAuthError as error:
                failed += 1
                self.stderr.write(f"{account}: {error}")
            else:
                self.stdout.write(f"{account}: disconnected.")
        if failed:
            raise CommandError(f"{failed} accounts were not disconnected.")


def _chosen(name: str | None) -> str:
    first, *others = names()
    if name is None and others:
        raise CommandError(
            f"Pass --name, the app to disconnect from: {', '.join((first, *others))}."
        )
    return first if name is None else name
