"""Drives requests-oauthlib; see ../journeys.py for what it reads and prints."""

from __future__ import annotations

import json

from oauthlib.oauth2 import OAuth2Error  # type: ignore[import-untyped]
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session  # type: ignore[import-untyped]


def main() -> None:
    """Authorize, call the API, refresh, be refused, and call it again."""
    settings = json.loads(input())
    base_url = settings["base_url"]
    login = HTTPBasicAuth(settings["client_id"], settings["client_secret"])
    with OAuth2Session(settings["client_id"], redirect_uri=settings["redirect_uri"]) as session:
        url, _state = session.authorization_url(f"{base_url}/oauth/authorize")
        print(f"VISIT {url}", flush=True)
        first = dict(
            session.fetch_token(
                f"{base_url}/oauth/token", authorization_response=input(), auth=login
            )
        )
        user = session.get(f"{first['api_domain']}/api/v1/users/me").json()["data"]["name"]

        def refusal(refresh_token: str, auth: HTTPBasicAuth) -> str:
            try:
                session.refresh_token(token_url, refresh_token=refresh_token, auth=auth)
            except OAuth2Error as error:
                return str(error.error)
            return "none"

        token_url = f"{base_url}/oauth/token"
        second = dict(session.refresh_token(token_url, auth=login))
        replaced_token = refusal(first["refresh_token"], login)
        impostor = HTTPBasicAuth(settings["client_id"], settings["client_secret"] + "x")
        wrong_secret = refusal(second["refresh_token"], impostor)
        answer = session.get(f"{second['api_domain']}/api/v1/users/me")
        answer.raise_for_status()
        if answer.json()["data"]["name"] != user:
            raise SystemExit("another user after the refresh")
    renewed = all(first[name] != second[name] for name in ("access_token", "refresh_token"))
    # oauthlib splits at spaces, as RFC 6749 has it; Pipedrive's scopes have commas between them.
    scope = " ".join(second["scope"])
    told = {
        "user": user,
        "scope": scope,
        "renewed": renewed,
        "replaced_token": replaced_token,
        "wrong_secret": wrong_secret,
    }
    print(f"DONE {json.dumps(told)}")


if __name__ == "__main__":
    main()
