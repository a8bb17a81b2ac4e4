"""The routes of a site of Django, with views that block."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import include, path

from pipedrive_oauth_client.web import ExtensionUser
from pipedrive_oauth_client.web.django import basic_auth_required, extension_user_required


@extension_user_required
def panel(_request: HttpRequest, user: ExtensionUser) -> HttpResponse:
    """Say whose panel it is."""
    return JsonResponse(user.account, safe=False)


@basic_auth_required
def messages(_request: HttpRequest) -> HttpResponse:
    """Take a message of the service."""
    return HttpResponse("received")


urlpatterns = [
    path("pipedrive/", include("pipedrive_oauth_client.web.django.urls")),
    path("panel", panel),
    path("messages", messages),
]
