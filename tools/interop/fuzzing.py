"""Schemathesis makes requests from openapi.yaml, valid and invalid ones, for the sandbox.

Each run has a fixed seed. The counts come from the sandbox's request log; Schemathesis judges the
responses by the spec, along with the three checks of scripts/fuzz_hooks.py.
"""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx

from pipedrive_oauth_client import AppCredentials, PipedriveOAuth, sandbox
from tools.environments import ROOT
from tools.interop import installers
from tools.interop.subprocesses import environment, expect, expect_equal, run

if TYPE_CHECKING:
    from pathlib import Path

    from pipedrive_oauth_client.sandbox import RequestLog, SandboxServer, User

SECONDS = 300
SEED = 20261125
EXAMPLES = 350  # for each of the four operations, in each of the first two runs
LEAST_CASES = 1_200  # in each of these
FEW_EXAMPLES = 120  # in the run with a wrong secret, which is for one line of the sandbox
LEAST_OF_FEW = 400
LEAST_IMPOSTORS = 25  # requests rejected for their secret, at each operation
LEAST_GRANTED = 50  # responses with status 200 of each operation, with credentials
LEAST_REJECTED = 50  # responses with status 400
GRANTS = 250
LOGGED = 10_000  # the log keeps no more

PATHS = {
    "/oauth/authorize": "GET",
    "/oauth/token": "POST",
    "/oauth/token/": "POST",
    "/oauth/revoke": "POST",
}
TOKEN_PATHS = ("/oauth/token", "/oauth/token/")
# Revoking a refresh token ends all that its user gave the app, so each has a user of its own.
LEAVING = tuple(
    sandbox.User(
        id=1000 + number,
        name=f"User {number}",
        email=f"user{number}@acme.example",
        company_id=1,
        company_name="Acme",
        company_domain="acme",
    )
    for number in range(30)
)
# Neither accepts a rejection but 401. Pipedrive documents 400, the spec has both, and the hook
# nothing_without_credentials is as strict.
ONLY_401 = "ignored_auth,missing_required_header"


def check(scratch: Path) -> str:
    """Run Schemathesis with valid credentials, none and a wrong secret; return the counts."""
    # Requests that are not HTTP are sent on purpose, and uvicorn logs each.
    logging.getLogger("uvicorn").addHandler(logging.NullHandler())
    box = sandbox.create_app(
        users=(sandbox.DEFAULT_USER, *LEAVING),
        code_lifetime_minutes=60,
        api_calls_per_two_seconds=1_000_000,
    )
    with sandbox.run(box) as server:
        log = server.requests
        app = server.app
        write(scratch, existing_grants(server))
        login = f"{app.client_id}:{app.client_secret}"
        log.clear()
        many = (f"--max-examples={EXAMPLES}", "--exclude-checks")
        printed = fuzz(server, scratch, "--auth", login, *many, ONLY_401)
        with_credentials = counted(log, printed)
        for path, method in PATHS.items():
            found = log.count(path=path, method=method, status=200)
            least = len(LEAVING) if path == "/oauth/revoke" else LEAST_GRANTED
            what = f"{path}: {found} responses with status 200, at least {least} expected"
            expect(found >= least, what, printed)
            found = log.count(path=path, method=method, status=400)
            what = f"{path}: {found} responses with status 400, at least {LEAST_REJECTED} expected"
            expect(found >= LEAST_REJECTED, what, printed)
        left = [user.name for user in LEAVING if box.is_installed(user)]
        expect_equal(left, [], "users whose refresh token was revoked and who still have the app")
        granted = [log.count(path=path, status=200) for path in TOKEN_PATHS]

        write(scratch, {**existing_grants(server), "authorization": None})
        log.clear()
        printed = fuzz(server, scratch, *many, "missing_required_header")
        without = counted(log, printed)
        for path in (*TOKEN_PATHS, "/oauth/revoke"):
            found = log.count(path=path, outcome="ok")
            expect_equal(found, 0, f"{path} without credentials, successful responses", printed)

        # The run without credentials used up no grant, so they are there for this run as well.
        log.clear()
        login = f"{app.client_id}:{app.client_secret}x"
        few = (f"--max-examples={FEW_EXAMPLES}", "--exclude-checks", ONLY_401)
        printed = fuzz(server, scratch, "--auth", login, *few)
        impostors = counted(log, printed, LEAST_OF_FEW)
        for path in (*TOKEN_PATHS, "/oauth/revoke"):
            found = log.count(path=path, outcome="ok")
            expect_equal(found, 0, f"{path} with a wrong secret, successful responses", printed)
            found = log.count(path=path, client_id=app.client_id, outcome="invalid_client")
            what = f"{path}: {found} secrets rejected, at least {LEAST_IMPOSTORS} expected"
            expect(found >= LEAST_IMPOSTORS, what, printed)
        kept = [user for user in LEAVING if box.is_installed(user)]
        expect_equal(
            len(kept),
            len(LEAVING),
            "users who still have the app after a run that could revoke nothing",
        )
    return (
        f"{with_credentials} cases with credentials, {without} without and {impostors} with a wrong"
        " secret, no failure;"
        f" {granted[0]} exchanges and {granted[1]} refreshes succeeded"
    )


