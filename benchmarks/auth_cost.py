"""What `PipedriveAuth` costs on a request with a valid token, against the same fixed header.

python -m benchmarks.auth_cost
"""

from __future__ import annotations

import threading
import tracemalloc
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import httpx

from benchmarks.measure import compared, table
from benchmarks.results import Row, Table, show
from pipedrive_oauth_client import AppCredentials, PipedriveAuth, PipedriveOAuth, Token, sandbox
from pipedrive_oauth_client.stores import MemoryTokenStore

ROUNDS, REPETITIONS = 60, 100


def main() -> None:
    """Measure, and print the ratios."""
    show(measured())


def measured() -> list[Table]:
    """Measure both ways, over loopback and without a network, and count locks."""
    with sandbox.run(sandbox.create_app(api_calls_per_two_seconds=10**9)) as server:
        app = server.app
        credentials = AppCredentials(app.client_id, app.client_secret, app.redirect_uri)
        with PipedriveOAuth(credentials, base_url=server.base_url) as oauth:
            token = _token(server, oauth)
            store = MemoryTokenStore()
            store.save("acme", token)
            auth = PipedriveAuth(oauth, store, "acme")
            auth.token()
            fixed = {"Authorization": f"Bearer {token.access_token}"}
            url = f"{token.api_domain}/api/v1/users/me"
            with httpx.Client(headers=fixed) as plain, httpx.Client(auth=auth) as ours:
                over_loopback = compared(
                    [
                        ("fixed header", lambda: plain.get(url)),
                        ("PipedriveAuth", lambda: ours.get(url)),
                    ],
                    rounds=ROUNDS,
                    repetitions=REPETITIONS,
                )
            answering = httpx.MockTransport(lambda _request: httpx.Response(200))
            with (
                httpx.Client(headers=fixed, transport=answering) as plain,
                httpx.Client(auth=auth, transport=answering) as ours,
            ):
                in_memory = compared(
                    [
                        ("fixed header", lambda: plain.get(url)),
                        ("PipedriveAuth", lambda: ours.get(url)),
                    ],
                    rounds=ROUNDS,
                    repetitions=REPETITIONS,
                )
            added = in_memory[1].median - in_memory[0].median
            share = added / over_loopback[0].median
            note = f"PipedriveAuth adds {added:.1f} µs, {share:.1%} of a request over loopback."
            return [
                table("A request over loopback with a valid token", over_loopback, note),
                table("The same without a network: all that is left is httpx", in_memory),
                _count_locks(auth, url),
            ]


def _token(server: sandbox.SandboxServer, oauth: PipedriveOAuth) -> Token:
    request = oauth.authorization_url()
    token = oauth.exchange(oauth.read_callback(server.visit(request.url), request.state))
    assert token.expires_at - datetime.now(UTC) > timedelta(minutes=50)
    return token


def _count_locks(auth: PipedriveAuth, url: str) -> Table:
    """Count the locks that are made, and the memory that stays, over a thousand requests."""
    made: list[object] = []
    real = threading.Lock

    def counting() -> object:
        lock = real()
        made.append(lock)
        return lock

    request = httpx.Request("GET", url)
    answer = httpx.Response(200, request=request)
    setattr(threading, "Lock", counting)  # noqa: B010 - a type checker minds the other way
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(1000):
            flow = auth.sync_auth_flow(request)
            next(flow)
            with suppress(StopIteration):
                flow.send(answer)
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
        setattr(threading, "Lock", real)  # noqa: B010
    locks = Row("locks made", len(made), "")
    kept = Row("memory kept", max(after - before, 0), "bytes")
    return Table("Over 1,000 requests with a valid token", (locks, kept))


if __name__ == "__main__":
    main()
