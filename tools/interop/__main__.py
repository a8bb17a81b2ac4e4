"""Test the sandbox and the client with programs that others wrote: `python -m tools.interop`.

The names of parts can follow; without any, all of them run, one after another. What they need is
installed when it is first needed.
"""

from __future__ import annotations

import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import httpx

from pipedrive_oauth_client import PipedriveOAuthError
from tools.environments import exit_code
from tools.interop import captured_requests, fuzzing, oauth_clients, wheel_install
from tools.interop.subprocesses import DifferenceError

if TYPE_CHECKING:
    from collections.abc import Callable

# Each gets a folder to write to, returns in one line what it counted, and raises DifferenceError
# where something is not as it should be.
PARTS: dict[str, Callable[[Path], str]] = {
    "schemathesis": fuzzing.check,
    "openapi-core": captured_requests.check,
    "pipedrive-node": oauth_clients.pipedrive_node,
    "authlib": oauth_clients.authlib,
    "requests-oauthlib": oauth_clients.requests_oauthlib,
    "wheel": wheel_install.check,
}


def main() -> int:
    """Run the parts named on the command line and return the exit code."""
    names = sys.argv[1:] or list(PARTS)
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"interop: no part {unknown[0]}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    # So that subprocesses are ended and folders removed then, too.
    signal.signal(signal.SIGTERM, leave)
    passed: list[bool] = []
    return exit_code(lambda: passed.extend(map(passes, names))) or int(not all(passed))


def passes(name: str) -> bool:
    """Run a part, print how it went, and return whether nothing differed."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="interop-") as folder:
        try:
            counts = PARTS[name](Path(folder))
        except (DifferenceError, PipedriveOAuthError, httpx.HTTPError) as error:
            if isinstance(error, DifferenceError) and error.output:
                print(error.output, file=sys.stderr)
            what = str(error) or type(error).__name__
            print(f"interop: {name}: {what}", file=sys.stderr, flush=True)
            return False
    print(f"{name} ({time.monotonic() - began:.0f} s): {counts}", flush=True)
    return True


def leave(_signal: int, _frame: object) -> NoReturn:
    """Exit as on an exception, so that every `with` block and every `finally` runs."""
    sys.exit(143)


if __name__ == "__main__":
    sys.exit(main())
