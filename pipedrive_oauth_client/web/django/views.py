"""The views: `connect` and `callback`, and both as coroutines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.views.decorators.csrf import csrf_exempt

from pipedrive_oauth_client.web.connect import at_callback, at_start
from pipedrive_oauth_client.web.django.configuration import blocking_core, site
from pipedrive_oauth_client.web.messages import Answer, Incoming
from pipedrive_oauth_client.web.runner import AsyncCarrier, Carrier, carry, carry_async

__all__ = ["acallback", "aconnect", "callback", "connect"]


def connect(request: HttpRequest) -> HttpResponseBase:
    """Send a browser to Pipedrive's consent page; see `journey.start`.

    Args:
        request: The request; `next` in its query says where to go afterwards.

    Returns:
        A redirect.
    """
    plan = at_start(blocking_core(), _incoming(request))
    return _response(carry(plan, Carrier(site().oauth, site().store, None)))


@csrf_exempt
def callback(request: HttpRequest) -> HttpResponseBase:
    """Take up what Pipedrive's redirect has brought, or its notice; see `journey.callback`.

    Exempt from Django's own check, since a notice carries no token of the app's: it shows the
    app's credentials instead.

    Args:
        request: The request.

    Returns:
        A redirect, the app's own answer, or a page that says what went wrong.
    """
    plan = at_callback(blocking_core(), _incoming(request))
    return _response(carry(plan, Carrier(site().oauth, site().store, None)))


@non_atomic_requests
async def aconnect(request: HttpRequest) -> HttpResponseBase:
    """Do the same as `connect` without blocking the event loop.

    Args:
        request: The request.

    Returns:
        As `connect`.
    """
    plan = at_start(site().core, _incoming(request))
    return _response(await carry_async(plan, _async_carrier()))


@csrf_exempt
@non_atomic_requests
async def acallback(request: HttpRequest) -> HttpResponseBase:
    """Do the same as `callback` without blocking the event loop.

    Args:
        request: The request.

    Returns:
        As `callback`.
    """
    plan = at_callback(site().core, _incoming(request))
    return _response(await carry_async(plan, _async_carrier()))


def _async_carrier() -> AsyncCarrier:
    # In the thread that Django's own database connections belong to.
    async def call_in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
        return await sync_to_async(function)(*arguments)

    return AsyncCarrier(site().async_oauth, site().store, None, call_in_thread)


def _incoming(request: HttpRequest) -> Incoming:
    prefix = get_script_prefix()

    def header(name: str) -> list[str]:
        value = request.headers.get(name)
        return [] if value is None else [value]

    def read_body(most: int) -> bytes | None:
        body = request.read(most + 1)
        return None if len(body) > most else body

    return Incoming(
        method=request.method or "",
        query=request.META.get("QUERY_STRING", ""),
        cookies=request.COOKIES,
        header=header,
        start=_start(request) or prefix,
        root=prefix.rstrip("/"),
        native=request,
        read_body=read_body,
    )


def _start(request: HttpRequest) -> str | None:
    match = request.resolver_match
    namespace = match.namespace if match else ""
    try:
        return reverse(f"{namespace}:connect" if namespace else "connect")
    except NoReverseMatch:
        return None


def _response(answer: Answer) -> HttpResponseBase:
    own = answer.own(HttpResponseBase)
    return answer.complete(own or HttpResponse(answer.body, status=answer.status))
