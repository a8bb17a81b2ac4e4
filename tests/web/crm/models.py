"""The accounts of the second Pipedrive app."""

from __future__ import annotations

from pipedrive_oauth_client.web.django.models import AbstractPipedriveAccount


class ReportsAccount(AbstractPipedriveAccount):
    """An account that is connected to the app for reports."""

    class Meta(AbstractPipedriveAccount.Meta):
        """How Django names it."""

        db_table = "reports_tokens"
