"""An app's settings for connecting, the same for all frameworks, and what follows from them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from logging import getLogger
from typing import Any, Final, Generic, TypeAlias, TypeVar
from urllib.parse import urlsplit

import httpx
from attrs import define, field, frozen

from pipedrive_oauth_client._origins import is_loopback
from pipedrive_oauth_client.diagnostics import SetupReport, check_setup
from pipedrive_oauth_client.errors import (
    ConfigurationError,
    PipedriveOAuthError,
    ProcessBound,
    SignedTokenError,
)
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.oauth import AsyncPipedriveOAuth, PipedriveOAuth
from pipedrive_oauth_client.stores.protocol import TokenStore
from pipedrive_oauth_client.tokens import Token
from pipedrive_oauth_client.users import PipedriveUser
from pipedrive_oauth_client.web.login_state import LoginAttempts, ReplayGuard
from pipedrive_oauth_client.web.messages import PRIVATE, WebResponse
from pipedrive_oauth_client.web.notices import (
    SharingNotice,
    UninstallNotice,
    is_from_service,
    what_is_missing,
)
from pipedrive_oauth_client.web.redirect_targets import RedirectTargets
from pipedrive_oauth_client.web.runner import is_asynchronous
from pipedrive_oauth_client.web.signed_tokens import (
    ExtensionUser,
    checked_secrets,
    find_signed_token,
    read_signed_token,
)

__all__ = ["HOOKS", "Connection", "WebCore", "WebSettings", "checked_former_secrets"]

RequestT = TypeVar("RequestT")
ResponseT = TypeVar("ResponseT")
_T = TypeVar("_T")
_Soon: TypeAlias = _T | Awaitable[_T]

_LOGGER: Final = getLogger("pipedrive_oauth_client")
_LONGEST = timedelta(hours=1)
_SHORTEST = timedelta(seconds=10)


@frozen(kw_only=True)
class Connection:
    """An account that was just connected; its token is saved.

    Attributes:
        account: The name that the token is kept under.
        user: The user who granted access.
        token: The token.
        from_marketplace: Whether it began in the Marketplace, without a state: then an attacker
            may have sent this browser here. Treat it as an install, never as a login.
        return_to: Where the browser goes next.
        at: When it was connected, as an aware datetime.
    """

    account: str
    user: PipedriveUser
    token: Token
    from_marketplace: bool
    return_to: str
    at: datetime


def _default_account(_request: Any, _token: Token, user: PipedriveUser) -> str:
    return user.account


def _default_account_of(notice: UninstallNotice) -> str | None:
    return notice.account


@define(kw_only=True, eq=False)
class WebSettings(ProcessBound, Generic[RequestT, ResponseT]):
    """An app's settings for connecting accounts.

    Functions of the app may be asynchronous if the framework is. An error that they raise is passed
    on to the framework.

    Attributes:
        secret_keys: The keys that sign the cookies of login attempts, newest first: the first one
            signs, and all of them are accepted. At least 16 characters each; hidden in `repr`.
        after_connect: Where the browser goes after connecting, unless the start named another
            place: a path inside the app, or a URL of an origin in `return_origins`.
        return_origins: Other origins that the browser may be sent back to, for example
            `https://app.example.com`.
        connected: Called with the request and the `Connection` when the token is saved. What it
            returns, if it is not None, is the response.
        failed: Called with the request and the error when connecting failed; if access was
            declined, the error is an `AuthorizationDeniedError`. What it returns, if it is not
            None, is the response in place of the default page.
        uninstalled: Called with the notice and the account, or None, when the token is deleted.
            A notice may come more than once.
        account_for: Called with the request, the token and the user; returns the name to store the
            token under. By default `company:user`.
        account_of: Called with a notice; returns the account whose token to delete, or None to keep
            it. By default `company:user`. Pass it if you pass `account_for`.
        sharing_changed: Called with a `SharingNotice` when a POST says that a user has installed
            the app or changed whether it is shared. It is not authenticated: do not trust its
            content.
        session_of: Called with the request; returns what identifies the session of the app, for
            example the ID of the logged-in user. An attempt has to end in the session in which it
            started.
        first_use: Called with a key and how long to remember it; returns whether this is the first
            time. By default each process remembers the keys itself; with several workers, use what
            they share: `redis.set(key, 1, nx=True, ex=lifetime)`.
        allow_marketplace_installs: Whether a callback without a state is accepted. It is better to
            enter the URL of `install` as the Installation URL in the Developer Hub, and to leave
            this off.
        extension_secrets: The JWT secrets of the app's extensions, at least 32 characters each; by
            default the client secret. While a secret is being replaced, pass the old and the new
            one. Hidden in `repr`.
        former_client_secrets: Earlier client secrets, for a while after a reset: uninstall notices
            and requests to your endpoints that carry one of them are accepted as well. Hidden in
            `repr`.
        lifetime: How long a user may take at the service, ten seconds to an hour.

    Raises:
        ConfigurationError: A setting is not valid.
    """

    secret_keys: Sequence[str] = field(default=(), repr=lambda _: "<hidden>")
    after_connect: str = "/"
    return_origins: Sequence[str] = ()
    connected: Callable[[RequestT, Connection], _Soon[ResponseT | None]] | None = None
    failed: Callable[[RequestT, PipedriveOAuthError], _Soon[ResponseT | None]] | None = None
    uninstalled: Callable[[UninstallNotice, str | None], object] | None = None
    account_for: Callable[[RequestT, Token, PipedriveUser], _Soon[str]] = _default_account
    account_of: Callable[[UninstallNotice], _Soon[str | None]] = _default_account_of
    sharing_changed: Callable[[SharingNotice], object] | None = None
    session_of: Callable[[RequestT], _Soon[str | None]] | None = None
    first_use: Callable[[str, timedelta], _Soon[bool]] | None = None
    allow_marketplace_installs: bool = False
    extension_secrets: Sequence[str] = field(default=(), repr=lambda _: "<hidden>")
    former_client_secrets: Sequence[str] = field(default=(), repr=lambda _: "<hidden>")
    lifetime: timedelta = timedelta(minutes=10)

    def __attrs_post_init__(self) -> None:
        for name in HOOKS:
            given = getattr(self, name)
            if given is not None and not callable(given):
                raise ConfigurationError(f"{name} must be a function.")
        argument("allow_marketplace_installs", self.allow_marketplace_installs, bool)
        argument("after_connect", self.after_connect, str)
        if self.extension_secrets:
            checked_secrets("extension_secrets", self.extension_secrets)
        checked_former_secrets("former_client_secrets", self.former_client_secrets)
        if not _SHORTEST <= argument("lifetime", self.lifetime, timedelta) <= _LONGEST:
            raise ConfigurationError("lifetime must be from ten seconds to an hour.")
        if (self.account_for is _default_account) != (self.account_of is _default_account_of):
            raise ConfigurationError(
                "Pass account_for and account_of together: otherwise an uninstall notice does not"
                " find the account under which the token is stored."
            )


HOOKS = (
    "connected",
    "failed",
    "uninstalled",
    "account_for",
    "account_of",
    "sharing_changed",
    "session_of",
    "first_use",
)
"""The functions of the app."""


_FEWEST_CHARACTERS: Final = 16


def checked_former_secrets(name: str, given: Any) -> list[str]:
    """Check the client secrets of before, which may be none."""
    values: Any = given
    is_list = isinstance(given, Collection) and not isinstance(given, str | bytes)
    if not is_list or not all(isinstance(each, str) and each for each in values):
        raise ConfigurationError(f"{name} must be a list of strings.")
    return list(values)


class WebCore:
    """An app's validated settings with the objects made from them; nothing of a framework."""

    def __init__(
        self,
        oauth: PipedriveOAuth | AsyncPipedriveOAuth,
        settings: WebSettings[Any, Any],
        default_keys: Iterable[str | bytes | None] = (),
        *,
        default_former_secrets: Sequence[str] = (),
        is_async: bool | None = None,
    ) -> None:
        if not (isinstance(oauth, AsyncPipedriveOAuth) if is_async is None else is_async):
            for name in HOOKS:
                if is_asynchronous(getattr(settings, name)):
                    raise ConfigurationError(f"{name} must not be asynchronous here.")
        self.oauth: Final = oauth
        self.settings: Final = settings
        self.redirect_targets: Final = RedirectTargets(settings.return_origins)
        if self.redirect_targets.allowed(settings.after_connect) is None:
            raise ConfigurationError(
                "after_connect must be a path such as /deals, or a URL of an origin in"
                " return_origins."
            )
        self.attempts: Final = LoginAttempts(
            _checked_keys(settings.secret_keys or default_keys),
            oauth.credentials.client_id,
            lifetime=settings.lifetime,
            clock=oauth.clock,
            # Not what the request looks like: behind a proxy it may look like http.
            is_secure=_is_https(oauth.credentials.redirect_uri),
        )
        self._former_secrets: Final = settings.former_client_secrets or default_former_secrets
        self.first_use: Final[Callable[[str, timedelta], Any]] = settings.first_use or ReplayGuard(
            oauth.clock
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.oauth!r})"

    def return_to(self, address: str | None, root: str) -> str:
        """Decide where a browser goes after connecting."""
        allowed, default = self.redirect_targets.allowed, self.settings.after_connect
        below_root = root + default if default.startswith("/") else default
        # The root comes from the server, perhaps out of a proxy's header: it is checked as well.
        return allowed(address) or allowed(below_root) or default

    def is_from_service(self, authorization: Sequence[str]) -> bool:
        """Tell whether a request shows the app's own credentials, or those of before."""
        return is_from_service(
            authorization, self.oauth.credentials, former_secrets=self._former_secrets
        )

    def check(self, store: TokenStore) -> SetupReport:
        """Check the setup, and log what is wrong with it."""
        own = self.oauth.own_client
        report = check_setup(
            self.oauth.credentials,
            store,
            base_url=self.oauth.base_url,
            client=own if isinstance(own, httpx.Client) else None,
            clock=self.oauth.clock,
        )
        for each in report.failed:
            _LOGGER.error("The setup is wrong (%s): %s", each.name, each.message)
        return report

    def extension_user(
        self, query: str, authorization: Sequence[str]
    ) -> ExtensionUser | WebResponse:
        """Read the signed token of a request to an extension's endpoint, or reject the request."""
        credentials = self.oauth.credentials
        secrets = self.settings.extension_secrets or [credentials.client_secret]
        try:
            token = find_signed_token(query, authorization)
            return read_signed_token(token, secrets, clock=self.oauth.clock)
        except SignedTokenError as error:
            _LOGGER.warning("A request of an app extension was rejected. %s", error)
        return _unauthorized("Bearer")

    def reject_stranger(self, authorization: Sequence[str]) -> WebResponse | None:
        """Reject a request that does not show the app's own credentials; else return None."""
        if self.is_from_service(authorization):
            return None
        reason = what_is_missing(authorization)
        _LOGGER.warning("A request that claims to be Pipedrive's %s.", reason)
        return _unauthorized("Basic")


