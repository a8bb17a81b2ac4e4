"""Judges requests by a spec with openapi-core; ../captured_requests.py starts it.

It runs in .venv-interop, whose packages the development environment does not have.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from urllib.parse import urlsplit

from openapi_core import (  # type: ignore[import-not-found] # pyright: ignore[reportMissingImports]
    OpenAPI,
)
from openapi_core.contrib.werkzeug import (  # type: ignore[import-not-found] # pyright: ignore[reportMissingImports]
    WerkzeugOpenAPIRequest,
)
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request


def main() -> None:
    """Read a spec and requests, and print the validator's errors for each request."""
    given = json.load(sys.stdin)
    api: Any = OpenAPI.from_dict(given["spec"])
    verdicts = [[described(error) for error in errors(api, r)] for r in given["requests"]]
    print("DONE", json.dumps(verdicts))


def errors(api: Any, request: dict[str, Any]) -> list[Exception]:
    """Return what is wrong with a request."""
    url = urlsplit(request["url"])
    environ = EnvironBuilder(
        method=request["method"],
        base_url=f"{url.scheme}://{url.netloc}",
        path=url.path,
        query_string=url.query,
        headers=request["headers"],
        data=request["body"].encode("latin-1"),
    ).get_environ()
    return list(api.iter_request_errors(WerkzeugOpenAPIRequest(Request(environ))))


def described(error: BaseException) -> str:
    """Return the kind of an error, and the errors that it came from."""
    cause = error.__cause__
    return f"{type(error).__name__}({error})" + (f": {cause}" if cause else "")


if __name__ == "__main__":
    main()
