"""From the bytes of a token answer to what an app works with: `python -m benchmarks decode`."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx

from benchmarks.measure import compared, table
from benchmarks.results import Table
from benchmarks.rivals import OPENAPI_GENERATOR, STOCK, generated
from benchmarks.token_server import ANSWER
from pipedrive_oauth_client import GetTokensResponse, Token
from pipedrive_oauth_client.generated.decode import json_body, model
from pipedrive_oauth_client.generated.response import RawResponse

ROUNDS, REPETITIONS = 20, 1_000
BODY = json.dumps({**ANSWER, "refresh_token": "1:1:" + "0" * 60}).encode()
NOTE = (
    "`json.loads` and the stock templates look at nothing. This package checks the type, the"
    " characters and the range of every field, and refuses NaN; Token adds when it expires."
)


def measured() -> list[Table]:
    """Measure every reader of token answers."""
    with generated():
        ways = _ways()
        figures = compared(ways, rounds=ROUNDS, repetitions=REPETITIONS)
    return [table("Reading a token answer", figures, NOTE)]


def _ways() -> list[tuple[str, Callable[[], object]]]:
    stock = importlib.import_module(f"{STOCK}.models").GetTokensResponse
    pydantic = importlib.import_module(OPENAPI_GENERATOR).GetTokensResponse
    authlib = importlib.import_module("authlib.oauth2.rfc6749").OAuth2Token
    oauthlib = importlib.import_module("oauthlib.oauth2.rfc6749.parameters").parse_token_response
    text = BODY.decode()
    raw = RawResponse(200, httpx.Headers(), BODY)
    now = datetime.now(UTC)

    def ours() -> GetTokensResponse:
        return json_body(raw, model(GetTokensResponse.from_dict))

    def token() -> Token:
        return Token.from_response(ours(), now)

    def parsed() -> Any:
        return json.loads(BODY)

    return [
        ("json.loads", parsed),
        ("this package, GetTokensResponse", ours),
        ("this package, Token", token),
        ("openapi-python-client, stock templates", lambda: stock.from_dict(parsed())),
        ("openapi-generator (pydantic)", lambda: pydantic.from_json(text)),
        ("Authlib, OAuth2Token", lambda: authlib.from_dict(parsed())),
        ("oauthlib, parse_token_response", lambda: oauthlib(text)),
    ]
