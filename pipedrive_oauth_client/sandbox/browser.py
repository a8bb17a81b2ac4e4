"""A person's browser, as far as a consent page needs one: open it, press a button of its form.

It speaks HTTP through the standard library, whose client writes no log: HTTP libraries log
addresses and headers, and those hold states and codes here.
"""

from __future__ import annotations

import contextlib
import http.client
import json
from html.parser import HTMLParser
from typing import Literal
from urllib.parse import urlencode, urljoin, urlsplit

import attrs

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
    """Open a sandbox's consent page, send its own form, and return where that redirects to.

    Args:
        base_url: The sandbox's address.
        authorization_url: The page's URL, on that address.
        decision: The button to press.
        account: The account to choose, as `company:user`; the page's first choice unless given.

    Returns:
        The callback URL; it is not opened.

    Raises:
        ConfigurationError: The URL is not the sandbox's, the sandbox refused a request, or the
            page does not offer the account.
    """
    if not authorization_url.startswith(f"{base_url}/") or not is_absolute_uri(authorization_url):
        raise ConfigurationError(
            f"The authorization URL does not lead to this sandbox; build it with {base_url} as its "
            "base URL."
        )
    page = _ConsentForm()
    page.feed(_request("GET", authorization_url, expected_status=200).text)
    if not page.accounts:
        raise ConfigurationError("What the sandbox answered is no consent page; is a fault on it?")
    if account is None:
        account = page.first_account
    chosen = {"account": account}
    if account not in page.accounts and page.takes_others:
        chosen = {"account": page.first_account, "other_account": account}
    elif account not in page.accounts:
        raise ConfigurationError("This user is not one of the sandbox's; give it to create_app.")
    form = urlencode({**page.hidden, **chosen, "decision": decision})
    target = urljoin(authorization_url, page.action)
    return _request("POST", target, form=form, origin=base_url, expected_status=303).location


@attrs.frozen
class _Answer:
    text: str
    location: str


def _request(
    method: str, url: str, *, expected_status: int, form: str | None = None, origin: str = ""
) -> _Answer:
    """Send one request, as a browser on a page of this origin would, and follow no redirect."""
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
            answer = connection.getresponse()
            text = answer.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            raise ConfigurationError(
                "The sandbox can't be reached; visit it while it is being served."
            ) from error
    if answer.status != expected_status:
        raise ConfigurationError(f"The sandbox refused the visit: {_message(text)}")
    return _Answer(text, answer.headers.get("Location", ""))


def _message(body: str) -> str:
    """Return the message of an error answer, which the sandbox writes and which holds no secret."""
    try:
        message: object = json.loads(body)["message"]
    except (ValueError, KeyError, TypeError):
        return "the answer was not one of its own."
    return str(message)


class _ConsentForm(HTMLParser):
    """What a page's form says about itself: where it goes, what it sends, which accounts it has."""

    def __init__(self) -> None:
        super().__init__()
        self.action = ""
        self.hidden: dict[str, str] = {}
        self.accounts: list[str] = []
        self.takes_others = False

    @property
    def first_account(self) -> str:
        """The account that the page has chosen already."""
        return self.accounts[0] if self.accounts else ""

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
