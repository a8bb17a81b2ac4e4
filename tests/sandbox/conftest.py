from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from pipedrive_oauth_client.sandbox import DEFAULT_APP, create_app, run
from pipedrive_oauth_client.sandbox import Clock as StandingClock
from tests.sandbox.support import OTHER_APP, Clock, Net, Wire


@pytest.fixture
def clock() -> Clock:
    """A clock that a test moves."""
    return Clock()


@pytest.fixture
def wire(clock: Clock) -> Wire:
    """A sandbox with two apps and the two default users."""
    return Wire(create_app(apps=[DEFAULT_APP, OTHER_APP], clock=clock))


@pytest.fixture(scope="module")
def served() -> Iterator[Net]:
    """A sandbox that is served once for all tests of a module that need a real connection."""
    app = create_app(apps=[DEFAULT_APP, OTHER_APP], clock=StandingClock())
    with run(app) as server, httpx.Client(trust_env=False) as client:
        yield Net(server, client)


@pytest.fixture
def net(served: Net) -> Net:
    """The served sandbox, with no faults to come and an empty log."""
    served.server.faults.clear()
    served.server.requests.clear()
    return served
