"""What Pipedrive sends to an app's own endpoints: signed tokens of extensions, and Basic calls."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import httpx
import jwt
import pytest
from attrs.exceptions import FrozenInstanceError

from pipedrive_oauth_client import ConfigurationError
from pipedrive_oauth_client.errors import MissingExtraError
from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox
from pipedrive_oauth_client.sandbox import DEFAULT_USER, OTHER_USER
from pipedrive_oauth_client.web import ExtensionUser, SignedTokenError, read_signed_token
from tests.support.untyped import untyped
from tests.web.conftest import CLIENT
from tests.web.sites import PANEL, WEBHOOK, Build, Site
from tests.web.test_disconnecting import RIGHT, WRONG_CREDENTIALS

SECRET = CLIENT.client_secret
OWN = "the-secret-of-one-extension-by-itself"
OLD = "what-the-extension-had-until-yesterday"
FORGED = "a-secret-that-an-attacker-has-made-up"


def token_of(box: PipedriveSandbox, **changes: Any) -> str:
    """Give a signed token of the service, with something changed."""
    return box.server.sandbox.signed_token(app=CLIENT, **changes)


def part(content: object) -> str:
    """Write a part of a token."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def without_signature(box: PipedriveSandbox, header: dict[str, Any]) -> str:
    """Give a token that names another algorithm, with the signature of before."""
    _, claims, signature = token_of(box).split(".")
    return f"{part(header)}.{claims}.{signature}"


def with_other_claims(box: PipedriveSandbox) -> str:
    """Give a token with the claims of another one."""
    first, other = token_of(box).split("."), token_of(box, user=OTHER_USER).split(".")
    return f"{first[0]}.{other[1]}.{first[2]}"


Make = Callable[[PipedriveSandbox], Any]
WRONG: dict[str, Make] = {
    "empty": lambda _box: "",
    "none": lambda _box: None,
    "bytes": lambda box: token_of(box).encode(),
    "text": lambda _box: "hello",
    "dots": lambda _box: "..",
    "no ASCII": lambda _box: "ٱ.ٱ.ٱ",
    "forged": lambda box: token_of(box, secret=FORGED),
    "cut off": lambda box: token_of(box)[:-2],
    "no signature": lambda box: token_of(box).rpartition(".")[0] + ".",
    "alg none": lambda box: token_of(box, algorithm="none"),
    "alg none, signed": lambda box: without_signature(box, {"alg": "none"}),
    "alg in other letters": lambda box: without_signature(box, {"alg": "hs256"}),
    "alg missing": lambda box: without_signature(box, {"typ": "JWT"}),
    "HS384": lambda box: token_of(box, algorithm="HS384"),
    "HS512": lambda box: token_of(box, algorithm="HS512"),
    "RS256": lambda box: without_signature(box, {"alg": "RS256"}),
    "other claims": with_other_claims,
    "expired": lambda box: token_of(box, lifetime_seconds=-31),
    "no exp": lambda box: token_of(box, claims={"exp": None}),
    "exp is text": lambda box: token_of(box, claims={"exp": "9999999999"}),
    "exp is true": lambda box: token_of(box, claims={"exp": True}),
    "exp is endless": lambda box: token_of(box, claims={"exp": 10**400}),
    "exp is Infinity": lambda box: token_of(box, claims={"exp": float("inf")}),
    "not yet valid": lambda box: token_of(
        box, claims={"nbf": int((box.clock() + timedelta(minutes=1)).timestamp())}
    ),
    "no company": lambda box: token_of(box, claims={"companyId": None}),
    "no user": lambda box: token_of(box, claims={"userId": None}),
    "user is an account": lambda box: token_of(box, claims={"userId": "1:11"}),
    "user is zero": lambda box: token_of(box, claims={"userId": 0}),
    "user is true": lambda box: token_of(box, claims={"userId": True}),
    "oversized": lambda box: token_of(box, claims={"more": "x" * 4_000}),
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG)
def test_wrong_token(box: PipedriveSandbox, make: Make) -> None:
    """What is forged, expired or no token of the service's is rejected, and not repeated."""
    token = make(box)
    with pytest.raises(SignedTokenError) as caught:
        untyped(read_signed_token)(token, SECRET, clock=box.clock)
    assert caught.value.__cause__ is caught.value.__context__ is None
    assert not token or str(token) not in str(caught.value)


def test_right_token(box: PipedriveSandbox) -> None:
    """A genuine token says whose it is, and PyJWT reads the sandbox's as well."""
    token = token_of(box, claims={"more": [1], "companyId": "1"})
    user = read_signed_token(token, SECRET, clock=box.clock)
    assert user == ExtensionUser(company_id=1, user_id=11)
    assert user.account == DEFAULT_USER.account
    assert user.claims["more"] == [1]
    assert user.claims == jwt.decode(token, SECRET, ["HS256"], {"verify_exp": False})
    assert "more" not in repr(user)
    with pytest.raises(FrozenInstanceError):
        user.user_id = 12  # type: ignore[misc]
    untyped_claims: Any = user.claims
    with pytest.raises(TypeError):
        untyped_claims["userId"] = 12


