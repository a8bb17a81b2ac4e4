"""The tables of tokens: `DjangoTokenStore` reads and writes them, and Django's ORM shows accounts.

The columns are those of `stores.sql`, so that a `SQLTokenStore`, and with it the command
`pipedrive-oauth`, can use a table as well.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self, TypeVar

from django.conf import settings
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from pipedrive_oauth_client.stores.leased import from_microseconds
from pipedrive_oauth_client.stores.protocol import MAX_ACCOUNT_LENGTH
from pipedrive_oauth_client.web.django import configuration

__all__ = ["AbstractPipedriveAccount", "AccountField", "PipedriveAccount"]

# Compared byte by byte: by the rules of a language, two names may be the same.
_COLLATIONS: Final = {"postgresql": "C", "mysql": "utf8mb4_bin"}

_AccountT = TypeVar("_AccountT", bound="AbstractPipedriveAccount")

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


def _user_field(related_name: str) -> models.ForeignKey[Any, Any]:
    # The table may be in another database, where the users are not: no constraint holds there.
    field: models.ForeignKey[Any, Any] = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.DO_NOTHING,
        null=True,
        blank=True,
        db_constraint=False,
        related_name=related_name,
    )
    return field


class AccountManager(models.Manager[_AccountT]):
    """Finds accounts in the database that `DATABASE` in `PIPEDRIVE_OAUTH` names for the model."""

    def get_queryset(self) -> models.QuerySet[_AccountT]:
        """Return the accounts that have a token, without their tokens.

        Returns:
            The accounts. Rows that exist for a lock alone are not among them.
        """
        rows = super().get_queryset().using(self._db or configuration.database_of(self.model))
        return rows.filter(token__isnull=False).defer("token")


class AbstractPipedriveAccount(models.Model):
    """What a model of the accounts of a further Pipedrive app in a project is derived from.

        class ReportsAccount(AbstractPipedriveAccount):
            class Meta(AbstractPipedriveAccount.Meta):
                db_table = "reports_tokens"

    Read the rows, and set `user`; only the store writes the rest. A row is deleted with its token,
    so refer to an account by its name and not with a foreign key.

    Attributes:
        user: The user who has connected it, or None; accounts of a user are
            `user.<app>_<model>_set`, for example `user.crm_reportsaccount_set`.
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
        # Accounts of two apps may have models of the same name.
        user: models.ForeignKey[Any, Any] = _user_field("%(app_label)s_%(class)s_set")

    if TYPE_CHECKING:
        user_id: Any

    objects: ClassVar[AccountManager[Self]] = AccountManager()

    class Meta:
        """How Django names it."""

        abstract = True
        base_manager_name = "objects"
        default_permissions = ("view", "change", "delete")
        verbose_name = "Pipedrive account"
        # Without a name, which must be another one for each table.
        indexes: ClassVar = [models.Index(fields=["expires_at", "account"])]

    def __str__(self) -> str:
        return self.account

    @property
    def access_token_expires(self) -> datetime | None:
        """When the access token expires; the next request refreshes it."""
        return None if self.expires_at is None else from_microseconds(self.expires_at)


class PipedriveAccount(AbstractPipedriveAccount):
    """An account that is connected, or was until its grant ended.

    Read it, and set `user`; only the store writes the rest. A row is deleted with its token, so
    refer to an account by its name and not with a foreign key.
    """

    if configuration.has_users():
        user: models.ForeignKey[Any, Any] = _user_field("pipedrive_accounts")

    class Meta(AbstractPipedriveAccount.Meta):
        """How Django names it."""

        app_label = "pipedrive_oauth_client"
        db_table = "pipedrive_tokens"
        indexes: ClassVar = [
            models.Index(fields=["expires_at", "account"], name="ix_pipedrive_tokens_expires_at")
        ]
