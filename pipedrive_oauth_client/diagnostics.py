"""Whether a setup works: the app's credentials, the service, the clock and the token store.

Nothing is changed. The service is asked for its consent page, and to refresh a made-up token, which
touches no grant; the store keeps a made-up token under a name of its own for a moment.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, Final

import httpx
from attrs import field, frozen

from pipedrive_oauth_client._checks import read_clock, utc_now
from pipedrive_oauth_client.credentials import AppCredentials
from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    InvalidClientError,
    InvalidGrantError,
    InvalidResponseError,
    PipedriveOAuthError,
)
from pipedrive_oauth_client.generated.api.oauth import authorize
from pipedrive_oauth_client.generated.client import DEFAULT_BASE_URL, Client
from pipedrive_oauth_client.generated.models import OAuthErrorResponse
from pipedrive_oauth_client.generated.response import Response
from pipedrive_oauth_client.oauth import PipedriveOAuth
from pipedrive_oauth_client.stores.protocol import TokenStore, checked_store
from pipedrive_oauth_client.tokens import Token

__all__ = [
    "CheckResult",
    "CheckStatus",
    "SetupReport",
    "check_service",
    "check_setup",
    "check_store",
]

_PROBE: Final = "pipedrive-oauth check "
_PROBE_LIFETIME: Final = timedelta(minutes=10)
_MAX_TOKENS: Final = 1000
_MAX_NAMED: Final = 5
_MAX_CLOCK_OFFSET: Final = timedelta(seconds=30)
_NOT_SENT_TO: Final = "http://127.0.0.1/pipedrive-oauth-check"
_QUOTES: Final = "\"'"


class CheckStatus(StrEnum):
    """How a check ended.

    Attributes:
        OK: The check passed.
        FAILED: The check failed; the message says what to do.
        UNKNOWN: The check could not decide; the message gives the reason.
        SKIPPED: It was not checked, since an earlier check failed or it does not apply.
    """

    OK = "ok"
    FAILED = "failed"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


@frozen
class CheckResult:
    """One thing that was checked.

    Attributes:
        name: What was checked: `credentials`, `service`, `clock`, `client`, `redirect_uri`,
            `store`, `store_lock`, `store_write`, `store_rights` or `tokens`.
        status: How it ended.
        message: One or two sentences, without secrets.
        error: The exception that made it fail, or None; its cause may hold details.
    """

    name: str
    status: CheckStatus
    message: str
    error: Exception | None = field(default=None, repr=False, eq=False)


@frozen
class SetupReport:
    """What was checked, in order.

    Attributes:
        results: The results, one for each check.
    """

    results: tuple[CheckResult, ...] = field(converter=tuple[CheckResult, ...])

    @property
    def ok(self) -> bool:
        """Whether no check has failed."""
        return not self.failed

    @property
    def failed(self) -> tuple[CheckResult, ...]:
        """What is wrong."""
        return tuple(each for each in self.results if each.status is CheckStatus.FAILED)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as a dictionary, for example for the response of a health endpoint.

        Returns:
            `ok`, and `checks`: a list of objects with `check`, `status` and `message`.
        """
        checks = [
            {"check": each.name, "status": each.status.value, "message": each.message}
            for each in self.results
        ]
        return {"ok": self.ok, "checks": checks}


