"""The views: `connect` and `callback`, and both as coroutines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.views.decorators.csrf import csrf_exempt

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.web.connect import plan_callback, plan_install, plan_start
from pipedrive_oauth_client.web.django.configuration import (
    blocking_core,
    key,
    name_of_namespaces,
    non_atomic,
    site,
)
from pipedrive_oauth_client.web.messages import WebRequest, WebResponse
from pipedrive_oauth_client.web.runner import AsyncStepRunner, StepRunner, run_plan, run_plan_async

__all__ = ["acallback", "aconnect", "ainstall", "callback", "connect", "install"]


@non_atomic
def connect(request: HttpRequest) -> HttpResponseBase:
    """Send a browser to Pipedrive's consent page; see `web.connect.start`."""
    name = _name_of(request)
    if site(name).is_login_required and not _is_logged_in(getattr(request, "user", None), name):
        return _to_login(request)
    plan = plan_start(blocking_core(name), _web_request(request))
    return _response(run_plan(plan, _runner(name)))


@non_atomic
def install(request: HttpRequest) -> HttpResponseBase:
    """Send a browser that the Marketplace has sent here to the consent page, with a state."""
    name = _name_of(request)
    if site(name).is_login_required and not _is_logged_in(getattr(request, "user", None), name):
        return _to_login(request)
    plan = plan_install(blocking_core(name), _web_request(request))
    return _response(run_plan(plan, _runner(name)))


@csrf_exempt
@non_atomic
def callback(request: HttpRequest) -> HttpResponseBase:
    """Take up what Pipedrive's redirect has brought, or its notice; see `web.connect.callback`.

    Exempt from Django's own check, since a notice carries no token of the app's: it shows the
    app's credentials instead.
    """
    name = _name_of(request)
    plan = plan_callback(blocking_core(name), _web_request(request))
    return _response(run_plan(plan, _runner(name)))


@non_atomic
async def aconnect(request: HttpRequest) -> HttpResponseBase:
    """Do the same as `connect` without blocking the event loop."""
    name = _name_of(request)
    if site(name).is_login_required and not _is_logged_in(await _user_of(request), name):
        return _to_login(request)
    plan = plan_start(site(name).core, _web_request(request))
    return _response(await run_plan_async(plan, _async_runner(name)))


@non_atomic
async def ainstall(request: HttpRequest) -> HttpResponseBase:
    """Do the same as `install` without blocking the event loop."""
    name = _name_of(request)
    if site(name).is_login_required and not _is_logged_in(await _user_of(request), name):
        return _to_login(request)
    plan = plan_install(site(name).core, _web_request(request))
    return _response(await run_plan_async(plan, _async_runner(name)))


@csrf_exempt
@non_atomic
async def acallback(request: HttpRequest) -> HttpResponseBase:
    """Do the same as `callback` without blocking the event loop."""
    name = _name_of(request)
    plan = plan_callback(site(name).core, _web_request(request))
    return _response(await run_plan_async(plan, _async_runner(name)))


async def _user_of(request: HttpRequest) -> Any:
    return await request.auser() if hasattr(request, "auser") else None


def _is_logged_in(user: Any, name: str) -> bool:
    if user is None:
        raise ConfigurationError(
            f"{key(name, 'LOGIN_REQUIRED')} needs"
            " django.contrib.auth.middleware.AuthenticationMiddleware in MIDDLEWARE."
        )
    return bool(user.is_authenticated)


def _to_login(request: HttpRequest) -> HttpResponse:
    from django.contrib.auth.views import redirect_to_login  # noqa: PLC0415 - it needs the app auth

    return redirect_to_login(request.get_full_path())


def _name_of(request: HttpRequest) -> str:
    match = request.resolver_match
    return name_of_namespaces(match.namespaces if match else ())


def _runner(name: str) -> StepRunner:
    found = site(name)
    return StepRunner(found.oauth, found.store, found.api_client)


def _async_runner(name: str) -> AsyncStepRunner:
    # In the thread that Django's own database connections belong to.
    async def call_in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
        return await sync_to_async(function)(*arguments)

    found = site(name)
    return AsyncStepRunner(found.async_oauth, found.store, found.api_client, call_in_thread)


def _web_request(request: HttpRequest) -> WebRequest:
    prefix = get_script_prefix()

    def header(name: str) -> list[str]:
        value = request.headers.get(name)
        return [] if value is None else [value]

    def read_body(most: int) -> bytes | None:
        body = request.read(most + 1)
        return None if len(body) > most else body

    return WebRequest(
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


def _response(response: WebResponse) -> HttpResponseBase:
    own = response.native_as(HttpResponseBase)
    return response.apply_to(own or HttpResponse(response.body, status=response.status))
