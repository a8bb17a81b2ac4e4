"""The authorization endpoint: a page that asks a person, and the redirect with the answer.

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
    RefusedError,
    missing_parameter,
)
from pipedrive_oauth_client.sandbox.models import App, User, in_words
from pipedrive_oauth_client.sandbox.pages import render_page
from pipedrive_oauth_client.sandbox.requests import parse_query, read_form
from pipedrive_oauth_client.sandbox.responses import see_other
from pipedrive_oauth_client.sandbox.state import State, first_of
from pipedrive_oauth_client.sandbox.urls import (
    DECIDE_PATH,
    base_path,
    content_security_source,
    origin,
    with_query,
)

# Chromium holds the whole chain of redirects after a form to the page's `form-action`, so a
# callback that sends the person on, to the app's own pages or to Pipedrive, must be allowed to.
_WHERE_APPS_GO_ON = ("https:", "http://127.0.0.1:*", "http://localhost:*")
# Nobody reads a list of thousands; the accounts beyond these are named by their numbers.
_MOST_OFFERED = 50


class Consent:
    """The two requests of a person's browser: show the page, take the decision.

    Args:
        state: The sandbox's memory.
        apps: The registered apps.
        users: The people who can decide; the page offers the first ones, and a field for the number
            of any other one where there are many.
        decline_error: The `error` of the redirect after a no.
    """

    def __init__(
        self, *, state: State, apps: Sequence[App], users: Sequence[User], decline_error: str
    ) -> None:
        self._state = state
        self._apps = {app.client_id: app for app in apps}
        self._users = {user.account: user for user in users}
        self._decline_error = decline_error

    async def show(self, request: Request) -> Response:
        """Answer GET /oauth/authorize with the consent page.

        A request that does not name a known app and that app's own redirect URI is answered here
        and never redirected (RFC 6749 section 4.1.2.1). Parameters that aren't known are ignored.

        Pipedrive asks about the company that the person is logged in to, and refuses an app that
        this company can't install. Here the company is chosen on the page, so the page is refused
        if it would have no company to choose, and the form if it chooses such a one.
        """
        query = parse_query(request.scope["query_string"])
        for name in ("client_id", "redirect_uri"):
            if name not in query:
                raise RefusedError(missing_parameter(name))
        app = self._apps.get(query["client_id"])
        if app is None:
            raise RefusedError(WRONG_CLIENT)
        if query["redirect_uri"] != app.redirect_uri:
            raise RefusedError(REDIRECT_URI_MISMATCH)
        if all(user.company_id in app.blocked_company_ids for user in self._users.values()):
            raise RefusedError(APP_NOT_INSTALLABLE)
        return render_page(
            "consent.html",
            request,
            form_targets=[content_security_source(app.redirect_uri), *_WHERE_APPS_GO_ON],
            app=app,
            permissions=[(scope, in_words(scope)) for scope in app.scopes],
            users=first_of(self._users.values(), _MOST_OFFERED),
            return_to=urlsplit(app.redirect_uri).netloc,
            action=base_path(request) + DECIDE_PATH,
            ticket=self._state.open_ticket(app, query.get("state")),
        )

    async def decide(self, request: Request) -> Response:
        """Answer the page's form with the redirect to the app."""
        if not _is_from_own_page(request):
            raise RefusedError(FOREIGN_PAGE)
        form = await read_form(request)
        decision = form.get("decision")
        user = self._users.get(form.get("other_account", form.get("account", "")))
        if decision not in {"allow", "cancel"}:
            raise RefusedError(DECISION_MISSING)
        if decision == "allow" and user is None:
            raise RefusedError(ACCOUNT_UNKNOWN)
        ticket = self._state.take_ticket(form.get("ticket", ""))
        if ticket is None:
            raise RefusedError(TICKET_INVALID)
        if decision == "cancel" or user is None:  # whoever declines needs no account
            answer = [("error", self._decline_error)]
        elif user.company_id in ticket.app.blocked_company_ids:
            raise RefusedError(APP_NOT_INSTALLABLE)
        else:
            answer = [("code", self._state.issue_code(ticket.app, user))]
        if ticket.state is not None:
            answer.append(("state", ticket.state))
        return see_other(with_query(ticket.app.redirect_uri, answer))


def _is_from_own_page(request: Request) -> bool:
    """Tell whether a form was sent by the sandbox's own page, as far as its sender says.

    The page asks for no referrer, and that makes browsers send `Origin: null`, as any stranger's
    sandboxed page does too. So "null" counts only along with `Sec-Fetch-Site: same-origin`, which
    no page can set. A program that sends neither header needs the ticket alone.
    """
    sender = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    if site not in {None, "same-origin"}:
        return False
    if sender == "null":
        return site is not None
    return sender is None or sender.lower() == origin(request).lower()
