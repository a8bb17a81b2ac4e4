"""What an import costs, in time and memory: `python -m benchmarks import`.

Each is a process of its own. The time is that of the processor, user and system, of the whole
process: what the machine does meanwhile hardly shows in it.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from attrs import field, frozen

from benchmarks.measure import row
from benchmarks.results import Table
from benchmarks.rivals import OPENAPI_GENERATOR, STOCK, generated

ROUNDS = 15
ROOT = Path(__file__).resolve().parent.parent
# httpx imports these for its command line where other packages have brought them: not in an app.
HIDDEN = "import sys; sys.modules.update(dict.fromkeys(('click', 'rich', 'pygments')))"
# Not `ru_maxrss`, which a process takes over from the one that started it.
MEMORY = "print(*(each.split()[1] for each in open('/proc/self/status') if each[:5] == 'VmHWM'))"
NOTE = (
    "Whole processes, from the start of Python to its end, without click, which httpx would import"
    " where it is there. Whoever needs the errors, a token or the Basic header alone does without"
    " httpx."
)


@frozen
class Way:
    """Something to import.

    Attributes:
        name: What it is called.
        code: The statement.
        milliseconds: Processor time of each round.
        mebibytes: Memory at its most, of each round.
    """

    name: str
    code: str
    milliseconds: list[float] = field(factory=list[float])
    mebibytes: list[float] = field(factory=list[float])


def measured() -> list[Table]:
    """Measure this package, httpx, and the peers."""
    ways = [
        Way("httpx", "import httpx"),
        Way("httpx and attrs", "import httpx, attrs"),
        Way("this package, PipedriveOAuth", "from pipedrive_oauth_client import PipedriveOAuth"),
        Way("this package, PipedriveAuth", "from pipedrive_oauth_client import PipedriveAuth"),
        Way(
            "this package, basic_auth_header",
            "from pipedrive_oauth_client import basic_auth_header",
        ),
        Way("this package by itself", "import pipedrive_oauth_client"),
        Way("openapi-python-client, stock templates", f"import {STOCK}.api.oauth.refresh_tokens"),
        Way("openapi-generator", f"from {OPENAPI_GENERATOR} import OauthApi"),
        Way("Authlib", "from authlib.integrations.httpx_client import OAuth2Client"),
        Way("httpx-oauth", "import httpx_oauth.oauth2"),
        Way("requests-oauthlib", "import requests_oauthlib"),
        Way("http.client", "import http.client, json, urllib.parse"),
        Way("Python itself", "pass"),
    ]
    with ExitStack() as stack:
        stack.enter_context(generated())
        # Bytecode is kept, as it is of what somebody has installed, whatever the environment says.
        bytecode = stack.enter_context(TemporaryDirectory())
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join([sys.path[0], str(ROOT)])}
        variables.pop("PYTHONDONTWRITEBYTECODE", None)
        variables["PYTHONPYCACHEPREFIX"] = bytecode
        for way in ways:
            _run(way, variables)  # bytecode is written
            way.milliseconds.clear()
            way.mebibytes.clear()
        for number in range(ROUNDS):
            for way in ways if number % 2 else reversed(ways):
                _run(way, variables)
    first = ways[0]
    return [
        Table(
            "Importing: processor time",
            tuple(row(way.name, way.milliseconds, first.milliseconds, "ms") for way in ways),
            NOTE,
        ),
        Table(
            "Importing: memory of the process at its most",
            tuple(row(way.name, way.mebibytes, first.mebibytes, "MiB") for way in ways),
        ),
    ]


def _run(way: Way, variables: dict[str, str]) -> None:
    code = "\n".join([HIDDEN, way.code, MEMORY])
    with TemporaryFile() as printed, Path(os.devnull).open("wb") as nowhere:
        actions = [
            (os.POSIX_SPAWN_DUP2, printed.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, nowhere.fileno(), 2),  # Authlib warns, whatever it is told
        ]
        command = [sys.executable, "-c", code]
        process = os.posix_spawn(sys.executable, command, variables, file_actions=actions)
        _process, status, used = os.wait4(process, 0)
        assert status == 0, f"{way.code} failed"
        printed.seek(0)
        way.mebibytes.append(int(printed.read()) / 1024)
    way.milliseconds.append((used.ru_utime + used.ru_stime) * 1e3)
