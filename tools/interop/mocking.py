"""Prism plays the service from openapi.yaml, and judges every request of this project's client."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

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
from tools.interop import outsiders
from tools.interop.children import environment, started
from tools.interop.difference import expect, expect_equal

if TYPE_CHECKING:
    from pathlib import Path

    from tools.interop.children import Child

SECONDS = 120
# No colon in the secret: Prism takes none there, other than RFC 7617.
CREDENTIALS = AppCredentials(
    "3f9a1c07d2b84e65", "not a real secret ~ü%+", "https://app.example.com/callback?a=b&c=d"
)
CODE = "8d7e51fc20b94a36 +/=&%;~"
TOKEN = "7412903:9120468:5be07c43d1f2a896"
QUESTION = {
    "client_id": CREDENTIALS.client_id,
    "redirect_uri": CREDENTIALS.redirect_uri,
    "state": "mK3vT9-qWx0 e&b=",
}
GRANT = GetTokensRequest(code=CODE, redirect_uri=CREDENTIALS.redirect_uri)
RENEWAL = RefreshTokensRequest(refresh_token=TOKEN)
END = RevokeTokensRequest(token=TOKEN, token_type_hint="refresh_token")

# How often each operation is asked for, synchronously and asynchronously: by the two generated
# functions and by the flow, which revokes tokens of both kinds.
WANTED = {
    "GET /oauth/authorize": 6,
    "POST /oauth/token": 6,
    "POST /oauth/token/": 6,
    "POST /oauth/revoke": 8,
}
HEADERS = {"Authorization": CREDENTIALS.basic_auth_header}
FORM = {"grant_type": "authorization_code", "code": CODE, "redirect_uri": CREDENTIALS.redirect_uri}
RENEWAL_FORM = {"grant_type": "refresh_token", "refresh_token": TOKEN}
END_FORM = {"token": TOKEN, "token_type_hint": "refresh_token"}
# Raw requests that Prism must accept; each wrong one below is one of these with one thing changed.
RIGHT: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a question": ("GET", "/oauth/authorize", {"params": QUESTION}),
    "a code": ("POST", "/oauth/token", {"data": FORM, "headers": HEADERS}),
    "a refresh token": ("POST", "/oauth/token/", {"data": RENEWAL_FORM, "headers": HEADERS}),
    "a token to revoke": ("POST", "/oauth/revoke", {"data": END_FORM, "headers": HEADERS}),
}
# Requests that Prism must refuse, with this status, or the accepted ones would prove nothing.
WRONG: dict[str, tuple[int, str, str, dict[str, Any]]] = {
    "no redirect_uri": (
        400,
        "GET",
        "/oauth/authorize",
        {"params": {"client_id": CREDENTIALS.client_id, "state": QUESTION["state"]}},
    ),
    "no Authorization header": (401, "POST", "/oauth/token", {"data": FORM}),
    "a bearer token": (
        401,
        "POST",
        "/oauth/token",
        {"data": FORM, "headers": {"Authorization": f"Bearer {TOKEN}"}},
    ),
    "the form as JSON": (400, "POST", "/oauth/token", {"json": FORM, "headers": HEADERS}),
    "no body": (400, "POST", "/oauth/token", {"headers": HEADERS}),
    "another grant_type": (
        400,
        "POST",
        "/oauth/token",
        {"data": {**FORM, "grant_type": "refresh_token"}, "headers": HEADERS},
    ),
    "a redirect_uri that is none": (
        400,
        "POST",
        "/oauth/token",
        {"data": {**FORM, "redirect_uri": "callback"}, "headers": HEADERS},
    ),
    "no refresh_token": (
        400,
        "POST",
        "/oauth/token/",
        {"data": {"grant_type": "refresh_token"}, "headers": HEADERS},
    ),
    "no token": (
        400,
        "POST",
        "/oauth/revoke",
        {"data": {"token_type_hint": "refresh_token"}, "headers": HEADERS},
    ),
    "another method": (405, "PUT", "/oauth/token", {"data": FORM, "headers": HEADERS}),
    "another path": (404, "POST", "/oauth/tokens", {"data": FORM, "headers": HEADERS}),
}


def check(scratch: Path) -> str:
    """Send every operation to Prism, rightly and wrongly, and return the counts."""
    document = scratch / "openapi.json"
    document.write_text(json.dumps(tightened()), encoding="utf-8")
    command = [str(outsiders.node()), str(outsiders.PRISM), "mock", "--errors"]
    listen = ["--host=127.0.0.1", "--port=0"]
    with started(
        [*command, *listen, str(document)],
        what="Prism",
        seconds=SECONDS,
        folder=scratch,
        variables=environment(),
    ) as prism:
        base_url = prism.after("Prism is listening on ")
        answers: list[httpx.Response] = []
        try:
            read = [*send_all(base_url, answers), *asyncio.run(send_all_async(base_url, answers))]
        finally:
            # Says more than the error that the client makes of the same answer.
            judge(answers, prism)
        sent = Counter(f"{a.request.method} {a.request.url.path}" for a in answers)
        expect_equal(dict(sent), WANTED, "requests that Prism got of each operation")
        kinds = {type(answer) for answer in read}
        expect_equal(kinds, {GetTokensResponse}, "what the client read Prism's tokens as")
        answer_all(base_url)
    return f"{len(answers)} requests of the client accepted, {len(WRONG)} wrong ones refused"


def judge(answers: list[httpx.Response], prism: Child) -> None:
    """Check that Prism found nothing wrong with a request."""
    for answer in answers:
        request = answer.request
        violations = answer.headers.get("sl-violations", "")
        expect(
            answer.is_success and not violations,
            f"Prism answers {request.method} {request.url.path} with {answer.status_code}:"
            f" {violations or 'no violation'}",
            prism.printed,
        )


def tightened() -> dict[str, Any]:
    """Return openapi.yaml with all that is optional in a form made necessary.

    Like Pipedrive's own, the spec calls no field of a form required and takes any `grant_type`, so
    that Prism would accept an empty form. What fits this stricter one fits the spec as well.
    """
    spec: dict[str, Any] = yaml.safe_load((ROOT / "openapi.yaml").read_text("utf-8"))
    forms = [schema for name, schema in schemas(spec) if name.endswith("Request")]
    expect_equal(len(forms), 3, "forms in openapi.yaml")
    for schema in forms:
        schema["required"] = list(schema["properties"])
        for field in schema["properties"].values():
            if "default" in field:
                field["enum"] = [field["default"]]
    return spec


def schemas(spec: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Return the named schemas of a spec."""
    return list(spec["components"]["schemas"].items())


