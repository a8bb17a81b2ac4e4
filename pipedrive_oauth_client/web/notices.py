"""What the service sends to the callback URL: who may send it, and what it contains.

Source:
    https://pipedrive.readme.io/docs/app-uninstallation; RFC 7617, section 2;
    https://pipedrive.readme.io/docs/visibility-and-development-of-app-extensions.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final, cast
from urllib.parse import parse_qsl

from attrs import frozen

from pipedrive_oauth_client.credentials import AppCredentials, basic_auth_header
from pipedrive_oauth_client.errors import PipedriveOAuthError
from pipedrive_oauth_client.users import account_key, parse_id

__all__ = [
    "MOST_BYTES",
    "NoticeError",
    "SharingNotice",
    "UninstallNotice",
    "is_from_service",
    "read_notice",
    "read_sharing",
    "what_is_missing",
]

MOST_BYTES: Final = 16 * 1024
"""The longest notice that is read; a real one has about 150 bytes."""

# Later than that, seconds since 1970 would be of the year 5138: they are milliseconds.
_MOST_SECONDS: Final = 10**11
_MOST_FIELDS: Final = 100
_SWITCH: Final = {"true": True, "1": True, "false": False, "0": False}


class NoticeError(PipedriveOAuthError):
    """What claims to be a notice is none; it names the field at fault and repeats no value."""


@frozen(kw_only=True)
class UninstallNotice:
    """A user has uninstalled the app; the tokens are revoked.

    Attributes:
        company_id: The number of their company.
        user_id: Their own number.
        at: When they did, as an aware datetime in UTC.
    """

    company_id: int
    user_id: int
    at: datetime

    @property
    def account(self) -> str:
        """The default name of the account, `company:user`."""
        return account_key(self.company_id, self.user_id)


@frozen(kw_only=True)
class SharingNotice:
    """A POST to the callback URL: a user has installed the app, or changed whether it is shared.

    Pipedrive documents no authentication for it, so anyone can send one: do not trust its content.
    Use it, for example, as a reason to look something up in the API.

    Attributes:
        company_id: The number of the company, as the sender says.
        user_id: The number of the user, as the sender says.
        is_shared: Whether the user shares the app with the company, as the sender says.
        is_authenticated: Whether the request showed the app's own credentials; normally False.
    """

    company_id: int
    user_id: int
    is_shared: bool
    is_authenticated: bool


def is_from_service(
    authorization: Sequence[str],
    credentials: AppCredentials,
    *,
    former_secrets: Sequence[str] = (),
) -> bool:
    """Return whether a request carries the app's own credentials, as Pipedrive's requests do.

    Uninstall notices, and requests to an app's messaging and video-calling endpoints, are
    authenticated in this way. The comparison takes the same time wherever the two values differ.

    Args:
        authorization: All values of the request's `Authorization` header.
        credentials: The app's.
        former_secrets: Client secrets of the app that are accepted as well, for a while after a
            reset.

    Returns:
        Whether there is exactly one value, and it is the Basic header of the credentials.

    Source:
        RFC 7617, section 2.
    """
    if len(authorization) != 1:
        return False
    scheme, _, given = authorization[0].partition(" ")
    shown = given.strip(" ").encode("utf-8", "surrogatepass")
    headers = [credentials.basic_auth_header]
    headers += [basic_auth_header(credentials.client_id, secret) for secret in former_secrets]
    is_equal = False
    for header in headers:  # all of them, so that the time does not tell which one it was
        is_equal |= hmac.compare_digest(shown, header.partition(" ")[2].encode())
    return is_equal and scheme.lower() == "basic"


def what_is_missing(authorization: Sequence[str]) -> str:
    """Say why a request was not taken for the service's, for the log."""
    if authorization:
        return "has wrong credentials"
    return (
        "carries no Authorization header. If it is Pipedrive's, a proxy has removed the header, or"
        " mod_wsgi, which needs `WSGIPassAuthorization On`"
    )


def read_notice(body: bytes, client_id: str) -> UninstallNotice:
    """Read a notice."""
    if not body:
        raise NoticeError(
            "It has no body, and so names no account. A proxy may drop the body of a DELETE"
            " request: let it pass the body on."
        )
    fields = _fields(body)
    if fields.get("client_id") != client_id:
        raise NoticeError("The notice is for another app: its client_id is not this one's.")
    numbers = {name: parse_id(fields.get(name)) for name in ("company_id", "user_id")}
    for name, number in numbers.items():
        if number is None:
            raise NoticeError(
                f"The notice has no {name}, or one that is not a whole number above 0."
            )
    return UninstallNotice(
        company_id=numbers["company_id"] or 0,
        user_id=numbers["user_id"] or 0,
        at=_time(fields.get("timestamp")),
    )


def read_sharing(body: bytes, *, is_authenticated: bool) -> SharingNotice | None:
    """Read the POST of an installation or of sharing; None where it can't be read."""
    try:
        fields = _fields(body)
    except NoticeError:  # or a form: the encoding is not documented
        try:
            fields = dict(parse_qsl(body.decode(), max_num_fields=_MOST_FIELDS))
        except ValueError:
            return None
    company_id, user_id = (parse_id(fields.get(name)) for name in ("company_id", "user_id"))
    is_shared = _SWITCH.get(str(fields.get("isShared")).lower())
    if company_id is None or user_id is None or is_shared is None:
        return None
    return SharingNotice(
        company_id=company_id,
        user_id=user_id,
        is_shared=is_shared,
        is_authenticated=is_authenticated,
    )


def _fields(body: bytes) -> dict[str, Any]:
    found: object = None
    with suppress(ValueError, RecursionError):  # their text repeats the body
        found = json.loads(body.decode(), object_pairs_hook=_once_each, parse_constant=_refuse)
    if not isinstance(found, dict):
        raise NoticeError("The notice is not a JSON object in UTF-8 with each field once.")
    return cast("dict[str, Any]", found)


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise ValueError
    return fields


def _refuse(_constant: str) -> None:
    raise ValueError


def _time(value: object) -> datetime:
    from dateutil.parser import isoparse  # noqa: PLC0415 - the import is slow, and few calls need it

    try:
        if isinstance(value, str):
            # The API itself writes times in UTC without saying so: "2026-01-31 12:00:00".
            found = isoparse(value)
            return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
        if isinstance(value, int | float) and not isinstance(value, bool):
            seconds = value if abs(value) < _MOST_SECONDS else value / 1000
            return datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        pass  # said below, without the value
    raise NoticeError("The notice has no timestamp, or one that is not an ISO 8601 time.")
