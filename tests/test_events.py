"""What a flow reports to `on_event`, when, and what a function that fails changes: nothing."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any, Final

import pytest

from pipedrive_oauth_client import AsyncPipedriveOAuth, ConfigurationError, PipedriveOAuth
from pipedrive_oauth_client.events import Event, GrantEnded, GrantRestored
from tests.support.flows import CREDENTIALS
from tests.support.untyped import untyped

EVENT: Final = GrantEnded(
    account="acme:ada", at=datetime(2026, 3, 1, tzinfo=UTC), error="invalid_grant"
)

each_flow = pytest.mark.parametrize("flow", [PipedriveOAuth, AsyncPipedriveOAuth])


@each_flow
def test_a_flow_calls_the_function(flow: Any) -> None:
    """Each event is handed on as it is, by the synchronous counterpart as well."""
    seen: list[Event] = []
    oauth = flow(CREDENTIALS, on_event=seen.append)
    oauth.emit(EVENT)
    if isinstance(oauth, AsyncPipedriveOAuth):
        oauth.blocking().emit(GrantRestored(account="acme:ada"))
    assert seen[0] is EVENT
    assert len(seen) == (2 if flow is AsyncPipedriveOAuth else 1)


@each_flow
def test_without_a_function_nothing_happens(flow: Any) -> None:
    """None is the default."""
    flow(CREDENTIALS).emit(EVENT)
    flow(CREDENTIALS, on_event=None).emit(EVENT)


@each_flow
def test_an_exception_in_the_function_is_logged(
    flow: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes no further, and the log has its traceback."""

    def broken(_event: Event) -> None:
        raise ZeroDivisionError

    flow(CREDENTIALS, on_event=broken).emit(EVENT)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("pipedrive_oauth_client", logging.ERROR)
    assert "GrantEnded" in record.getMessage()
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


async def later(_event: Event) -> None:
    """Handle an event some time."""


@each_flow
@pytest.mark.parametrize("function", ["print", 1, later])
def test_what_is_no_ordinary_function_is_refused(flow: Any, function: object) -> None:
    """A coroutine function would never run."""
    with pytest.raises(ConfigurationError, match="on_event must be an ordinary function"):
        untyped(flow)(CREDENTIALS, on_event=function)
