"""`check`: what `diagnostics` finds about the command's settings, as lines or JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Final

from attrs import evolve
from rich.console import Group
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pipedrive_oauth_client.cli.exit_codes import CommandError, ExitCode
from pipedrive_oauth_client.cli.output import (
    OutputOptions,
    console,
    print_parts,
    safe_message,
    write,
    write_json,
)
from pipedrive_oauth_client.cli.settings import AppSettings
from pipedrive_oauth_client.cli.store_url import StoreURL
from pipedrive_oauth_client.diagnostics import (
    CheckResult,
    CheckStatus,
    SetupReport,
    check_store,
    failed,
    service_results,
)
from pipedrive_oauth_client.errors import ConfigurationError, PipedriveOAuthError

__all__ = ["report_setup"]

_STYLES: Final = {
    CheckStatus.OK: "green",
    CheckStatus.FAILED: "bold red",
    CheckStatus.UNKNOWN: "yellow",
    CheckStatus.SKIPPED: "dim",
}
_MIN_TABLE_COLUMNS: Final = 60
_MAX_COLUMNS: Final = 100


def report_setup(
    read_settings: Callable[[], AppSettings],
    base_url: str,
    open_store: Callable[[], StoreURL],
    output: OutputOptions,
    *,
    in_json: bool,
) -> None:
    """Check credentials, service and store, print the results, and raise if one has failed."""
    results = [*_service(read_settings, base_url), *_store(open_store)]
    report = SetupReport(
        evolve(each, message=safe_message(each.message, each.error, output)) for each in results
    )
    if in_json:
        write_json(report.to_dict())
    else:
        _print(report)
    if report.failed:
        names = ", ".join(each.name for each in report.failed)
        raise CommandError(
            f"{len(report.failed)} of {len(report.results)} checks failed: {names}.",
            ExitCode.CHECK_FAILED,
        )


def _service(read_settings: Callable[[], AppSettings], base_url: str) -> list[CheckResult]:
    try:
        settings = read_settings()
    except ConfigurationError as error:  # a file that cannot be read
        return [failed("credentials", error), *service_results(None, base_url=base_url)]
    try:
        return service_results(settings.credentials(for_login=True), base_url=base_url)
    except ConfigurationError as error:
        problem = failed("credentials", error)
    # Where only the redirect URI is missing, the rest is checked all the same.
    try:
        credentials = evolve(settings, redirect_uri=None).credentials(for_login=False)
    except ConfigurationError:
        return [problem, *service_results(None, base_url=base_url)]
    found = service_results(credentials, base_url=base_url)
    return [problem, *(each for each in found if each.name not in ("credentials", "redirect_uri"))]


def _store(open_store: Callable[[], StoreURL]) -> list[CheckResult]:
    try:
        with open_store().open() as store:
            return list(check_store(store).results)
    except PipedriveOAuthError as error:
        return [failed("store", error)]


def _print(report: SetupReport) -> None:
    terminal = console(sys.stdout)
    if not terminal.is_terminal:
        for each in report.results:
            write(f"{each.status:<9}{each.name:<14}{each.message}\n")
        return
    terminal.width = min(terminal.width, _MAX_COLUMNS)
    if terminal.width < _MIN_TABLE_COLUMNS:
        print_parts(terminal, *map(_paragraph, report.results))
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    for overflow in ("ellipsis", "ellipsis", "fold"):  # a path may be wider than the terminal
        table.add_column(overflow=overflow)
    for each in report.results:
        style = _STYLES[each.status]
        table.add_row(Text(each.status, style=style), Text(each.name), Text(each.message))
    print_parts(terminal, table)


def _paragraph(each: CheckResult) -> Group:
    head = Text(f"{each.name}: ").append(each.status, style=_STYLES[each.status])
    return Group(head, Padding(Text(each.message, overflow="fold"), (0, 0, 0, 2)))
