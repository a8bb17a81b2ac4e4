"""The answers that faults give in place of the sandbox's own, each checked when it is made."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox import retry_after as forms
from pipedrive_oauth_client.sandbox.challenges import challenge
from pipedrive_oauth_client.sandbox.outages import usual_reply, web_page
from pipedrive_oauth_client.sandbox.refusals import REFUSALS
from pipedrive_oauth_client.sandbox.replies import (
    Padding,
    Reply,
    check_header,
    check_header_name,
    check_status,
    html_reply,
    json_reply,
    plain_reply,
)

_LARGEST_BYTES = 1024**3
_LONGEST_DELAY_SECONDS = 86_400


def status_reply(
    status: int, *, retry_after: int | str | None, form: forms.RetryAfterForm, now: datetime
) -> Reply:
    """Return the usual answer of a status, with a Retry-After header if there is one to have."""
    reply = usual_reply(status)
    if retry_after is None:
        return reply
    if isinstance(retry_after, int):
        retry_after = forms.retry_after(retry_after, form=form, now=now)
    return reply.with_header("retry-after", retry_after)


def refusal_reply(name: str, *, status: int | None, rfc_fields: bool) -> Reply:
    """Return a documented refusal, by its name in `REFUSALS`."""
    refusal = REFUSALS.get(name)
    if refusal is None:
        raise ConfigurationError("There is no such refusal; one of: " + ", ".join(REFUSALS))
    body = refusal.body()
    if rfc_fields:
        body = {"error": refusal.error, "error_description": refusal.message}
    reply = json_reply(check_status(refusal.status if status is None else status), body)
    for header, value in challenge(refusal).items():
        reply = reply.with_header(header.lower(), value)
    return reply


def any_reply(
    status: int, body: bytes | str, content_type: str, headers: Mapping[str, str]
) -> Reply:
    """Return any answer."""
    raw = body.encode() if isinstance(body, str) else body
    reply = plain_reply(check_status(status), raw, check_header(content_type))
    for name, value in headers.items():
        if name.lower() in {"content-length", "transfer-encoding"}:
            raise ConfigurationError("The length is the body's; to lie about it, use truncated.")
        reply = reply.with_header(check_header_name(name), check_header(value))
    return reply


def page_reply(status: int) -> Reply:
    """Return a web page."""
    return html_reply(check_status(status), web_page("Hello", "This is a page for people."))


def redirect_reply(location: str, status: int) -> Reply:
    """Return a redirect without a body."""
    reply = Reply(check_status(status)).with_body(b"")
    return reply.with_header("location", check_header(location))


def oversized_reply(size_bytes: int, *, announced: bool) -> Reply:
    """Return a JSON body of so many bytes."""
    if not Padding.LEAST_BYTES <= size_bytes <= _LARGEST_BYTES:
        raise ConfigurationError(f"size_bytes must be from {Padding.LEAST_BYTES} to 1 GiB.")
    reply = Reply(200, (("content-type", "application/json"),), Padding(size_bytes))
    return reply.with_header("content-length", str(size_bytes)) if announced else reply


def check_delay(seconds: float) -> float:
    """Return how late an answer can be; refuse what is not from nothing to a day."""
    if not 0 <= seconds <= _LONGEST_DELAY_SECONDS:
        raise ConfigurationError("A delay must be from 0 to 86400 seconds.")
    return seconds
