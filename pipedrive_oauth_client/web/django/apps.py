"""How Django gets to know the app."""

from __future__ import annotations

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import register
from django.core.signals import setting_changed
from django.db.models.signals import post_delete

__all__ = ["PipedriveOAuthConfig"]


class PipedriveOAuthConfig(AppConfig):
    """The app, `pipedrive_oauth_client`."""

    name = "pipedrive_oauth_client.web.django"
    label = "pipedrive_oauth_client"
    verbose_name = "Pipedrive"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks; tests may change settings from then on."""
        from pipedrive_oauth_client.web.django import (  # noqa: PLC0415 - as Django requires
            checks,
            configuration,
            connections,
        )

        register(checks.check_settings)
        register(checks.check_callback)
        register(checks.check_routes)
        register(checks.check_surroundings)
        register(checks.check_database)
        connections.remember_databases()
        if configuration.has_users():
            post_delete.connect(configuration.forget_user, sender=settings.AUTH_USER_MODEL)
        setting_changed.connect(configuration.clear_caches)
