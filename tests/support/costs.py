"""What operations cost, in counts that are the same on every machine.

Counted is what this package does by its own code, not what the libraries below it do: those differ
from version to version, and so does what Python makes of a comprehension.

`python -m tests.support.costs` (which `make bench ARGS=baseline` runs) writes the counts that
tests/test_costs.py compares with.
"""

from __future__ import annotations

import asyncio
import gc
import json
import subprocess
import sys
import threading
import tracemalloc
from collections import Counter
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import cycle
from pathlib import Path
from types import FrameType
from typing import Any, Final

import httpx

import pipedrive_oauth_client
from pipedrive_oauth_client import (
    AppCredentials,
    AsyncPipedriveOAuth,
    Client,
    PipedriveAuth,
    PipedriveOAuth,
    RefreshTokensRequest,
    Token,
    refresh_tokens,
)
from pipedrive_oauth_client.stores import MemoryTokenStore

__all__ = ["BASELINE", "measured"]

ROOT: Final = Path(__file__).resolve().parents[2]
BASELINE: Final = ROOT / "tests" / "costs.json"
OURS: Final = str(Path(pipedrive_oauth_client.__file__).parent)
CREDENTIALS: Final = AppCredentials("client", "secret", "https://example.com/callback")
REFRESH_TOKEN: Final = "1:1:" + "r" * 60
# In turns, since a service gives another access token each time.
ANSWERS: Final = [
    json.dumps(
        {
            "access_token": "v1u:" + letter * 400,
            "token_type": "Bearer",
            "refresh_token": REFRESH_TOKEN,
            "scope": "deals:full,users:read,base",
            "expires_in": 3599,
            "api_domain": "https://acme.pipedrive.com",
        }
    ).encode()
    for letter in "ab"
]
# What httpx says of itself differs from version to version.
NOT_OURS: Final = {"host", "user-agent", "connection", "accept"}
REPEATED: Final = 1000

Operation = Callable[[], object]