def check_setup(
    credentials: AppCredentials | None = None,
    store: TokenStore | None = None,
    *,
    base_url: str = DEFAULT_BASE_URL,
    client: httpx.Client | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> SetupReport:
    """Check everything that an app needs; see `check_service` and `check_store`.

    It sends two or three requests and takes a lock, so call it when an app starts or every few
    minutes. For a probe that runs every few seconds use `check_store` alone.

    Args:
        credentials: The app; by default `AppCredentials.from_env()`, whose failure is a result.
        store: The token store; None leaves its checks out.
        base_url: Root of the service, Pipedrive's by default.
        client: Your own `httpx.Client`, to check its proxies and certificates.
        clock: Gives the current time as an aware datetime.

    Returns:
        The report. A problem is a result in it, not an exception.

    Raises:
        ConfigurationError: `store` is not a token store, or `clock` is not valid.
    """
    problem: CheckResult | None = None
    if credentials is None:
        try:
            credentials = AppCredentials.from_env()
        except ConfigurationError as error:
            problem = failed("credentials", error)
    results = service_results(credentials, base_url=base_url, client=client, clock=clock)
    if problem is not None:
        results = [problem, *(each for each in results if each.name != problem.name)]
    if store is not None:
        results += check_store(store).results
    return SetupReport(results)


def check_service(
    credentials: AppCredentials,
    *,
    base_url: str = DEFAULT_BASE_URL,
    client: httpx.Client | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> SetupReport:
    """Check the app's credentials, the connection to the service, and the clock.

    No grant is affected: a refresh with a made-up token distinguishes a wrong client
    (`invalid_client`) from a right one (`invalid_grant`), and the consent page rejects a redirect
    URI that it does not know. Where the page responds to a wrong redirect URI in the same way, the
    status is `UNKNOWN`.

    Args:
        credentials: The app.
        base_url: Root of the service, Pipedrive's by default.
        client: Your own `httpx.Client`, to check its proxies and certificates.
        clock: Gives the current time as an aware datetime.

    Returns:
        The results of `credentials`, `service`, `clock`, `client` and `redirect_uri`.

    Raises:
        ConfigurationError: `clock` is not valid.

    Source:
        RFC 6749, sections 3.1.2.4 and 5.2; RFC 9110, section 6.6.1.
    """
    return SetupReport(service_results(credentials, base_url=base_url, client=client, clock=clock))


def check_store(store: TokenStore) -> SetupReport:
    """Check that a token store can be read, locked and written, and that its tokens can be read.

    A made-up token is saved under a separate name, loaded and deleted; no other token is changed.
    Up to 1,000 tokens are loaded. A folder or table that is missing is created, as by the first
    login.

    Args:
        store: The token store.

    Returns:
        The results of `store`, `store_lock`, `store_write`, `store_rights` and `tokens`.

    Raises:
        ConfigurationError: `store` is not a token store.
    """
    checked_store("store", store)
    return SetupReport(_store_results(store))


# --- The service ---


def service_results(
    credentials: AppCredentials | None,
    *,
    base_url: str,
    client: httpx.Client | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> list[CheckResult]:
    """Check the service; without credentials, only whether it is there, and the clock."""
    read_clock(clock)
    results = [] if credentials is None else [_credentials_result(credentials)]
    # Only to ask for a page.
    asking = credentials or AppCredentials("pipedrive-oauth-check", "none", _NOT_SENT_TO)
    try:
        # A service on this machine is reached without the proxy that the environment names.
        is_local = base_url.lower().startswith("http:")
        api = Client(base_url=base_url, httpx_args={"trust_env": False} if is_local else {})
        if client is not None:
            api.set_httpx_client(client)
        with (
            api,
            PipedriveOAuth(
                asking, base_url=base_url, client=api.get_httpx_client(), retry=None, clock=clock
            ) as oauth,
        ):
            sent_at = read_clock(clock)
            page = _consent_page(api, asking, asking.redirect_uri)
            results.append(_service_result(page, oauth.base_url))
            results.append(_clock_result(page, sent_at, read_clock(clock)))
            if credentials is not None and results[-2].status is CheckStatus.OK:
                results.append(_client_result(oauth))
                results.append(_redirect_uri_result(api, credentials, page))
    except PipedriveOAuthError as error:
        results.append(failed("service", error))
    done = {each.name for each in results}
    needed = ("clock", "client", "redirect_uri") if credentials else ("clock",)
    return results + [
        CheckResult(
            name, CheckStatus.SKIPPED, "Not checked: the service does not respond as it should."
        )
        for name in needed
        if name not in done
    ]


def failed(name: str, error: Exception) -> CheckResult:
    """Give the result of a check that an error has ended."""
    # The text of other errors may hold what was sent or stored.
    text = str(error) if isinstance(error, PipedriveOAuthError) else type(error).__name__
    return CheckResult(name, CheckStatus.FAILED, text, error)


def _credentials_result(credentials: AppCredentials) -> CheckResult:
    for name in ("client_id", "client_secret", "redirect_uri"):
        value = str(getattr(credentials, name))
        if value[0] in _QUOTES or value[-1] in _QUOTES:
            return CheckResult(
                "credentials",
                CheckStatus.FAILED,
                f"{name} has a quotation mark at its start or end. A shell removes those, and some"
                " programs that read .env files keep them: remove it.",
            )
    return CheckResult(
        "credentials", CheckStatus.OK, "Client ID, client secret and redirect URI are set."
    )


def _consent_page(api: Client, credentials: AppCredentials, redirect_uri: str) -> Response[Any]:
    return authorize.sync_detailed(
        client=api,
        client_id=credentials.client_id,
        redirect_uri=redirect_uri,
        state=secrets.token_urlsafe(16),
    )


def _service_result(page: Response[Any], base_url: str) -> CheckResult:
    status = page.status_code
    result, text = CheckStatus.OK, f"{base_url} responds."
    if status >= 500 or status == 429:
        result = CheckStatus.FAILED
        text = f"{base_url} is not available now (status {status}). Try again later."
    elif status >= 401:
        result = CheckStatus.FAILED
        text = (
            f"{base_url} responded to the request for its consent page with status {status}: it is"
            " another service, or a proxy or firewall is in front of it. Check the base URL."
        )
    return CheckResult("service", result, text)


def _clock_result(page: Response[Any], sent_at: datetime, received_at: datetime) -> CheckResult:
    try:
        service = parsedate_to_datetime(page.headers["Date"]).astimezone(UTC)
    except (KeyError, ValueError, OverflowError, TypeError):
        return CheckResult("clock", CheckStatus.UNKNOWN, "The service did not send its time.")
    # A Date header is in whole seconds, and servers renew it once a second.
    offset = timedelta(0)
    if service < sent_at - timedelta(seconds=2):
        offset = sent_at - service
    elif service > received_at:
        offset = received_at - service
    seconds = abs(offset) // timedelta(seconds=1)
    if abs(offset) <= _MAX_CLOCK_OFFSET:
        text = f"It differs from the service's by {seconds} seconds."
        if seconds < 2:
            text = "It agrees with the service's."
        return CheckResult("clock", CheckStatus.OK, text)
    direction = "ahead of" if offset > timedelta(0) else "behind"
    return CheckResult(
        "clock",
        CheckStatus.FAILED,
        f"This machine's clock is {seconds} seconds {direction} the service's. Synchronize it, for"
        " example with NTP: otherwise tokens are used for too long or refreshed too often.",
    )


def _client_result(oauth: PipedriveOAuth) -> CheckResult:
    try:
        oauth.refresh(f"pipedrive-oauth-check-{secrets.token_hex(16)}")
    except InvalidGrantError:
        return CheckResult(
            "client", CheckStatus.OK, "The service accepts the client ID and the client secret."
        )
    except (InvalidClientError, InvalidResponseError) as error:
        return failed("client", error)
    except PipedriveOAuthError as error:
        return CheckResult("client", CheckStatus.UNKNOWN, str(error), error)
    return CheckResult(
        "client",
        CheckStatus.FAILED,
        f"{oauth.base_url} accepted a made-up refresh token, so it is not Pipedrive's service.",
    )


def _redirect_uri_result(
    api: Client, credentials: AppCredentials, page: Response[Any]
) -> CheckResult:
    shown = credentials.redirect_uri
    if page.status_code == 400:
        said = page.parsed.message if isinstance(page.parsed, OAuthErrorResponse) else None
        if isinstance(said, str) and "redirect_uri" in said.lower():
            return CheckResult(
                "redirect_uri",
                CheckStatus.FAILED,
                f"The service does not know {shown}. Compare it, character for character, with the"
                " callback URL in the Developer Hub.",
            )
        return CheckResult(
            "redirect_uri",
            CheckStatus.UNKNOWN,
            "The consent page rejected the request for another reason, perhaps the client ID.",
        )
    try:
        other = _consent_page(api, credentials, shown.rstrip("/") + "/pipedrive-oauth-check")
    except PipedriveOAuthError as error:
        return CheckResult("redirect_uri", CheckStatus.UNKNOWN, str(error), error)
    if other.status_code == 400:
        return CheckResult("redirect_uri", CheckStatus.OK, f"The service knows {shown}.")
    return CheckResult(
        "redirect_uri",
        CheckStatus.UNKNOWN,
        "The consent page does not show it: it responds to a wrong redirect URI in the same way. A"
        " login shows whether it is right.",
    )


# --- The store ---


def _store_results(store: TokenStore) -> Iterator[CheckResult]:
    try:
        accounts = list(islice(store.accounts(), _MAX_TOKENS + 1))
    except Exception as error:  # noqa: BLE001 - a store of the user's may raise anything
        yield failed("store", error)
        for name in ("store_lock", "store_write", "store_rights", "tokens"):
            yield CheckResult(name, CheckStatus.SKIPPED, "Not checked: the store can't be read.")
        return
    yield CheckResult("store", CheckStatus.OK, "It can be read.")
    yield from _probe(store)
    yield _rights_result(store)
    yield _tokens_result(store, accounts)


def _probe(store: TokenStore) -> Iterator[CheckResult]:
    """Lock an account of our own, and save, load and delete a token there."""
    # By a name that no other check uses, so that none waits for another.
    account = f"{_PROBE}{secrets.token_hex(4)}"
    token = Token(
        access_token=f"made-up-{secrets.token_hex(8)}", expires_at=utc_now() + _PROBE_LIFETIME
    )
    locked: CheckResult | None = None
    try:
        with store.lock(account):
            locked = CheckResult("store_lock", CheckStatus.OK, "It can be locked.")
            try:
                written = _write_result(store, account, token)
            finally:
                store.delete(account)
    except Exception as error:  # noqa: BLE001 - a store of the user's may raise anything
        if locked is None:
            yield failed("store_lock", error)
            yield CheckResult(
                "store_write", CheckStatus.SKIPPED, "Not checked: the store can't be locked."
            )
        else:
            yield locked
            yield failed("store_write", error)
    else:
        yield locked
        yield written


def _write_result(store: TokenStore, account: str, token: Token) -> CheckResult:
    store.save(account, token)
    if store.load(account) != token:
        return CheckResult(
            "store_write", CheckStatus.FAILED, "A saved token was not loaded as it was saved."
        )
    store.delete(account)
    if store.load(account) is not None:
        return CheckResult("store_write", CheckStatus.FAILED, "A deleted token is still there.")
    return CheckResult("store_write", CheckStatus.OK, "Tokens can be saved and deleted.")


def _rights_result(store: TokenStore) -> CheckResult:
    path = _path_of(store)
    if path is None or os.name != "posix":
        return CheckResult(
            "store_rights", CheckStatus.SKIPPED, "Not a file: its server decides who can read it."
        )
    try:
        status = path.stat()
    except OSError as error:
        return failed("store_rights", error)
    mode = stat.S_IMODE(status.st_mode)
    # What is in a folder has rights of its own.
    forbidden = 0o022 if stat.S_ISDIR(status.st_mode) else 0o077
    if mode & forbidden:
        return CheckResult(
            "store_rights",
            CheckStatus.FAILED,
            f"Other users have rights to {path} (mode {mode:o}). Run: chmod go= '{path}'",
        )
    return CheckResult("store_rights", CheckStatus.OK, f"{path} is this user's (mode {mode:o}).")


def _path_of(store: object) -> Path | None:
    """Give the folder or the SQLite file of a store of this package."""
    # Looked up by name: no store has to be imported for it.
    while (inner := getattr(store, "_inner", None)) is not None:
        store = inner
    path = getattr(store, "_folder", None) or getattr(store, "_file", None)
    return path if isinstance(path, Path) else None


def _tokens_result(store: TokenStore, accounts: list[str]) -> CheckResult:
    count = 0
    unreadable: list[str] = []
    cause: Exception | None = None
    for account in sorted(accounts[:_MAX_TOKENS]):
        if account.startswith(_PROBE):
            continue
        try:
            token = store.load(account)
            if token is None:
                continue  # deleted meanwhile
            if token.token_type.lower() != "bearer":
                raise CorruptTokenError(
                    f"The token of {account!r} is encrypted, and the store is opened without keys."
                )
            count += 1
        except Exception as error:  # noqa: BLE001 - a store of the user's may raise anything
            cause = cause or error
            unreadable.append(account)
    if cause is not None:
        named = ", ".join(map(repr, unreadable[:_MAX_NAMED]))
        more = ", ..." if len(unreadable) > _MAX_NAMED else ""
        first = failed("tokens", cause).message
        return CheckResult(
            "tokens",
            CheckStatus.FAILED,
            f"{len(unreadable)} of {count + len(unreadable)} stored tokens can't be read:"
            f" {named}{more}. The first one: {first}",
            cause,
        )
    more = " (of more)" if len(accounts) > _MAX_TOKENS else ""
    text = f"All {count}{more} stored tokens can be read." if count else "No token is stored yet."
    return CheckResult("tokens", CheckStatus.OK, text)
