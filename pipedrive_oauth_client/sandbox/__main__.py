"""`python -m pipedrive_oauth_client.sandbox [--port N]`: a sandbox in the foreground."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import TextIO
from urllib.parse import urlencode

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.app import create_app
from pipedrive_oauth_client.sandbox.server import SandboxServer, serve
from pipedrive_oauth_client.sandbox.urls import AUTHORIZE_PATH, HOME_PATH, ISSUE_PATH


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve a sandbox until Ctrl-C and return the exit code: 0, or 1 if it could not be served."""
    parser = argparse.ArgumentParser(
        prog="python -m pipedrive_oauth_client.sandbox",
        description="Serve a local stand-in for Pipedrive's OAuth service until Ctrl-C.",
    )
    parser.add_argument("--port", type=int, default=0, help="a TCP port; a free one by default")
    port: int = parser.parse_args(arguments).port
    try:
        serve(create_app(), port=port, announce=_announce)
    except KeyboardInterrupt:
        pass
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"The output can't be written: {error.strerror}.\n")
        # The interpreter would fail once more on what is left, with lines and a code of its own.
        with suppress(OSError):
            sys.stdout.close()
        return 1
    return 0


def _announce(server: SandboxServer) -> None:
    app, base_url = server.app, server.base_url
    query = urlencode(
        {"client_id": app.client_id, "redirect_uri": app.redirect_uri, "state": "any-text"}
    )
    out: TextIO | None = sys.stdout
    if out is None:  # started with its output closed
        return
    out.write(
        f"""\
A sandbox of Pipedrive's OAuth service is at {base_url} (nothing in it is real).

  base URL       {base_url}
  client_id      {app.client_id}
  client_secret  in sandbox.DEFAULT_APP
  redirect_uri   {app.redirect_uri}

  home page      open {base_url}{HOME_PATH} to see what happens
  authorize      open {base_url}{AUTHORIZE_PATH}?{query}
  tokens         POST {base_url}{ISSUE_PATH}

Press Ctrl-C to stop.
"""
    )
    out.flush()


if __name__ == "__main__":
    sys.exit(main())
