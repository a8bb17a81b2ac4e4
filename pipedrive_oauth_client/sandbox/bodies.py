"""Reading the form in a request's body, never more of it than a form can need."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request

from pipedrive_oauth_client.sandbox.refusals import (
    NOT_A_FORM,
    TOO_LARGE,
    RefusedError,
    missing_parameter,
)
from pipedrive_oauth_client.sandbox.requests import is_form, parse_form

MAX_BODY_BYTES = 64 * 1024


async def read_form(request: Request) -> dict[str, str]:
    """Return the parameters of the form that a request sends.

    Raises:
        RefusedError: The content is no form, is larger than `MAX_BODY_BYTES`, is not correctly
            encoded or repeats a parameter.
    """
    if not is_form(request.headers.getlist("content-type")):
        raise RefusedError(NOT_A_FORM)
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > MAX_BODY_BYTES:
            raise RefusedError(TOO_LARGE)
    return parse_form(bytes(raw))


def need(form: Mapping[str, str], name: str) -> str:
    """Return a parameter of a form.

    Raises:
        RefusedError: The form has it not, or has it without a value.
    """
    if name not in form:
        raise RefusedError(missing_parameter(name))
    return form[name]
