from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox import create_app
from tests.sandbox.support import BASE_URL, Wire, refusal, success

STATUSES = pytest.mark.parametrize("status", [301, 302, 303, 307, 308])


@STATUSES
@pytest.mark.parametrize(
    ("location", "expected"),
    [("absolute", f"{BASE_URL}/oauth/token"), ("relative", "/oauth/token")],
)
def test_slashed_path_redirects(status: Any, location: Any, expected: str) -> None:
    """The path with the slash answers any POST with the redirect asked for, and does nothing."""
    sandbox = create_app(slashed_token_path=status, slashed_token_location=location)
    wire = Wire(sandbox)
    tokens = wire.tokens()
    answer = wire.refresh(tokens["refresh_token"], path="/oauth/token/")
    assert answer.status_code == status
    assert answer.headers["location"] == expected
    assert answer.headers["cache-control"] == "no-store"
    assert answer.content == b""
    success(wire.refresh(tokens["refresh_token"], path="/oauth/token"))
    assert sandbox.requests.count(grant_type="refresh_token", status=status, outcome=None) == 1
    assert sandbox.requests.count(grant_type="refresh_token", outcome="ok") == 1


@STATUSES
def test_redirect_needs_no_right_request(status: Any) -> None:
    """The redirect comes before anything about the request is checked."""
    wire = Wire(create_app(slashed_token_path=status))
    assert wire.request("POST", "/oauth/token/", content=b"%").status_code == status
    assert refusal(wire.request("GET", "/oauth/token/"), 405)[0] == "method_not_allowed"


@pytest.mark.parametrize(
    ("location", "expected"),
    [("absolute", f"{BASE_URL}/pd/oauth/token"), ("relative", "/pd/oauth/token")],
)
def test_redirect_of_a_mounted_sandbox(location: Any, expected: str) -> None:
    """Under a path of another application the redirect stays under it."""
    inner = create_app(slashed_token_path=307, slashed_token_location=location)
    wire = Wire(Starlette(routes=[Mount("/pd", inner)]))
    answer = wire.request("POST", "/pd/oauth/token/")
    assert (answer.status_code, answer.headers["location"]) == (307, expected)


@pytest.mark.parametrize(
    "settings",
    [
        {"slashed_token_path": "redirect"},
        {"slashed_token_path": 300},
        {"slashed_token_path": 200},
        {"slashed_token_location": "elsewhere"},
    ],
)
def test_other_settings_are_refused(settings: dict[str, Any]) -> None:
    """What is none of the ways is refused by its name."""
    with pytest.raises(ConfigurationError, match=f"^{next(iter(settings))} must be"):
        create_app(**settings)
