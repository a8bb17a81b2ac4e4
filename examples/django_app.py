"""A web app with Django: log in, connect a Pipedrive account, see its deals, disconnect.

    python -m examples.django_app --sandbox

Then open http://127.0.0.1:8123/. Without `--sandbox` it uses the real service, and the three
environment variables of `AppCredentials.from_env` identify the app. A real project has
settings, URLs and views in separate files; here one file contains them all. Users and tokens are in
one SQLite database, so there is no `--store`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import django
import httpx
import uvicorn
from django.conf import settings
from django.contrib.auth import get_user_model, login, logout
from django.contrib.auth.decorators import login_required
from django.core.asgi import get_asgi_application
from django.core.management import call_command
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404, redirect
from django.urls import include, path, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_POST

from examples.look import Form, deals_page, login_page, welcome
from examples.setting import USERS, Setting, setting
from pipedrive_oauth_client import InvalidGrantError, TokenNotFoundError
from pipedrive_oauth_client.web.django import auth_for, disconnect

FRAMEWORK = "Django"


def configure(config: Setting) -> None:
    """Configure Django as a project's settings do."""
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1", "localhost"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": config.database,
                "OPTIONS": {"timeout": 20},  # seconds
            }
        },
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[
            "django.contrib.auth",
            "django.contrib.contenttypes",
            "django.contrib.sessions",
            "pipedrive_oauth_client.web.django",
        ],
        LOGIN_URL="home",
        MIDDLEWARE=[
            "django.middleware.security.SecurityMiddleware",
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "examples.django_app.connect_again",
        ],
        PIPEDRIVE_OAUTH={
            "CLIENT_ID": config.credentials.client_id,
            "CLIENT_SECRET": config.credentials.client_secret,
            "REDIRECT_URI": config.credentials.redirect_uri,
            "BASE_URL": config.base_url,
            "AFTER_CONNECT": "/deals",
            # An account becomes that of the user who is logged in. One who has begun to connect
            # must be the one who ends it.
            "LOGIN_REQUIRED": True,
        },
        ROOT_URLCONF="examples.django_app",
        SECRET_KEY=config.secret_key,
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        SESSION_COOKIE_SECURE=config.is_https,
        CSRF_COOKIE_SECURE=config.is_https,
    )
    django.setup()
    call_command("check")
    call_command("migrate", verbosity=0)
    for user in USERS:
        get_user_model().objects.get_or_create(username=user)


def form_of(request: HttpRequest) -> Form:
    """Return what a form of this session has; Django's middleware checks it."""
    return Form("csrfmiddlewaretoken", get_token(request))


def account_of(request: HttpRequest) -> str | None:
    """Return the account that the user who is logged in has connected, or None."""
    user: Any = request.user
    found = user.pipedrive_accounts.first()
    return None if found is None else str(found.account)


def invite(request: HttpRequest, message: str = "") -> HttpResponse:
    """Show the page of a user who has to connect."""
    connect = reverse("pipedrive:connect") + "?next=/deals"
    user = request.user.get_username()
    return HttpResponse(welcome(FRAMEWORK, user, form_of(request), connect, message))


@never_cache
def home(request: HttpRequest) -> HttpResponse:
    """Let a user log in, or connect."""
    if not request.user.is_authenticated:
        return HttpResponse(login_page(FRAMEWORK, USERS, form_of(request)))
    return invite(request)


@require_POST
def log_in(request: HttpRequest) -> HttpResponseBase:
    """Log a user in to the app, as a real one does with a password."""
    login(request, get_object_or_404(get_user_model(), username=request.POST.get("user")))
    return redirect("home")


@require_POST
def log_out(request: HttpRequest) -> HttpResponseBase:
    """Log the user out of the app; the account stays connected."""
    logout(request)
    return redirect("home")


@never_cache
@login_required
def deals(request: HttpRequest) -> HttpResponseBase:
    """Show the user's deals."""
    account = account_of(request)
    if account is None:
        return redirect("home")
    auth = auth_for(account)
    is_https = settings.SESSION_COOKIE_SECURE
    with httpx.Client(auth=auth, trust_env=is_https) as api:
        domain = auth.token().api_domain
        owner = api.get(f"{domain}/api/v1/users/me").raise_for_status().json()["data"]
        found = api.get(f"{domain}/api/v2/deals").raise_for_status().json()["data"]
    user = request.user.get_username()
    return HttpResponse(deals_page(FRAMEWORK, user, form_of(request), owner, found))


@require_POST
@login_required
def end(request: HttpRequest) -> HttpResponseBase:
    """Disconnect; Django's middleware has checked that the form is from this app."""
    account = account_of(request)
    if account is not None:
        disconnect(account)
    return redirect("home")


def connect_again(
    get_response: Callable[[HttpRequest], HttpResponseBase],
) -> Callable[[HttpRequest], HttpResponseBase]:
    """Middleware: offer to connect again where a connection has ended."""

    class Middleware:
        """Handles the errors of views that found no active connection."""

        def __call__(self, request: HttpRequest) -> HttpResponseBase:
            return get_response(request)

        def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
            if not isinstance(error, TokenNotFoundError | InvalidGrantError):
                return None
            return invite(request, "Your account is not connected any more.")

    return Middleware()


urlpatterns = [
    path("", home, name="home"),
    path("login", log_in, name="login"),
    path("logout", log_out, name="logout"),
    path("deals", deals, name="deals"),
    path("disconnect", end, name="disconnect"),
    path("pipedrive/", include("pipedrive_oauth_client.web.django.urls")),
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the app until Ctrl-C."""
    with setting(FRAMEWORK, arguments, takes_store=False) as config:
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
