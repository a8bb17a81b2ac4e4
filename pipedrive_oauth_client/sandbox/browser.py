"""A browser's part in a login: open the consent page, submit its form, stop at the callback.

It uses the HTTP client of the standard library, which writes no log: HTTP libraries log URLs and
headers, and those contain states and codes here.
"""

from __future__ import annotations

import contextlib
import http.client
import json
from html.parser import HTMLParser
from typing import Literal
from urllib.parse import urlencode, urljoin, urlsplit

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.urls import is_absolute_uri

_TIMEOUT_SECONDS = 10


def visit(
    base_url: str,
    authorization_url: str,
    *,
    decision: Literal["allow", "cancel"],
    account: str | None,
) -> str:
    """Open the consent page of the sandbox at `base_url`, submit its form, return the callback URL.

    The account is `company:user`; None takes the page's first choice.
    """
    if not authorization_url.startswith(f"{base_url}/") or not is_absolute_uri(authorization_url):
        raise ConfigurationError(
            f"The authorization URL does not lead to this sandbox; build it with {base_url} as its "
            "base URL."
        )
    page = _ConsentForm()
    text, _ = _request("GET", authorization_url, expected_status=200)
    page.feed(text)
    if not page.accounts:
        raise ConfigurationError(
            "The sandbox's response is not a consent page; is a fault planned?"
        )
    preselected = page.accounts[0]
    if account is None:
        account = preselected
    chosen = {"account": account}
    if account not in page.accounts and page.takes_others:
        chosen = {"account": preselected, "other_account": account}
    elif account not in page.accounts:
        raise ConfigurationError("This user is not one of the sandbox's; pass it to create_app.")
    form = urlencode({**page.hidden, **chosen, "decision": decision})
    target = urljoin(authorization_url, page.action)
    _, location = _request("POST", target, form=form, origin=base_url, expected_status=303)
    return location


def _request(
    method: str, url: str, *, expected_status: int, form: str | None = None, origin: str = ""
) -> tuple[str, str]:
    """Send one request, as from a page of this origin, and return the body and the Location."""
    parts = urlsplit(url)
    headers = {"Accept": "text/html", "Connection": "close"}
    if form is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
        headers["Origin"] = origin
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port, timeout=_TIMEOUT_SECONDS
    )
    with contextlib.closing(connection):
        try:
            connection.request(method, f"{parts.path}?{parts.query}", body=form, headers=headers)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise ConfigurationError(
                "Cannot connect to the sandbox; visit it while it is being served."
            ) from error
    if response.status != expected_status:
        raise ConfigurationError(f"The sandbox rejected the visit: {_message(text)}")
    return text, response.headers.get("Location", "")


def _message(body: str) -> str:
    """Return the message of an error response, which contains no secret."""
    try:
        message: object = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        return "the response was not one of its own."
    return str(message)


class _ConsentForm(HTMLParser):
    """The form of a consent page: its target, its hidden fields and the accounts that it offers."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.hidden: dict[str, str] = {}
        self.accounts: list[str] = []
        self.takes_others = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        if tag == "form":
            self.action = attributes.get("action", "")
        elif tag == "input" and attributes.get("name") == "account":
            self.accounts.append(attributes.get("value", ""))
        elif tag == "input" and attributes.get("name") == "other_account":
            self.takes_others = True
        elif tag == "input" and attributes.get("type") == "hidden":
            self.hidden[attributes.get("name", "")] = attributes.get("value", "")
