"""The answers that faults give in place of the sandbox's own, each checked when it is made."""

from __future__ import annotations

import http
import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Literal, TypeAlias, get_args

import attrs

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.error_responses import (
    REFUSALS,
    SERVER_ERROR,
    TOO_MANY_REQUESTS,
    challenge,
)

RetryAfterForm: TypeAlias = Literal["seconds", "imf-fixdate", "rfc850", "asctime"]

# Not from `strftime`, which writes them in the language of the machine.
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def format_retry_after(seconds: int, *, form: RetryAfterForm, now: datetime) -> str:
    """Return the value of a Retry-After header.

    Args:
        seconds: How long to wait.
        form: A number of seconds, or one of the three date formats.
        now: The time that a date counts from; an aware UTC datetime.
    """
    if form == "seconds":
        return str(seconds)
    then = now + timedelta(seconds=seconds)
    day, month, time = _DAYS[then.weekday()], _MONTHS[then.month - 1], f"{then:%H:%M:%S}"
    if form == "imf-fixdate":
        return f"{day[:3]}, {then.day:02} {month} {then.year:04} {time} GMT"
    if form == "rfc850":
        return f"{day}, {then.day:02}-{month}-{then.year % 100:02} {time} GMT"
    return f"{day[:3]} {month} {then.day:2} {time} {then.year:04}"


def check(value: int | str | None, form: str) -> None:
    """Refuse a value that no header could carry, and a form that is none of the four.

    Raises:
        ConfigurationError: The number is negative, the text is not printable ASCII, or the form is
            another one.
    """
    if isinstance(value, int) and value < 0:
        raise ConfigurationError("retry_after must be 0 seconds or more; give text for less.")
    if isinstance(value, str):
        check_header(value)
    if form not in get_args(RetryAfterForm):
        raise ConfigurationError(
            "retry_after_form must be one of " + ", ".join(get_args(RetryAfterForm)) + "."
        )


