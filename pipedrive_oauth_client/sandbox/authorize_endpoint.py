"""The authorization endpoint: the consent page, and the redirect with the user's decision.

Source:
    RFC 6749 sections 3.1, 4.1.1, 4.1.2 and 10.12; RFC 9700 sections 2.1, 4.12 and 4.16;
    https://pipedrive.readme.io/docs/marketplace-oauth-authorization
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from pipedrive_oauth_client.sandbox.error_responses import (
    ACCOUNT_UNKNOWN,
    APP_NOT_INSTALLABLE,
    DECISION_MISSING,
    FOREIGN_PAGE,
    REDIRECT_URI_MISMATCH,
    TICKET_INVALID,
    WRONG_CLIENT,
    RequestRejectedError,
)
from pipedrive_oauth_client.sandbox.models import AppRegistry, User
from pipedrive_oauth_client.sandbox.pages import describe_scope, render_page
from pipedrive_oauth_client.sandbox.requests import parse_query, read_form, require_parameter
from pipedrive_oauth_client.sandbox.responses import see_other
from pipedrive_oauth_client.sandbox.state import State, first_of
from pipedrive_oauth_client.sandbox.urls import (
    DECIDE_PATH,
    base_path,
    content_security_source,
    origin,
    with_query,
)

# Chromium applies the page's `form-action` to the whole chain of redirects after a form, so a
# callback that redirects to the app's own pages or to Pipedrive must be allowed to.
_REDIRECT_TARGETS_OF_APPS = ("https:", "http://127.0.0.1:*", "http://localhost:*")
# A list of thousands helps no user; the accounts beyond these are named by their numbers.
_MAX_OFFERED = 50


class AuthorizeEndpoint:
    """Shows the consent page, and takes the decision of its form.

    `decline_error` is the `error` of the redirect after the user declines.
    """

    def __init__(
        self, *, state: State, apps: AppRegistry, users: Sequence[User], decline_error: str
    ) -> None:
        self._state = state
        self._apps = apps
        self._users = {user.account: user for user in users}
        self._decline_error = decline_error

    async def show(self, request: Request) -> Response:
        """Respond to GET /oauth/authorize with the consent page.

        A request that does not name a known app and that app's own redirect URI is rejected here
        and never redirected (RFC 6749 section 4.1.2.1). Unknown parameters are ignored.

        Pipedrive asks about the company that the user is logged in to, and rejects an app that this
        company can't install. Here the user chooses the company on the page, so the page is
        rejected where no company can install the app, and the form where the chosen one can't.
        """
        query = parse_query(request.scope["query_string"])
        client_id = require_parameter(query, "client_id")
        redirect_uri = require_parameter(query, "redirect_uri")
        app = self._apps.get(client_id)
        if app is None:
            raise RequestRejectedError(WRONG_CLIENT)
        if redirect_uri != app.redirect_uri:
            raise RequestRejectedError(REDIRECT_URI_MISMATCH)
        if all(user.company_id in app.blocked_company_ids for user in self._users.values()):
            raise RequestRejectedError(APP_NOT_INSTALLABLE)
        return render_page(
            "consent.html",
            request,
            form_targets=[content_security_source(app.redirect_uri), *_REDIRECT_TARGETS_OF_APPS],
            app=app,
            permissions=[(scope, describe_scope(scope)) for scope in app.scopes],
            users=first_of(self._users.values(), _MAX_OFFERED),
            return_to=urlsplit(app.redirect_uri).netloc,
            action=base_path(request) + DECIDE_PATH,
            ticket=self._state.open_ticket(app, query.get("state")),
        )

    async def decide(self, request: Request) -> Response:
        """Respond to the page's form with the redirect to the app."""
        if not _is_from_own_page(request):
            raise RequestRejectedError(FOREIGN_PAGE)
        form = await read_form(request)
        decision = form.get("decision")
        user = self._users.get(form.get("other_account", form.get("account", "")))
        if decision not in {"allow", "cancel"}:
            raise RequestRejectedError(DECISION_MISSING)
        if decision == "allow" and user is None:
            raise RequestRejectedError(ACCOUNT_UNKNOWN)
        ticket = self._state.take_ticket(form.get("ticket", ""))
        if ticket is None:
            raise RequestRejectedError(TICKET_INVALID)
        if decision == "cancel" or user is None:  # a user who declines needs no account
            parameters = [("error", self._decline_error)]
        elif user.company_id in ticket.app.blocked_company_ids:
            raise RequestRejectedError(APP_NOT_INSTALLABLE)
        else:
            parameters = [("code", self._state.issue_code(ticket.app, user))]
        if ticket.state is not None:
            parameters.append(("state", ticket.state))
        return see_other(with_query(ticket.app.redirect_uri, parameters))


def _is_from_own_page(request: Request) -> bool:
    """Tell whether the sandbox's own page sent a form, as far as the request says.

    A page that asks for no referrer makes browsers send `Origin: null`, as a sandboxed page of
    another site does too. So "null" counts only along with `Sec-Fetch-Site: same-origin`, which no
    page can set. A program that sends neither header needs the ticket alone.
    """
    sender = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    if site not in {None, "same-origin"}:
        return False
    if sender == "null":
        return site is not None
    return sender is None or sender.lower() == origin(request).lower()
