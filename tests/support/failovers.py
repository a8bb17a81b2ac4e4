"""Two servers behind one address, which moves from the primary to the other one.

The old primary stays up and read-only, and connections to it stay open: what the clients of a
managed database see while its DNS name or its proxy changes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Protocol

import pytest
from redis import Redis
from sqlalchemy import Engine, MetaData, create_engine, delete, exc, insert, select, text
from sqlalchemy.pool import NullPool

from tests.support.redis_server import RedisServer
from tests.support.tcp_proxy import TCPProxy
from tests.support.wire import free_port

__all__ = ["KINDS", "Pair", "pair_of"]

KINDS: Final = ("redis", "postgresql", "mariadb")
_MEMORY: Final = Path("/dev", "shm")
_SECONDS: Final = 120
_PAUSE: Final = 0.05


class _Node(Protocol):
    port: int

    def url(self, port: int) -> str:
        """Give the address for apps, with the port of a proxy."""
        ...

    def follow(self, primary: _Node) -> None:
        """Copy what the primary has."""
        ...

    def set_role(self, primary: _Node) -> None:
        """Become the primary, or read-only."""
        ...


class Pair:
    """A primary and another server.

    Attributes:
        url: The address that moves.
    """

    def __init__(self, primary: _Node, other: _Node, proxy: TCPProxy) -> None:
        self._primary, self._other, self._proxy = primary, other, proxy
        self.url = primary.url(proxy.port)

    @property
    def old_url(self) -> str:
        """The address of the server that is not the primary, or no longer."""
        return self._other.url(self._other.port)

    def fail_over(self) -> None:
        """Make the other server the primary, with the same content, and move the address."""
        old, new = self._primary, self._other
        new.follow(old)
        old.set_role(new)
        new.set_role(new)
        self._proxy.move_to("127.0.0.1", new.port)
        self._primary, self._other = new, old


@contextmanager
def pair_of(kind: str) -> Generator[Pair]:
    """Start two servers of a kind; skip the test where they are not installed."""
    starts: dict[str, Callable[[Path], AbstractContextManager[_Node]]] = {
        "redis": _redis,
        "postgresql": _postgresql,
        "mariadb": _mariadb,
    }
    root = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with ExitStack() as stack:
        folders = [
            Path(stack.enter_context(TemporaryDirectory(dir=root, prefix="pytest-pair-")))
            for _ in range(2)
        ]
        primary, other = [stack.enter_context(starts[kind](each)) for each in folders]
        other.set_role(primary)
        yield Pair(primary, other, stack.enter_context(TCPProxy("127.0.0.1", primary.port)))


class _RedisNode:
    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self.port = server.port

    def url(self, port: int) -> str:
        return f"redis://127.0.0.1:{port}/0"

    def follow(self, primary: _Node) -> None:
        self._server.ask(lambda client: client.replicaof("127.0.0.1", str(primary.port)))

        def has_all(client: Redis) -> bool:
            state = client.info("replication")
            with Redis(port=primary.port) as other:
                offset = other.info("replication")["master_repl_offset"]
            return state.get("master_link_status") == "up" and state["slave_repl_offset"] >= offset

        self._server.wait_for(has_all)

    def set_role(self, primary: _Node) -> None:
        where = ("NO", "ONE") if primary is self else ("127.0.0.1", str(primary.port))
        self._server.ask(lambda client: client.replicaof(*where))


class _SQLNode:
    def __init__(self, port: int, admin: str, app: str, roles: tuple[str, str]) -> None:
        self.port = port
        self.engine = create_engine(admin.format(port=port), isolation_level="AUTOCOMMIT")
        self._app = app
        self._primary, self._read_only = roles

    def url(self, port: int) -> str:
        return self._app.format(port=port)

    def follow(self, primary: _Node) -> None:
        assert isinstance(primary, _SQLNode)
        metadata = MetaData()
        metadata.reflect(primary.engine)
        self.run(self._primary)
        metadata.create_all(self.engine)
        with primary.engine.connect() as source, self.engine.connect() as sink:
            for table in metadata.sorted_tables:
                sink.execute(delete(table))
                if rows := [row._asdict() for row in source.execute(select(table))]:
                    sink.execute(insert(table), rows)

    def set_role(self, primary: _Node) -> None:
        self.run(self._primary if primary is self else self._read_only)
        if self.engine.dialect.name == "postgresql":
            self._wait_for("off" if primary is self else "on")

    def _wait_for(self, read_only: str) -> None:
        # A reload comes later than the response: until then, the old primary takes writes. Once a
        # new session has the setting, the open ones were told of it, too.
        new = create_engine(self.url(self.port), poolclass=NullPool)
        end = time.monotonic() + _SECONDS
        while True:
            with new.connect() as connection:
                shown = connection.exec_driver_sql("SHOW default_transaction_read_only").scalar()
            if shown == read_only:
                return
            assert time.monotonic() < end, "the server does not take its role"
            time.sleep(_PAUSE)

    def run(self, statements: str) -> None:
        with self.engine.connect() as connection:
            for statement in statements.split(";"):
                connection.execute(text(statement))


@contextmanager
def _redis(folder: Path) -> Generator[_RedisNode]:
    with RedisServer(folder) as server:
        yield _RedisNode(server)


@contextmanager
def _postgresql(folder: Path) -> Generator[_SQLNode]:
    programs = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    path = os.pathsep.join([str(each) for each in programs[-1:]] + [os.environ["PATH"]])
    initdb, server = (shutil.which(name, path=path) for name in ("initdb", "postgres"))
    if initdb is None or server is None:
        pytest.skip("there is no PostgreSQL server on this machine")
    user = "postgres" if os.geteuid() == 0 else None  # which does not run as root
    if user is not None:
        shutil.chown(folder, user)
    data, port = folder / "data", free_port()
    subprocess.run(
        [initdb, "-D", data, "-U", "app", "-A", "trust", "--no-sync", "--locale=C", "-E", "UTF8"],
        check=True,
        capture_output=True,
        user=user,
        cwd=folder,
    )
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": "",
        "fsync": "off",
    }
    options = [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
    url = "postgresql+psycopg://app@127.0.0.1:{port}/postgres"
    switch = "ALTER SYSTEM SET default_transaction_read_only = {};SELECT pg_reload_conf()"
    # The role itself must still be able to change: its own session is never read-only.
    admin = f"{url}?options=-c%20default_transaction_read_only%3Doff"
    node = _SQLNode(port, admin, url, (switch.format("off"), switch.format("on")))
    with _running([server, "-D", data, *options], user, folder, node.engine):
        yield node


@contextmanager
def _mariadb(folder: Path) -> Generator[_SQLNode]:
    path = f"{os.environ['PATH']}{os.pathsep}/usr/sbin"  # which a user may not have in PATH
    install, server = (shutil.which(name, path=path) for name in ("mariadb-install-db", "mariadbd"))
    if install is None or server is None:
        pytest.skip("there is no MariaDB server on this machine")
    as_root = ["--user=root"] if os.geteuid() == 0 else []
    data, port = folder / "data", free_port()
    # A server that starts deletes the temporary tables of others that share its folder for them.
    temporary = folder / "temporary"
    temporary.mkdir()
    subprocess.run(
        [
            *(install, "--no-defaults", f"--datadir={data}", f"--tmpdir={temporary}", *as_root),
            *("--auth-root-authentication-method=normal", "--skip-test-db"),
        ],
        check=True,
        capture_output=True,
    )
    options = [
        *("--no-defaults", f"--datadir={data}", f"--tmpdir={temporary}"),
        *(*as_root, f"--port={port}"),
        *("--bind-address=127.0.0.1", f"--socket={folder / 'socket'}"),
    ]
    admin = "mysql+pymysql://root@127.0.0.1:{port}/mysql"
    app = "mysql+pymysql://app@127.0.0.1:{port}/app"
    node = _SQLNode(port, admin, app, ("SET GLOBAL read_only = 0", "SET GLOBAL read_only = 1"))
    with _running([server, *options], None, folder, node.engine):
        # Root may write to a server that is read-only.
        node.run("CREATE DATABASE app;CREATE USER app;GRANT ALL ON app.* TO app")
        node.engine.dispose()
        node.engine = create_engine(
            f"mysql+pymysql://root@127.0.0.1:{port}/app", isolation_level="AUTOCOMMIT"
        )
        try:
            yield node
        finally:
            node.engine.dispose()


@contextmanager
def _running(
    command: Sequence[object], user: str | None, folder: Path, engine: Engine
) -> Generator[None]:
    log = folder / "log"
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [str(word) for word in command], stdout=output, stderr=output, user=user, cwd=folder
        ) as process,
    ):
        try:
            end = time.monotonic() + _SECONDS
            while not _responds(engine):
                assert process.poll() is None, log.read_text(encoding="utf-8", errors="replace")
                assert time.monotonic() < end, "the server does not respond"
                time.sleep(_PAUSE)  # a program is starting
            yield
        finally:
            engine.dispose()
            process.kill()


def _responds(engine: Engine) -> bool:
    try:
        engine.connect().close()
    except exc.OperationalError:
        return False
    return True