def cut_short(reply: Reply, sent_bytes: int | None) -> Reply:
    """Return the answer with a body that ends before the length that its header says.

    Args:
        reply: The whole answer.
        sent_bytes: How much of its body is left; half of it if None.
    """
    whole = b"".join(reply.body)
    sent = whole[: len(whole) // 2 if sent_bytes is None else sent_bytes]
    said = max(len(whole), len(sent) + 1)
    shorter = attrs.evolve(reply, body=(sent,), ending="closed")
    return shorter.with_header("content-length", str(said))


def check_fields(fields: Mapping[str, object]) -> None:
    """Refuse fields that no JSON body could have.

    Raises:
        ConfigurationError: A value is not one of JSON's.
    """
    try:
        json.dumps(fields)
    except (TypeError, ValueError) as error:
        raise ConfigurationError("fields holds a value that JSON can't carry.") from error


def override_fields(reply: Reply, fields: Mapping[str, object], without: Collection[str]) -> Reply:
    """Return a success with other fields in its JSON body; any other answer as it is."""
    if reply.status != 200 or ("content-type", "application/json") not in reply.headers:
        return reply
    body: dict[str, object] = json.loads(b"".join(reply.body))
    changed = {**body, **fields}
    kept = {name: value for name, value in changed.items() if name not in without}
    return reply.with_body(json.dumps(kept).encode())


_CDN_REASONS = {
    520: "Web server is returning an unknown error",
    521: "Web server is down",
    522: "Connection timed out",
    523: "Origin is unreachable",
    524: "A timeout occurred",
    525: "SSL handshake failed",
    526: "Invalid SSL certificate",
}
_MAINTENANCE = "Whoops! Something broke in our servers and we cannot serve you this page."


def usual_reply(status: int) -> Reply:
    """Return the answer that the service, or the network before it, gives with this status."""
    if status == 503:
        return html_reply(status, web_page("Under maintenance", _MAINTENANCE))
    if status in _CDN_REASONS:
        return html_reply(status, web_page(f"Error {status}", _CDN_REASONS[status]))
    documented = {429: TOO_MANY_REQUESTS, 500: SERVER_ERROR}.get(status)
    if documented is not None:
        return json_reply(status, documented.body())
    return json_reply(status, {"success": status < 400, "message": _phrase(status)})


def web_page(title: str, text: str) -> str:
    """Return a small web page; neither text is escaped, so both must be the sandbox's own."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>'
        f"</head>\n<body><h1>{title}</h1><p>{text}</p></body>\n</html>\n"
    )


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"


Ending: TypeAlias = Literal["complete", "closed", "reset"]
Headers: TypeAlias = tuple[tuple[str, str], ...]

_CHUNK_BYTES = 64 * 1024


@attrs.frozen
class Reply:
    """An answer before it is sent.

    Attributes:
        status: The HTTP status; None where not even a status line is sent.
        headers: Names in lower case, and values.
        body: The body, piece by piece; it may hold tokens.
        ending: How it ends: whole, by a closed connection, or by a reset one.
    """

    status: int | None
    headers: Headers = attrs.field(default=(), repr=False)
    body: Iterable[bytes] = attrs.field(default=(), repr=False)
    ending: Ending = "complete"

    def with_header(self, name: str, value: str) -> Reply:
        """Return the same answer with a header in place of those of its name."""
        kept = tuple(header for header in self.headers if header[0] != name)
        return attrs.evolve(self, headers=(*kept, (name, value)))

    def with_body(self, body: bytes) -> Reply:
        """Return the same answer with another body, and the length that it has."""
        return attrs.evolve(self, body=(body,)).with_header("content-length", str(len(body)))


class Padding:
    """A JSON object of exactly so many bytes, made piece by piece as it is sent.

    Args:
        size_bytes: Its size, at least that of the empty object around the padding.
    """

    _START, _END = b'{"padding": "', b'"}'
    LEAST_BYTES = len(_START) + len(_END)

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes

    def __iter__(self) -> Iterator[bytes]:
        yield self._START
        left = self.size_bytes - self.LEAST_BYTES
        while left > 0:
            yield b"x" * min(left, _CHUNK_BYTES)
            left -= _CHUNK_BYTES
        yield self._END


def plain_reply(status: int, body: bytes, content_type: str) -> Reply:
    """Return an answer with a body of this type; a status that has no body gets none."""
    if status in {204, 304}:
        return Reply(status)
    return Reply(status, (("content-type", content_type),)).with_body(body)


def json_reply(status: int, body: Mapping[str, object]) -> Reply:
    """Return an answer with a JSON body that no cache keeps."""
    reply = plain_reply(status, json.dumps(body).encode(), "application/json")
    return reply.with_header("cache-control", "no-store").with_header("pragma", "no-cache")


def html_reply(status: int, page: str) -> Reply:
    """Return an answer with a web page."""
    return plain_reply(status, page.encode(), "text/html; charset=utf-8")


def check_status(status: int) -> int:
    """Return a status that an answer can have; refuse another one."""
    if type(status) is not int or not 200 <= status <= 599:
        raise ConfigurationError("A status must be a whole number from 200 to 599.")
    return status


def check_header(text: str) -> str:
    """Return the text of a header; refuse what could not be sent as one."""
    if not text.isascii() or not text.isprintable() or text != text.strip():
        raise ConfigurationError("A header must be printable ASCII text with no blank at an end.")
    return text


def check_header_name(name: str) -> str:
    """Return the name of a header in lower case; refuse what could not be sent as one."""
    if re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name, re.ASCII) is None:
        raise ConfigurationError("The name of a header must be a token of RFC 9110, section 5.6.2.")
    return name.lower()


_LARGEST_BYTES = 1024**3
_LONGEST_DELAY_SECONDS = 86_400


def status_reply(
    status: int, *, retry_after: int | str | None, form: RetryAfterForm, now: datetime
) -> Reply:
    """Return the usual answer of a status, with a Retry-After header if there is one to have."""
    reply = usual_reply(status)
    if retry_after is None:
        return reply
    if isinstance(retry_after, int):
        retry_after = format_retry_after(retry_after, form=form, now=now)
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
