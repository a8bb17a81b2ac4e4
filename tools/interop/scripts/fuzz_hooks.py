"""What Schemathesis loads beside openapi.yaml: grants that exist, and checks of this project's own.

Data made from the spec alone never holds a code that the sandbox has issued, so every token
request would end in `invalid_grant`. The file that INTEROP_GRANTS names holds grants that exist;
every other valid case of an operation gets one, for as long as there are any.

It runs in .venv-interop, whose packages the development environment does not have.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis  # type: ignore[import-not-found] # pyright: ignore[reportMissingImports]

GRANTS: dict[str, Any] = json.loads(Path(os.environ["INTEROP_GRANTS"]).read_text("utf-8"))
AUTHORIZATION: str | None = GRANTS["authorization"]
TOKEN_FIELDS = {
    *("access_token", "token_type", "refresh_token", "scope", "expires_in", "api_domain")
}
CLIENT_ERRORS = ("invalid_client", "invalid_request", "unsupported_grant_type")

cases_met: Counter[str] = Counter()
cases_with_grants: set[str] = set()


def before_call(_context: Any, case: Any, _arguments: dict[str, Any]) -> None:
    """Put a grant that exists into every other case of valid data."""
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    operation = operation_of(case)
    cases_met[operation] += 1
    if cases_met[operation] % 2 or not GRANTS[operation]:
        return
    values: dict[str, str] = GRANTS[operation].pop()
    if operation == "authorize":
        case.query = {**case.query, **values}
    else:
        case.body = values
    cases_with_grants.add(case.id)


def grants_are_honored(_context: Any, response: Any, case: Any) -> None:
    """Require 200 for a grant that exists, where the app's credentials are with it."""
    entitled = operation_of(case) == "authorize" or has_credentials(response)
    if case.id in cases_with_grants and entitled and response.status_code != 200:
        raise AssertionError("a grant that exists was rejected")


def nothing_without_credentials(_context: Any, response: Any, case: Any) -> None:
    """Require an error response with a fitting code where the app's credentials are missing."""
    if operation_of(case) == "authorize" or has_credentials(response):
        return
    if case.meta is None or response.status_code in {404, 405}:
        return
    if response.status_code not in {400, 401} or response.json()["error"] not in CLIENT_ERRORS:
        raise AssertionError("not rejected, or not for the missing credentials")


def token_responses_are_complete(_context: Any, response: Any, case: Any) -> None:
    """Require all of Pipedrive's fields; the spec, which is also a client's, requires fewer."""
    if operation_of(case) not in {"get_tokens", "refresh_tokens"} or response.status_code != 200:
        return
    if set(response.json()) != TOKEN_FIELDS:
        raise AssertionError("a token response has other fields than Pipedrive's")


def operation_of(case: Any) -> str:
    """Return the operationId that a case belongs to."""
    return str(case.operation.definition.raw["operationId"])


def has_credentials(response: Any) -> bool:
    """Return whether a response's request carried the app's credentials."""
    sent = response.request.headers.get("Authorization")
    return AUTHORIZATION is not None and sent == AUTHORIZATION


# Called and not used as decorators: nothing is known of their types where they are not installed.
schemathesis.hook(before_call)
schemathesis.check(grants_are_honored)
schemathesis.check(nothing_without_credentials)
schemathesis.check(token_responses_are_complete)
