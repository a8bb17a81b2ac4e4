"""Which plan a request gets, by its route and its method; each framework mounts these two."""

from __future__ import annotations

from urllib.parse import urlsplit

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.web.core import WebCore
from pipedrive_oauth_client.web.journey import callback, start
from pipedrive_oauth_client.web.messages import PRIVATE, Answer, Incoming
from pipedrive_oauth_client.web.steps import Plan
from pipedrive_oauth_client.web.uninstalling import uninstall

__all__ = ["METHODS", "at_callback", "at_start", "checked_paths"]

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
"""The methods that a framework hands on, so that all of them refuse the same ones alike."""


def at_start(core: WebCore, incoming: Incoming) -> Plan:
    """Answer a request to the route that begins to connect.

    Args:
        core: What the app has decided.
        incoming: The request.

    Returns:
        The plan.
    """
    if incoming.method == "GET":
        return start(core, incoming)
    return _not_allowed("GET")


def at_callback(core: WebCore, incoming: Incoming) -> Plan:
    """Answer a request to the callback URL, where the service sends its notices, too.

    HEAD is refused: those who send it only look, and a code would be used up for them.

    Args:
        core: What the app has decided.
        incoming: The request.

    Returns:
        The plan.
    """
    if incoming.method == "GET":
        return callback(core, incoming)
    if incoming.method == "DELETE":
        return uninstall(core, incoming)
    return _not_allowed("GET", "DELETE")


def checked_paths(start_path: str, callback_path: str, redirect_uri: str) -> None:
    """Check the paths of the two routes.

    Args:
        start_path: The path of the one that begins, below the place where they are mounted.
        callback_path: The path of the callback, likewise.
        redirect_uri: What is registered for the app: it has to lead to the callback.

    Raises:
        ConfigurationError: It does not, both are one, or a path does not begin with a slash.
    """
    for name, path in (("start_path", start_path), ("callback_path", callback_path)):
        if not argument(name, path, str).startswith("/"):
            raise ConfigurationError(f"{name} must begin with a slash.")
    if start_path == callback_path:
        raise ConfigurationError("start_path and callback_path must be two different paths.")
    if not (urlsplit(redirect_uri).path or "/").endswith(callback_path):
        raise ConfigurationError(
            f"The redirect_uri does not end in {callback_path}, so that nobody would be there when"
            " the service sends a browser back. Set callback_path to how it does end."
        )


def _not_allowed(*methods: str) -> Plan:
    yield from ()  # a plan without a step
    return Answer(status=405, headers={**PRIVATE, "Allow": ", ".join(methods)})
