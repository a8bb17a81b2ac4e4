"""What an import costs, in time and memory: `python -m benchmarks import`.

Each is a process of its own. The time is that of the processor, user and system, of the whole
process: what else the machine does hardly shows in it.
"""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile

from benchmarks.measure import Table, figures, rounds_within
from benchmarks.peers import OPENAPI_GENERATOR, ROOT, STOCK, generated_peers

# httpx imports these for its command line where other packages have brought them: not in an app.
HIDDEN = "import sys; sys.modules.update(dict.fromkeys(('click', 'rich', 'pygments')))"
# Not `ru_maxrss`, which a process takes over from the one that started it.
MEMORY = "print(*(each.split()[1] for each in open('/proc/self/status') if each[:5] == 'VmHWM'))"
NOTE = (
    "The figures are for whole processes, from the start of Python to its end, without the optional"
    " packages of httpx."
)
WITH_ATTRS = "httpx and attrs"
# The first is what the others are compared with.
CODE = {
    "httpx": "import httpx",
    WITH_ATTRS: "import httpx, attrs",
    "this package, generated call": "from pipedrive_oauth_client import Client, get_tokens",
    "this package, PipedriveOAuth": "from pipedrive_oauth_client import PipedriveOAuth",
    "this package, PipedriveAuth": "from pipedrive_oauth_client import PipedriveAuth",
    "this package, basic_auth_header": "from pipedrive_oauth_client import basic_auth_header",
    "this package by itself": "import pipedrive_oauth_client",
    "openapi-python-client, stock templates": f"import {STOCK}.api.oauth.refresh_tokens",
    "openapi-generator": f"from {OPENAPI_GENERATOR} import OauthApi",
    "Authlib": "from authlib.integrations.httpx_client import OAuth2Client",
    "httpx-oauth": "import httpx_oauth.oauth2",
    "requests-oauthlib": "import requests_oauthlib",
    "http.client": "import http.client, json, urllib.parse",
    "Python itself": "pass",
}


def measured(rounds: int) -> Table:
    """Measure this package, httpx, and the peers."""
    milliseconds: dict[str, list[float]] = {name: [] for name in CODE}
    mebibytes: dict[str, list[float]] = {name: [] for name in CODE}
    with ExitStack() as stack:
        peers = stack.enter_context(generated_peers())
        # Bytecode is kept, as it is of installed packages, whatever the environment says.
        bytecode = stack.enter_context(TemporaryDirectory())
        variables = {**os.environ, "PYTHONPATH": os.pathsep.join([peers, str(ROOT)])}
        variables.pop("PYTHONDONTWRITEBYTECODE", None)
        variables["PYTHONPYCACHEPREFIX"] = bytecode
        for code in CODE.values():
            _run(code, variables)  # bytecode is written
        for number in rounds_within(rounds, 40):
            for name, code in CODE.items() if number % 2 else reversed(CODE.items()):
                taken, most = _run(code, variables)
                milliseconds[name].append(taken)
                mebibytes[name].append(most)
    cells = [*figures("processor time", milliseconds, "ms"), *figures("memory", mebibytes, "MiB")]
    return Table("import", "Importing, in a new process", tuple(cells), NOTE)


def _run(code: str, variables: dict[str, str]) -> tuple[float, float]:
    """Run code in a process, and return its milliseconds and its mebibytes at most."""
    with TemporaryFile() as printed, Path(os.devnull).open("wb") as nowhere:
        actions = [
            (os.POSIX_SPAWN_DUP2, printed.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, nowhere.fileno(), 2),  # Authlib warns, whatever the filters are
        ]
        command = [sys.executable, "-c", "\n".join([HIDDEN, code, MEMORY])]
        process = os.posix_spawn(sys.executable, command, variables, file_actions=actions)
        _process, status, used = os.wait4(process, 0)
        assert status == 0, f"{code} failed"
        printed.seek(0)
        most = int(printed.read()) / 1024
    return (used.ru_utime + used.ru_stime) * 1e3, most
