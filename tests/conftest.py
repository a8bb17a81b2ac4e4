"""Fixtures that several test modules share."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from tests.support.auths import Account, Gate, connected, served
from tests.support.driver import MODES
from tests.support.samples import GET_TOKENS, REFRESH_TOKENS, Operation
from tests.support.time_limits import (
    pytest_configure,
    pytest_enter_pdb,
    pytest_runtest_protocol,
    pytest_timeout_set_timer,
    pytest_unconfigure,
)

# What ends a test that hangs: pytest takes these functions from here.
__all__ = [
    "pytest_configure",
    "pytest_enter_pdb",
    "pytest_runtest_protocol",
    "pytest_timeout_set_timer",
    "pytest_unconfigure",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of CI, where everything is there that a test may need."""
    parser.addoption("--no-skips", action="store_true", help="fail if a test was skipped")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Start more workers than processors: tests wait for disks and servers, too."""
    processors = os.cpu_count() or 1
    return min(2 * processors, processors + 2)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """With --no-skips, fail a run with a test that was skipped or failed as expected."""
    plugins = session.config.pluginmanager
    reporter: pytest.TerminalReporter | None = plugins.get_plugin("terminalreporter")
    if reporter is None or not session.config.getoption("--no-skips"):
        return
    # An expected failure is as little of a pass as a skipped test. The summary names each.
    if exitstatus == 0 and any(reporter.stats.get(kind) for kind in ("skipped", "xfailed")):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter.write_line("\n--no-skips: the run fails, since not every test ran to its end")


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


@pytest.fixture(scope="module")
def box() -> Iterator[PipedriveSandbox]:
    """Serve one sandbox, whose clock stands still, for all tests of a module."""
    with served() as box:
        yield box


@pytest.fixture
def account(box: PipedriveSandbox) -> Iterator[Account]:
    """Connect an account anew."""
    box.faults.clear()
    with connected(box) as account:
        yield account


@pytest.fixture(scope="module")
def served_gate() -> Iterator[tuple[PipedriveSandbox, Gate]]:
    """Serve one sandbox for all tests of a module, and a gate that holds its late answers."""
    gate = Gate()
    with served(gate) as box:
        yield box, gate


@pytest.fixture
def gate(served_gate: tuple[PipedriveSandbox, Gate]) -> Gate:
    """Hold the late answers of the sandbox."""
    _box, gate = served_gate
    gate.close()
    return gate
