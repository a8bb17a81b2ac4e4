"""What is stored of a token response: the tokens, their scope, and their expiry."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from logging import getLogger
from typing import Any, Final, cast

from attrs import evolve, field, frozen

from pipedrive_oauth_client._checks import is_vschar
from pipedrive_oauth_client.errors import (
    ConfigurationError,
    CorruptTokenError,
    InvalidResponseError,
    UnusableAccessTokenError,
)
from pipedrive_oauth_client.generated import models
from pipedrive_oauth_client.generated.encode import argument, has_surrogates
from pipedrive_oauth_client.generated.types import FrozenEquality, Unset

# pytest shows the arguments of the last frame of an error, and here they are secrets.
__tracebackhide__ = True

__all__ = [
    "ACCESS_LIFETIME",
    "DEFAULT_LEEWAY",
    "ENDING_SOON",
    "REFRESH_LIFETIME",
    "GrantEnd",
    "Token",
    "checked_scopes",
    "token_from_fields",
]

DEFAULT_LEEWAY: Final = timedelta(seconds=60)
"""How long before its expiry a token is stale: time for a request to arrive."""

# From Pipedrive's OAuth guide. The last refresh was an access token's lifetime before its expiry.
ACCESS_LIFETIME: Final = timedelta(hours=1)
REFRESH_LIFETIME: Final = timedelta(days=60)
# How long before its refresh token lapses an account is shown as ending.
ENDING_SOON: Final = timedelta(days=7)

# Of a token whose lifetime the service did not say: it is stale, with that leeway, after 5 minutes.
_ASSUMED_LIFETIME: Final = timedelta(minutes=5) + DEFAULT_LEEWAY

_LOGGER: Final = getLogger("pipedrive_oauth_client")

_TEXT_FIELDS: Final = ("access_token", "refresh_token", "token_type", "scope", "api_domain")
# Each change of a company's domain adds one. Links to the oldest are hardly in use any more.
_MOST_FORMER_API_DOMAINS: Final = 5

_ADVICE: Final = "Restore it from a backup, or have the user authorize the app again."


def _hidden(value: object) -> str:
    return "None" if value is None else "<hidden>"


def _unprintable(name: str) -> ConfigurationError:
    return ConfigurationError(f"{name} must be a string of printable ASCII characters.")


def _aware_utc(value: object, name: str = "expires_at") -> datetime:
    if isinstance(value, datetime) and value.tzinfo is UTC:
        return value
    if isinstance(value, datetime) and value.utcoffset() is not None:
        try:
            return value.astimezone(UTC)
        except OverflowError:
            pass  # in UTC it is before the year 1 or after 9999
    raise ConfigurationError(f"{name} must be a datetime with a time zone, for example in UTC.")


def _aware_at(value: object) -> datetime:
    return _aware_utc(value, "at")


def _aware_tried_at(value: object) -> datetime:
    return _aware_utc(value, "tried_at")


@frozen(kw_only=True)
class GrantEnd:
    """When and why the service rejected a stored refresh token.

    Attributes:
        at: When a refresh was rejected for the first time, as an aware datetime in UTC.
        error: The error code of the response, `invalid_grant`.
        tried_at: When a refresh was rejected for the last time, as an aware datetime in UTC.

    Raises:
        ConfigurationError: A time has no time zone, or `error` is no string of valid Unicode.

    Source:
        RFC 6749, section 5.2.
    """

    at: datetime = field(converter=_aware_at)
    error: str
    tried_at: datetime = field(converter=_aware_tried_at)

    def __attrs_post_init__(self) -> None:
        argument("error", self.error, str)


@frozen(kw_only=True, eq=False)
class Token(FrozenEquality):
    """An access token with the data that belongs to it, as an app stores it.

    Attributes:
        access_token: The token that API calls carry; hidden in `repr`.
        refresh_token: What the next access token is obtained with; hidden in `repr`. None if the
            service gave none: then the user has to authorize again after `expires_at`.
        token_type: How the access token is presented; `Bearer`.
        scope: The scopes as the service wrote them; see `scopes`.
        api_domain: Where this company's API lives, for example `https://acme.pipedrive.com`, or
            None if the service did not say.
        expires_at: When the access token expires, as an aware datetime in UTC.
        former_api_domains: What `api_domain` was before the company's domain changed, the latest
            first. Requests to them go to `api_domain`.
        grant_end: Set if the service has rejected the refresh token: the user has to authorize
            again. None for every new token.

    Raises:
        ConfigurationError: A value is of another type or no valid Unicode, a token is empty or
            holds a character that no header can carry, or `expires_at` has no time zone.

    Source:
        RFC 6749, section 5.1.
    """

    access_token: str = field(repr=_hidden)
    refresh_token: str | None = field(default=None, repr=_hidden)
    token_type: str = "Bearer"
    scope: str = ""
    api_domain: str | None = None
    expires_at: datetime = field(converter=_aware_utc)
    former_api_domains: tuple[str, ...] = ()
    grant_end: GrantEnd | None = None

    def __attrs_post_init__(self) -> None:
        if not is_vschar(self.access_token):
            raise _unprintable("access_token")
        if self.refresh_token is not None and not is_vschar(self.refresh_token):
            raise _unprintable("refresh_token")
        for name in ("token_type", "scope", "api_domain"):
            value = getattr(self, name)
            # What Pipedrive sends is ASCII, which can always be encoded.
            if isinstance(value, str) and value.isascii():
                continue
            if value is not None or name != "api_domain":
                argument(name, value, str)
        if self.former_api_domains != ():
            for domain in argument("former_api_domains", self.former_api_domains, tuple):
                argument("former_api_domains", domain, str)
        if self.grant_end is not None:
            argument("grant_end", self.grant_end, GrantEnd)

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes one by one. Pipedrive separates them by commas, RFC 6749 by spaces."""
        return frozenset(self.scope.replace(",", " ").split())

    def missing_scopes(self, required: Iterable[str]) -> frozenset[str]:
        """Return the required scopes that the token lacks.

        A scope `deals:full` covers `deals:read`: Pipedrive's list names the endpoints of the latter
        under both. All other scopes are compared literally. If the service did not say what the
        token is for (`scope` is empty), none is known to be missing.

        Args:
            required: The scopes that are needed, for example `{"deals:full", "users:read"}`.

        Returns:
            Those that the token lacks. A refresh does not bring them: the user has to authorize
            the app again.

        Raises:
            ConfigurationError: `required` is a string, or holds something else than strings.

        Source:
            https://pipedrive.readme.io/docs/marketplace-scopes-and-permissions-explanations
        """
        wanted = checked_scopes("required", required)
        granted = self.scopes
        if not granted:
            return frozenset()
        covered = {
            f"{each.removesuffix(':full')}:read" for each in granted if each.endswith(":full")
        }
        return wanted - granted - covered

    def expires_in(self, now: datetime | None = None) -> timedelta:
        """Return how long the access token is still valid.

        Args:
            now: The time to count from, aware; the current time by default.

        Returns:
            The time left; negative after the expiry.

        Raises:
            ConfigurationError: `now` has no time zone.
        """
        return self.expires_at - (datetime.now(UTC) if now is None else _aware_utc(now, "now"))

    def is_stale(self, leeway: timedelta = DEFAULT_LEEWAY, now: datetime | None = None) -> bool:
        """Return whether it is time to refresh the token.

        Args:
            leeway: How long before its expiry a token counts as stale already.
            now: The time to compare with, aware; the current time by default.

        Returns:
            Whether no more than `leeway` is left.

        Raises:
            ConfigurationError: `leeway` is no timedelta, or `now` has no time zone.
        """
        return self.expires_in(now) <= argument("leeway", leeway, timedelta)

    @classmethod
    def from_response(
        cls,
        response: models.GetTokensResponse,
        now: datetime,
        *,
        previous: Token | str | None = None,
    ) -> Token:
        """Create a token from a token response.

        Args:
            response: The response.
            now: When the request was sent, aware. The lifetime is counted from there and not from
                the arrival of the response, so that the expiry is never assumed too late.
            previous: The token, or the refresh token alone, that was sent to obtain this response.
                What the response leaves out is unchanged: the refresh token, the scope and the
                API's domain.

        Returns:
            The token. If its lifetime is beyond what a date can say, it is stale after five
            minutes.

        Raises:
            InvalidResponseError: The token is not of the type `Bearer`.
            ConfigurationError: `response` is of another type, or `now` has no time zone.

        Source:
            RFC 6749, sections 5.1, 6 and 7.1.
        """
        argument("response", response, models.GetTokensResponse)
        sent_at = _aware_utc(now, "now")
        if response.token_type.lower() != "bearer":
            raise InvalidResponseError(
                "field 'token_type' is not Bearer, the only type this package can present",
                field="token_type",
            )
        try:
            expires_at = sent_at + timedelta(seconds=response.expires_in)
        except OverflowError:
            _warn_of(["expires_in"])
            expires_at = sent_at + _ASSUMED_LIFETIME
        refresh_token: str | None
        if isinstance(previous, Token):
            refresh_token, scope = previous.refresh_token, previous.scope
            api_domain = previous.api_domain
        else:
            refresh_token, scope, api_domain = previous, "", None
        if not isinstance(response.refresh_token, Unset):
            refresh_token = response.refresh_token
        if not isinstance(response.scope, Unset):
            scope = response.scope
        if not isinstance(response.api_domain, Unset):
            api_domain = response.api_domain
        return cls(
            access_token=response.access_token,
            refresh_token=refresh_token,
            token_type=response.token_type,
            scope=scope,
            api_domain=api_domain,
            expires_at=expires_at,
            former_api_domains=_former_api_domains(previous, api_domain),
        )

    def to_dict(self) -> dict[str, str | None]:
        """Return the token as a dictionary for storage.

        Returns:
            What JSON can hold, with times in ISO 8601 and both tokens in the clear. The names
            `grant_ended_at`, `grant_error` and `grant_tried_at` are there only if `grant_end` is
            set, and come first. `former_api_domains` is there only if there are any, separated by
            spaces.
        """
        end = self.grant_end
        data: dict[str, str | None] = {}
        if end is not None:
            # First, so that stores can tell by the beginning of the text.
            data["grant_ended_at"] = end.at.isoformat()
            data["grant_error"] = end.error
            data["grant_tried_at"] = end.tried_at.isoformat()
        for name in _TEXT_FIELDS:
            data[name] = getattr(self, name)
        data["expires_at"] = self.expires_at.isoformat()
        if self.former_api_domains:
            data["former_api_domains"] = " ".join(self.former_api_domains)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Token:
        """Read a stored token, including one that another client has stored.

        Args:
            data: What `to_dict` gave, or what another client keeps: `expires_at` as a number of
                seconds (or milliseconds) since 1970, or as an aware datetime; without it,
                `expires_in` in seconds beside the time of issue in `issued_at`, `created_at` or
                `obtained_at` (without one the token counts as expired, so that its first use
                refreshes it); `scope` as a list; the names of Pipedrive's Node client, such as
                `accessToken`. Unknown names are ignored, so that a newer version's tokens can be
                read, and so is a `grant_end` that can't be read.

        Returns:
            The token.

        Raises:
            CorruptTokenError: Something is missing or not what it has to be; the message names it
                and repeats no value.
        """
        if not isinstance(data, Mapping):
            raise CorruptTokenError(
                f"A stored token is not an object but {type(data).__name__}. {_ADVICE}"
            )
        fields = data
        # All of it is there, in the form of `to_dict`, in nearly every case.
        if not (
            "access_token" in data
            and "api_domain" in data
            and isinstance(data.get("expires_at"), str)
            and isinstance(data.get("scope"), str)
        ):
            fields = _with_own_names(data)
        for name in ("access_token", "expires_at"):
            if name not in fields and not (name == "expires_at" and "expires_in" in fields):
                raise CorruptTokenError(f"A stored token lacks {name}. {_ADVICE}")
        known: dict[str, Any] = {}
        for name in _TEXT_FIELDS:
            if name in fields:
                known[name] = fields[name]
        problem: str
        # A grant is not given up for them: what can't be read is left out.
        former = data.get("former_api_domains")
        known["former_api_domains"] = (
            tuple(former.split()) if isinstance(former, str) and former.isascii() else ()
        )
        try:
            return cls(
                **known,
                expires_at=(
                    _stored_time(fields["expires_at"])
                    if "expires_at" in fields
                    else _counted_expiry(fields)
                ),
                grant_end=_stored_grant_end(data),
            )
        except ConfigurationError as error:
            problem = str(error)
        raise CorruptTokenError(f"A stored token can't be read: {problem} {_ADVICE}")