def send_all(base_url: str, answers: list[httpx.Response]) -> list[object]:
    """Send every operation synchronously, by the generated functions and by the flow.

    Args:
        base_url: Where Prism is.
        answers: Is filled with its answers.

    Returns:
        What the client read the tokens as.
    """
    authorization = CREDENTIALS.basic_auth_header
    with httpx.Client(trust_env=False, event_hooks={"response": [answers.append]}) as http:
        client = Client(base_url=base_url).set_httpx_client(http)
        authorize.sync_detailed(client=client, **QUESTION)
        authorize.sync(client=client, **QUESTION)
        get_tokens.sync_detailed(client=client, authorization=authorization, body=GRANT)
        tokens = get_tokens.sync(client=client, authorization=authorization, body=GRANT)
        refresh_tokens.sync_detailed(client=client, authorization=authorization, body=RENEWAL)
        renewed = refresh_tokens.sync(client=client, authorization=authorization, body=RENEWAL)
        revoke_tokens.sync_detailed(client=client, authorization=authorization, body=END)
        revoke_tokens.sync(client=client, authorization=authorization, body=END)

        oauth = PipedriveOAuth(CREDENTIALS, base_url=base_url, client=http, retry=None)
        http.get(oauth.authorization_url().url)
        token = oauth.refresh(oauth.exchange(CODE))
        oauth.revoke(token, "access_token")
        oauth.revoke(token, "refresh_token")
    return [tokens, renewed]


async def send_all_async(base_url: str, answers: list[httpx.Response]) -> list[object]:
    """Do the same as `send_all` asynchronously."""
    authorization = CREDENTIALS.basic_auth_header

    async def note(answer: httpx.Response) -> None:
        answers.append(answer)

    async with httpx.AsyncClient(trust_env=False, event_hooks={"response": [note]}) as http:
        client = Client(base_url=base_url).set_async_httpx_client(http)
        await authorize.asyncio_detailed(client=client, **QUESTION)
        await authorize.asyncio(client=client, **QUESTION)
        await get_tokens.asyncio_detailed(client=client, authorization=authorization, body=GRANT)
        tokens = await get_tokens.asyncio(client=client, authorization=authorization, body=GRANT)
        await refresh_tokens.asyncio_detailed(
            client=client, authorization=authorization, body=RENEWAL
        )
        renewed = await refresh_tokens.asyncio(
            client=client, authorization=authorization, body=RENEWAL
        )
        await revoke_tokens.asyncio_detailed(client=client, authorization=authorization, body=END)
        await revoke_tokens.asyncio(client=client, authorization=authorization, body=END)

        oauth = AsyncPipedriveOAuth(CREDENTIALS, base_url=base_url, client=http, retry=None)
        await http.get(oauth.authorization_url().url)
        token = await oauth.refresh(await oauth.exchange(CODE))
        await oauth.revoke(token, "access_token")
        await oauth.revoke(token, "refresh_token")
    return [tokens, renewed]


def answer_all(base_url: str) -> None:
    """Check that Prism accepts what is right and refuses what is wrong."""
    with httpx.Client(base_url=base_url, trust_env=False) as http:
        for what, (method, path, content) in RIGHT.items():
            answer = http.request(method, path, **content)
            expect_equal(answer.status_code, 200, f"Prism's answer to {what}")
        for what, (status, method, path, content) in WRONG.items():
            answer = http.request(method, path, **content)
            expect_equal(answer.status_code, status, f"Prism's answer to {what}")
