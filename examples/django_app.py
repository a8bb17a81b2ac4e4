"""A web app with Django: connect a Pipedrive account, see its deals, disconnect.

    python -m examples.django_app --sandbox

Then open http://127.0.0.1:8123/. Without `--sandbox` it uses the real service, and the three
environment variables of `AppCredentials.from_env` identify the app. A real project has
settings, URLs and views in separate files; here one file contains them all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import django
import httpx
import uvicorn
from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.shortcuts import redirect
from django.urls import include, path, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from examples.look import deals_page, welcome
from examples.setting import Setting, setting
from pipedrive_oauth_client import InvalidGrantError, TokenNotFoundError
from pipedrive_oauth_client.web import Connection
from pipedrive_oauth_client.web.django import auth_for, disconnect

FRAMEWORK = "Django"


def configure(config: Setting) -> None:
    """Configure Django as a project's settings do."""
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1", "localhost"],
        INSTALLED_APPS=["django.contrib.sessions", "pipedrive_oauth_client.web.django"],
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "examples.django_app.connect_again",
        ],
        PIPEDRIVE_OAUTH={
            "CLIENT_ID": config.credentials.client_id,
            "CLIENT_SECRET": config.credentials.client_secret,
            "REDIRECT_URI": config.credentials.redirect_uri,
            "BASE_URL": config.base_url,
            "STORE": config.store,
            "AFTER_CONNECT": "/deals",
            "CONNECTED": "examples.django_app.remember",
        },
        ROOT_URLCONF="examples.django_app",
        SECRET_KEY=config.secret_key,
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        SESSION_COOKIE_SECURE=config.is_https,
        CSRF_COOKIE_SECURE=config.is_https,
    )
    django.setup()
    call_command("check")


def remember(request: HttpRequest, connection: Connection) -> None:
    """Bind the session to the connected account."""
    request.session.flush()  # makes a key planted before useless
    request.session["account"] = connection.account


def home(_request: HttpRequest) -> HttpResponse:
    """Show the page of a user who has not connected."""
    return HttpResponse(welcome(FRAMEWORK, reverse("pipedrive:connect") + "?next=/deals"))


@never_cache
def deals(request: HttpRequest) -> HttpResponseBase:
    """Show the user's deals."""
    account = request.session.get("account")
    if account is None:
        return redirect("home")
    auth = auth_for(account)
    is_https = settings.SESSION_COOKIE_SECURE
    with httpx.Client(auth=auth, trust_env=is_https) as api:
        domain = auth.token().api_domain
        user = api.get(f"{domain}/api/v1/users/me").raise_for_status().json()["data"]
        found = api.get(f"{domain}/api/v2/deals").raise_for_status().json()["data"]
    secret = ("csrfmiddlewaretoken", get_token(request))
    page = deals_page(FRAMEWORK, user, found, disconnect=reverse("disconnect"), csrf=secret)
    return HttpResponse(page)


@require_POST
def end(request: HttpRequest) -> HttpResponseBase:
    """Disconnect; Django's middleware has checked that the form is from this app."""
    account = request.session.get("account")
    if account is not None:
        disconnect(account)
        request.session.flush()
    return redirect("home")


def connect_again(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: offer to connect again where a connection has ended."""

    class Middleware:
        """Handles the errors of views that found no active connection."""

        def __call__(self, request: HttpRequest) -> HttpResponseBase:
            return get_response(request)

        def process_exception(self, _request: HttpRequest, error: Exception) -> HttpResponse | None:
            if not isinstance(error, TokenNotFoundError | InvalidGrantError):
                return None
            message = "Your account is not connected any more."
            url = reverse("pipedrive:connect") + "?next=/deals"
            return HttpResponse(welcome(FRAMEWORK, url, message))

    return Middleware()


urlpatterns = [
    path("", home, name="home"),
    path("deals", deals, name="deals"),
    path("disconnect", end, name="disconnect"),
    path("pipedrive/", include("pipedrive_oauth_client.web.django.urls")),
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the app until Ctrl-C."""
    with setting(FRAMEWORK, arguments) as config:
        configure(config)
        # No access log: the addresses of callbacks contain codes.
        uvicorn.run(
            get_asgi_application(),
            host="127.0.0.1",
            port=config.port,
            access_log=False,
            log_level="warning",
        )


if __name__ == "__main__":
    from examples.django_app import main as run  # by the name that the settings use

    run()
