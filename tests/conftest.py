"""Fixtures that several test modules share."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings

from tests.support.driver import MODES
from tests.support.samples import GET_TOKENS, REFRESH_TOKENS, Operation

# No test may fail because the machine is busy. The rest is as hypothesis has it, here and in CI.
settings.register_profile(
    "patient", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("patient")


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the machine's proxies out of tests that talk to the loopback."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest) -> str:
    """How an endpoint is called: blocking, or in an event loop of asyncio or of trio."""
    return str(request.param)


@pytest.fixture(params=[GET_TOKENS, REFRESH_TOKENS], ids=["get_tokens", "refresh_tokens"])
def grant(request: pytest.FixtureRequest) -> Operation:
    """Either operation of the token endpoint."""
    operation: Operation = request.param
    return operation
