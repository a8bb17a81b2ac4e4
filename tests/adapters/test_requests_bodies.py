"""What a session of requests sends the second time is what it sent the first time, or nothing."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest
import requests
from requests.adapters import HTTPAdapter

from pipedrive_oauth_client import PipedriveAuth
from tests.adapters.sessions import session
from tests.support.sites import DONE, NEW, OLD, UNAUTHORIZED, authorized, served
from tests.support.untyped import untyped


def read_file() -> io.BufferedReader:
    """Open a real file, some of which has been read already."""
    file = Path(__file__).open("rb")  # noqa: SIM115 - the test closes it
    file.seek(99)
    return file


def pieces() -> Iterator[bytes]:
    """Give a body piece by piece."""
    yield from (b"one", b"two")


REPEATED: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "nothing": dict,
    "bytes": lambda: {"data": bytes(range(256)) * 1024},
    "text": lambda: {"data": "plain"},
    "json": lambda: {"json": {"title": "dé", "value": [1, None, 2.5]}},
    "form": lambda: {"data": {"title": "dé & co", "n": ["1", "2"]}},
    "buffer": lambda: {"data": io.BytesIO(b"in memory")},
    "file": lambda: {"data": read_file()},
    "multipart": lambda: {"data": {"id": "7"}, "files": {"file": read_file()}},
}


@pytest.mark.parametrize("body", REPEATED.values(), ids=REPEATED)
def test_what_can_be_sent_again_is_the_same_to_the_last_byte(
    body: Callable[[], dict[str, Any]],
) -> None:
    """A file is sent from where it stood, and only the token is another."""
    made = body()
    with served() as site, authorized(site) as auth, session(auth) as opened:
        site.api_answers[:] = [UNAUTHORIZED, DONE]
        assert opened.post(site.api.url, **made).status_code == 200
    for file in (made.get("data"), made.get("files", {}).get("file")):
        if isinstance(file, io.IOBase):
            file.close()
    first, second = site.api.requests
    assert first == second.replace(NEW.encode(), OLD.encode())


def test_what_is_used_up_is_not_sent_again() -> None:
    """The caller gets the 401 of a pipe, and the next request has a token that is good."""
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as end:
        end.write(b"once")
    with (
        served() as site,
        authorized(site) as auth,
        session(auth) as opened,
        os.fdopen(reading, "rb") as pipe,
    ):
        site.api_answers[:] = [UNAUTHORIZED, DONE]
        headers = {"Content-Length": "4"}
        assert opened.post(site.api.url, data=pipe, headers=headers).status_code == 401
        assert opened.get(site.api.url).status_code == 200
    assert site.headers() == ([OLD, NEW], [], 1)


def test_one_refresh_however_many_sessions_send_what_can_not_be_sent_again() -> None:
    """A session and an auth for each request know that the API rejects new tokens as well."""
    with served() as site, authorized(site) as auth:
        site.api_answers[:] = [UNAUTHORIZED] * 4
        source = auth.token_source
        for _ in range(4):
            own = PipedriveAuth(source._oauth, source._store, source.account)
            with session(own) as opened:
                assert opened.post(site.api.url, data=pieces()).status_code == 401
    sent, _, refreshes = site.headers()
    assert ([each for each in sent if each is not None], refreshes) == ([OLD, NEW, NEW, NEW], 1)


class Recorded(HTTPAdapter):
    """An adapter that keeps what it was told beside the request."""

    def __init__(self) -> None:
        super().__init__()
        self.settings: list[tuple[object, ...]] = []
        self.read: list[bytes] = []

    def send(self, request: requests.PreparedRequest, **settings: Any) -> requests.Response:  # type: ignore[override]
        """Say 401, and read a body that comes piece by piece."""
        self.settings.append(tuple(sorted((key, repr(settings[key])) for key in settings)))
        body: Any = request.body
        self.read.append(
            b"" if body is None else body if isinstance(body, bytes) else b"".join(body)
        )
        response = requests.Response()
        response.status_code = 401 if len(self.read) == 1 else 200
        response.raw = io.BytesIO()
        response.request = request
        response.url = request.url or ""
        untyped(setattr)(response, "connection", self)
        return response


def test_a_generator_is_not_sent_again() -> None:
    """It would be an empty body the second time."""
    recorded = Recorded()
    with served() as site, authorized(site) as auth, session(auth) as opened:
        opened.mount("http://", recorded)
        assert opened.post(site.api.url, data=pieces()).status_code == 401
    assert recorded.read == [b"onetwo"]


def test_a_file_that_was_closed_meanwhile_is_not_sent_again() -> None:
    """The caller gets the 401, and not an error about a file."""
    file = io.BytesIO(b"closed")
    with served() as site, authorized(site) as auth, session(auth) as opened:
        recorded = Recorded()
        opened.mount("http://", recorded)
        prepared = opened.prepare_request(requests.Request("POST", site.api.url, data=file))
        sent = recorded.send

        def send_and_close(request: requests.PreparedRequest, **settings: Any) -> Any:
            response = sent(request, **settings)
            file.close()
            return response

        recorded.send = send_and_close  # type: ignore[method-assign]
        assert opened.send(prepared).status_code == 401
    assert recorded.read == [b"closed"]


def test_the_settings_of_a_request_hold_for_both_attempts() -> None:
    """Timeout, certificates, proxies and streaming are the same."""
    recorded = Recorded()
    with served() as site, authorized(site) as auth, session(auth) as opened:
        opened.mount("http://", recorded)
        proxies = {"https": "http://127.0.0.1:9"}
        settings: dict[str, Any] = {"timeout": (3, 7), "verify": False, "cert": "/some/cert.pem"}
        done = opened.get(site.api.url, stream=True, proxies=proxies, **settings)
    assert done.status_code == 200
    first, second = recorded.settings
    assert first == second
    assert ("timeout", "(3, 7)") in first
    assert ("verify", "False") in first
    assert ("stream", "True") in first
