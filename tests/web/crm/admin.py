"""The accounts of the second Pipedrive app in the admin."""

from __future__ import annotations

from django.contrib import admin

from pipedrive_oauth_client.web.django.admin import PipedriveAccountAdmin
from tests.web.crm.models import ReportsAccount

admin.site.register(ReportsAccount, PipedriveAccountAdmin)
