"""The table of tokens: `DjangoTokenStore` reads and writes it, and Django's ORM shows the accounts.

The columns are those of `stores.sql`, so that a `SQLTokenStore`, and with it the command
`pipedrive-oauth`, can use the table as well.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final

from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from pipedrive_oauth_client.stores.leased import from_microseconds
from pipedrive_oauth_client.stores.protocol import MAX_ACCOUNT_LENGTH
from pipedrive_oauth_client.web.django import configuration

__all__ = ["AccountField", "PipedriveAccount"]

# Compared byte by byte: by the rules of a language, two names may be the same.
_COLLATIONS: Final = {"postgresql": "C", "mysql": "utf8mb4_bin"}

if TYPE_CHECKING:
    _CharField = models.CharField[str, str]
    _Text = models.TextField[str | None, str | None]
    _Word = models.CharField[str | None, str | None]
    _Microseconds = models.BigIntegerField[int | None, int | None]
else:
    _CharField = models.CharField


class AccountField(_CharField):
    """The name of an account, compared byte by byte in every database."""

    def db_parameters(self, connection: BaseDatabaseWrapper) -> Any:
        """Describe the column.

        Args:
            connection: The connection to its database.

        Returns:
            The type, the check and the collation.
        """
        return {
            **super().db_parameters(connection),
            "collation": _COLLATIONS.get(connection.vendor),
        }


class AccountManager(models.Manager["PipedriveAccount"]):
    """Finds accounts in the database that `PIPEDRIVE_OAUTH["DATABASE"]` names."""

    def get_queryset(self) -> models.QuerySet[PipedriveAccount]:
        """Give the accounts that have a token, without their tokens.

        Returns:
            The accounts. Rows that exist for a lock alone are not among them.
        """
        rows = super().get_queryset().using(self._db or configuration.database())
        return rows.filter(token__isnull=False).defer("token")


class PipedriveAccount(models.Model):
    """An account that is connected, or was until its grant ended.

    Read it, and set `user`; only the store writes the rest. A row is deleted with its token, so
    refer to an account by its name and not with a foreign key.
    """

    account = AccountField(max_length=MAX_ACCOUNT_LENGTH, primary_key=True)
    # What is secret, or of a moment, is no part of `dumpdata`.
    token: models.TextField[str | None, str | None] = models.TextField(
        null=True, editable=False, serialize=False
    )
    version: models.CharField[str | None, str | None] = models.CharField(
        max_length=32, null=True, editable=False, serialize=False
    )
    expires_at: models.BigIntegerField[int | None, int | None] = models.BigIntegerField(
        null=True, editable=False
    )
    lock_owner: models.CharField[str | None, str | None] = models.CharField(
        max_length=32, null=True, editable=False, serialize=False
    )
    lock_until: models.BigIntegerField[int | None, int | None] = models.BigIntegerField(
        null=True, editable=False, serialize=False
    )
    if configuration.has_users():
        # The table may be in another database, where the users are not: no constraint holds there.
        user: models.ForeignKey[Any, Any] = models.ForeignKey(
            settings.AUTH_USER_MODEL,
            models.DO_NOTHING,
            null=True,
            blank=True,
            db_constraint=False,
            related_name="pipedrive_accounts",
        )

    if TYPE_CHECKING:
        user_id: Any

    objects: ClassVar[AccountManager] = AccountManager()

    class Meta:
        """How Django names it."""

        app_label = "pipedrive_oauth_client"
        base_manager_name = "objects"
        db_table = "pipedrive_tokens"
        default_permissions = ("view", "change", "delete")
        verbose_name = "Pipedrive account"
        indexes: ClassVar = [
            models.Index(fields=["expires_at", "account"], name="ix_pipedrive_tokens_expires_at")
        ]

    def __str__(self) -> str:
        return self.account

    @property
    def access_token_expires(self) -> datetime | None:
        """When the access token expires; the next request refreshes it."""
        return None if self.expires_at is None else from_microseconds(self.expires_at)
