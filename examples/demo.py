"""The whole flow against the sandbox: consent, tokens, an API call, and a refresh.

`make demo` runs it. It calls the generated functions twice, once the synchronous ones and once the
asynchronous ones, checks every response, and masks every secret that it prints.
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
    """The result of a step is not what the service documents."""


def main() -> int:
    """Run both walkthroughs.

    Returns:
        The exit code: 0 if every step succeeded, 1 otherwise.
    """
    try:
        with sandbox.run() as server:
            print(f"A sandbox of Pipedrive's OAuth service is running at {server.base_url}.")
            for name, call in (("sync", _call_sync), ("async", _call_async)):
                print(f"\nWith the {name} functions:")
                asyncio.run(_walk_through(server, call))
    except (DemoError, PipedriveOAuthError, httpx.HTTPError) as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    print("\nAll steps succeeded.")
    return 0


async def _call_sync(endpoint: Any, **arguments: object) -> Response[Any]:
    response: Response[Any] = endpoint.sync_detailed(**arguments)
    return response


async def _call_async(endpoint: Any, **arguments: object) -> Response[Any]:
    response: Response[Any] = await endpoint.asyncio_detailed(**arguments)
    return response


async def _walk_through(server: sandbox.SandboxServer, call: Call) -> None:
    app = server.app
    authorization = basic_auth_header(app.client_id, app.client_secret)
    async with Client(base_url=server.base_url) as client:
        state = secrets.token_urlsafe(32)
        query = {"client_id": app.client_id, "redirect_uri": app.redirect_uri, "state": state}
        page = await call(authorize, client=client, **query)
        _expect(page.status_code == 200 and b"<form" in page.content, "got no consent page")
        _report("authorize", page.status_code, f"the consent page, {len(page.content)} bytes")

        url = httpx.URL(f"{server.base_url}/oauth/authorize", params=query)
        # The user's step. In an app, this happens in the user's browser.
        callback = await asyncio.to_thread(server.visit, str(url))
        result = parse_qs(urlsplit(callback).query)
        _expect(result.get("state") == [state], "the callback has another state")
        _expect(len(result.get("code", [])) == 1, "the callback has no code")
        code = result["code"][0]
        _report("consent", None, f"approved; the callback has our state and a code {_mask(code)}")

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

        rejected = await call(refresh_tokens, client=client, authorization=authorization, body=old)
        error = rejected.parsed
        if not isinstance(error, OAuthErrorResponse) or error.error != "invalid_grant":
            _fail("the old refresh token was not rejected")
        _report("refresh_tokens", rejected.status_code, f"the old one is rejected: {error.message}")


def _tokens(response: Response[Any], step: str) -> GetTokensResponse:
    tokens = response.parsed
    if not isinstance(tokens, GetTokensResponse) or isinstance(tokens.refresh_token, Unset):
        _fail(f"{step} returned status {response.status_code} and no tokens")
    _report(
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
    _expect(response.status_code == 200, f"the API responded with status {response.status_code}")
    user = response.json()["data"]
    name = f"{user['name']} of {user['company_name']}"
    _report("GET /api/v1/users/me", response.status_code, name)


def _mask(secret: str) -> str:
    return f"****({len(secret)} characters)"


def _report(step: str, status_code: int | None, text: str) -> None:
    print(f"  {step:<22} {'' if status_code is None else status_code:>3}  {text}")


def _expect(condition: bool, problem: str) -> None:
    if not condition:
        _fail(problem)


def _fail(problem: str) -> NoReturn:
    raise DemoError(f"{problem}.")


if __name__ == "__main__":
    sys.exit(main())