# What other clients call the fields.
_OTHER_NAMES: Final = {
    "access_token": "accessToken",
    "refresh_token": "refreshToken",
    "token_type": "tokenType",
    "api_domain": "apiDomain",
    "expires_at": "expiresAt",
    "expires_in": "expiresIn",
}
_ISSUE_TIMES: Final = ("issued_at", "created_at", "obtained_at")
_API_PATH: Final = re.compile(r"/(?:api/)?v[0-9]+/?")
_NUMBER: Final = re.compile(r"[0-9]{9,13}(?:\.[0-9]{1,9})?", re.ASCII)
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# As seconds it is the year 5138, as milliseconds 1973.
_LEAST_MILLISECONDS: Final = 100_000_000_000


def _with_own_names(data: Mapping[str, Any]) -> dict[str, Any]:
    """Give the fields of a stored token under the names of `to_dict`."""
    fields = dict(data)
    for name, other in _OTHER_NAMES.items():
        if name not in fields and other in fields:
            fields[name] = fields[other]
    base_path = fields.get("basePath")
    if "api_domain" not in fields and isinstance(base_path, str):
        # Pipedrive's Node client keeps the root of the API: domain and version.
        path = _API_PATH.search(base_path)
        fields["api_domain"] = base_path[: path.start()] if path else base_path
    if fields.get("expires_at", fields) is None and "expires_in" in fields:
        del fields["expires_at"]
    scope = fields.get("scope")
    if isinstance(scope, list | tuple):
        names = cast("Sequence[object]", scope)
        if all(isinstance(each, str) for each in names):
            fields["scope"] = ",".join(map(str, names))
    return fields


