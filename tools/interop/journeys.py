"""OAuth clients of others go from consent to the API and a refresh, against the sandbox.

Each is driven by a small program in scripts/, which is told the sandbox's address and the app on
its first line of input. It prints `VISIT` and the address that a browser is to open, is given the
callback on its next line of input, goes on, and at last prints `DONE` and what it learned.
"""

from __future__ import annotations

import json
from itertools import zip_longest
from pathlib import Path

from pipedrive_oauth_client import sandbox
from tools.interop import outsiders
from tools.interop.children import environment, started
from tools.interop.difference import expect, expect_equal

SECONDS = 60

# What the sandbox has to be asked, in this order: method, path, grant_type of the form, status.
CONSENT = [
    ("GET", "/oauth/authorize", None, 200),
    ("POST", "/sandbox/consent", None, 303),
]
EXCHANGE = ("POST", "/oauth/token", "authorization_code", 200)
REFRESH = ("POST", "/oauth/token", "refresh_token", 200)
SLASHED_REFRESH = ("POST", "/oauth/token/", "refresh_token", 200)
API_CALL = ("GET", "/api/v1/users/me", None, 200)
REFUSED_API_CALL = ("GET", "/api/v1/users/me", None, 401)
REFUSED_REFRESH = ("POST", "/oauth/token", "refresh_token", 400)
REFUSED_SLASHED_REFRESH = ("POST", "/oauth/token/", "refresh_token", 400)
REVOCATION = ("POST", "/oauth/revoke", None, 200)


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
            API_CALL,
            REVOCATION,
            REFUSED_API_CALL,
            REFUSED_REFRESH,
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
            API_CALL,
            REVOCATION,
            REFUSED_API_CALL,
            REFUSED_SLASHED_REFRESH,
        ],
        is_installed=False,
    )


def requests_oauthlib(scratch: Path) -> str:
    """Let requests-oauthlib authorize, call the API, refresh, be refused; it can't revoke."""
    return journey(
        [str(outsiders.python()), "-I", str(outsiders.SCRIPTS / "requests_oauthlib_session.py")],
        scratch,
        wanted=[*CONSENT, EXCHANGE, API_CALL, REFRESH, API_CALL, REFUSED_REFRESH],
        is_installed=True,
    )


def journey(
    command: list[str],
    scratch: Path,
    *,
    wanted: list[tuple[str, str, str | None, int]],
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

        records = [(r.method, r.path, r.grant_type, r.status) for r in server.requests]
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
            "refusal": "invalid_grant",
        }
        expect_equal(told, learned, "what the program learned", child.printed)
        state = server.sandbox.is_installed(person)
        expect_equal(state, is_installed, "whether the app is still installed", child.printed)
    return f"{len(records)} requests, all as they had to be"
