"""What the processes of the fault tests do."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection

from pipedrive_oauth_client import PipedriveAuth, PipedriveOAuthError
from tests.faults.scene import ACCOUNT, Part

THREADS, TASKS = 12, 13


def herd(pipe: Connection, part: Part) -> None:
    """At each word, call from 12 threads and 13 tasks at once, and send what came of it."""
    with part.playing() as (oauth, store), ThreadPoolExecutor(THREADS) as threads:
        pipe.send("ready")
        while pipe.recv() != "end":
            auth = PipedriveAuth(oauth, store, ACCOUNT)

            async def tasks(auth: PipedriveAuth = auth) -> list[str]:
                calls = [_acalled(auth) for _ in range(TASKS)]
                return list(await asyncio.gather(*calls))

            waiting = [threads.submit(_called, auth) for _ in range(THREADS)]
            pipe.send([*asyncio.run(tasks()), *(call.result() for call in waiting)])


def renew_forever(pipe: Connection, part: Part) -> None:
    """Renew one time after the other, until a word comes or the process dies."""
    with part.playing() as (oauth, store):
        auth = PipedriveAuth(oauth, store, ACCOUNT)
        token = None
        for number in range(1_000_000):
            with suppress(PipedriveOAuthError):
                token = auth.token(rejected=token)
            if number < 2:
                pipe.send(number)
            if pipe.poll() and pipe.recv() == "end":
                return


def _called(auth: PipedriveAuth) -> str:
    try:
        return auth.token().access_token
    except PipedriveOAuthError as error:
        return repr(error)


async def _acalled(auth: PipedriveAuth) -> str:
    try:
        return (await auth.atoken()).access_token
    except PipedriveOAuthError as error:
        return repr(error)