def _counted_expiry(fields: Mapping[str, Any]) -> datetime:
    issued = next((fields[name] for name in _ISSUE_TIMES if fields.get(name) is not None), None)
    # Without a time of issue nothing is known but that it was in the past.
    sent_at = datetime.now(UTC) if issued is None else _stored_time(issued)
    expiry = _expiry(fields["expires_in"], _aware_utc(sent_at, "the time of issue"))
    if expiry is None:
        raise ConfigurationError("expires_in is not a number of seconds.")
    return expiry if issued is not None else sent_at


def checked_scopes(name: str, scopes: Iterable[str]) -> frozenset[str]:
    """Check that the argument called `name` is a collection of scopes, and not one string."""
    if isinstance(scopes, str | bytes) or not isinstance(scopes, Iterable):
        raise ConfigurationError(f"{name} must be a set of scopes, such as {{'deals:full'}}.")
    found = frozenset(argument(name, each, str) for each in scopes)
    if any(not each or " " in each or "," in each for each in found):
        raise ConfigurationError(f"{name} must hold one scope in each string: 'deals:full'.")
    return found


def _former_api_domains(previous: Token | str | None, current: str | None) -> tuple[str, ...]:
    # Known from a refresh alone: a login under the same name may be for another company.
    if not isinstance(previous, Token):
        return ()
    if previous.api_domain == current:
        return previous.former_api_domains
    known = (previous.api_domain, *previous.former_api_domains)
    former = dict.fromkeys(each for each in known if each is not None and each != current)
    return tuple(former)[:_MOST_FORMER_API_DOMAINS]


