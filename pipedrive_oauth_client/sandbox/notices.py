"""What the service sends to an app: notices, calls of its endpoints, and signed tokens.

Source:
    https://pipedrive.readme.io/docs/app-uninstallation;
    https://pipedrive.readme.io/docs/visibility-and-development-of-app-extensions;
    https://pipedrive.readme.io/docs/custom-ui-extensions; RFC 7515, section 3.1.
"""

from __future__ import annotations

import base64
import contextlib
import hmac
import http.client
import ipaddress
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Final, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

import attrs

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.models import App, User

SigningAlgorithm: TypeAlias = Literal["HS256", "HS384", "HS512", "none"]

_TIMEOUT_SECONDS = 5
_JSON: Final = {"Content-Type": "application/json"}


@attrs.frozen
class ServiceRequest:
    """A request of the service to an app, to send or to pass to a test client.

    Attributes:
        method: `POST`, for example.
        url: Where the app receives it.
        headers: The headers.
        content: The body.
    """

    method: str
    url: str
    headers: dict[str, str] = attrs.field(repr=False)
    content: bytes

    @classmethod
    def sharing(cls, app: App, user: User, *, is_shared: bool) -> ServiceRequest:
        """Return the POST to an app's callback URL after an installation or a change of sharing.

        It shows no credentials: none are documented.

        Args:
            app: The app.
            user: The user.
            is_shared: Whether the user shares the app with the company.
        """
        body = {"company_id": user.company_id, "user_id": user.id, "isShared": is_shared}
        return cls("POST", app.redirect_uri, {**_JSON}, json.dumps(body).encode())

    @classmethod
    def endpoint_call(cls, app: App, method: str, url: str, content: bytes) -> ServiceRequest:
        """Return a call to an app's endpoint for messaging or video calls.

        Args:
            app: The app, whose credentials the call shows.
            method: The method.
            url: The endpoint.
            content: The JSON body.
        """
        return cls(method, url, {**_JSON, "Authorization": _basic(app)}, content)


@attrs.frozen
class UninstallNotice(ServiceRequest):
    """A DELETE request to an app's callback URL, to send or to pass to a test client.

    Attributes:
        method: Always `DELETE`.
        url: The app's redirect URI.
        headers: `Authorization` with the app's own credentials, and `Content-Type`.
        content: The JSON body.
    """

    @classmethod
    def of(cls, app: App, user: User, *, now: datetime) -> UninstallNotice:
        """Return the notice that a user has uninstalled an app.

        Args:
            app: The app.
            user: The user.
            now: When, as an aware UTC datetime.
        """
        body = {
            "client_id": app.client_id,
            "company_id": user.company_id,
            "user_id": user.id,
            "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        return cls(
            "DELETE",
            app.redirect_uri,
            {"Authorization": _basic(app), **_JSON},
            json.dumps(body).encode(),
        )


def sign(claims: Mapping[str, object], secret: str, algorithm: SigningAlgorithm) -> str:
    """Return a JSON Web Token, written by hand so that a client's library is tested by it."""
    if algorithm not in get_args(SigningAlgorithm):
        raise ConfigurationError('algorithm must be "HS256", "HS384", "HS512" or "none".')
    parts = ({"alg": algorithm, "typ": "JWT"}, claims)
    text = ".".join(_base64url(json.dumps(part).encode()) for part in parts)
    if algorithm == "none":
        return f"{text}."
    digest = hmac.digest(secret.encode(), text.encode(), f"sha{algorithm[2:]}")
    return f"{text}.{_base64url(digest)}"


def _base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def _basic(app: App) -> str:
    pair = f"{app.client_id}:{app.client_secret}".encode()
    return f"Basic {base64.b64encode(pair).decode()}"


def check_address(url: str) -> None:
    """Reject a callback URL that is not an http URL of a loopback address."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not _is_loopback(parts.hostname or ""):
        raise ConfigurationError(
            "The app's redirect_uri is not an http URL of this machine, and the sandbox sends "
            "notices nowhere else. Use such a redirect_uri, or pass the notice that "
            "Sandbox.uninstall returns to your test client."
        )


def send(notice: ServiceRequest) -> bool:
    """Send a request to a loopback address and tell whether the app could be reached.

    The app's response is not evaluated, and need not come. It is only waited for, at most five
    seconds, so that a test finds the app's work done.
    """
    check_address(notice.url)
    parts = urlsplit(notice.url)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port, timeout=_TIMEOUT_SECONDS
    )
    with contextlib.closing(connection):
        try:
            connection.request(notice.method, target, notice.content, notice.headers)
        except OSError:
            return False
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection.getresponse().close()
    return True


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
