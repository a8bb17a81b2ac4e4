"""The routes of a site of Django with two Pipedrive apps, with views that are coroutines."""

from __future__ import annotations

from django.urls import include, path

_URLS = "pipedrive_oauth_client.web.django.async_urls"

urlpatterns = [
    path("pipedrive/", include(_URLS)),
    path("reports/", include(_URLS, namespace="reports")),
]
