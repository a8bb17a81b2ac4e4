"""Making a sandbox: its settings, and the parts that they lead to."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

import anyio

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.addresses import PATHS
from pipedrive_oauth_client.sandbox.clock import Now, utc_now
from pipedrive_oauth_client.sandbox.endpoints import endpoints
from pipedrive_oauth_client.sandbox.faults import Faults
from pipedrive_oauth_client.sandbox.front import Front, Sleep
from pipedrive_oauth_client.sandbox.grants import Lifetimes
from pipedrive_oauth_client.sandbox.home import Home
from pipedrive_oauth_client.sandbox.peeking import Sight
from pipedrive_oauth_client.sandbox.rate_limit import RateLimit
from pipedrive_oauth_client.sandbox.records import (
    DEFAULT_APP,
    DEFAULT_USER,
    OTHER_USER,
    App,
    User,
)
from pipedrive_oauth_client.sandbox.request_log import RequestLog
from pipedrive_oauth_client.sandbox.sandbox import Sandbox
from pipedrive_oauth_client.sandbox.settings import (
    lifetime,
    need_count,
    need_distinct,
    need_error_code,
)
from pipedrive_oauth_client.sandbox.slashed_path import (
    SlashedTokenLocation,
    SlashedTokenPath,
    check_settings,
)
from pipedrive_oauth_client.sandbox.state import State


def create_app(
    *,
    apps: Iterable[App] = (DEFAULT_APP,),
    users: Iterable[User] = (DEFAULT_USER, OTHER_USER),
    clock: Now = utc_now,
    sleep: Sleep = anyio.sleep,
    code_lifetime_minutes: float = 5,
    access_token_lifetime_seconds: int = 3600,
    refresh_token_unused_lifetime_days: float = 60,
    rotate_refresh_tokens: bool = True,
    decline_error: str = "user_denied",
    slashed_token_path: SlashedTokenPath = "serve",
    slashed_token_location: SlashedTokenLocation = "absolute",
    api_calls_per_two_seconds: int = 480,
) -> Sandbox:
    """Return a sandbox: an ASGI application for any server, or for `run`.

    Args:
        apps: The registered apps, at least one.
        users: The people who can let an app in, at least one.
        clock: Returns the time as an aware UTC datetime; nothing else tells the sandbox the time.
        sleep: Waits for a number of seconds when a fault makes an answer late; an async function.
        code_lifetime_minutes: How long an authorization code can be exchanged.
        access_token_lifetime_seconds: How long an access token is valid, in whole seconds; this
            is the `expires_in` of the answers.
        refresh_token_unused_lifetime_days: How long a refresh token lives without being used.
        rotate_refresh_tokens: True: a refresh answers with a new refresh token and refuses the
            old one from then on. False: it answers with the same one, its time begun anew.
            Pipedrive's own pages say both.
        decline_error: The `error` of the redirect after a no. Pipedrive's guide says
            `user_denied`, the READMEs of its clients say `access_denied`.
        slashed_token_path: What a POST to `/oauth/token/` gets: `"serve"`, the same as at
            `/oauth/token`; or a redirect there of this status: 301, 302, 303, 307 or 308.
        slashed_token_location: Whether that redirect's Location is an `"absolute"` URL or a
            `"relative"` one, a path.
        api_calls_per_two_seconds: How many API calls an access token has in each window of two
            seconds by the sandbox's clock; the next one is answered with 429. 480 is Pipedrive's
            number for its largest plan, 80 the one for its smallest.

    Raises:
        ConfigurationError: An argument is not of the form described above, or two apps share a
            client_id, or two users share company and id.
    """
    registered, people = tuple(apps), tuple(users)
    need_distinct("apps", [app.client_id for app in registered])
    need_distinct("users", [user.account for user in people])
    if clock().utcoffset() != timedelta(0):
        raise ConfigurationError("clock must return aware UTC datetimes; use datetime.now(UTC).")
    need_error_code("decline_error", decline_error)
    need_count("api_calls_per_two_seconds", api_calls_per_two_seconds)
    check_settings(slashed_token_path, slashed_token_location)
    lifetimes = Lifetimes(
        code=lifetime("code_lifetime_minutes", code_lifetime_minutes, timedelta(minutes=1)),
        access_token=lifetime(
            "access_token_lifetime_seconds", access_token_lifetime_seconds, timedelta(seconds=1)
        ),
        refresh_token=lifetime(
            "refresh_token_unused_lifetime_days",
            refresh_token_unused_lifetime_days,
            timedelta(days=1),
        ),
    )
    state = State(clock=clock, lifetimes=lifetimes, rotate_refresh_tokens=rotate_refresh_tokens)
    requests = RequestLog()
    front = Front(
        app=endpoints(
            state=state,
            apps=registered,
            users=people,
            decline_error=decline_error,
            slashed_token_path=slashed_token_path,
            slashed_token_location=slashed_token_location,
            rate_limit=RateLimit(calls=api_calls_per_two_seconds, clock=clock),
            home=Home(state=state, apps=registered, users=people, requests=requests, clock=clock),
        ),
        faults=Faults(PATHS),
        requests=requests,
        sight=Sight(PATHS, registered),
        clock=clock,
        sleep=sleep,
    )
    return Sandbox(front, state=state, apps=registered, users=people)