def _stored_time(value: object) -> datetime:
    """Read a time: ISO 8601, seconds or milliseconds since 1970, or a datetime."""
    from dateutil.parser import isoparse  # noqa: PLC0415 - an expensive import, and rarely needed

    if isinstance(value, datetime):
        return value
    try:
        if isinstance(value, str) and not _NUMBER.fullmatch(value):
            return isoparse(value)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            number = float(value)
            seconds = number / 1000 if number >= _LEAST_MILLISECONDS else number
            if seconds >= 0:
                return _EPOCH + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        pass  # no time, infinite, or beyond any date
    raise ConfigurationError(
        "expires_at is neither an ISO 8601 time nor a number of seconds since 1970."
    )


def _stored_grant_end(data: Mapping[str, Any]) -> GrantEnd | None:
    error: Any = data.get("grant_error")
    at, tried_at = data.get("grant_ended_at"), data.get("grant_tried_at")
    if not isinstance(at, str) or not isinstance(tried_at, str):
        return None
    try:
        return GrantEnd(at=_stored_time(at), error=error, tried_at=_stored_time(tried_at))
    except ConfigurationError:
        return None  # the next rejected refresh writes it again


# --- Responses with status 200 that are not what the spec describes ---

_WHOLE_SECONDS: Final = r"([0-9]{1,18})(?:\.0{1,18})?"


