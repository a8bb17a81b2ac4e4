"""The user of each account, in projects that have users."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

from pipedrive_oauth_client.web.django.configuration import has_users


class Migration(migrations.Migration):
    """Adds the column, unless `AUTH_USER_MODEL` names an app that is not installed."""

    dependencies = [("pipedrive_oauth_client", "0001_initial")]  # noqa: RUF012 - as Django has it
    operations = []  # noqa: RUF012 - as Django has it
    if has_users():
        dependencies += [migrations.swappable_dependency(settings.AUTH_USER_MODEL)]
        operations += [
            migrations.AddField(
                model_name="pipedriveaccount",
                name="user",
                field=models.ForeignKey(
                    blank=True,
                    db_constraint=False,
                    null=True,
                    on_delete=django.db.models.deletion.DO_NOTHING,
                    related_name="pipedrive_accounts",
                    to=settings.AUTH_USER_MODEL,
                ),
            )
        ]
