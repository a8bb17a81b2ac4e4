"""openapi-core judges, by openapi.yaml, every request that this project's client sends.

The client sends each operation into a transport that keeps the request and responds with the
spec's own example. The validator runs in .venv-interop, by scripts/judge_requests.py. It also
judges requests that are wrong, or the accepted ones would prove nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import yaml

from pipedrive_oauth_client import (
    AppCredentials,
    AsyncPipedriveOAuth,
    Client,
    GetTokensRequest,
    GetTokensResponse,
    PipedriveOAuth,
    RefreshTokensRequest,
    RevokeTokensRequest,
    authorize,
    get_tokens,
    refresh_tokens,
    revoke_tokens,
)
from tools.environments import ROOT
from tools.interop import installers
from tools.interop.subprocesses import environment, expect_equal, run

SECONDS = 120
CREDENTIALS = AppCredentials(
    "3f9a1c07d2b84e65", "not a real secret ~ü%+:", "https://app.example.com/callback?a=b&c=d"
)
CODE = "8d7e51fc20b94a36 +/=&%;~"
TOKEN = "7412903:9120468:5be07c43d1f2a896"
QUERY = {
    "client_id": CREDENTIALS.client_id,
    "redirect_uri": CREDENTIALS.redirect_uri,
    "state": "mK3vT9-qWx0 e&b=",
}
AUTHORIZATION = CREDENTIALS.basic_auth_header
OPERATIONS: list[tuple[Any, dict[str, Any]]] = [
    (authorize, QUERY),
    (
        get_tokens,
        {
            "authorization": AUTHORIZATION,
            "body": GetTokensRequest(code=CODE, redirect_uri=CREDENTIALS.redirect_uri),
        },
    ),
    (
        refresh_tokens,
        {"authorization": AUTHORIZATION, "body": RefreshTokensRequest(refresh_token=TOKEN)},
    ),
    (
        revoke_tokens,
        {
            "authorization": AUTHORIZATION,
            "body": RevokeTokensRequest(token=TOKEN, token_type_hint="refresh_token"),
        },
    ),
]

# How often each operation is called, synchronously and asynchronously: by the two generated
# functions and by `PipedriveOAuth`, which revokes tokens of both kinds.
WANTED = {
    "GET /oauth/authorize": 6,
    "POST /oauth/token": 6,
    "POST /oauth/token/": 6,
    "POST /oauth/revoke": 8,
}
HOST = "https://oauth.pipedrive.com"
HEADERS = {"Authorization": AUTHORIZATION}
FORM = {"grant_type": "authorization_code", "code": CODE, "redirect_uri": CREDENTIALS.redirect_uri}
REFRESH = {"grant_type": "refresh_token", "refresh_token": TOKEN}
REVOCATION = {"token": TOKEN, "token_type_hint": "refresh_token"}


def post(path: str, headers: dict[str, str] = HEADERS, **content: Any) -> httpx.Request:
    """Return a POST with the app's credentials, unless `headers` says otherwise."""
    return httpx.Request("POST", HOST + path, headers=headers, **content)


# Requests that the validator must accept; each wrong one is one of these with one thing changed.
RIGHT = {
    "an authorization request": httpx.Request("GET", f"{HOST}/oauth/authorize", params=QUERY),
    "a code": post("/oauth/token", data=FORM),
    "a refresh token": post("/oauth/token/", data=REFRESH),
    "a token to revoke": post("/oauth/revoke", data=REVOCATION),
}
# Requests that the validator must reject, with this error.
WRONG = {
    "no redirect_uri in the query": (
        "MissingRequiredParameter",
        httpx.Request(
            "GET",
            f"{HOST}/oauth/authorize",
            params={name: QUERY[name] for name in ("client_id", "state")},
        ),
    ),
    "no Authorization header": (
        "SecurityValidationError",
        post("/oauth/token", data=FORM, headers={}),
    ),
    "a bearer token": (
        "SecurityValidationError",
        post("/oauth/token", data=FORM, headers={"Authorization": f"Bearer {TOKEN}"}),
    ),
    "the form as JSON": ("RequestBodyValidationError", post("/oauth/token", json=FORM)),
    "no body": ("MissingRequiredRequestBody", post("/oauth/token")),
    "another grant_type": (
        "InvalidRequestBody",
        post("/oauth/token", data={**FORM, "grant_type": "refresh_token"}),
    ),
    "a redirect_uri that is no URI": (
        "InvalidRequestBody",
        post("/oauth/token", data={**FORM, "redirect_uri": "callback"}),
    ),
    "no refresh_token": (
        "InvalidRequestBody",
        post("/oauth/token/", data={"grant_type": "refresh_token"}),
    ),
    "no token": (
        "InvalidRequestBody",
        post("/oauth/revoke", data={"token_type_hint": "refresh_token"}),
    ),
    "another method": (
        "OperationNotFound",
        httpx.Request("PUT", f"{HOST}/oauth/token", data=FORM, headers=HEADERS),
    ),
    "another path": ("PathNotFound", post("/oauth/tokens", data=FORM)),
    "another host": (
        "ServerNotFound",
        httpx.Request("POST", "https://api.pipedrive.com/oauth/token", data=FORM, headers=HEADERS),
    ),
}


