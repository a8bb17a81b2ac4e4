"""OAuth clients of others go from consent to the API and a refresh, against the sandbox.

Each is driven by a small program in scripts/, which is told the sandbox's address and the app on
its first line of input. It prints `VISIT` and the address that a browser is to open, is given the
callback on its next line of input, goes on, and at last prints `DONE` and what it learned. What no
client of others can be brought to ask for is asked after that, in raw requests.
"""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx

from pipedrive_oauth_client import sandbox
from tools.interop import outsiders
from tools.interop.children import environment, started
from tools.interop.difference import expect, expect_equal

if TYPE_CHECKING:
    from pipedrive_oauth_client.sandbox import SandboxServer

SECONDS = 60

# What the sandbox has to be asked, in this order: method, path, grant_type of the form, status,
# outcome. The replaced refresh token and the wrong secret are sent while the grant is alive, or
# they would be refused for its end.
CONSENT = [
    ("GET", "/oauth/authorize", None, 200, "ok"),
    ("POST", "/sandbox/consent", None, 303, "ok"),
]
EXCHANGE = ("POST", "/oauth/token", "authorization_code", 200, "ok")
REFRESH = ("POST", "/oauth/token", "refresh_token", 200, "ok")
SLASHED_REFRESH = ("POST", "/oauth/token/", "refresh_token", 200, "ok")
API_CALL = ("GET", "/api/v1/users/me", None, 200, "ok")
REFUSED_API_CALL = ("GET", "/api/v1/users/me", None, 401, "invalid_token")
DEAD_TOKEN = ("POST", "/oauth/token", "refresh_token", 400, "invalid_grant")
SLASHED_DEAD_TOKEN = ("POST", "/oauth/token/", "refresh_token", 400, "invalid_grant")
WRONG_SECRET = ("POST", "/oauth/token", "refresh_token", 400, "invalid_client")
SLASHED_WRONG_SECRET = ("POST", "/oauth/token/", "refresh_token", 400, "invalid_client")
REVOCATION = ("POST", "/oauth/revoke", None, 200, "ok")
TOKEN_FIELDS = {
    *("access_token", "token_type", "refresh_token", "scope", "expires_in", "api_domain")
}


def pipedrive_node(scratch: Path) -> str:
    """Let Pipedrive's own Node.js client authorize, call the API, refresh, revoke, be refused."""
    return journey(
        [str(outsiders.node()), str(outsiders.SCRIPTS / "pipedrive_node.mjs")],
        scratch,
        wanted=[
            *CONSENT,
            EXCHANGE,
            API_CALL,
            REFRESH,
            DEAD_TOKEN,
            WRONG_SECRET,
            API_CALL,
            REVOCATION,
            REFUSED_API_CALL,
            DEAD_TOKEN,
        ],
        is_installed=False,
    )


def authlib(scratch: Path) -> str:
    """Let Authlib's httpx client authorize, call the API, refresh, revoke, be refused."""
    return journey(
        [str(outsiders.python()), "-I", str(outsiders.SCRIPTS / "authlib_httpx.py")],
        scratch,
        wanted=[
            *CONSENT,
            EXCHANGE,
            API_CALL,
            SLASHED_REFRESH,
            SLASHED_DEAD_TOKEN,
            SLASHED_WRONG_SECRET,
            API_CALL,
            REVOCATION,
            REFUSED_API_CALL,
            SLASHED_DEAD_TOKEN,
        ],
        is_installed=False,
    )


def requests_oauthlib(scratch: Path) -> str:
    """Let requests-oauthlib authorize, call the API, refresh, be refused; it can't revoke."""
    return journey(
        [str(outsiders.python()), "-I", str(outsiders.SCRIPTS / "requests_oauthlib_session.py")],
        scratch,
        wanted=[*CONSENT, EXCHANGE, API_CALL, REFRESH, DEAD_TOKEN, WRONG_SECRET, API_CALL],
        is_installed=True,
    )


