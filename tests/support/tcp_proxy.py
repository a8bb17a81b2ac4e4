"""A wire between a client and a server that can be cut."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Self

__all__ = ["TCPProxy"]


class TCPProxy:
    """Hands bytes on between clients and a server, until it is told otherwise.

    Attributes:
        port: Where it listens, on 127.0.0.1.
        connections: How many clients have come.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._guard = threading.Lock()
        self._answers_left: int | None = None
        self.connections = 0
        self._listener: socket.socket | None = None
        self.port = 0
        self.come_back()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.go_away()
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive()

    def go_away(self) -> None:
        """Cut all connections, and refuse new ones."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        self.cut()

    def come_back(self) -> None:
        """Take connections again, on the same port."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self._listener.getsockname()[1]
        self._start(self._accept, self._listener)

    def move_to(self, host: str, port: int) -> None:
        """Lead new connections to another server; those that are open stay."""
        self._target = (host, port)

    def cut(self) -> None:
        """Cut all connections; new ones are taken."""
        with self._guard:
            sockets, self._open = self._open, []
        for each in sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def cut_before_answer(self, number: int) -> None:
        """Hand some pieces of the server's answers on, and cut in place of the next, once.

        What the client has sent by then has reached the server.

        Args:
            number: How many pieces to hand on before.
        """
        with self._guard:
            self._answers_left = number

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            try:
                server = socket.create_connection(self._target, timeout=10)
            except OSError:
                client.close()
                continue
            server.settimeout(None)
            with self._guard:
                self._open += [client, server]
            ends = threading.Barrier(2, timeout=60)
            self._start(self._pump, client, server, False, ends)
            self._start(self._pump, server, client, True, ends)

    def _pump(
        self,
        source: socket.socket,
        sink: socket.socket,
        is_answer: bool,
        ends: threading.Barrier,
    ) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if is_answer and self._is_to_be_cut():
                    break
                sink.sendall(data)
        for each in (source, sink):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        ends.wait(10)  # neither is closed while the other thread uses it
        source.close()

    def _is_to_be_cut(self) -> bool:
        with self._guard:
            if self._answers_left is None:
                return False
            self._answers_left -= 1
            if self._answers_left >= 0:
                return False
            self._answers_left = None
            return True

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments, daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()