def existing_grants(server: SandboxServer) -> dict[str, object]:
    """Make valid forms, or queries, for each operation."""
    app = server.app
    credentials = AppCredentials(app.client_id, app.client_secret, app.redirect_uri)

    def code(user: User | None = None) -> str:
        return parse_qs(urlsplit(server.install(user=user)).query)["code"][0]

    with (
        httpx.Client(trust_env=False) as http,
        PipedriveOAuth(credentials, base_url=server.base_url, client=http, retry=None) as oauth,
    ):

        def refresh_token(user: User | None = None) -> str | None:
            return oauth.exchange(code(user)).refresh_token

        return {
            "authorization": credentials.basic_auth_header,
            "authorize": [{"client_id": app.client_id, "redirect_uri": app.redirect_uri}] * GRANTS,
            "get_tokens": [
                {
                    "grant_type": "authorization_code",
                    "code": code(),
                    "redirect_uri": app.redirect_uri,
                }
                for _ in range(GRANTS)
            ],
            "refresh_tokens": [
                {"grant_type": "refresh_token", "refresh_token": refresh_token()}
                for _ in range(GRANTS)
            ],
            "revoke_tokens": [
                {"token": refresh_token(user), "token_type_hint": "refresh_token"}
                for user in LEAVING
            ],
        }


def write(scratch: Path, grants: dict[str, object]) -> None:
    """Write the grants where the hooks look for them."""
    (scratch / "grants.json").write_text(json.dumps(grants), encoding="utf-8")


def fuzz(server: SandboxServer, scratch: Path, *arguments: str) -> str:
    """Run Schemathesis and return what it printed."""
    command = [
        str(installers.python().with_name("schemathesis")),
        f"--config-file={installers.SCRIPTS / 'schemathesis.toml'}",
        *("run", str(ROOT / "openapi.yaml"), f"--url={server.base_url}"),
        *(f"--seed={SEED}", "--checks=all", "--warnings=off"),
        *arguments,
    ]
    variables = {
        "INTEROP_GRANTS": str(scratch / "grants.json"),
        "SCHEMATHESIS_HOOKS": str(installers.SCRIPTS / "fuzz_hooks.py"),
    }
    return run(
        command,
        what="Schemathesis",
        seconds=SECONDS,
        folder=scratch,
        variables=environment(variables),
        reasons=r"^ +\S+ (ST\d+ .+)$",
    )


def counted(log: RequestLog, printed: str, least: int = LEAST_CASES) -> int:
    """Return how many requests of its own operations the sandbox got; none ended in a 5xx."""
    expect(len(log) < LOGGED, "there were more requests than the sandbox's log keeps; lower them")
    failures = [record for record in log if record.status is None or record.status >= 500]
    expect_equal(len(failures), 0, "requests without a response or with status 5xx", printed)
    number = sum(log.count(path=path, method=method) for path, method in PATHS.items())
    expect(number >= least, f"Schemathesis sent only {number} requests", printed)
    return number
