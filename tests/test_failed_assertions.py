"""What a failed assertion shows of tokens and credentials: it ends in the log of a CI service."""

from __future__ import annotations

import base64
import importlib
import inspect
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import attrs
import httpx
import pytest

import pipedrive_oauth_client
from pipedrive_oauth_client import AppCredentials, GetTokensResponse, RetryPolicy, Token
from pipedrive_oauth_client.generated.response import RawResponse, Response
from pipedrive_oauth_client.stores.leased import StoredToken

ROOT: Final = Path(__file__).parents[1]

# What the tests below compare; pytest shows no source of this module.
MADE: Final = """
from datetime import UTC, datetime

import httpx

from pipedrive_oauth_client import *
from pipedrive_oauth_client.generated.response import RawResponse, Response
from pipedrive_oauth_client.stores.leased import StoredToken
from pipedrive_oauth_client.users import PipedriveUser
from pipedrive_oauth_client.web import Connection

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def unknown(model, secret):
    model["unknown"] = secret
    return model


def pair(make):
    return make("planted-secret-one"), make("planted-secret-two")


def token(secret):
    return Token(access_token=secret, refresh_token=secret + "-r", expires_at=NOW)


def user(secret):
    return PipedriveUser(company_id=1, user_id=2, data={"email": secret})


KINDS = {
    "token": token,
    "credentials": lambda secret: AppCredentials("id", secret, "https://a.example/callback"),
    "request": lambda secret: AuthorizationRequest(f"https://a.example/?state={secret}", secret),
    "user": user,
    "get": lambda secret: GetTokensRequest(code=secret),
    "refresh": lambda secret: RefreshTokensRequest(refresh_token=secret),
    "revoke": lambda secret: RevokeTokensRequest(token=secret, token_type_hint="access_token"),
    "tokens": lambda secret: unknown(GetTokensResponse(secret, "Bearer", 3600, secret), secret),
    "error": lambda secret: unknown(OAuthErrorResponse(), secret),
    "response": lambda secret: Response(200, secret.encode(), httpx.Headers({"a": secret}), None),
    "raw": lambda secret: RawResponse(200, httpx.Headers({"a": secret}), secret.encode()),
    "stored": lambda secret: StoredToken(secret, "v"),
    "connection": lambda secret: Connection(
        account="a", user=user(secret), token=token(secret), from_marketplace=False,
        return_to="/", at=NOW,
    ),
}
"""
TESTS: Final = """
import unittest

import pytest

from made import KINDS, pair


@pytest.fixture(params=KINDS)
def both(request):
    return pair(KINDS[request.param])


def test_alone(both):
    one, two = both
    assert one == two


def test_in_list(both):
    one, two = both
    assert [1, one] == [1, two]


def test_in_dict(both):
    one, two = both
    assert {"a": one, "b": 1} == {"a": two, "b": 1}


def test_in_tuple(both):
    one, two = both
    assert (one, [one]) == (two, [two])


def test_contained(both):
    one, two = both
    assert one in [two]


def test_not_equal(both):
    one, _ = both
    assert one != one


class TestOld(unittest.TestCase):
    def test_equal(self):
        for make in KINDS.values():
            one, two = pair(make)
            for left, right in ((one, two), ([one], [two]), ({1: one}, {1: two}), ((one,), (two,))):
                with self.subTest():
                    self.assertEqual(left, right)
        self.assertIn(one, [two])
"""


