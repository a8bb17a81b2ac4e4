"""The notice that an app gets when a user has uninstalled it: its form, and sending it.

Source:
    https://pipedrive.readme.io/docs/app-uninstallation
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import ipaddress
import json
from datetime import datetime
from urllib.parse import urlsplit

import attrs

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.models import App, User

_TIMEOUT_SECONDS = 5


@attrs.frozen
class UninstallNotice:
    """A DELETE request to an app's callback URL, to send or to pass to a test client.

    Attributes:
        method: Always `DELETE`.
        url: The app's redirect URI.
        headers: `Authorization` with the app's own credentials, and `Content-Type`.
        content: The JSON body.
    """

    method: str
    url: str
    headers: dict[str, str] = attrs.field(repr=False)
    content: bytes

    @classmethod
    def of(cls, app: App, user: User, *, now: datetime) -> UninstallNotice:
        """Return the notice that a user has uninstalled an app.

        Args:
            app: The app.
            user: The user.
            now: When, as an aware UTC datetime.
        """
        pair = base64.b64encode(f"{app.client_id}:{app.client_secret}".encode()).decode()
        body = {
            "client_id": app.client_id,
            "company_id": user.company_id,
            "user_id": user.id,
            "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }
        return cls(
            "DELETE",
            app.redirect_uri,
            {"Authorization": f"Basic {pair}", "Content-Type": "application/json"},
            json.dumps(body).encode(),
        )


def check_address(url: str) -> None:
    """Reject a callback URL that is not an http URL of a loopback address."""
    parts = urlsplit(url)
    if parts.scheme != "http" or not _is_loopback(parts.hostname or ""):
        raise ConfigurationError(
            "The app's redirect_uri is not an http URL of this machine, and the sandbox sends "
            "notices nowhere else. Use such a redirect_uri, or pass the notice that "
            "Sandbox.uninstall returns to your test client."
        )


def send(notice: UninstallNotice) -> bool:
    """Send a notice to a loopback address and tell whether the app could be reached.

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
