"""The service, the API and somebody else as three servers, and a token for the API."""

from __future__ import annotations

import re
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from pipedrive_oauth_client import PipedriveAuth, PipedriveOAuth, Token
from pipedrive_oauth_client.stores import MemoryTokenStore
from tests.support.flows import CREDENTIALS
from tests.support.samples import ACCESS_TOKEN, REFRESH_TOKEN, token_body
from tests.support.wire import Peer, Script, Wire, answer

NOW: Final = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOUR: Final = timedelta(hours=1)
OLD_ACCESS_TOKEN: Final = "old-access-90b2"
OLD: Final = f"Bearer {OLD_ACCESS_TOKEN}"
NEW: Final = f"Bearer {ACCESS_TOKEN}"

DONE: Final = answer(b"{}")
UNAUTHORIZED: Final = answer(b"{}", status=401)

REDIRECTS: Final = (301, 302, 303, 307, 308)


class Site:
    """The service, the API and somebody else, each a server of its own."""

    def __init__(self) -> None:
        self.api_answers: list[bytes] = [DONE]
        self.other_answers: list[bytes] = [DONE]
        self.api = Wire(_playing(self.api_answers))
        self.other = Wire(_playing(self.other_answers))
        self.service_answers = [answer(token_body(api_domain=self.api.url))]
        self.service = Wire(_playing(self.service_answers))

    def headers(self) -> tuple[list[str | None], list[str | None], int]:
        """Give what the API and the other got as `Authorization`, and the number of renewals."""
        api, other = (
            [_authorization(request) for request in wire.requests]
            for wire in (self.api, self.other)
        )
        return api, other, len(self.service.requests)


@contextmanager
def served() -> Generator[Site]:
    """Serve a site."""
    site = Site()
    with site.service, site.api, site.other:
        yield site


def _playing(answers: list[bytes]) -> Script:
    def script(peer: Peer) -> None:
        while peer.read_request():
            peer.send(answers.pop(0) if len(answers) > 1 else answers[0])

    return script


def _authorization(request: bytes) -> str | None:
    found = re.findall(
        rb"(?im)^authorization: (.*)\r$", request.partition(b"\r\n\r\n")[0] + b"\r\n"
    )
    assert len(found) <= 1
    return found[0].decode() if found else None


def redirect(url: str, status: int = 302) -> bytes:
    """Write an answer that leads elsewhere."""
    return answer(status=status, headers={"Location": url})


@contextmanager
def authorized(
    site: Site, *, api_domain: str | None = "", lifetime: timedelta = HOUR, **settings: Any
) -> Generator[PipedriveAuth]:
    """Make an auth whose token is for the site's API, unless told otherwise."""
    store = MemoryTokenStore()
    token = Token(
        access_token=OLD_ACCESS_TOKEN,
        refresh_token=REFRESH_TOKEN,
        api_domain=site.api.url if api_domain == "" else api_domain,
        expires_at=NOW + lifetime,
    )
    store.save("acme", token)
    with PipedriveOAuth(
        CREDENTIALS, base_url=site.service.url, retry=None, clock=lambda: NOW
    ) as oauth:
        yield PipedriveAuth(oauth, store, "acme", **settings)
