"""How Django gets to know the app."""

from __future__ import annotations

from django.apps import AppConfig
from django.core.checks import register
from django.core.signals import setting_changed

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
            store,
        )

        register(checks.check_settings)
        register(checks.check_callback)
        store.remember_databases()
        setting_changed.connect(configuration.clear_caches)
