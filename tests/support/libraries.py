"""One request through each library that a `PipedriveAuth` serves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import httpx
import httpx2
import requests

from pipedrive_oauth_client import PipedriveAuth
from pipedrive_oauth_client.adapters.httpx2 import PipedriveHttpx2Auth
from pipedrive_oauth_client.adapters.requests import PipedriveRequestsAuth
from tests.support.flows import play
from tests.support.tls import UNTRUSTING

# What the server said, and to which address with which `Authorization` header it was sent.
Outcome = tuple[int, str, str | None]


def _httpx(library: Any, mode: str) -> Callable[..., Outcome]:
    def send(auth: PipedriveAuth, method: str, url: str, **body: Any) -> Outcome:
        own: Any = auth if library is httpx else PipedriveHttpx2Auth(auth)
        settings: dict[str, Any] = {"auth": own, "verify": UNTRUSTING, "timeout": 20}

        async def main() -> Outcome:
            if mode == "sync":
                with library.Client(**settings) as client:
                    return outcome(client.request(method, url, **body))
            async with library.AsyncClient(**settings) as client:
                return outcome(await client.request(method, url, **body))

        def outcome(response: Any) -> Outcome:
            sent = response.request
            return response.status_code, str(sent.url), sent.headers.get("Authorization")

        return play(mode, main)

    return send


def _requests(auth: PipedriveAuth, method: str, url: str, **body: Any) -> Outcome:
    if "content" in body:
        body["data"] = body.pop("content")
    with requests.Session() as session:
        session.trust_env = False
        session.auth = PipedriveRequestsAuth(auth)
        done = session.request(method, url, timeout=20, **body)
    return done.status_code, str(done.request.url), done.request.headers.get("Authorization")


SENDERS: Final[dict[str, Callable[..., Outcome]]] = {
    "httpx": _httpx(httpx, "sync"),
    "httpx in asyncio": _httpx(httpx, "asyncio"),
    "httpx in trio": _httpx(httpx, "trio"),
    "httpx2": _httpx(httpx2, "sync"),
    "httpx2 in asyncio": _httpx(httpx2, "asyncio"),
    "requests": _requests,
}
"""Send a request with a client of its own: `send(auth, method, url, content=...)`."""
