"""Hold the sandbox and the client against programs that others wrote: `python -m tools.interop`.

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
from tools.interop import foreign_project, fuzzing, journeys, mocking
from tools.interop.difference import DifferenceError

if TYPE_CHECKING:
    from collections.abc import Callable

# Each is given a folder for what it writes, says in one line what it counted, and raises
# DifferenceError where something is not as it should be.
PARTS: dict[str, Callable[[Path], str]] = {
    "schemathesis": fuzzing.check,
    "prism": mocking.check,
    "pipedrive-node": journeys.pipedrive_node,
    "authlib": journeys.authlib,
    "requests-oauthlib": journeys.requests_oauthlib,
    "foreign-project": foreign_project.check,
}


def main() -> int:
    """Run the parts named on the command line and return the exit code."""
    names = sys.argv[1:] or list(PARTS)
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        print(f"interop: no part {unknown[0]}; there are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    # So that children are ended and folders removed then, too.
    signal.signal(signal.SIGTERM, leave)
    passed: list[bool] = []
    return exit_code(lambda: passed.extend(map(passes, names))) or int(not all(passed))


def passes(name: str) -> bool:
    """Run a part, tell how it went, and return whether nothing differed."""
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
    """End as on an exception: every `with` block and every `finally` is gone through."""
    sys.exit(143)


if __name__ == "__main__":
    sys.exit(main())