def test_leeway(box: PipedriveSandbox) -> None:
    """Clocks may differ by half a minute, or by what the caller says."""
    late = token_of(box, lifetime_seconds=-29)
    assert read_signed_token(late, SECRET, clock=box.clock).user_id == 11
    with pytest.raises(SignedTokenError, match="expired"):
        read_signed_token(late, SECRET, clock=box.clock, leeway=timedelta(0))


def test_several_secrets(box: PipedriveSandbox) -> None:
    """While a secret is replaced, tokens of both are accepted."""
    for secret in (OWN, OLD):
        token = token_of(box, secret=secret)
        assert read_signed_token(token, [OWN, OLD], clock=box.clock).user_id == 11
    with pytest.raises(SignedTokenError):
        read_signed_token(token_of(box), [OWN, OLD], clock=box.clock)


PUBLIC_KEY = f"-----BEGIN PUBLIC KEY-----\n{'A' * 40}\n-----END PUBLIC KEY-----"


@pytest.mark.parametrize(
    "secret", ["", "short", [], [OWN, ""], [OWN, "short"], OWN.encode(), None, PUBLIC_KEY]
)
def test_wrong_secret(box: PipedriveSandbox, secret: Any) -> None:
    """A secret that is missing, guessed easily or public is a mistake of the program."""
    with pytest.raises(ConfigurationError) as caught:
        untyped(read_signed_token)(token_of(box), secret, clock=box.clock)
    assert "short" not in str(caught.value).replace("shorter", "")


@pytest.mark.parametrize("leeway", [timedelta(seconds=-1), timedelta(minutes=6), 30])
def test_wrong_leeway(box: PipedriveSandbox, leeway: Any) -> None:
    """A leeway is a duration, and a small one."""
    with pytest.raises(ConfigurationError, match="leeway"):
        untyped(read_signed_token)(token_of(box), SECRET, leeway=leeway)


def test_library_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without PyJWT the error says how to install it; `web` itself does not need it."""
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "jwt", None)
        with pytest.raises(MissingExtraError, match=r"pipedrive-oauth-client\[web\]"):
            read_signed_token("token", SECRET)
    code = "import sys, pipedrive_oauth_client.web; print('jwt' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    assert done.stdout.strip() == b"False"


def asked(site: Site, query: str = "", **headers: str) -> httpx.Response:
    """Call the panel of an app."""
    return site.browser().get(PANEL + query, headers=headers)


def test_panel(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """The app's panel is for whom the token names, whatever stands beside it; others get 401."""
    token = token_of(site.box)
    right = [
        asked(site, f"?resource=deal&userId=22&companyId=2&companyId=3&token={token}"),
        asked(site, "?userId=22", Authorization=f"bEaReR  {token}"),
    ]
    assert [(each.status_code, each.json()) for each in right] == [(200, DEFAULT_USER.account)] * 2
    assert caplog.records == []
    forged = token_of(site.box, secret=FORGED)
    wrong = [
        asked(site),
        asked(site, "?userId=11&companyId=1"),
        asked(site, f"?token={forged}"),
        asked(site, f"?token={token_of(site.box, lifetime_seconds=-60)}"),
        asked(site, f"?token={token_of(site.box, algorithm='none')}"),
        asked(site, f"?token={token}&token={token}"),
        asked(site, f"?token={forged}&token={token}"),
        asked(site, f"?token={token}", Authorization=f"Bearer {token}"),
        asked(site, f"?token={token}" + "&a=1" * 100),
        asked(site, f"?token={token}" + "x" * 5_000),
        asked(site, Authorization=f"Bearer {token}, Bearer {token}"),
        asked(site, Authorization=RIGHT["Authorization"]),
        asked(site, f"?TOKEN={token}"),
    ]
    for response in wrong:
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"].startswith("Bearer ")
        assert response.headers["Cache-Control"] == "no-store"
        assert "rejected" not in response.text
    ours = [each for each in caplog.records if each.name == "pipedrive_oauth_client"]
    assert [each.levelname for each in ours] == ["WARNING"] * len(wrong)
    assert not any(token[-20:] in each.getMessage() for each in caplog.records)


def test_secret_of_the_extension(build: Build) -> None:
    """An extension's own secrets count in place of the client secret."""
    site = build(extension_secrets=[OWN, OLD])
    statuses = [
        asked(site, f"?token={token_of(site.box, secret=secret)}").status_code
        for secret in (OWN, OLD, SECRET)
    ]
    assert statuses == [200, 200, 401]
    assert OWN not in repr(site.web)
    with pytest.raises(ConfigurationError, match="extension_secrets"):
        build(extension_secrets=["short"])


def test_calls_of_messaging_and_video(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """An endpoint that only the service may call takes the app's credentials, and no others."""
    call = site.box.server.sandbox.endpoint_call(f"https://app.example.com{WEBHOOK}", app=CLIENT)
    response = site.browser().send(
        call.method, call.url, headers=call.headers, content=call.content
    )
    assert (response.status_code, response.text) == (200, "received")
    for headers in WRONG_CREDENTIALS.values():
        response = site.browser().send("POST", WEBHOOK, headers=headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"].startswith("Basic ")
    said = [each.getMessage() for each in caplog.records if "claims" in each.getMessage()]
    assert len(said) == len(WRONG_CREDENTIALS)
    # The first of them has no header at all, which a proxy may have removed.
    assert ["mod_wsgi" in each for each in said] == [True] + [False] * (len(said) - 1)
