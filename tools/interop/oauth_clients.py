"""OAuth clients of others go from consent to the API and a refresh, against the sandbox.

Each is driven by a small program in scripts/. It reads the sandbox's address and the app's
settings from its first line of input, prints `VISIT` and the address that a browser is to open,
reads the callback URL from its next line of input, and at last prints `DONE` and what it learned.
What no client of others can be made to send is sent after that, in raw requests.
"""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx

from pipedrive_oauth_client import sandbox
from tools.interop import installers
from tools.interop.subprocesses import environment, expect, expect_equal, started

if TYPE_CHECKING:
    from pathlib import Path

    from pipedrive_oauth_client.sandbox import SandboxServer

    # Method, path, grant_type of the form, status, outcome.
    Record = tuple[str, str, str | None, int, str]

SECONDS = 60
CONSENT: list[Record] = [
    ("GET", "/oauth/authorize", None, 200, "ok"),
    ("POST", "/sandbox/consent", None, 303, "ok"),
]
EXCHANGE: Record = ("POST", "/oauth/token", "authorization_code", 200, "ok")
API_CALL: Record = ("GET", "/api/v1/users/me", None, 200, "ok")
REVOCATION: Record = ("POST", "/oauth/revoke", None, 200, "ok")
API_CALL_REJECTED: Record = ("GET", "/api/v1/users/me", None, 401, "invalid_token")
TOKEN_FIELDS = {
    *("access_token", "token_type", "refresh_token", "scope", "expires_in", "api_domain")
}


def pipedrive_node(scratch: Path) -> str:
    """Let Pipedrive's own Node.js client authorize, call the API, refresh and revoke."""
    return drive(
        "Pipedrive's Node.js client",
        [str(installers.node()), str(installers.SCRIPTS / "pipedrive_node.mjs")],
        scratch,
        refresh_path="/oauth/token",
        revokes=True,
    )


def authlib(scratch: Path) -> str:
    """Let Authlib's httpx client authorize, call the API, refresh and revoke."""
    return drive(
        "Authlib", python_client("authlib"), scratch, refresh_path="/oauth/token/", revokes=True
    )


def requests_oauthlib(scratch: Path) -> str:
    """Let requests-oauthlib authorize, call the API and refresh; it can't revoke."""
    return drive(
        "requests-oauthlib",
        python_client("requests-oauthlib"),
        scratch,
        refresh_path="/oauth/token",
        revokes=False,
    )


def python_client(name: str) -> list[str]:
    """Return the command that drives a Python client."""
    return [str(installers.python()), "-I", str(installers.SCRIPTS / "python_clients.py"), name]


def wanted_records(refresh_path: str, *, revokes: bool) -> list[Record]:
    """Return the requests that the sandbox has to get, in this order.

    The replaced refresh token and the wrong secret are sent while the grant is alive, or they
    would be rejected for its end.
    """

    def refresh(status: int, outcome: str) -> Record:
        return ("POST", refresh_path, "refresh_token", status, outcome)

    invalid_grant = refresh(400, "invalid_grant")
    wrong_secret = refresh(400, "invalid_client")
    records = [*CONSENT, EXCHANGE, API_CALL, refresh(200, "ok")]
    records += [invalid_grant, wrong_secret, API_CALL]
    return records + [REVOCATION, API_CALL_REJECTED, invalid_grant] * revokes


def drive(what: str, command: list[str], scratch: Path, *, refresh_path: str, revokes: bool) -> str:
    """Run a program that drives a client, compare what it did with what it had to do, and count."""
    with (
        sandbox.run() as server,
        started(
            command,
            what=what,
            seconds=SECONDS,
            folder=scratch,
            # oauthlib rejects http, also on this machine, unless it is told that this is a test.
            variables=environment({"OAUTHLIB_INSECURE_TRANSPORT": "1"}),
        ) as program,
    ):
        app = server.app
        settings = {
            "base_url": server.base_url,
            "client_id": app.client_id,
            "client_secret": app.client_secret,
            "redirect_uri": app.redirect_uri,
        }
        program.write_line(json.dumps(settings))
        program.write_line(server.visit(program.read_after("VISIT ")))
        learned = json.loads(program.read_after("DONE "))
        program.wait()

        records = [(r.method, r.path, r.grant_type, r.status, r.outcome) for r in server.requests]
        wanted = wanted_records(refresh_path, revokes=revokes)
        for number, pair in enumerate(zip_longest(records, wanted), start=1):
            expect_equal(*pair, f"request {number}", program.printed)
        for record in server.requests.select(method="POST"):
            authenticated = record.client_id == app.client_id or record.path == "/sandbox/consent"
            expect(authenticated, f"{record.path} was called by another app", program.printed)
        user = sandbox.DEFAULT_USER
        to_learn = {
            "user": user.name,
            "scope": ",".join(app.scopes),
            "refreshed": True,
            "replaced_token": "invalid_grant",
            "wrong_secret": "invalid_client",
        }
        expect_equal(learned, to_learn, "what the program learned", program.printed)
        is_installed = server.sandbox.is_installed(user)
        expect_equal(is_installed, not revokes, "whether the app is still installed")
        raw = send_raw_requests(server)
    return f"{len(records)} requests and {raw} raw ones, all as they had to be"


def send_raw_requests(server: SandboxServer) -> int:
    """Check what the sandbox rejects for a new grant, and return how many requests were sent.

    A rejected exchange must leave the code as it is, so the right one comes after those.
    """
    app = server.app
    right, wrong = app.client_secret, f"{app.client_secret}x"
    unregistered = f"{app.redirect_uri}/other"
    code = parse_qs(urlsplit(server.install()).query)["code"][0]
    grant = {"grant_type": "authorization_code", "code": code, "redirect_uri": app.redirect_uri}
    with httpx.Client(base_url=server.base_url, trust_env=False) as http:
        query = {"client_id": app.client_id, "redirect_uri": unregistered}
        page = http.get("/oauth/authorize", params=query)
        found = (page.status_code, page.headers.get("Location"))
        expect_equal(found, (400, None), "consent for an unregistered redirect_uri")

        def post(
            what: str, outcome: str, form: dict[str, str], secret: str = right
        ) -> httpx.Response:
            response = http.post("/oauth/token", data=form, auth=(app.client_id, secret))
            status = 200 if outcome == "ok" else 400
            found = (response.status_code, response.json().get("error", "ok"))
            expect_equal(found, (status, outcome), what)
            expect_equal(server.requests[-1].outcome, outcome, f"{what}, in the log")
            return response

        post("a code with a wrong secret", "invalid_client", grant, wrong)
        other = {**grant, "redirect_uri": unregistered}
        post("a code of another redirect_uri", "invalid_request", other)
        tokens = post("a code", "ok", grant).json()
        expect_equal(set(tokens), TOKEN_FIELDS, "fields of a token response")
        post("a code that was used", "invalid_grant", grant)
        refresh = {"grant_type": "refresh_token", "refresh_token": tokens["refresh_token"]}
        post("the refresh token of a code that came twice", "invalid_grant", refresh)
    return 6
