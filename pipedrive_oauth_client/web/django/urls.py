"""Routes to include: `path("pipedrive/", include("pipedrive_oauth_client.web.django.urls"))`."""

from __future__ import annotations

from django.urls import path

from pipedrive_oauth_client.web.django import views

app_name = "pipedrive"

urlpatterns = [
    path("connect", views.connect, name="connect"),
    path("callback", views.callback, name="callback"),
    path("install", views.install, name="install"),
]