def journey(
    command: list[str],
    scratch: Path,
    *,
    wanted: list[tuple[str, str, str | None, int, str]],
    is_installed: bool,
) -> str:
    """Run a program that drives a client, and compare what it did with what it had to do.

    Args:
        command: The program.
        scratch: The folder to run it in.
        wanted: The requests that the sandbox has to get.
        is_installed: Whether the app still has the person's consent at the end.

    Returns:
        What was counted.
    """
    with (
        sandbox.run() as server,
        started(
            command,
            what=Path(command[-1]).name,
            seconds=SECONDS,
            folder=scratch,
            # oauthlib refuses http, also on this machine, unless it is told that this is a test.
            variables=environment({"OAUTHLIB_INSECURE_TRANSPORT": "1"}),
        ) as child,
    ):
        app = server.app
        settings = {
            "base_url": server.base_url,
            "client_id": app.client_id,
            "client_secret": app.client_secret,
            "redirect_uri": app.redirect_uri,
        }
        child.say(json.dumps(settings))
        child.say(server.visit(child.after("VISIT ")))
        told = json.loads(child.after("DONE "))
        child.finish()

        records = [(r.method, r.path, r.grant_type, r.status, r.outcome) for r in server.requests]
        for number, pair in enumerate(zip_longest(records, wanted), start=1):
            expect_equal(*pair, f"request {number}", child.printed)
        for record in server.requests.select(method="POST"):
            named = record.client_id == app.client_id or record.path == "/sandbox/consent"
            expect(named, f"{record.path} was not asked in the name of the app", child.printed)
        person = sandbox.DEFAULT_USER
        learned = {
            "user": person.name,
            "scope": ",".join(app.scopes),
            "renewed": True,
            "replaced_token": "invalid_grant",
            "wrong_secret": "invalid_client",
        }
        expect_equal(told, learned, "what the program learned", child.printed)
        state = server.sandbox.is_installed(person)
        expect_equal(state, is_installed, "whether the app is still installed", child.printed)
        raw = stay_strict(server)
    return f"{len(records)} requests and {raw} raw ones, all as they had to be"


def stay_strict(server: SandboxServer) -> int:
    """Check what is refused to raw requests for a new grant, and return how many were sent.

    An exchange that is refused must leave the code as it is, so the right one comes after those.
    """
    app = server.app
    right, wrong = app.client_secret, f"{app.client_secret}x"
    stranger = f"{app.redirect_uri}/other"
    code = parse_qs(urlsplit(server.install()).query)["code"][0]
    grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": app.redirect_uri}
    with httpx.Client(base_url=server.base_url, trust_env=False) as http:
        question = {"client_id": app.client_id, "redirect_uri": stranger}
        page = http.get("/oauth/authorize", params=question)
        found = (page.status_code, page.headers.get("Location"))
        expect_equal(found, (400, None), "consent for an unregistered redirect_uri")

        def ask(
            what: str, outcome: str, form: dict[str, str], secret: str = right
        ) -> httpx.Response:
            answer = http.post("/oauth/token", data=form, auth=(app.client_id, secret))
            status = 200 if outcome == "ok" else 400
            found = (answer.status_code, answer.json().get("error", "ok"))
            expect_equal(found, (status, outcome), what)
            expect_equal(server.requests[-1].outcome, outcome, f"{what}, in the log")
            return answer

        ask("a code with a wrong secret", "invalid_client", grant, wrong)
        ask(
            "a code of another redirect_uri", "invalid_request", {**grant, "redirect_uri": stranger}
        )
        tokens = ask("a code", "ok", grant).json()
        expect_equal(set(tokens), TOKEN_FIELDS, "fields of an answer with tokens")
        ask("a code that was used", "invalid_grant", grant)
        renewal = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        ask("the refresh token of a code that came twice", "invalid_grant", renewal)
    return 6
