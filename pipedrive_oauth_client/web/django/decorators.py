"""Decorators of views that Pipedrive calls: app extensions, and messaging or video endpoints."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from pipedrive_oauth_client.web.django.configuration import site
from pipedrive_oauth_client.web.messages import WebResponse
from pipedrive_oauth_client.web.runner import is_asynchronous

__all__ = ["basic_auth_required", "extension_user_required"]


def extension_user_required(view: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a view of an app extension: it gets the user whom the signed token names.

        @extension_user_required
        def panel(request: HttpRequest, user: ExtensionUser) -> HttpResponse: ...

    The token is the query's `token` or a bearer token. Without one that `read_signed_token`
    accepts, the response is 401, and the log says why.

    Args:
        view: The view, synchronous or not; its second argument is the `ExtensionUser`.

    Returns:
        The view for Django, without that argument.
    """

    def check(request: HttpRequest) -> list[Any] | HttpResponseBase:
        query = request.META.get("QUERY_STRING", "")
        found = site().core.extension_user(query, _authorization(request))
        return _rejected(found) if isinstance(found, WebResponse) else [found]

    return _guarded(view, check)


def basic_auth_required(view: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a view that only Pipedrive may call: an endpoint for messaging or video calls.

    A request without the app's own credentials gets 401; see `web.is_from_service`. The view is
    exempt from Django's CSRF check, since Pipedrive sends no token of the project's.

    Args:
        view: The view, synchronous or not.

    Returns:
        The same view, guarded.
    """

    def check(request: HttpRequest) -> list[Any] | HttpResponseBase:
        rejection = site().core.reject_stranger(_authorization(request))
        return [] if rejection is None else _rejected(rejection)

    return csrf_exempt(_guarded(view, check))


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
