"""Connect a Pipedrive account from a terminal: consent, a token, an API call, a refresh.

    export PIPEDRIVE_CLIENT_ID=... PIPEDRIVE_CLIENT_SECRET=...
    export PIPEDRIVE_REDIRECT_URI=http://127.0.0.1:8123/callback
    python -m examples.command_line

The redirect URI is the callback URL of the app in Pipedrive's Developer Hub. If it is an `http://`
address of this machine, the script waits there for the callback; otherwise it asks for the last
address in the browser. `--sandbox` needs no account: the sandbox replaces the service and the user
who approves. The script prints no token and no code.
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


def connect(oauth: PipedriveOAuth, ask_user: Callable[[str], str]) -> Token:
    """Run the whole flow.

    Args:
        oauth: The client of the app.
        ask_user: Called with the address of the consent page; returns the callback URL.

    Returns:
        The token after one refresh. A real app stores it, encrypted, by company and user.
    """
    request = oauth.authorization_url()
    code = oauth.read_callback(ask_user(request.url), request.state)
    token = oauth.exchange(code)
    print(f"Connected: {describe_user(token)}, until {token.expires_at:%H:%M} UTC.")
    token = oauth.refresh(token)
    print(f"Refreshed: {describe_user(token)}, until {token.expires_at:%H:%M} UTC.")
    return token


def describe_user(token: Token) -> str:
    """Fetch the token's user from Pipedrive's API."""
    headers = {"Authorization": f"Bearer {token.access_token}"}
    response = httpx.get(f"{token.api_domain}/api/v1/users/me", headers=headers)
    user = response.raise_for_status().json()["data"]
    return f"{user['name']} of {user['company_name']}"


def wait_for_callback(url: str, redirect_uri: str) -> str:
    """Send the user to the consent page, and wait for the callback at the redirect URI."""
    parts = urlsplit(redirect_uri)
    callbacks: list[str] = []

    class Callback(BaseHTTPRequestHandler):
        timeout = 2  # seconds; browsers open connections in advance, and some send nothing

        def do_GET(self) -> None:
            expected = urlsplit(self.path).path == (parts.path or "/")
            self.send_response(200 if expected else 404)
            self.end_headers()
            if expected:  # and not the browser's request for an icon
                callbacks.append(self.path)
                self.wfile.write(b"You can close this page and go back to the terminal.")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            """Log nothing: the line would contain the code."""

    with HTTPServer((parts.hostname or "", parts.port or 80), Callback) as server:
        print(f"Open this address in a browser:\n\n  {url}\n", flush=True)
        while not callbacks:
            server.handle_request()
    return callbacks[0]


def paste_callback(url: str) -> str:
    """Send the user to the consent page, and read the pasted callback URL."""
    print(f"Open this address in a browser:\n\n  {url}\n")
    print("Paste the address that the browser shows afterwards: ", end="", flush=True)
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
                if local:
                    connect(oauth, lambda url: wait_for_callback(url, uri.geturl()))
                else:
                    connect(oauth, paste_callback)
    except (PipedriveOAuthError, httpx.HTTPError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