def check(scratch: Path) -> str:
    """Capture and judge requests for every operation, and return the counts."""
    spec = tightened()
    example = spec["components"]["responses"]["Tokens"]["content"]["application/json"]["example"]
    captured: list[httpx.Request] = []

    def respond(request: httpx.Request) -> httpx.Response:
        captured.append(request)
        return httpx.Response(200, json=example)

    transport = httpx.MockTransport(respond)
    parsed = [*send_all(transport), *asyncio.run(send_all_async(transport))]
    sent = Counter(f"{request.method} {request.url.path}" for request in captured)
    expect_equal(dict(sent), WANTED, "requests that the client sent for each operation")
    kinds = [type(response) for response in parsed]
    expect_equal(kinds, [GetTokensResponse] * 4, "what the client parsed the spec's example as")

    names = [f"{request.method} {request.url.path}" for request in captured]
    wrong = [request for _error, request in WRONG.values()]
    verdicts = judge(spec, [*captured, *RIGHT.values(), *wrong], scratch)
    wanted = [
        *[[]] * (len(captured) + len(RIGHT)),
        *[[error] for error, _request in WRONG.values()],
    ]
    for what, found, errors in zip([*names, *RIGHT, *WRONG], verdicts, wanted, strict=True):
        kinds_found = [error.partition("(")[0] for error in found]
        expect_equal(kinds_found, errors, f"openapi-core's errors for {what}", "\n".join(found))
    return f"{len(captured)} requests of the client accepted, {len(wrong)} wrong ones rejected"


def tightened() -> dict[str, Any]:
    """Return openapi.yaml with every optional field of a form required.

    Like Pipedrive's own, the spec calls no field of a form required and takes any `grant_type`, so
    that an empty form would be valid. What fits this stricter spec fits the spec as well.
    """
    spec: dict[str, Any] = yaml.safe_load((ROOT / "openapi.yaml").read_text("utf-8"))
    schemas: dict[str, dict[str, Any]] = spec["components"]["schemas"]
    forms = [schema for name, schema in schemas.items() if name.endswith("Request")]
    expect_equal(len(forms), 3, "forms in openapi.yaml")
    for schema in forms:
        schema["required"] = list(schema["properties"])
        for field in schema["properties"].values():
            if "default" in field:
                field["enum"] = [field["default"]]
    return spec


def judge(spec: dict[str, Any], requests: list[httpx.Request], scratch: Path) -> list[list[str]]:
    """Return what openapi-core finds wrong with each request."""
    described = [
        {
            "method": request.method,
            "url": str(request.url),
            "headers": request.headers.multi_items(),
            "body": request.content.decode("latin-1"),
        }
        for request in requests
    ]
    printed = run(
        [str(installers.python()), "-I", str(installers.SCRIPTS / "judge_requests.py")],
        what="openapi-core",
        seconds=SECONDS,
        folder=scratch,
        variables=environment(),
        text=json.dumps({"spec": spec, "requests": described}),
    )
    verdicts: list[list[str]] = json.loads(printed.partition("DONE ")[2])
    return verdicts


def send_all(transport: httpx.MockTransport) -> list[object]:
    """Send every operation synchronously and return the parsed token responses."""
    with httpx.Client(transport=transport) as http:
        client = Client().set_httpx_client(http)
        parsed: list[object] = []
        for operation, arguments in OPERATIONS:
            operation.sync_detailed(client=client, **arguments)
            parsed.append(operation.sync(client=client, **arguments))

        oauth = PipedriveOAuth(CREDENTIALS, client=http, retry=None)
        http.get(oauth.authorization_url().url)
        token = oauth.refresh(oauth.exchange(CODE))
        oauth.revoke(token, "access_token")
        oauth.revoke(token, "refresh_token")
    return [response for response in parsed if response is not None]


async def send_all_async(transport: httpx.MockTransport) -> list[object]:
    """Send every operation asynchronously and return the parsed token responses."""
    async with httpx.AsyncClient(transport=transport) as http:
        client = Client().set_async_httpx_client(http)
        parsed: list[object] = []
        for operation, arguments in OPERATIONS:
            await operation.asyncio_detailed(client=client, **arguments)
            parsed.append(await operation.asyncio(client=client, **arguments))

        oauth = AsyncPipedriveOAuth(CREDENTIALS, client=http, retry=None)
        await http.get(oauth.authorization_url().url)
        token = await oauth.refresh(await oauth.exchange(CODE))
        await oauth.revoke(token, "access_token")
        await oauth.revoke(token, "refresh_token")
    return [response for response in parsed if response is not None]
