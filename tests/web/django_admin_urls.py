"""The routes of a site of Django that has the admin as well."""

from __future__ import annotations

from django.contrib import admin
from django.urls import path

from tests.web.django_urls import urlpatterns as own

urlpatterns = [*own, path("admin/", admin.site.urls)]