@pytest.mark.parametrize("plugin", [True, False])
def test_no_failed_assertion_shows_a_secret(tmp_path: Path, *, plugin: bool) -> None:
    """However two objects with secrets are compared, pytest and unittest show neither secret."""
    (tmp_path / "made.py").write_text(MADE, encoding="utf-8")
    (tmp_path / "test_comparisons.py").write_text(TESTS, encoding="utf-8")
    names = ["cacheprovider", "hypothesispytest", "anyio", "xdist", "randomly"]
    without = [f"-pno:{name}" for name in names + ["pipedrive_oauth_client"] * (not plugin)]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-vv", "--showlocals", *without, str(tmp_path)],
        cwd=tmp_path,
        # Where pytest believes itself in CI, it cuts nothing off.
        env={**os.environ, "CI": "true", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=80,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    # Six functions for each of the 13 kinds, four subtests for each, and the last line.
    assert " 131 failed in " in done.stdout, done.stdout[-300:]
    assert "planted-secret" not in done.stdout + done.stderr


ERRORS: Final = """
import httpx
import pytest

from pipedrive_oauth_client import *
from pipedrive_oauth_client.generated.errors import UnexpectedStatus

SECRET = "planted-" + "secret"
CREDENTIALS = AppCredentials("id", SECRET, "https://a.example/callback")


def fail(request):
    raise httpx.ReadTimeout("too slow", request=request)


def flow(handler):
    client = httpx.Client(transport=httpx.MockTransport(handler))
    return PipedriveOAuth(CREDENTIALS, client=client, retry=None)


REJECTED = flow(lambda _: httpx.Response(400, json={"error": "invalid_grant", "hint": SECRET}))
UNREACHABLE = flow(fail)
NONSENSE = flow(lambda _: httpx.Response(200, json={"token_type": SECRET}))
CALLS = [
    lambda: REJECTED.refresh(SECRET),
    lambda: REJECTED.exchange(SECRET),
    lambda: REJECTED.revoke(SECRET, "refresh_token"),
    lambda: UNREACHABLE.refresh(SECRET),
    lambda: UNREACHABLE.exchange(SECRET),
    lambda: UNREACHABLE.exchange(SECRET + " \\n"),
    lambda: NONSENSE.refresh(SECRET),
    lambda: basic_auth_header("id", SECRET + "\\n"),
    lambda: AppCredentials("id", SECRET + " ", "https://a.example/callback"),
    lambda: Token.from_dict({"access_token": SECRET + " ", "expires_at": SECRET}),
    lambda: REJECTED.read_callback(f"?code={SECRET}&state={SECRET}", SECRET + "s"),
    lambda: REJECTED.authorization_url(""),
    lambda: refresh_tokens.sync(
        client=Client(httpx_args={"transport": httpx.MockTransport(fail)}),
        authorization="Basic " + SECRET,
        body=RefreshTokensRequest(refresh_token=SECRET),
    ),
    lambda: refresh_tokens.sync(
        client=Client(), authorization=SECRET + "\\n", body=RefreshTokensRequest()
    ),
    lambda: Client(headers={"Authorization": SECRET + "\\n"}),
]
"""
RAISING: Final = """
import pytest

from errors import CALLS


@pytest.mark.parametrize("number", range(len(CALLS)))
def test_raises(number):
    CALLS[number]()
"""


@pytest.mark.parametrize("options", [[], ["--tb=long", "-vv"], ["--showlocals", "-vv"]], ids=str)
def test_no_traceback_shows_a_secret(tmp_path: Path, options: list[str]) -> None:
    """An error that no test has expected leaves no secret in the output of pytest.

    For the last frame, and with `--tb=long` for each, pytest shows the arguments of the function.
    """
    (tmp_path / "errors.py").write_text(ERRORS, encoding="utf-8")
    (tmp_path / "test_errors.py").write_text(RAISING, encoding="utf-8")
    names = ["cacheprovider", "hypothesispytest", "anyio", "xdist", "pipedrive_oauth_client"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *(f"-pno:{name}" for name in names), "."],
        cwd=tmp_path,
        env={**os.environ, "CI": "true", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=80,
    )
    assert " 15 failed in " in done.stdout, done.stdout[-2000:] + done.stderr
    header = base64.b64encode(b"id:planted-secret").decode()
    assert "planted-secret" not in done.stdout
    assert header not in done.stdout
    assert "InvalidGrantError" in done.stdout


def classes_with_hidden_fields() -> Iterator[type]:
    """Find the attrs classes that show less of themselves than they hold."""
    for module in pkgutil.walk_packages(
        pipedrive_oauth_client.__path__, f"{pipedrive_oauth_client.__name__}."
    ):
        # Secrets of the sandbox are made up, and parts of Django can't be imported without a site.
        if ".sandbox" in module.name or ".django" in module.name or "__main__" in module.name:
            continue
        for _, kind in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if kind.__module__ != module.name or not attrs.has(kind):
                continue
            # A policy hides its functions alone, which are no secrets.
            if kind is not RetryPolicy and any(
                each.repr is not True and each.eq for each in attrs.fields(kind)
            ):
                yield kind


def test_every_class_that_hides_a_field_has_an_equality_of_its_own() -> None:
    """Pytest takes the `__eq__` that attrs writes apart, field by field, whatever `repr` hides."""
    found = list(classes_with_hidden_fields())
    assert {Token, AppCredentials, GetTokensResponse} <= set(found)
    code = [getattr(kind.__eq__, "__code__", None) for kind in found]
    by_attrs = [
        kind
        for kind, written in zip(found, code, strict=True)
        if written is not None and "attrs generated" in written.co_filename
    ]
    assert by_attrs == []


def response(content: bytes) -> Response[None]:
    """Make a response."""
    return Response(200, content, httpx.Headers({"a": "b"}), None)


@pytest.mark.parametrize(
    ("first", "equal", "other"),
    [
        (response(b"a"), response(b"a"), response(b"b")),
        (
            GetTokensResponse("a", "Bearer", 1),
            GetTokensResponse("a", "Bearer", 1),
            GetTokensResponse("a", "Bearer", 2),
        ),
        (
            AppCredentials("a", "b", "https://a.example/"),
            AppCredentials("a", "b", "https://a.example/"),
            AppCredentials("a", "c", "https://a.example/"),
        ),
        (StoredToken("a", "b"), StoredToken("a", "b"), StoredToken("a", "c")),
        (
            RawResponse(200, httpx.Headers(), b"a"),
            RawResponse(200, httpx.Headers(), b"a"),
            RawResponse(200, httpx.Headers(), b"b"),
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_equality_compares_all_fields(first: Any, equal: Any, other: Any) -> None:
    """Objects are equal if all fields are, and then those that can't change have one hash."""
    assert first == equal
    assert first != other
    assert first != object()
    if isinstance(first, AppCredentials | StoredToken):
        assert len({first, equal, other}) == 2
    else:
        with pytest.raises(TypeError, match="unhashable"):
            hash(first)
