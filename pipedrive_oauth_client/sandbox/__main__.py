"""`python -m pipedrive_oauth_client.sandbox`: the program of `pipedrive-oauth sandbox`.

It needs the extra `sandbox` alone; see `program`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.program import OPTIONS, announcement, exports, serve_sandbox
from pipedrive_oauth_client.sandbox.server import SandboxServer


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a sandbox until Ctrl-C and return the exit code: 0, 2 for wrong settings, or 1."""
    options = _parser().parse_args(arguments)

    def announce(server: SandboxServer) -> None:
        if sys.stdout is not None:  # started with its output closed
            shown = json.dumps(exports(server), indent=2) + "\n" if options.json else None
            sys.stdout.write(shown or announcement(server))
            sys.stdout.flush()

    try:
        serve_sandbox(
            host=options.host,
            port=options.port,
            allowed_hosts=options.allowed_host or _words("allowed_host"),
            redirect_uri=options.redirect_uri,
            announce=announce,
        )
    except ConfigurationError as error:
        sys.stderr.write(f"Error: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"The output can't be written: {error.strerror}.\n")
        # The interpreter would fail once more on what is left, with lines and a code of its own.
        with suppress(OSError):
            sys.stdout.close()
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pipedrive_oauth_client.sandbox",
        description="Serve a local stand-in for Pipedrive's OAuth service until Ctrl-C.",
    )
    for name, option in OPTIONS.items():
        text = f"{option.help} [{option.variable}]"
        if name == "allowed_host":
            parser.add_argument(option.flag, action="append", default=[], help=text)
        else:
            # A string, so that a value of the environment is parsed as one of the command line is.
            default = os.environ.get(option.variable) or option.default
            kind = int if name == "port" else str
            parser.add_argument(option.flag, type=kind, default=default, help=text)
    parser.add_argument("--json", action="store_true", help="Print the variables as JSON.")
    return parser


def _words(name: str) -> list[str]:
    return os.environ.get(OPTIONS[name].variable, "").split()


if __name__ == "__main__":
    sys.exit(main())
