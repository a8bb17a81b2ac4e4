"""Drives Authlib's httpx client; see ../journeys.py for what it reads and prints."""

from __future__ import annotations

import json
from typing import Any

from authlib.common.errors import AuthlibBaseError  # type: ignore[import-untyped]
from authlib.integrations.httpx_client import OAuth2Client  # type: ignore[import-untyped]


def client_of(settings: dict[str, str]) -> Any:
    """Return a client; its class derives from httpx's, which the types for it leave out."""
    return OAuth2Client(
        settings["client_id"],
        settings["client_secret"],
        redirect_uri=settings["redirect_uri"],
        token_endpoint_auth_method="client_secret_basic",
        revocation_endpoint_auth_method="client_secret_basic",
    )


def refusal(client: Any, url: str, refresh_token: str) -> str:
    """Return the error that a refresh token is refused with."""
    try:
        client.refresh_token(url, refresh_token=refresh_token)
    except AuthlibBaseError as error:
        return str(error.error)
    return "none"


def main() -> None:
    """Authorize, call the API, refresh, call it again, revoke, and be refused."""
    settings = json.loads(input())
    base_url = settings["base_url"]
    client = client_of(settings)
    url, state = client.create_authorization_url(f"{base_url}/oauth/authorize")
    print(f"VISIT {url}", flush=True)
    first = dict(
        client.fetch_token(f"{base_url}/oauth/token", authorization_response=input(), state=state)
    )
    user = client.get(f"{first['api_domain']}/api/v1/users/me").json()["data"]["name"]

    refresh_url = f"{base_url}/oauth/token/"
    second = dict(client.refresh_token(refresh_url))
    replaced_token = refusal(client, refresh_url, first["refresh_token"])
    with client_of({**settings, "client_secret": settings["client_secret"] + "x"}) as impostor:
        wrong_secret = refusal(impostor, refresh_url, second["refresh_token"])
    answer = client.get(f"{second['api_domain']}/api/v1/users/me").raise_for_status()
    if answer.json()["data"]["name"] != user:
        raise SystemExit("another user after the refresh")

    client.revoke_token(
        f"{base_url}/oauth/revoke",
        token=second["refresh_token"],
        token_type_hint="refresh_token",
    ).raise_for_status()
    if client.get(f"{second['api_domain']}/api/v1/users/me").status_code != 401:
        raise SystemExit("the access token outlived the revocation of the grant")
    if refusal(client, refresh_url, second["refresh_token"]) != "invalid_grant":
        raise SystemExit("the refresh token outlived its revocation")
    client.close()

    renewed = all(first[name] != second[name] for name in ("access_token", "refresh_token"))
    told = {
        "user": user,
        "scope": second["scope"],
        "renewed": renewed,
        "replaced_token": replaced_token,
        "wrong_secret": wrong_secret,
    }
    print(f"DONE {json.dumps(told)}")


if __name__ == "__main__":
    main()
