"""The routes of a site of Django with two Pipedrive apps, with views that block, and the admin."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

_URLS = "pipedrive_oauth_client.web.django.urls"

urlpatterns = [
    path("pipedrive/", include(_URLS)),
    path("reports/", include(_URLS, namespace="reports")),
    path("admin/", admin.site.urls),
]