def _unauthorized(scheme: str) -> WebResponse:
    return WebResponse(
        status=401, headers={**PRIVATE, "WWW-Authenticate": f'{scheme} realm="pipedrive"'}
    )


def _is_https(redirect_uri: str) -> bool:
    parts = urlsplit(redirect_uri)
    if parts.scheme == "https":
        return True
    if parts.scheme == "http" and is_loopback(parts.hostname or ""):
        return False
    raise ConfigurationError(
        "The redirect_uri must begin with https://, since codes and cookies are sent there. Change"
        " it here and in the Developer Hub. Plain http:// is accepted for this machine only"
        " (localhost, 127.0.0.1, [::1])."
    )


def _checked_keys(given: Iterable[str | bytes | None]) -> list[str]:
    if isinstance(given, str | bytes):
        raise ConfigurationError("secret_keys must be a list of keys, the newest first.")
    # Flask and Django take bytes as well, and an empty key for none.
    keys = [key.decode("latin-1") if isinstance(key, bytes) else key for key in given if key]
    for key in keys:
        if len(argument("secret_keys", key, str)) < _FEWEST_CHARACTERS:
            raise ConfigurationError(
                "secret_keys, or SECRET_KEY of Flask or Django in their place, must be strings of"
                f" at least {_FEWEST_CHARACTERS} unguessable characters;"
                " secrets.token_urlsafe() makes one."
            )
    if not keys:
        raise ConfigurationError(
            "secret_keys is empty: pass an unguessable key, the same for all workers."
            " secrets.token_urlsafe() makes one."
        )
    return keys
