from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import attrs

from pipedrive_oauth_client import sandbox
from pipedrive_oauth_client.sandbox import DEFAULT_APP, DEFAULT_USER, Sandbox, create_app
from tests.sandbox.support import Clock, Wire

HERE = str(Path(sandbox.__file__).parent)
FEW, MANY = 3, 3_000


def count_steps(work: Callable[[], object]) -> int:
    """Return how many bytecodes of the sandbox's own code, and of what attrs made, were run."""
    steps = 0

    def on_event(frame: FrameType, event: str, _argument: object) -> object:
        nonlocal steps
        if not frame.f_code.co_filename.startswith((HERE, "<attrs generated")):
            return None
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return on_event

    before = sys.gettrace()
    sys.settrace(on_event)  # type: ignore[arg-type]  # a trace function returns one or None
    try:
        work()
    finally:
        sys.settrace(before)
    return steps


def filled(accounts: int) -> tuple[Sandbox, str, str]:
    """Return a sandbox with tokens in that many accounts, and the last ones: refresh and access."""
    users = [attrs.evolve(DEFAULT_USER, id=number) for number in range(1, accounts + 1)]
    box = create_app(users=users, clock=Clock())
    state, refresh_token, access_token = box._state, "", ""
    for user in users:
        code = state.issue_code(DEFAULT_APP, user)
        pair = state.redeem_code(code, app=DEFAULT_APP, redirect_uri=DEFAULT_APP.redirect_uri)
        refresh_token, access_token = pair.refresh_token, pair.access_token
    return box, refresh_token, access_token


def test_work_does_not_grow_with_the_accounts() -> None:
    """Whatever an app asks for takes as many steps with thousands of accounts as with three."""
    steps = list[list[int]]()
    # The first round does what is done once in a process, and Python 3.12 counts half of it.
    for accounts in (FEW, FEW, MANY):
        box, refresh_token, access_token = filled(accounts)
        wire = Wire(box)
        code = box.install(user=box.users[-1]).partition("code=")[2]
        steps.append(
            [
                count_steps(lambda: wire.me(access_token)),  # noqa: B023  # called at once
                count_steps(lambda: wire.exchange(code)),  # noqa: B023
                count_steps(lambda: wire.refresh(refresh_token)),  # noqa: B023
                count_steps(lambda: wire.refresh("x")),  # noqa: B023
                count_steps(lambda: box.install(user=box.users[-1])),  # noqa: B023
                count_steps(lambda: wire.revoke(access_token, "access_token")),  # noqa: B023
            ]
        )
        assert box.requests.count(outcome="ok") == 4
        assert box.requests.count(outcome="invalid_grant") == 1
    _first, few, many = steps
    assert min(few) > 50
    assert few == many