class Canned(httpx.BaseTransport, httpx.AsyncBaseTransport):
    """Answers every request with a token, and keeps the last request."""

    def __init__(self) -> None:
        self.last: httpx.Request | None = None
        self._answers = cycle(ANSWERS)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.last = request
        return httpx.Response(200, content=next(self._answers))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a request without suspending."""
        return self.handle_request(request)


def measured() -> dict[str, int]:
    """Count what each operation costs."""
    transport = Canned()
    found: dict[str, int] = {}
    with httpx.Client(transport=transport) as client:
        for name, operation in _operations(client).items():
            operation()  # what is done once is done
            found[f"{name}: calls of our functions"] = _calls(operation)
            found[f"{name}: URLs taken apart"] = _urls(operation)
            found[f"{name}: locks made"] = _locks(operation)
            found[f"{name}: blocks of memory that stay, each time"] = _kept(operation)
        assert transport.last is not None
        refresh = _operations(client)["refresh"]
        refresh()
        found["refresh: bytes of the form and of our headers"] = _bytes(transport.last)
    found["async refresh: calls of our functions"] = asyncio.run(_async_calls(transport))
    found["20 refreshes: connections opened"] = _connections(20)
    return {**found, **_modules()}


def _operations(client: httpx.Client) -> dict[str, Operation]:
    oauth = PipedriveOAuth(CREDENTIALS, client=client)
    generated = Client().set_httpx_client(client)
    header = CREDENTIALS.basic_auth_header
    token = oauth.refresh(REFRESH_TOKEN)
    store = MemoryTokenStore()
    lasting = Token(
        access_token="a",
        api_domain="https://acme.pipedrive.com",
        expires_at=datetime.now(UTC) + timedelta(days=1),
    )
    store.save("acme", lasting)
    auth = PipedriveAuth(oauth, store, "acme")

    def call() -> object:
        body = RefreshTokensRequest(refresh_token=REFRESH_TOKEN)
        return refresh_tokens.sync(client=generated, authorization=header, body=body)

    def renewal() -> object:
        store.save("acme", token)
        return auth.token(rejected=auth.token())

    return {
        "generated call": call,
        "refresh": lambda: oauth.refresh(token),
        "authorized request": lambda: client.get("https://acme.pipedrive.com/", auth=auth),
        "renewal through a store": renewal,
        "start": lambda: PipedriveAuth(PipedriveOAuth(CREDENTIALS, client=client), store, "acme"),
    }


def _calls(operation: Operation) -> int:
    called: list[str] = []

    def note(frame: FrameType, event: str, _argument: object) -> None:
        code = frame.f_code
        # A comprehension is a call in some versions of Python only.
        if event == "call" and code.co_filename.startswith(OURS) and code.co_name[0] != "<":
            called.append(code.co_name)

    with _profiled(note):
        operation()
    return len(called)


async def _async_calls(transport: Canned) -> int:
    async with httpx.AsyncClient(transport=transport) as client:
        oauth = AsyncPipedriveOAuth(CREDENTIALS, client=client)
        token = await oauth.refresh(REFRESH_TOKEN)

        def operation() -> None:
            # It never suspends, as its transport does not.
            try:
                oauth.refresh(token).send(None)
            except StopIteration:
                return
            raise AssertionError("the refresh has suspended")

        return _calls(operation)


def _urls(operation: Operation) -> int:
    made: list[str] = []
    parse = httpx.URL.__init__.__code__

    def note(frame: FrameType, event: str, _argument: object) -> None:
        caller = frame.f_back
        is_ours = caller is not None and caller.f_code.co_filename.startswith(OURS)
        if event == "call" and frame.f_code is parse and is_ours:
            made.append(frame.f_code.co_name)

    with _profiled(note):
        operation()
    return len(made)


@contextmanager
def _profiled(note: Callable[[FrameType, str, Any], None]) -> Generator[None]:
    """Have calls noted in this thread and in those that it starts."""
    before = sys.getprofile(), threading.getprofile()
    threading.setprofile(note)
    sys.setprofile(note)
    try:
        yield
    finally:
        sys.setprofile(before[0])
        threading.setprofile(before[1])


def _locks(operation: Operation) -> int:
    made = Counter[str]()
    real = threading.Lock

    def counting() -> Any:
        made[sys._getframe(1).f_code.co_filename] += 1
        return real()

    setattr(threading, "Lock", counting)  # noqa: B010 - a type checker minds the other way
    try:
        operation()
    finally:
        setattr(threading, "Lock", real)  # noqa: B010
    return sum(count for file, count in made.items() if file.startswith(OURS))


def _kept(operation: Operation) -> int:
    ours = [tracemalloc.Filter(inclusive=True, filename_pattern=f"{OURS}/*")]
    for _ in range(10):
        operation()
    gc.collect()
    tracemalloc.start()
    try:
        for _ in range(REPEATED):
            operation()
        gc.collect()
        traces = tracemalloc.take_snapshot().filter_traces(ours)
        # Less than one each time is what Python itself keeps at hand for the next.
        return sum(each.count for each in traces.statistics("filename")) // REPEATED
    finally:
        tracemalloc.stop()


def _bytes(request: httpx.Request) -> int:
    headers = [(name, text) for name, text in request.headers.items() if name not in NOT_OURS]
    return len(request.content) + sum(len(name) + len(text) for name, text in headers)


@contextmanager
def counting_server() -> Generator[tuple[str, list[object]]]:
    """Serve token responses; give the address, and the clients of the connections so far."""
    connections: list[object] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            connections.append(self.client_address)
            super().setup()

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", str(len(ANSWERS[0])))
            self.end_headers()
            self.wfile.write(ANSWERS[0])

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            del format, args

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", connections
        finally:
            server.shutdown()
            thread.join(20)


def _connections(count: int) -> int:
    with counting_server() as (url, connections):
        with PipedriveOAuth(CREDENTIALS, base_url=url) as oauth:
            token = oauth.refresh(REFRESH_TOKEN)
            for _ in range(count - 1):
                token = oauth.refresh(token)
        return len(connections)


IMPORTS: Final[Mapping[str, str]] = {
    "import pipedrive_oauth_client": "import pipedrive_oauth_client",
    "import basic_auth_header": "from pipedrive_oauth_client import basic_auth_header",
    "import Token": "from pipedrive_oauth_client import Token",
    "import PipedriveOAuth": "from pipedrive_oauth_client import PipedriveOAuth",
    "import PipedriveAuth": "from pipedrive_oauth_client import PipedriveAuth",
}
# Expensive to import, and rarely needed. What httpx brings itself is not counted.
HEAVY: Final = ("anyio", "asyncio", "concurrent", "dateutil", "httpx", "tenacity", "uuid")


def _modules() -> dict[str, int]:
    found: dict[str, int] = {}
    base = _imported("import httpx")
    for name, code in IMPORTS.items():
        modules = _imported(code)
        # httpx is beyond itself where it need not be there at all.
        known = base - {"httpx"} if "httpx" in modules else set()
        beyond = {each.partition(".")[0] for each in modules - known}
        ours = [each for each in modules if each.partition(".")[0] == "pipedrive_oauth_client"]
        found[f"{name}: modules of ours"] = len(ours)
        found[f"{name}: expensive packages ({', '.join(HEAVY)})"] = len(beyond & set(HEAVY))
    return found


def _imported(code: str) -> set[str]:
    program = f"import sys\n{code}\nprint(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.split())


if __name__ == "__main__":
    BASELINE.write_text(json.dumps(measured(), indent=2, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{BASELINE} is written.")  # noqa: T201 - for whoever has run this
