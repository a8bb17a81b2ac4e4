from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from attrs import evolve
from django.conf import settings as django_settings

from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import DEFAULT_APP, App, Clock, create_app, run
from pipedrive_oauth_client.stores import MemoryTokenStore
from tests.web.sites import HOST, KINDS, Build, Site, made

CLIENT = evolve(DEFAULT_APP, redirect_uri=f"{HOST}/pipedrive/callback")
PLAIN_CLIENT = evolve(
    DEFAULT_APP, client_id="plain-client", redirect_uri="http://127.0.0.1:8123/pipedrive/callback"
)
PREFIXED_CLIENT = evolve(
    DEFAULT_APP, client_id="prefixed-client", redirect_uri=f"{HOST}/crm/pipedrive/callback"
)
REPORTS_CLIENT = evolve(
    DEFAULT_APP,
    client_id="reports-client",
    client_secret="reports-secret-of-the-sandbox-00000",
    redirect_uri=f"{HOST}/reports/callback",
)
NARROW_CLIENT = evolve(CLIENT, client_id="narrow-client", scopes=("deals:read",))


@pytest.fixture(scope="session")
def one_box() -> Iterator[PipedriveSandbox]:
    """One service for all tests of a process; its clock stands still."""
    clock = Clock()
    apps = [CLIENT, PLAIN_CLIENT, PREFIXED_CLIENT, REPORTS_CLIENT, NARROW_CLIENT]
    created = create_app(apps=apps, clock=clock, api_calls_per_two_seconds=100_000)
    with run(created) as server:
        yield PipedriveSandbox(server, clock)


@pytest.fixture
def box(one_box: PipedriveSandbox) -> PipedriveSandbox:
    """The service, without faults and without memories of other tests."""
    one_box.faults.clear()
    one_box.requests.clear()
    return one_box


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Which framework an app is made with."""
    return str(request.param)


@pytest.fixture
def build(kind: str, box: PipedriveSandbox) -> Iterator[Build]:
    """Make an app of the framework."""
    settings_before = django_settings._wrapped
    with ExitStack() as stack:

        def build(client: App = CLIENT, store: Any = None, **settings: Any) -> Site:
            kept = MemoryTokenStore() if store is None else store
            return stack.enter_context(made(kind, box, client, kept, **settings))

        yield build
    # A test may have overridden settings around `build`, whose own are then restored too late.
    django_settings._wrapped = settings_before


@pytest.fixture
def site(build: Build) -> Site:
    """An app as most are."""
    return build()
