"""A PgBouncer of a test's own, in front of the PostgreSQL of the tests."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from sqlalchemy import make_url

from tests.support.wire import free_port

__all__ = ["pgbouncer"]

_TRIES = 200
_PAUSE = 0.05

_SETTINGS = """
[databases]
{database} = {server} pool_size=3
one = {server} dbname={database} pool_size=1
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {own_port}
unix_socket_dir =
auth_type = trust
auth_file = {users}
pool_mode = transaction
"""


@contextmanager
def pgbouncer(url: str) -> Generator[tuple[str, str]]:
    """Pool the transactions of a PostgreSQL; skip the test where PgBouncer is not installed.

    Gives two addresses: of three sessions that the clients share, and of one.
    """
    program = shutil.which("pgbouncer", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
    if program is None:
        pytest.skip("there is no PgBouncer on this machine")
    direct, own_port = make_url(url), free_port()
    server = {
        "host": direct.host or "127.0.0.1",
        "port": direct.port or 5432,
        "user": direct.username,
        "password": direct.password,
    }
    user = "postgres" if os.geteuid() == 0 else None  # it does not run as root
    with TemporaryDirectory(prefix="pytest-pgbouncer-") as name:
        folder = Path(name)
        settings, users = folder / "pgbouncer.ini", folder / "users.txt"
        users.write_text(f'"{direct.username}" ""\n', encoding="utf-8")
        settings.write_text(
            _SETTINGS.format(
                database=direct.database,
                server=" ".join(f"{name}={value}" for name, value in server.items() if value),
                users=users,
                own_port=own_port,
            ),
            encoding="utf-8",
        )
        if user is not None:
            for each in (folder, settings, users):
                shutil.chown(each, user)
        log = folder / "log"
        with (
            log.open("wb") as output,
            subprocess.Popen(
                [program, "-q", str(settings)], stdout=output, stderr=output, user=user
            ) as process,
        ):
            try:
                for _ in range(_TRIES):
                    assert process.poll() is None, log.read_text(encoding="utf-8")
                    try:
                        socket.create_connection(("127.0.0.1", own_port), timeout=5).close()
                        break
                    except OSError:
                        time.sleep(_PAUSE)  # a program is starting
                pooled = direct.set(host="127.0.0.1", port=own_port)
                yield (
                    pooled.render_as_string(hide_password=False),
                    pooled.set(database="one").render_as_string(hide_password=False),
                )
            finally:
                process.kill()
