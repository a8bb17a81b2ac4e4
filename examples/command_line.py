"""Connect a Pipedrive account from a terminal: consent, a token, an API call, a refresh.

    export PIPEDRIVE_CLIENT_ID=... PIPEDRIVE_CLIENT_SECRET=...
    export PIPEDRIVE_REDIRECT_URI=http://127.0.0.1:8123/callback
    python -m examples.command_line

The redirect URI is the callback URL of the app in Pipedrive's Developer Hub. If it is an `http://`
address of this machine, the script waits there for the browser to come back; otherwise it asks for
the address that the browser ended up at. `--sandbox` needs no account: the sandbox stands in for
the service, and for the person who says yes. No token and no code is printed.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import urlsplit

import httpx

from pipedrive_oauth_client import (
    AppCredentials,
    PipedriveOAuth,
    PipedriveOAuthError,
    Token,
    sandbox,
)


def connect(oauth: PipedriveOAuth, person: Callable[[str], str]) -> Token:
    """Go through the whole flow.

    Args:
        oauth: The flow of the app.
        person: Is given the address of the consent page, and gives the callback that follows.

    Returns:
        The token after one refresh. A real app stores it, encrypted, by company and user.
    """
    request = oauth.authorization_url()
    code = oauth.read_callback(person(request.url), request.state)
    token = oauth.exchange(code)
    print(f"Connected: {who_is_it(token)}, until {token.expires_at:%H:%M} UTC.")
    token = oauth.refresh(token)
    print(f"Refreshed: {who_is_it(token)}, until {token.expires_at:%H:%M} UTC.")
    return token


def who_is_it(token: Token) -> str:
    """Ask Pipedrive's API whose token this is."""
    headers = {"Authorization": f"Bearer {token.access_token}"}
    response = httpx.get(f"{token.api_domain}/api/v1/users/me", headers=headers)
    user = response.raise_for_status().json()["data"]
    return f"{user['name']} of {user['company_name']}"


def catch(url: str, redirect_uri: str) -> str:
    """Send the person to the page, and wait at the redirect URI until the browser comes back."""
    parts = urlsplit(redirect_uri)
    caught: list[str] = []

    class Callback(BaseHTTPRequestHandler):
        timeout = 2  # seconds; browsers open connections in advance, and some send nothing

        def do_GET(self) -> None:
            expected = urlsplit(self.path).path == (parts.path or "/")
            self.send_response(200 if expected else 404)
            self.end_headers()
            if expected:  # and not the browser's wish for an icon
                caught.append(self.path)
                self.wfile.write(b"You can close this page and go back to the terminal.")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Say nothing: the line would hold the code."""

    with HTTPServer((parts.hostname or "", parts.port or 80), Callback) as server:
        print(f"Open this address in a browser:\n\n  {url}\n", flush=True)
        while not caught:
            server.handle_request()
    return caught[0]


def paste(url: str) -> str:
    """Send the person to the page, and ask where the browser ended up."""
    print(f"Open this address in a browser:\n\n  {url}\n")
    print("The address that the browser shows afterwards: ", end="", flush=True)
    return sys.stdin.readline().strip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Connect an account, and return the exit code."""
    parser = argparse.ArgumentParser(description="Connect a Pipedrive account.")
    parser.add_argument("--sandbox", action="store_true", help="use a sandbox; needs no account")
    try:
        if parser.parse_args(arguments).sandbox:
            with sandbox.run() as server:
                app = server.app
                credentials = AppCredentials(app.client_id, app.client_secret, app.redirect_uri)
                with PipedriveOAuth(credentials, base_url=server.base_url) as oauth:
                    connect(oauth, server.visit)
        else:
            credentials = AppCredentials.from_env()
            uri = urlsplit(credentials.redirect_uri)
            local = uri.scheme == "http" and uri.hostname in ("127.0.0.1", "localhost")
            with PipedriveOAuth(credentials) as oauth:
                connect(oauth, lambda url: catch(url, uri.geturl()) if local else paste(url))
    except (PipedriveOAuthError, httpx.HTTPError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
