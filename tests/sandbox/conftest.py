from __future__ import annotations

import pytest

from pipedrive_oauth_client.sandbox import DEFAULT_APP, create_app
from tests.sandbox.support import OTHER_APP, Clock, Wire


@pytest.fixture
def clock() -> Clock:
    """A clock that a test moves."""
    return Clock()


@pytest.fixture
def wire(clock: Clock) -> Wire:
    """A sandbox with two apps and the two usual people."""
    return Wire(create_app(apps=[DEFAULT_APP, OTHER_APP], clock=clock))
