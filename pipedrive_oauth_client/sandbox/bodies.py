"""Reading the form in a request's body, never more of it than a form can need, and only once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from starlette.requests import Request
from starlette.types import Scope

from pipedrive_oauth_client.sandbox.refusals import (
    NOT_A_FORM,
    TOO_LARGE,
    RefusedError,
    missing_parameter,
)
from pipedrive_oauth_client.sandbox.requests import is_form, parse_form

MAX_BODY_BYTES = 64 * 1024

_FORM = "pipedrive_oauth_client.sandbox.form"


def peek_form(scope: Scope, body: bytes, content_types: Sequence[str]) -> dict[str, str] | None:
    """Return the form in a body that was read ahead, and leave it in the scope for `read_form`.

    Args:
        scope: The request's scope.
        body: The whole body, or more of it than a form may have.
        content_types: The values of all Content-Type headers.

    Returns:
        The parameters, or None where `read_form` will refuse.
    """
    if len(body) > MAX_BODY_BYTES or not is_form(content_types):
        return None
    try:
        form = parse_form(body)
    except RefusedError:
        return None
    scope[_FORM] = form
    return form


async def read_form(request: Request) -> dict[str, str]:
    """Return the parameters of the form that a request sends.

    Raises:
        RefusedError: The content is no form, is larger than `MAX_BODY_BYTES`, is not correctly
            encoded or repeats a parameter.
    """
    peeked: dict[str, str] | None = request.scope.get(_FORM)
    if peeked is not None:
        return peeked
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