def token_from_fields(
    fields: Mapping[str, Any],
    sent_at: datetime,
    *,
    previous: Token | str | None,
    is_api_domain: Callable[[str], bool],
) -> Token:
    """Make a token of all that can be used of a token response that the spec does not describe.

    The service may have replaced the refresh token, so one odd field must not cost the grant. What
    is missing or can't be used is as it was in `previous`; one warning names the fields.

    Raises `UnusableAccessTokenError` where the refresh token can be used and the access token
    can't, and `InvalidResponseError` where neither can.

    Source:
        RFC 6749, sections 5.1, 6 and 7.1.
    """
    before = previous if isinstance(previous, Token) else None
    reader = _LenientReader(fields)
    refresh_token = reader.text("refresh_token", is_vschar)
    scope = reader.text("scope", lambda scope: not has_surrogates(scope))
    api_domain = reader.text("api_domain", is_api_domain)
    token_type = reader.token_type()
    expires_at = reader.expiry(sent_at)
    if scope is None:
        scope = "" if before is None else before.scope
    if api_domain is None and before is not None:
        api_domain = before.api_domain
    access_token = fields.get("access_token")
    if isinstance(access_token, str) and is_vschar(access_token) and _is_bearer(token_type):
        reader.warn()
        old = previous.refresh_token if isinstance(previous, Token) else previous
        return Token(
            access_token=access_token,
            refresh_token=old if refresh_token is None else refresh_token,
            token_type=token_type,
            scope=scope,
            api_domain=api_domain,
            expires_at=expires_at,
            former_api_domains=_former_api_domains(previous, api_domain),
        )
    name, problem = "token_type", "is not Bearer, the only type this package can present"
    if not is_vschar(access_token):
        name = "access_token"
        problem = "can't be used as a token" if name in fields else "is missing"
    problem = f"field {name!r} {problem}"
    if refresh_token is None:
        raise InvalidResponseError(problem, field=name)
    reader.warn()
    kept = before and evolve(
        before,
        refresh_token=refresh_token,
        scope=scope,
        api_domain=api_domain,
        expires_at=min(before.expires_at, sent_at),
        former_api_domains=_former_api_domains(previous, api_domain),
        grant_end=None,
    )
    raise UnusableAccessTokenError(problem, field=name, token=kept, refresh_token=refresh_token)


class _LenientReader:
    """Reads what can be used of a response, and notes the fields that can't be."""

    __slots__ = ("_fields", "_odd")

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields = fields
        self._odd: list[str] = []

    def text(self, name: str, is_usable: Callable[[str], bool]) -> str | None:
        value = self._fields.get(name)
        if isinstance(value, str) and is_usable(value):
            return value
        if name in self._fields:
            self._odd.append(name)
        return None

    def token_type(self) -> str:
        value = self._fields.get("token_type")
        if isinstance(value, str) and value:
            return value
        self._odd.append("token_type")
        return "Bearer"

    def expiry(self, sent_at: datetime) -> datetime:
        value = _expiry(self._fields.get("expires_in"), sent_at)
        if value is None:
            self._odd.append("expires_in")
            value = sent_at + _ASSUMED_LIFETIME
        return value

    def warn(self) -> None:
        if self._odd:
            _warn_of(self._odd)


def _is_bearer(token_type: str) -> bool:
    return token_type.lower() == "bearer"


def _expiry(seconds: object, sent_at: datetime) -> datetime | None:
    """Add a lifetime in seconds: a whole number, also as 3599.0, or in a string."""
    if isinstance(seconds, str):
        written = re.fullmatch(_WHOLE_SECONDS, seconds)
        seconds = None if written is None else int(written[1])
    if isinstance(seconds, float) and seconds.is_integer():
        seconds = int(seconds)
    if not isinstance(seconds, int) or isinstance(seconds, bool) or seconds < 0:
        return None
    try:
        return sent_at + timedelta(seconds=seconds)
    except OverflowError:
        return None


def _warn_of(fields: list[str]) -> None:
    _LOGGER.warning(
        "Fields of a token response are missing or can't be used: %s. The rest of it is kept.",
        ", ".join(fields),
    )
