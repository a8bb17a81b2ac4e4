from __future__ import annotations

from collections.abc import Callable

import pytest

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox import Fault, Sandbox, create_app
from tests.sandbox.support import Wire, success

TOKEN, SLASHED = "/oauth/token", "/oauth/token/"


@pytest.fixture
def sandbox() -> Sandbox:
    """A sandbox."""
    return create_app()


def status(sandbox: Sandbox, path: str = TOKEN, grant_type: str | None = None) -> int:
    """Return the status of a POST whose form has this grant type and nothing else."""
    return Wire(sandbox).post_form(path, {"grant_type": grant_type}).status_code


def test_faults_come_in_their_order_and_number(sandbox: Sandbox) -> None:
    """Faults of one route are met in the order in which they were added, each so many times."""
    faults = sandbox.faults
    faults.add(TOKEN, Fault.status(429), times=2)
    faults.add(TOKEN, Fault.status(503))
    assert [faults.remaining(), faults.remaining(TOKEN), faults.remaining(SLASHED)] == [3, 3, 0]
    assert [status(sandbox) for _ in range(4)] == [429, 429, 503, 400]
    assert faults.remaining() == 0


def test_grant_type_narrows_a_route(sandbox: Sandbox) -> None:
    """A fault for one grant type does not affect others, and waits for the right one."""
    sandbox.faults.add(TOKEN, Fault.status(500), grant_type="refresh_token")
    sandbox.faults.add(TOKEN, Fault.status(503), times=2)
    assert status(sandbox, grant_type="authorization_code") == 503
    assert status(sandbox, grant_type="refresh_token") == 500
    assert status(sandbox) == 503
    assert status(sandbox) == 400


@pytest.mark.parametrize(
    "path", ["/oauth/authorize", "/oauth/revoke", "/api/v1/users/me", "/api/v2/deals"]
)
def test_every_route_can_fail(sandbox: Sandbox, path: str) -> None:
    """A fault can be put on any of the sandbox's paths, whatever the method."""
    sandbox.faults.add(path, Fault.status(520))
    assert Wire(sandbox).request("GET", path).status_code == 520
    assert Wire(sandbox).request("GET", path).status_code != 520


def test_faults_can_be_cleared(sandbox: Sandbox) -> None:
    """The faults still to come can be removed."""
    sandbox.faults.add(TOKEN, Fault.status(500), times=5)
    assert status(sandbox) == 500
    assert repr(sandbox.faults) == "<Faults, 4 to come>"
    sandbox.faults.clear()
    assert sandbox.faults.remaining() == 0
    assert status(sandbox) == 400


def test_fault_comes_instead_of_the_work(sandbox: Sandbox) -> None:
    """A fault with a response of its own leaves the refresh token as it is."""
    wire = Wire(sandbox)
    token = wire.tokens()["refresh_token"]
    sandbox.faults.add(SLASHED, Fault.status(500))
    assert wire.refresh(token).status_code == 500
    success(wire.refresh(token))


def test_fault_can_come_after_the_work(sandbox: Sandbox) -> None:
    """After the work, the refresh token is replaced and only the response differs."""
    wire = Wire(sandbox)
    token = wire.tokens()["refresh_token"]
    sandbox.faults.add(SLASHED, Fault.status(500).after_work())
    assert wire.refresh(token).status_code == 500
    assert wire.refresh(token).json()["error"] == "invalid_grant"


@pytest.mark.parametrize("path", ["/oauth/tokens", "/oauth/token//", "oauth/token", ""])
def test_unknown_path_is_rejected(sandbox: Sandbox, path: str) -> None:
    """A fault for an unknown path would never be met, so it is rejected."""
    with pytest.raises(ConfigurationError, match="no such path; one of: /oauth/authorize"):
        sandbox.faults.add(path, Fault.reset())


@pytest.mark.parametrize("times", [0, -1])
def test_fault_comes_at_least_once(sandbox: Sandbox, times: int) -> None:
    """A fault that never comes is rejected."""
    with pytest.raises(ConfigurationError, match="times must be a whole number"):
        sandbox.faults.add(TOKEN, Fault.reset(), times=times)


def test_fault_of_the_token_path_meets_refreshes(sandbox: Sandbox) -> None:
    """A fault at the token path is met with a slash as well; one with a slash only there."""
    sandbox.faults.add(TOKEN, Fault.status(500))
    assert (status(sandbox, SLASHED), sandbox.faults.remaining()) == (500, 0)
    sandbox.faults.add(SLASHED, Fault.status(500))
    assert status(sandbox, TOKEN) == 400
    assert status(sandbox, SLASHED) == 500


def test_fault_behind_a_redirect() -> None:
    """Where the sandbox redirects from the path with a slash, the fault is where that leads."""
    sandbox = create_app(slashed_token_path=308)
    sandbox.faults.add(TOKEN, Fault.status(500))
    assert status(sandbox, SLASHED) == 308
    assert status(sandbox, TOKEN) == 500


def test_unknown_grant_type_is_rejected(sandbox: Sandbox) -> None:
    """A fault for an unknown grant type would never be met either."""
    with pytest.raises(ConfigurationError, match="grant_type must be"):
        sandbox.faults.add(TOKEN, Fault.reset(), grant_type="refresh")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Fault.status(199), "A status must be"),
        (lambda: Fault.status(600), "A status must be"),
        (lambda: Fault.status(429, retry_after=-1), "retry_after must be"),
        (lambda: Fault.status(429, retry_after="a\r\nb: c"), "A header must be"),
        (lambda: Fault.status(429, retry_after_form="iso"), "retry_after_form must be"),  # type: ignore[arg-type]  # rejected
        (lambda: Fault.refusal("no_such_name"), "no such refusal; one of: missing_grant_type"),
        (lambda: Fault.refusal("client_invalid", status=42), "A status must be"),
        (lambda: Fault.page(0), "A status must be"),
        (lambda: Fault.answer(99, ""), "A status must be"),
        (lambda: Fault.answer(200, "", content_type="ü"), "A header must be"),
        (lambda: Fault.answer(200, "", headers={"a": "b\n"}), "A header must be"),
        (lambda: Fault.answer(200, "", headers={"Content-Length": "9"}), "use truncated"),
        (lambda: Fault.redirect("http://a\r\nb"), "A header must be"),
        (lambda: Fault.oversized(3), "size_bytes must be"),
        (lambda: Fault.oversized(2**40), "size_bytes must be"),
        (lambda: Fault.truncated(-1), "sent_bytes must be"),
        (lambda: Fault.content_type("text/\nhtml"), "A header must be"),
        (lambda: Fault.override({"expires_in": {1, 2}}), "JSON can't carry"),
        (lambda: Fault.latency(-1), "A delay must be"),
        (lambda: Fault.latency(float("nan")), "A delay must be"),
        (lambda: Fault.latency(float("inf")), "A delay must be"),
        (lambda: Fault.reset().delayed(86_401), "A delay must be"),
    ],
)
def test_impossible_faults_are_rejected(make: Callable[[], Fault], message: str) -> None:
    """A fault that could not be sent is rejected when it is made."""
    with pytest.raises(ConfigurationError, match=message):
        make()


def test_fault_says_what_it_is() -> None:
    """The text form of a fault names its kind and holds no body."""
    text = repr(Fault.answer(200, "planted").after_work().delayed(2))
    assert text.startswith("Fault(name='answer 200', works_first=True, delay_seconds=2")
    assert "planted" not in text
