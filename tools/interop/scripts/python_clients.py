"""Drives Authlib's httpx client or requests-oauthlib, whichever its argument names.

../oauth_clients.py starts it, and says what it reads and prints. It runs in .venv-interop.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from authlib.common.errors import AuthlibBaseError  # type: ignore[import-untyped]
from authlib.integrations.httpx_client import OAuth2Client  # type: ignore[import-untyped]
from oauthlib.oauth2 import OAuth2Error  # type: ignore[import-untyped]
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session  # type: ignore[import-untyped]


def authlib(settings: dict[str, str]) -> None:
    """Authorize, call the API, refresh, be rejected, call the API again, revoke, be rejected."""
    base_url = settings["base_url"]
    client = authlib_client(settings)
    url, state = client.create_authorization_url(f"{base_url}/oauth/authorize")
    print(f"VISIT {url}", flush=True)
    first = dict(
        client.fetch_token(f"{base_url}/oauth/token", authorization_response=input(), state=state)
    )
    user = user_name(client, first)

    refresh_url = f"{base_url}/oauth/token/"
    second = dict(client.refresh_token(refresh_url))
    replaced_token = authlib_error(client, refresh_url, first["refresh_token"])
    other = {**settings, "client_secret": settings["client_secret"] + "x"}
    with authlib_client(other) as impostor:
        wrong_secret = authlib_error(impostor, refresh_url, second["refresh_token"])
    if user_name(client, second) != user:
        raise SystemExit("another user after the refresh")

    client.revoke_token(
        f"{base_url}/oauth/revoke",
        token=second["refresh_token"],
        token_type_hint="refresh_token",
    ).raise_for_status()
    if client.get(f"{second['api_domain']}/api/v1/users/me").status_code != 401:
        raise SystemExit("the access token outlived the revocation of the grant")
    if authlib_error(client, refresh_url, second["refresh_token"]) != "invalid_grant":
        raise SystemExit("the refresh token outlived its revocation")
    client.close()
    report(user, first, {**second, "scope": [second["scope"]]}, replaced_token, wrong_secret)


def authlib_client(settings: dict[str, str]) -> Any:
    """Return a client; its class derives from httpx's, which the types for it leave out."""
    return OAuth2Client(
        settings["client_id"],
        settings["client_secret"],
        redirect_uri=settings["redirect_uri"],
        token_endpoint_auth_method="client_secret_basic",
        revocation_endpoint_auth_method="client_secret_basic",
    )


def authlib_error(client: Any, url: str, refresh_token: str) -> str:
    """Return the error code that a refresh ends with."""
    try:
        client.refresh_token(url, refresh_token=refresh_token)
    except AuthlibBaseError as error:
        return str(error.error)
    return "none"


def requests_oauthlib(settings: dict[str, str]) -> None:
    """Authorize, call the API, refresh, be rejected, and call the API again."""
    base_url = settings["base_url"]
    token_url = f"{base_url}/oauth/token"
    login = HTTPBasicAuth(settings["client_id"], settings["client_secret"])
    impostor = HTTPBasicAuth(settings["client_id"], settings["client_secret"] + "x")
    with OAuth2Session(settings["client_id"], redirect_uri=settings["redirect_uri"]) as session:
        url, _state = session.authorization_url(f"{base_url}/oauth/authorize")
        print(f"VISIT {url}", flush=True)
        first = dict(session.fetch_token(token_url, authorization_response=input(), auth=login))
        user = user_name(session, first)

        def error_code(refresh_token: str, auth: HTTPBasicAuth) -> str:
            try:
                session.refresh_token(token_url, refresh_token=refresh_token, auth=auth)
            except OAuth2Error as error:
                return str(error.error)
            return "none"

        second = dict(session.refresh_token(token_url, auth=login))
        replaced_token = error_code(first["refresh_token"], login)
        wrong_secret = error_code(second["refresh_token"], impostor)
        if user_name(session, second) != user:
            raise SystemExit("another user after the refresh")
    report(user, first, second, replaced_token, wrong_secret)


def user_name(client: Any, token: dict[str, Any]) -> str:
    """Return the name of the user whose access token the client sends."""
    response = client.get(f"{token['api_domain']}/api/v1/users/me")
    response.raise_for_status()
    return str(response.json()["data"]["name"])


def report(
    user: str,
    first: dict[str, Any],
    second: dict[str, Any],
    replaced_token: str,
    wrong_secret: str,
) -> None:
    """Print what was learned."""
    refreshed = all(first[name] != second[name] for name in ("access_token", "refresh_token"))
    learned = {
        "user": user,
        # oauthlib splits at spaces (RFC 6749); Pipedrive's scopes have commas between them.
        "scope": " ".join(second["scope"]),
        "refreshed": refreshed,
        "replaced_token": replaced_token,
        "wrong_secret": wrong_secret,
    }
    print(f"DONE {json.dumps(learned)}")


if __name__ == "__main__":
    drive = {"authlib": authlib, "requests-oauthlib": requests_oauthlib}[sys.argv[1]]
    drive(json.loads(input()))
