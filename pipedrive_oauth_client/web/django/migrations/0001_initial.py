"""The table, as `stores.sql.token_table` describes it.

Where a `SQLTokenStore` has made it in the same database: `manage.py migrate --fake-initial`.
"""

from typing import ClassVar

from django.db import migrations, models

from pipedrive_oauth_client.web.django.models import AccountField


class Migration(migrations.Migration):
    """Creates the table."""

    initial = True
    dependencies: ClassVar = []
    operations: ClassVar = [
        migrations.CreateModel(
            name="PipedriveAccount",
            fields=[
                ("account", AccountField(max_length=200, primary_key=True, serialize=False)),
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
            ],
            options={
                "verbose_name": "Pipedrive account",
                "db_table": "pipedrive_tokens",
                "default_permissions": ("view", "change", "delete"),
                "base_manager_name": "objects",
                "indexes": [
                    models.Index(
                        fields=["expires_at", "account"], name="ix_pipedrive_tokens_expires_at"
                    )
                ],
            },
        )
    ]
