"""The routes of a site of Django, with views that block."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [path("pipedrive/", include("pipedrive_oauth_client.web.django.urls"))]
