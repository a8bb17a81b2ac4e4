"""The accounts in Django's admin: read-only, without tokens; they can be refreshed or disconnected.

To refresh takes the permission to change an account, to disconnect the one to delete it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.auth import get_user_model
from django.db import router
from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.formats import date_format
from django.utils.timezone import localtime

from pipedrive_oauth_client.errors import PipedriveOAuthError
from pipedrive_oauth_client.stores.leased import GRANT_ENDED_START
from pipedrive_oauth_client.web.django.configuration import (
    database_of,
    disconnect,
    has_users,
    name_of_model,
    non_atomic,
    refresh,
)
from pipedrive_oauth_client.web.django.models import AbstractPipedriveAccount, PipedriveAccount

__all__ = ["PipedriveAccountAdmin"]

if TYPE_CHECKING:
    _ModelAdmin = admin.ModelAdmin[AbstractPipedriveAccount]
else:
    _ModelAdmin = admin.ModelAdmin

_USER: Final = ("owner",) if has_users() else ()
_SHOWN: Final[Any] = ("account", *_USER, "is_connected", "access_token_expires")


@admin.register(PipedriveAccount)
class PipedriveAccountAdmin(_ModelAdmin):
    """Shows which accounts are connected, by whom, and whether their grants still work.

    Registered for the model of a further Pipedrive app, it refreshes and disconnects with the
    credentials of that app:

        admin.site.register(ReportsAccount, PipedriveAccountAdmin)
    """

    list_display = _SHOWN
    fields = _SHOWN
    readonly_fields = _SHOWN
    search_fields = ("account",)
    ordering = ("account",)
    actions = ("refresh", "disconnect")

    def get_queryset(self, request: HttpRequest) -> QuerySet[AbstractPipedriveAccount]:
        """Return the accounts, each with whether its grant has ended.

        Args:
            request: The request.

        Returns:
            The accounts, without their tokens.
        """
        ended = Q(token__startswith=GRANT_ENDED_START)
        has_ended = ExpressionWrapper(ended, output_field=BooleanField())
        rows = super().get_queryset(request).annotate(has_ended=has_ended)
        return rows.select_related("user") if self._are_users_beside() else rows

    @admin.display(description="user")
    def owner(self, account: AbstractPipedriveAccount) -> object:
        """Tell whose account it is.

        Args:
            account: The account.

        Returns:
            The user, or None.
        """
        if self._are_users_beside():
            return account.user
        users = get_user_model()._default_manager  # noqa: SLF001 - as Django names it
        return users.filter(pk=account.user_id).first()

    @admin.display(boolean=True, description="connected")
    def is_connected(self, account: Any) -> bool:
        """Tell whether the grant works, as far as is known.

        Args:
            account: The account.

        Returns:
            False where the service has rejected the refresh token: the user has to connect again.
        """
        return not account.has_ended

    @admin.display(ordering="expires_at", description="access token expires")
    def access_token_expires(self, account: AbstractPipedriveAccount) -> str | None:
        """Tell when the access token expires.

        Args:
            account: The account.

        Returns:
            The time, as the administrator writes it.
        """
        expires = account.access_token_expires
        if expires is None:
            return None
        return date_format(localtime(expires), "DATETIME_FORMAT")

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002 - the signature of the base class
        """Refuse: an account is connected by its user.

        Args:
            request: The request.

        Returns:
            False.
        """
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - as above
        """Refuse: only the store writes.

        Args:
            request: The request.
            obj: The account.

        Returns:
            False.
        """
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:  # noqa: ARG002 - as above
        """Refuse: without a revocation, the grant would go on.

        Args:
            request: The request.
            obj: The account.

        Returns:
            False.
        """
        return False

    def has_refresh_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may refresh accounts.

        Args:
            request: The request.

        Returns:
            Whether the user may change them.
        """
        return super().has_change_permission(request)

    def has_disconnect_permission(self, request: HttpRequest) -> bool:
        """Tell whether the user may disconnect accounts.

        Args:
            request: The request.

        Returns:
            Whether the user may delete them.
        """
        return super().has_delete_permission(request)

    @non_atomic
    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Show the list, and carry out its actions.

        Args:
            request: The request.
            extra_context: More for the template.

        Returns:
            The page.
        """
        return super().changelist_view(request, extra_context)

    @admin.action(permissions=["refresh"], description="Refresh the tokens of selected accounts")
    def refresh(self, request: HttpRequest, accounts: QuerySet[AbstractPipedriveAccount]) -> None:
        """Refresh tokens.

        Args:
            request: The request.
            accounts: The accounts.
        """
        self._do_each(request, accounts, refresh, "refreshed")

    @admin.action(permissions=["disconnect"], description="Disconnect selected accounts")
    def disconnect(
        self, request: HttpRequest, accounts: QuerySet[AbstractPipedriveAccount]
    ) -> HttpResponse | None:
        """Revoke the grants and delete the tokens, once that is confirmed.

        Args:
            request: The request.
            accounts: The accounts.

        Returns:
            The page that asks, or None when it is done.
        """
        if request.POST.get("confirmed"):
            self._do_each(request, accounts, disconnect, "disconnected")
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": "Disconnect accounts?",
            "accounts": [(each, self.owner(each) if has_users() else None) for each in accounts],
            "opts": self.model._meta,  # noqa: SLF001 - as Django's own actions do
            "action_checkbox_name": ACTION_CHECKBOX_NAME,
        }
        return TemplateResponse(request, "pipedrive_oauth_client/disconnect.html", context)

    def _do_each(
        self,
        request: HttpRequest,
        accounts: QuerySet[AbstractPipedriveAccount],
        work: Callable[..., object],
        done: str,
    ) -> None:
        succeeded: list[str] = []
        for account in accounts:
            try:
                work(account.account, name=name_of_model(self.model))
            except PipedriveOAuthError as error:
                self.message_user(request, f"{account}: {error}", messages.ERROR)
            else:
                succeeded.append(account.account)
        if succeeded:
            self.message_user(request, f"{', '.join(succeeded)}: {done}.", messages.SUCCESS)

    def _are_users_beside(self) -> bool:
        # In another database than the users', an account knows its user by the key alone.
        users = router.db_for_read(get_user_model()) if has_users() else None
        return users is not None and users == database_of(self.model)
