"""Decorators of views that Pipedrive calls: app extensions, and messaging or video endpoints."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, overload

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from pipedrive_oauth_client.web.django.configuration import DEFAULT, site
from pipedrive_oauth_client.web.messages import WebResponse
from pipedrive_oauth_client.web.runner import is_asynchronous

__all__ = ["basic_auth_required", "extension_user_required"]


@overload
def extension_user_required(view: Callable[..., Any], *, name: str = ...) -> Callable[..., Any]: ...
@overload
def extension_user_required(
    *, name: str = ...
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...
def extension_user_required(
    view: Callable[..., Any] | None = None, *, name: str = DEFAULT
) -> Callable[..., Any]:
    """Decorate a view of an app extension: it gets the user whom the signed token names.

        @extension_user_required
        def panel(request: HttpRequest, user: ExtensionUser) -> HttpResponse: ...

    The token is the query's `token` or a bearer token. Without one that `read_signed_token`
    accepts, the response is 401, and the log says why. With several Pipedrive apps in the project,
    write `@extension_user_required(name="reports")`.

    Args:
        view: The view, synchronous or not; its second argument is the `ExtensionUser`.
        name: The Pipedrive app, where `PIPEDRIVE_OAUTH` describes several.

    Returns:
        The view for Django, without that argument; without `view`, a decorator.
    """

    def check(request: HttpRequest) -> list[Any] | HttpResponseBase:
        query = request.META.get("QUERY_STRING", "")
        found = site(name).core.extension_user(query, _authorization(request))
        return _rejected(found) if isinstance(found, WebResponse) else [found]

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        return _guarded(view, check)

    return decorate if view is None else decorate(view)


@overload
def basic_auth_required(view: Callable[..., Any], *, name: str = ...) -> Callable[..., Any]: ...
@overload
def basic_auth_required(
    *, name: str = ...
) -> Callable[[Callable[..., Any]], Callable[..., Any]]: ...
def basic_auth_required(
    view: Callable[..., Any] | None = None, *, name: str = DEFAULT
) -> Callable[..., Any]:
    """Decorate a view that only Pipedrive may call: an endpoint for messaging or video calls.

    A request without the app's own credentials gets 401; see `web.is_from_service`. The view is
    exempt from Django's CSRF check, since Pipedrive sends no token of the project's. With several
    Pipedrive apps in the project, write `@basic_auth_required(name="reports")`.

    Args:
        view: The view, synchronous or not.
        name: The Pipedrive app, where `PIPEDRIVE_OAUTH` describes several.

    Returns:
        The same view, guarded; without `view`, a decorator.
    """

    def check(request: HttpRequest) -> list[Any] | HttpResponseBase:
        rejection = site(name).core.reject_stranger(_authorization(request))
        return [] if rejection is None else _rejected(rejection)

    def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
        guarded: Callable[..., Any] = csrf_exempt(_guarded(view, check))
        return guarded

    return decorate if view is None else decorate(view)


def _guarded(
    view: Callable[..., Any], check: Callable[[HttpRequest], list[Any] | HttpResponseBase]
) -> Callable[..., Any]:
    # The mark is what views of classes have on Python 3.11.
    if is_asynchronous(view) or hasattr(view, "_is_coroutine"):

        @wraps(view)
        async def awrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            found = check(request)
            if isinstance(found, HttpResponseBase):
                return found
            return await view(request, *found, *args, **kwargs)

        return awrapped

    @wraps(view)
    def wrapped(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        found = check(request)
        if isinstance(found, HttpResponseBase):
            return found
        return view(request, *found, *args, **kwargs)

    return wrapped


def _authorization(request: HttpRequest) -> list[str]:
    value = request.headers.get("Authorization")
    return [] if value is None else [value]


def _rejected(response: WebResponse) -> HttpResponseBase:
    return response.apply_to(HttpResponse(response.body, status=response.status))
