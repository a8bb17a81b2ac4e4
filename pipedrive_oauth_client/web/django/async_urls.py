"""The same routes as `urls`, with views that are coroutines."""

from __future__ import annotations

from django.urls import path

from pipedrive_oauth_client.web.django import views

app_name = "pipedrive"

urlpatterns = [
    path("connect", views.aconnect, name="connect"),
    path("callback", views.acallback, name="callback"),
    path("install", views.ainstall, name="install"),
]
