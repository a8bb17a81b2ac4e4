"""The synchronous counterpart of an asynchronous flow."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import datetime

import httpx
import pytest

from pipedrive_oauth_client import (
    NO_STATE,
    AsyncPipedriveOAuth,
    ConfigurationError,
    PipedriveOAuth,
    RateLimitedError,
)
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import Fault
from tests.support.auths import REFRESH_PATH
from tests.support.fake_time import FakeTime
from tests.support.flows import CREDENTIALS, with_flow
from tests.support.tls import UNTRUSTING


@pytest.fixture
def flow(pipedrive_sandbox: PipedriveSandbox) -> AsyncPipedriveOAuth:
    """Give an asynchronous flow with settings of its own."""
    box = pipedrive_sandbox
    return AsyncPipedriveOAuth(
        box.credentials,
        base_url=box.base_url,
        retry=FakeTime().policy(max_attempts=3),
        clock=box.clock,
    )


@pytest.fixture
def counterpart(flow: AsyncPipedriveOAuth) -> Iterator[PipedriveOAuth]:
    """Give its counterpart, and close it."""
    with flow.blocking() as counterpart:
        yield counterpart


def test_settings_are_the_same(flow: AsyncPipedriveOAuth, counterpart: PipedriveOAuth) -> None:
    """The counterpart is for the same app, service and clock."""
    assert type(counterpart) is PipedriveOAuth
    assert counterpart.credentials is flow.credentials
    assert counterpart.base_url == flow.base_url
    assert counterpart.clock is flow.clock


def test_retries_are_the_same(
    pipedrive_sandbox: PipedriveSandbox, flow: AsyncPipedriveOAuth, counterpart: PipedriveOAuth
) -> None:
    """The counterpart tries as often as the flow."""
    box = pipedrive_sandbox
    token = counterpart.exchange(counterpart.read_callback(box.server.install(), NO_STATE))
    box.faults.add(REFRESH_PATH, Fault.status(429), times=5)
    with pytest.raises(RateLimitedError):
        counterpart.refresh(token)
    assert box.requests.count(path=REFRESH_PATH) == 3
    assert flow._retry is counterpart._retry


def test_no_retries_stay_none(pipedrive_sandbox: PipedriveSandbox) -> None:
    """A flow that was told never to try again has a counterpart that never does."""
    box = pipedrive_sandbox
    flow = AsyncPipedriveOAuth(box.credentials, base_url=box.base_url, retry=None)
    with flow.blocking() as counterpart:
        token = counterpart.exchange(counterpart.read_callback(box.server.install(), NO_STATE))
        box.faults.add(REFRESH_PATH, Fault.status(429), times=5)
        with pytest.raises(RateLimitedError):
            counterpart.refresh(token)
    assert box.requests.count(path=REFRESH_PATH) == 1


def test_each_closes_its_own(
    pipedrive_sandbox: PipedriveSandbox, flow: AsyncPipedriveOAuth, counterpart: PipedriveOAuth
) -> None:
    """Closing the flow leaves the connections of its counterpart alone."""
    box = pipedrive_sandbox
    token = counterpart.exchange(counterpart.read_callback(box.server.install(), NO_STATE))
    asyncio.run(flow.aclose())
    assert counterpart.refresh(token).access_token != token.access_token


def test_works_inside_of_a_loop(pipedrive_sandbox: PipedriveSandbox) -> None:
    """A counterpart can be made, and used in a thread, while the flow is in use."""
    box = pipedrive_sandbox

    async def main() -> None:
        async with AsyncPipedriveOAuth(box.credentials, base_url=box.base_url) as flow:
            code = flow.read_callback(box.server.install(), NO_STATE)
            token = await flow.exchange(code)
            with flow.blocking() as counterpart:
                following = await asyncio.to_thread(counterpart.refresh, token)
            assert (await flow.refresh(following)).scope == token.scope

    asyncio.run(main())


def test_own_client_has_no_counterpart() -> None:
    """Nobody but the user knows the settings of an `httpx.AsyncClient`: this is told."""

    async def main() -> None:
        async with httpx.AsyncClient(verify=UNTRUSTING) as client:
            flow = AsyncPipedriveOAuth(CREDENTIALS, client=client)
            with pytest.raises(ConfigurationError, match="Create a PipedriveOAuth"):
                flow.blocking()

    asyncio.run(main())


def test_clock_is_refused_at_once(mode: str) -> None:
    """A clock without a time zone is refused when the flow is made."""
    with pytest.raises(ConfigurationError, match="aware"):
        with_flow(
            mode,
            "http://127.0.0.1:9",
            lambda flow: flow.close(),
            clock=lambda: datetime(2026, 1, 1),  # noqa: DTZ001 - what is refused
        )
