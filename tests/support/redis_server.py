"""A Redis of a test's own, which can be stopped, killed and started again."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from tests.support.wire import free_port

__all__ = ["RedisServer"]

_TRIES = 200
_PAUSE = 0.05


class RedisServer:
    """A `redis-server` on a free port of 127.0.0.1.

    Attributes:
        port: The port.
        url: Its address.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        client: dict[str, object] | None = None,
        tls: bool = False,
    ) -> None:
        if shutil.which("redis-server") is None:
            pytest.skip("there is no redis-server on this machine")
        self._folder = folder
        self._options = options
        self._client = client or {}
        self._process: subprocess.Popen[bytes] | None = None
        self._is_tls = tls
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self, *more: str) -> None:
        """Start it with further options, and wait until it responds."""
        ports = ("--port", "0", "--tls-port") if self._is_tls else ("--port",)
        options = (*ports, str(self.port), "--bind", "127.0.0.1", "--dir", str(self._folder))
        log = self._folder / "redis.log"
        self._process = subprocess.Popen(
            ["redis-server", *options, "--logfile", str(log), *self._options, *more],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(_TRIES):
            assert self._process.poll() is None, log.read_text(encoding="utf-8")
            try:
                self.ask(lambda client: client.ping())
            except (redis.AuthenticationError, redis.BusyLoadingError):
                return
            except (redis.ConnectionError, redis.TimeoutError):
                time.sleep(_PAUSE)  # a program is starting
            else:
                return
        raise AssertionError("redis-server does not respond")

    def wait_for(self, condition: Callable[[redis.Redis], bool]) -> None:
        """Wait until a condition holds."""
        for _ in range(_TRIES):
            if self.ask(condition):
                return
            time.sleep(_PAUSE)
        raise AssertionError("redis-server does not reach the expected state")

    def stop(self) -> None:
        """Shut it down; with an append-only file it keeps what it has."""
        assert self._process is not None
        self._process.terminate()
        self._process.wait(20)

    def kill(self) -> None:
        """End it at once."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(20)

    def ask(self, question: Callable[[redis.Redis], object]) -> object:
        """Run a question with a client of its own."""
        settings: dict[str, object] = {"host": "127.0.0.1", "port": self.port, **self._client}
        settings["retry"] = Retry(NoBackoff(), 0)
        client = redis.Redis(**settings)  # type: ignore[arg-type]
        try:
            return question(client)
        finally:
            client.close()
            client.connection_pool.disconnect()
