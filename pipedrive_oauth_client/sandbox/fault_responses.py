"""The responses that faults send in place of the sandbox's own, each checked when it is made."""

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
    challenge_headers,
)

Ending: TypeAlias = Literal["complete", "closed", "reset"]
RetryAfterForm: TypeAlias = Literal["seconds", "imf-fixdate", "rfc850", "asctime"]

_CHUNK_BYTES = 64 * 1024
_MAX_BYTES = 1024**3
_MAX_DELAY_SECONDS = 86_400

# Not from `strftime`, which writes them in the language of the machine.
_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

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


@attrs.frozen
class RawResponse:
    """A response before it is sent, and how its connection ends.

    The status is None where not even a status line is sent. Header names are in lower case. The
    body comes in pieces, and may hold tokens.
    """

    status: int | None
    headers: tuple[tuple[str, str], ...] = attrs.field(default=(), repr=False)
    body: Iterable[bytes] = attrs.field(default=(), repr=False)
    ending: Ending = "complete"

    def with_header(self, name: str, value: str) -> RawResponse:
        """Return the same response with a header in place of those of its name."""
        kept = tuple(header for header in self.headers if header[0] != name)
        return attrs.evolve(self, headers=(*kept, (name, value)))

    def with_body(self, body: bytes) -> RawResponse:
        """Return the same response with another body, and its length."""
        return attrs.evolve(self, body=(body,)).with_header("content-length", str(len(body)))

    def cut_short(self, sent_bytes: int | None) -> RawResponse:
        """Return it with a body that ends before its Content-Length; by default in the middle."""
        whole = b"".join(self.body)
        sent = whole[: len(whole) // 2 if sent_bytes is None else sent_bytes]
        announced = max(len(whole), len(sent) + 1)
        shorter = attrs.evolve(self, body=(sent,), ending="closed")
        return shorter.with_header("content-length", str(announced))

    def with_fields(self, fields: Mapping[str, object], without: Collection[str]) -> RawResponse:
        """Return a success with other fields in its JSON body; any other response as it is."""
        if self.status != 200 or ("content-type", "application/json") not in self.headers:
            return self
        body: dict[str, object] = json.loads(b"".join(self.body))
        changed = {**body, **fields}
        kept = {name: value for name, value in changed.items() if name not in without}
        return self.with_body(json.dumps(kept).encode())


class _Padding:
    """A JSON object of exactly so many bytes, made piece by piece as it is sent."""

    _START, _END = b'{"padding": "', b'"}'
    MIN_BYTES = len(_START) + len(_END)

    def __init__(self, size_bytes: int) -> None:
        self._size_bytes = size_bytes

    def __iter__(self) -> Iterator[bytes]:
        yield self._START
        left = self._size_bytes - self.MIN_BYTES
        while left > 0:
            yield b"x" * min(left, _CHUNK_BYTES)
            left -= _CHUNK_BYTES
        yield self._END


def status_response(
    status: int, *, retry_after: int | str | None, form: RetryAfterForm, now: datetime
) -> RawResponse:
    """Return the usual response of a status, with a Retry-After header if a value is given."""
    response = _usual_response(status)
    if retry_after is None:
        return response
    if isinstance(retry_after, int):
        retry_after = format_retry_after(retry_after, form=form, now=now)
    return response.with_header("retry-after", retry_after)


def _usual_response(status: int) -> RawResponse:
    """Return the response that the service, or the network before it, sends with this status."""
    if status == 503:
        return _html(status, _web_page("Under maintenance", _MAINTENANCE))
    if status in _CDN_REASONS:
        return _html(status, _web_page(f"Error {status}", _CDN_REASONS[status]))
    documented = {429: TOO_MANY_REQUESTS, 500: SERVER_ERROR}.get(status)
    if documented is not None:
        return _json(status, documented.body())
    return _json(status, {"success": status < 400, "message": _phrase(status)})


def _phrase(status: int) -> str:
    try:
        return http.HTTPStatus(status).phrase
    except ValueError:
        return f"Status {status}"


def format_retry_after(seconds: int, *, form: RetryAfterForm, now: datetime) -> str:
    """Return the value of a Retry-After header, whose date counts from an aware UTC `now`."""
    if form == "seconds":
        return str(seconds)
    then = now + timedelta(seconds=seconds)
    day, month, time = _DAYS[then.weekday()], _MONTHS[then.month - 1], f"{then:%H:%M:%S}"
    if form == "imf-fixdate":
        return f"{day[:3]}, {then.day:02} {month} {then.year:04} {time} GMT"
    if form == "rfc850":
        return f"{day}, {then.day:02}-{month}-{then.year % 100:02} {time} GMT"
    return f"{day[:3]} {month} {then.day:2} {time} {then.year:04}"


def refusal_response(name: str, *, status: int | None, rfc_fields: bool) -> RawResponse:
    """Return a documented error response, by its name in `REFUSALS`."""
    refusal = REFUSALS.get(name)
    if refusal is None:
        raise ConfigurationError("There is no such refusal; one of: " + ", ".join(REFUSALS))
    body = refusal.body()
    if rfc_fields:
        body = {"error": refusal.error, "error_description": refusal.message}
    response = _json(check_status(refusal.status if status is None else status), body)
    for header, value in challenge_headers(refusal).items():
        response = response.with_header(header.lower(), value)
    return response


def custom_response(
    status: int, body: bytes | str, content_type: str, headers: Mapping[str, str]
) -> RawResponse:
    """Return any response that can be sent."""
    raw = body.encode() if isinstance(body, str) else body
    response = _plain(check_status(status), raw, check_header(content_type))
    for name, value in headers.items():
        if name.lower() in {"content-length", "transfer-encoding"}:
            raise ConfigurationError("The length is the body's; for a wrong one, use truncated.")
        response = response.with_header(_check_header_name(name), check_header(value))
    return response


def page_response(status: int) -> RawResponse:
    """Return a web page."""
    return _html(check_status(status), _web_page("Hello", "This is a page for people."))


def redirect_response(location: str, status: int) -> RawResponse:
    """Return a redirect without a body."""
    response = RawResponse(check_status(status)).with_body(b"")
    return response.with_header("location", check_header(location))


def oversized_response(size_bytes: int, *, announced: bool) -> RawResponse:
    """Return a JSON body of so many bytes, with or without a Content-Length."""
    if not _Padding.MIN_BYTES <= size_bytes <= _MAX_BYTES:
        raise ConfigurationError(f"size_bytes must be from {_Padding.MIN_BYTES} to 1 GiB.")
    headers = (("content-type", "application/json"),)
    response = RawResponse(200, headers, _Padding(size_bytes))
    return response.with_header("content-length", str(size_bytes)) if announced else response


def _plain(status: int, body: bytes, content_type: str) -> RawResponse:
    """Return a response with a body of this type; a status that has no body gets none."""
    if status in {204, 304}:
        return RawResponse(status)
    return RawResponse(status, (("content-type", content_type),)).with_body(body)


def _json(status: int, body: Mapping[str, object]) -> RawResponse:
    response = _plain(status, json.dumps(body).encode(), "application/json")
    return response.with_header("cache-control", "no-store").with_header("pragma", "no-cache")


def _html(status: int, page: str) -> RawResponse:
    return _plain(status, page.encode(), "text/html; charset=utf-8")


def _web_page(title: str, text: str) -> str:
    """Return a small web page; neither text is escaped, so both must be the sandbox's own."""
    return (
        f'<!doctype html>\n<html lang="en">\n<head><meta charset="utf-8"><title>{title}</title>'
        f"</head>\n<body><h1>{title}</h1><p>{text}</p></body>\n</html>\n"
    )


def check_status(status: int) -> int:
    """Return a status that a response can have; reject another one."""
    if type(status) is not int or not 200 <= status <= 599:
        raise ConfigurationError("A status must be a whole number from 200 to 599.")
    return status


def check_header(text: str) -> str:
    """Return the value of a header; reject what could not be sent as one."""
    if not text.isascii() or not text.isprintable() or text != text.strip():
        raise ConfigurationError(
            "A header must be printable ASCII text without a space at either end."
        )
    return text


def _check_header_name(name: str) -> str:
    """Return the name of a header in lower case; reject what could not be sent as one."""
    if re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name, re.ASCII) is None:
        raise ConfigurationError("The name of a header must be a token of RFC 9110, section 5.6.2.")
    return name.lower()


def check_retry_after(value: int | str | None, form: str) -> None:
    """Reject a value that no header could carry, and an unknown form."""
    if isinstance(value, int) and value < 0:
        raise ConfigurationError("retry_after must be 0 seconds or more; pass text for less.")
    if isinstance(value, str):
        check_header(value)
    if form not in get_args(RetryAfterForm):
        raise ConfigurationError(
            "retry_after_form must be one of " + ", ".join(get_args(RetryAfterForm)) + "."
        )


def check_fields(fields: Mapping[str, object]) -> None:
    """Reject fields that no JSON body could have."""
    try:
        json.dumps(fields)
    except (TypeError, ValueError) as error:
        raise ConfigurationError("fields contains a value that JSON can't carry.") from error


def check_delay(seconds: float) -> float:
    """Return a delay; reject what is not from zero to a day."""
    if not 0 <= seconds <= _MAX_DELAY_SECONDS:
        raise ConfigurationError("A delay must be from 0 to 86400 seconds.")
    return seconds
