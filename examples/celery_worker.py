"""Workers that read the deals of connected accounts, with Celery.

    export CELERY_BROKER_URL=redis://127.0.0.1:6379/0
    export PIPEDRIVE_OAUTH_STORE=postgresql+psycopg://app@127.0.0.1/app
    export PIPEDRIVE_CLIENT_ID=... PIPEDRIVE_CLIENT_SECRET=... PIPEDRIVE_REDIRECT_URI=...
    celery -A examples.celery_worker worker
    celery -A examples.celery_worker beat
    python -m examples.celery_worker 123:456

Start any number of workers on any number of machines, and one beat. The last line hands out the
work of an account; a web app does it with `read_deals.delay(connection.account)`, for example in
its function `connected`. All of them, the web app as well, use one store, so that an expired token
costs one refresh.
"""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any, Final

import httpx
from celery import Celery  # type: ignore[import-untyped]  # pyright: ignore[reportMissingTypeStubs]

from examples.setting import REAL_SERVICE, store_at
from pipedrive_oauth_client import (
    AppCredentials,
    InvalidGrantError,
    PipedriveAuth,
    PipedriveOAuth,
    RateLimitedError,
    ServerError,
    StoreLockTimeoutError,
    TokenNotFoundError,
    TransportError,
)
from pipedrive_oauth_client.fleet import refresh_due
from pipedrive_oauth_client.stores import TokenStore

LOGGER: Final = logging.getLogger(__name__)

app: Any = Celery("examples.celery_worker", broker=os.environ.get("CELERY_BROKER_URL", "memory://"))
app.conf.update(
    beat_schedule={
        "keep-alive": {"task": "examples.celery_worker.keep_alive", "schedule": timedelta(days=1)}
    },
    task_ignore_result=True,
    # A task whose worker is killed is delivered again; reading deals twice does no harm.
    task_acks_late=True,
    worker_prefetch_multiplier=1,
)


class TryLaterError(Exception):
    """Pipedrive's API is overloaded or unavailable."""


# What may go well at the next attempt. Everything else needs a person, and is not retried.
TRANSIENT: Final = (
    TryLaterError,
    httpx.TransportError,
    RateLimitedError,
    ServerError,
    StoreLockTimeoutError,
    TransportError,
)


@cache
def connection() -> tuple[PipedriveOAuth, TokenStore]:
    """Return the flow and the store of this process, made at its first task."""
    base_url = os.environ.get("PIPEDRIVE_BASE_URL", REAL_SERVICE)
    oauth = PipedriveOAuth(AppCredentials.from_env(), base_url=base_url)
    return oauth, store_at(os.environ["PIPEDRIVE_OAUTH_STORE"])


@app.task(autoretry_for=TRANSIENT, retry_backoff=True, retry_backoff_max=600, max_retries=10)  # type: ignore[untyped-decorator]
def read_deals(account: str) -> None:
    """Read the deals of an account; a message has its name and never a token."""
    oauth, store = connection()
    auth = PipedriveAuth(oauth, store, account)
    try:
        with httpx.Client(auth=auth) as api:
            response = api.get(f"{auth.token().api_domain}/api/v2/deals")
    except (TokenNotFoundError, InvalidGrantError):
        # Another attempt would fail as well. Here, send a mail to the account's user.
        LOGGER.warning("%s is disconnected: its user has to connect again.", account)
        return
    if response.status_code == 429 or response.status_code >= 500:
        raise TryLaterError(f"Pipedrive's API has responded with status {response.status_code}.")
    deals = response.raise_for_status().json()["data"]
    LOGGER.warning("%s has %d deals.", account, len(deals))  # here, work with them


@app.task  # type: ignore[untyped-decorator]
def keep_alive() -> None:
    """Refresh the grants that were not used for 30 days; after 60 days they lapse."""
    oauth, store = connection()
    report = refresh_due(oauth, store, before=datetime.now(UTC) - timedelta(days=30))
    for account, error in report.errors.items():
        LOGGER.warning("%s could not be refreshed: %s", account, type(error).__name__)


def main(accounts: Sequence[str]) -> None:
    """Hand out the work of accounts."""
    for account in accounts:
        read_deals.delay(account)


if __name__ == "__main__":
    main(sys.argv[1:])
