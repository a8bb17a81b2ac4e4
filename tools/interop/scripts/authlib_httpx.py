"""Drives Authlib's httpx client; see ../journeys.py for what it reads and prints."""

from __future__ import annotations

import json
from typing import Any

from authlib.common.errors import AuthlibBaseError  # type: ignore[import-untyped]
from authlib.integrations.httpx_client import OAuth2Client  # type: ignore[import-untyped]


def main() -> None:
    """Authorize, call the API, refresh, call it again, revoke, and be refused."""
    settings = json.loads(input())
    base_url = settings["base_url"]
    # Its class derives from httpx's, which the types for it leave out.
    client: Any = OAuth2Client(
        settings["client_id"],
        settings["client_secret"],
        redirect_uri=settings["redirect_uri"],
        token_endpoint_auth_method="client_secret_basic",
        revocation_endpoint_auth_method="client_secret_basic",
    )
    url, state = client.create_authorization_url(f"{base_url}/oauth/authorize")
    print(f"VISIT {url}", flush=True)
    first = dict(
        client.fetch_token(f"{base_url}/oauth/token", authorization_response=input(), state=state)
    )
    user = client.get(f"{first['api_domain']}/api/v1/users/me").json()["data"]["name"]

    second = dict(client.refresh_token(f"{base_url}/oauth/token/"))
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
    refusal = "none"
    try:
        client.refresh_token(f"{base_url}/oauth/token/", refresh_token=second["refresh_token"])
    except AuthlibBaseError as error:
        refusal = str(error.error)
    client.close()

    renewed = all(first[name] != second[name] for name in ("access_token", "refresh_token"))
    told = {"user": user, "scope": second["scope"], "renewed": renewed, "refusal": refusal}
    print(f"DONE {json.dumps(told)}")


if __name__ == "__main__":
    main()
