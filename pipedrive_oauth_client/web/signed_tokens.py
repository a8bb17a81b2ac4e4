"""The signed token of an app extension: who looks at a panel, a modal or a custom UI.

Pipedrive adds it to each call of an extension as the query's `token`, beside a plain `userId` and
`companyId` that prove nothing. It is no access token: it opens nothing at Pipedrive's API.

Source:
    https://pipedrive.readme.io/docs/custom-ui-extensions; RFC 7519; RFC 7518, section 3.2;
    RFC 8725.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, NoReturn, cast
from urllib.parse import parse_qsl

from attrs import field, frozen

from pipedrive_oauth_client._checks import read_clock, utc_now
from pipedrive_oauth_client._lazy import raise_missing_extra
from pipedrive_oauth_client.errors import ConfigurationError, SignedTokenError
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.users import account_key, parse_id

__all__ = ["ExtensionUser", "checked_secrets", "find_signed_token", "read_signed_token"]

# RFC 7518 asks for a key as long as the hash; who has one token can try short keys at leisure.
_FEWEST_CHARACTERS: Final = 32
_MOST_CHARACTERS: Final = 4096
_MOST_FIELDS: Final = 100
_DEFAULT_LEEWAY: Final = timedelta(seconds=30)
_LONGEST_LEEWAY: Final = timedelta(minutes=5)
# All checks of claims are made below, by the clock that was passed in.
_OPTIONS: Final[Mapping[str, Any]] = {
    f"verify_{name}": False for name in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")
}


@frozen(kw_only=True)
class ExtensionUser:
    """The user who looks at an app extension, as a signed token says.

    Attributes:
        company_id: The number of their company.
        user_id: Their own number.
        claims: All that the token says; hidden in `repr`.
    """

    company_id: int
    user_id: int
    claims: Mapping[str, Any] = field(factory=dict[str, Any], repr=False, eq=False)

    @property
    def account(self) -> str:
        """The usual name of the account, `company:user`, that their token is stored under."""
        return account_key(self.company_id, self.user_id)


def read_signed_token(
    token: str,
    secret: str | Sequence[str],
    *,
    leeway: timedelta = _DEFAULT_LEEWAY,
    clock: Callable[[], datetime] = utc_now,
) -> ExtensionUser:
    """Check the signed token of an app extension, and return its user.

    The signature must be one with HS256, whatever the token says, and the token must carry the time
    when it expires. It needs PyJWT, which the extra `web` installs.

    Args:
        token: The query's `token`.
        secret: The extension's own JWT secret or, where it has none, the client secret; at least 32
            characters. While one is being replaced, a list of both.
        leeway: How much the clocks may differ, five minutes at most.
        clock: Gives the current time as an aware datetime.

    Returns:
        The user.

    Raises:
        SignedTokenError: The token is forged, expired, or not one of Pipedrive's. Respond with 401
            and without a reason.
        ConfigurationError: A secret is empty or too short, or `leeway` is not valid.
        MissingExtraError: PyJWT is not installed.

    Source:
        https://pipedrive.readme.io/docs/custom-ui-extensions; RFC 7519, section 4.1.
    """
    secrets = checked_secrets("secret", [secret] if isinstance(secret, str) else secret)
    if not timedelta(0) <= argument("leeway", leeway, timedelta) <= _LONGEST_LEEWAY:
        raise ConfigurationError("leeway must be from zero to five minutes.")
    claims = _verified(token, secrets)
    now = read_clock(clock).timestamp()
    if _time(claims, "exp", required=True) + leeway.total_seconds() <= now:
        _reject("it has expired; Pipedrive makes a new one when the page is reloaded")
    if _time(claims, "nbf", required=False) - leeway.total_seconds() > now:
        _reject("it is not valid yet; compare this machine's clock with the real time")
    company_id, user_id = (parse_id(claims.get(name)) for name in ("companyId", "userId"))
    if company_id is None or user_id is None:
        _reject("it has no companyId or no userId")
    return ExtensionUser(company_id=company_id, user_id=user_id, claims=MappingProxyType(claims))


def checked_secrets(name: str, secrets: Iterable[str]) -> list[str]:
    """Check that there are secrets, and that none is guessed easily."""
    if isinstance(secrets, str | bytes) or not isinstance(secrets, Iterable):
        raise ConfigurationError(f"{name} must be a list of secrets.")
    found = [argument(name, each, str) for each in secrets]
    if not found or not all(len(each) >= _FEWEST_CHARACTERS for each in found):
        raise ConfigurationError(
            f"{name} is empty, or shorter than {_FEWEST_CHARACTERS} characters, so that tokens"
            " could be forged. Make a JWT secret with secrets.token_urlsafe(32), and set it for the"
            " extension in the Developer Hub."
        )
    return found


def find_signed_token(query: str, authorization: Sequence[str]) -> str:
    """Find the one signed token of a request: the query's `token`, or a bearer header.

    Nothing else of the query counts: a `companyId` there is whatever the sender has written.
    """
    try:
        pairs = parse_qsl(query, keep_blank_values=True, max_num_fields=_MOST_FIELDS)
    except ValueError:
        _reject("the query has too many fields")
    found = [value for name, value in pairs if name == "token"]
    for value in authorization:
        scheme, _, rest = value.partition(" ")
        if scheme.lower() == "bearer":
            found.append(rest.strip(" "))
    if len(found) != 1:
        _reject("the request carries none" if not found else "the request carries several")
    return found[0]


def _verified(token: str, secrets: Sequence[str]) -> dict[str, Any]:  # noqa: RET503 - it raises
    given: object = token  # what a request lacks may be None
    if not isinstance(given, str) or not 0 < len(given) <= _MOST_CHARACTERS or not given.isascii():
        _reject("it is missing, too long, or not in ASCII")
    try:
        import jwt  # noqa: PLC0415 - only apps with extensions need it
    except ModuleNotFoundError as error:
        raise_missing_extra(error, "read_signed_token", package="jwt", extra="web")
    reason = ""
    for secret in secrets:
        try:
            options = cast("Any", _OPTIONS)
            return jwt.decode(token, secret, algorithms=["HS256"], options=options)
        except jwt.InvalidSignatureError:
            reason = "its signature is not one with this secret; compare it with the Developer Hub"
        except jwt.InvalidAlgorithmError:
            reason = "it is not signed with HS256"
        except jwt.InvalidKeyError as error:
            raise ConfigurationError(
                "The secret is a public key or certificate. Pass the extension's JWT secret."
            ) from error
        except (jwt.PyJWTError, ValueError, RecursionError):
            reason = "it can't be read as a JSON Web Token"
    _reject(reason)


def _time(claims: Mapping[str, Any], name: str, *, required: bool) -> float:
    value = claims.get(name)
    if value is None and not required:
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 10**11:
        _reject(f"its {name} is missing or not a time")
    return float(value)


def _reject(reason: str) -> NoReturn:
    # Here, outside of any `except`: the errors of the library may repeat parts of the token.
    raise SignedTokenError(
        f"The signed token was rejected: {reason}. Respond with status 401 and no reason."
    )
