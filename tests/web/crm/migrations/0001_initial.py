"""The table of the second Pipedrive app."""

from typing import ClassVar

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import pipedrive_oauth_client.web.django.models


class Migration(migrations.Migration):
    """Creates the table."""

    initial = True
    dependencies: ClassVar = [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
    operations: ClassVar = [
        migrations.CreateModel(
            name="ReportsAccount",
            fields=[
                (
                    "account",
                    pipedrive_oauth_client.web.django.models.AccountField(
                        max_length=200, primary_key=True, serialize=False
                    ),
                ),
                ("token", models.TextField(editable=False, null=True, serialize=False)),
                (
                    "version",
                    models.CharField(editable=False, max_length=32, null=True, serialize=False),
                ),
                ("expires_at", models.BigIntegerField(editable=False, null=True)),
                (
                    "lock_owner",
                    models.CharField(editable=False, max_length=32, null=True, serialize=False),
                ),
                (
                    "lock_until",
                    models.BigIntegerField(editable=False, null=True, serialize=False),
                ),
                (
                    "user",
                    models.ForeignKey(
                        blank=True,
                        db_constraint=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="%(app_label)s_%(class)s_set",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "verbose_name": "Pipedrive account",
                "db_table": "reports_tokens",
                "abstract": False,
                "default_permissions": ("view", "change", "delete"),
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(
                        fields=["expires_at", "account"], name="reports_tok_expires_55d7ab_idx"
                    )
                ],
            },
        )
    ]
