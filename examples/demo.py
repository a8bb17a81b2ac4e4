"""The whole job against the sandbox: consent, tokens, an API call, and a refresh.

`make demo` runs it. It goes through the generated functions twice, once with the synchronous ones
and once with the asynchronous ones, checks every answer, and masks every secret it prints.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Awaitable, Callable
from typing import Any, NoReturn
from urllib.parse import parse_qs, urlsplit

import httpx

from pipedrive_oauth_client import (
    Client,
    GetTokensRequest,
    GetTokensResponse,
    OAuthErrorResponse,
    PipedriveOAuthError,
    RefreshTokensRequest,
    Response,
    Unset,
    authorize,
    basic_auth_header,
    get_tokens,
    refresh_tokens,
    sandbox,
)

Call = Callable[..., Awaitable[Response[Any]]]


class DemoError(Exception):
    """A step had another outcome than the one that the service documents."""


def main() -> int:
    """Run both journeys.

    Returns:
        The exit code: 0 when every step went as it should, 1 otherwise.
    """
    try:
        with sandbox.run() as server:
            print(f"A sandbox of Pipedrive's OAuth service listens at {server.base_url}.")
            for name, call in (("sync", _call_sync), ("async", _call_async)):
                print(f"\nThrough the {name} functions:")
                asyncio.run(_journey(server, call))
    except (DemoError, PipedriveOAuthError, httpx.HTTPError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    print("\nAll steps went as documented.")
    return 0


async def _call_sync(endpoint: Any, **arguments: object) -> Response[Any]:
    response: Response[Any] = endpoint.sync_detailed(**arguments)
    return response


async def _call_async(endpoint: Any, **arguments: object) -> Response[Any]:
    response: Response[Any] = await endpoint.asyncio_detailed(**arguments)
    return response


async def _journey(server: sandbox.SandboxServer, call: Call) -> None:
    app = server.app
    authorization = basic_auth_header(app.client_id, app.client_secret)
    async with Client(base_url=server.base_url) as client:
        state = secrets.token_urlsafe(32)
        question = {"client_id": app.client_id, "redirect_uri": app.redirect_uri, "state": state}
        page = await call(authorize, client=client, **question)
        _expect(page.status_code == 200 and b"<form" in page.content, "no consent page came")
        _tell("authorize", page.status_code, f"the consent page, {len(page.content)} bytes")

        url = httpx.URL(f"{server.base_url}/oauth/authorize", params=question)
        # The one step that is a person's. In an app, this happens in their browser.
        callback = await asyncio.to_thread(server.visit, str(url))
        answer = parse_qs(urlsplit(callback).query)
        _expect(answer.get("state") == [state], "the callback has another state")
        _expect(len(answer.get("code", [])) == 1, "the callback has no code")
        code = answer["code"][0]
        _tell("consent", None, f"approved; our state came back, with a code {_mask(code)}")

        grant = GetTokensRequest(code=code, redirect_uri=app.redirect_uri)
        first = _tokens(
            await call(get_tokens, client=client, authorization=authorization, body=grant),
            "get_tokens",
        )
        await _call_api(first)

        old = RefreshTokensRequest(refresh_token=first.refresh_token)
        second = _tokens(
            await call(refresh_tokens, client=client, authorization=authorization, body=old),
            "refresh_tokens",
        )
        _expect(second.access_token != first.access_token, "the access token is the old one")
        _expect(second.refresh_token != first.refresh_token, "the refresh token is the old one")
        await _call_api(second)

        refused = await call(refresh_tokens, client=client, authorization=authorization, body=old)
        error = refused.parsed
        if not isinstance(error, OAuthErrorResponse) or error.error != "invalid_grant":
            _fail("the old refresh token was not refused")
        _tell("refresh_tokens", refused.status_code, f"the old one is refused: {error.message}")


def _tokens(response: Response[Any], step: str) -> GetTokensResponse:
    tokens = response.parsed
    if not isinstance(tokens, GetTokensResponse) or isinstance(tokens.refresh_token, Unset):
        _fail(f"{step} answered with status {response.status_code} and no tokens")
    _tell(
        step,
        response.status_code,
        f"access token {_mask(tokens.access_token)} for {tokens.expires_in} s,"
        f" refresh token {_mask(tokens.refresh_token)}, scope {tokens.scope}",
    )
    return tokens


async def _call_api(tokens: GetTokensResponse) -> None:
    async with httpx.AsyncClient(base_url=str(tokens.api_domain)) as api:
        headers = {"Authorization": f"Bearer {tokens.access_token}"}
        response = await api.get("/api/v1/users/me", headers=headers)
    _expect(response.status_code == 200, f"the API answered with {response.status_code}")
    user = response.json()["data"]
    _tell("GET /api/v1/users/me", response.status_code, f"{user['name']} of {user['company_name']}")


def _mask(secret: str) -> str:
    return f"****({len(secret)} characters)"


def _tell(step: str, status_code: int | None, words: str) -> None:
    print(f"  {step:<22} {'' if status_code is None else status_code:>3}  {words}")


def _expect(condition: bool, otherwise: str) -> None:
    if not condition:
        _fail(otherwise)


def _fail(what: str) -> NoReturn:
    raise DemoError(f"{what}.")


if __name__ == "__main__":
    sys.exit(main())
