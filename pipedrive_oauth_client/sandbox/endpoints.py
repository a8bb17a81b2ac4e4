"""The sandbox's paths and what answers at each of them."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.routing import Route

from pipedrive_oauth_client.sandbox.addresses import (
    AUTHORIZE_PATH,
    CURRENT_USER_PATH,
    DEALS_PATH,
    DECIDE_PATH,
    HOME_PATH,
    ICON_PATH,
    ISSUE_PATH,
    REVOKE_PATH,
    SLASHED_ISSUE_PATH,
)
from pipedrive_oauth_client.sandbox.answers import on_crash, on_http_error, on_refused
from pipedrive_oauth_client.sandbox.api import Api
from pipedrive_oauth_client.sandbox.clients import Clients
from pipedrive_oauth_client.sandbox.consent import Consent
from pipedrive_oauth_client.sandbox.home import Home
from pipedrive_oauth_client.sandbox.icon import show_icon
from pipedrive_oauth_client.sandbox.rate_limit import RateLimit
from pipedrive_oauth_client.sandbox.records import App, User
from pipedrive_oauth_client.sandbox.refusals import RefusedError
from pipedrive_oauth_client.sandbox.revocation_endpoint import RevocationEndpoint
from pipedrive_oauth_client.sandbox.slashed_path import (
    Redirect,
    SlashedTokenLocation,
    SlashedTokenPath,
)
from pipedrive_oauth_client.sandbox.state import State
from pipedrive_oauth_client.sandbox.token_endpoint import TokenEndpoint


def endpoints(
    *,
    state: State,
    apps: Sequence[App],
    users: Sequence[User],
    decline_error: str,
    slashed_token_path: SlashedTokenPath,
    slashed_token_location: SlashedTokenLocation,
    rate_limit: RateLimit,
    home: Home,
) -> Starlette:
    """Return the ASGI application of all endpoints, made of the parts that `create_app` made."""
    clients = Clients(apps)
    consent = Consent(state=state, apps=apps, users=users, decline_error=decline_error)
    tokens = TokenEndpoint(state=state, clients=clients)
    revocation = RevocationEndpoint(state=state, clients=clients)
    api = Api(state=state, rate_limit=rate_limit)
    if slashed_token_path == "serve":
        slashed = tokens.issue
    else:
        slashed = Redirect(slashed_token_path, slashed_token_location).answer
    app = Starlette(
        routes=[
            # In the order of how much is asked of them: the first that fits answers.
            Route(ISSUE_PATH, tokens.issue, methods=["POST"]),
            Route(SLASHED_ISSUE_PATH, slashed, methods=["POST"]),
            Route(AUTHORIZE_PATH, consent.show, methods=["GET"]),
            Route(DECIDE_PATH, consent.decide, methods=["POST"]),
            Route(REVOKE_PATH, revocation.revoke, methods=["POST"]),
            Route(CURRENT_USER_PATH, api.current_user, methods=["GET"]),
            Route(DEALS_PATH, api.deals, methods=["GET"]),
            Route(HOME_PATH, home.show, methods=["GET"]),
            Route(ICON_PATH, show_icon, methods=["GET"]),
        ],
        exception_handlers={
            RefusedError: on_refused,
            HTTPException: on_http_error,
            Exception: on_crash,
        },
    )
    # A path that is nearly right is a mistake to be seen, not one to be redirected away.
    app.router.redirect_slashes = False
    return app
