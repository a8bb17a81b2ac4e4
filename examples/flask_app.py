"""A web app with Flask: connect a Pipedrive account, see its deals, disconnect.

    python -m examples.flask_app --sandbox

Then open http://127.0.0.1:8123/. Without `--sandbox` it uses the real service, and the three
environment variables of `AppCredentials.from_env` identify the app.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Sequence

import httpx
from flask import Flask, Request, Response, abort, redirect, request, session, url_for
from flask.typing import ResponseReturnValue

from examples.look import deals_page, welcome
from examples.setting import Setting, setting
from pipedrive_oauth_client import InvalidGrantError, PipedriveOAuth, TokenNotFoundError
from pipedrive_oauth_client.web import Connection
from pipedrive_oauth_client.web.flask import PipedriveWeb

FRAMEWORK = "Flask"


def remember(_request: Request, connection: Connection) -> None:
    """Bind the session to the connected account."""
    session.clear()  # drop the previous user's session
    session["account"] = connection.account
    session["form_secret"] = secrets.token_urlsafe(32)


pipedrive = PipedriveWeb(after_connect="/deals", connected=remember)


def create_app(config: Setting) -> Flask:
    """Create the app."""
    app = Flask(__name__)
    app.secret_key = config.secret_key
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    app.config["SESSION_COOKIE_SECURE"] = config.is_https
    oauth = PipedriveOAuth(config.credentials, base_url=config.base_url)
    pipedrive.init_app(app, store=config.store, oauth=oauth)

    @app.get("/")
    def home() -> str:
        return welcome(FRAMEWORK, url_for("pipedrive.connect", next="/deals"))

    @app.get("/deals")
    def deals() -> ResponseReturnValue:
        account = session.get("account")
        if account is None:
            return redirect(url_for("home"))
        auth = pipedrive.auth_for(account)
        with httpx.Client(auth=auth, trust_env=config.is_https) as api:
            domain = auth.token().api_domain
            user = api.get(f"{domain}/api/v1/users/me").raise_for_status().json()["data"]
            found = api.get(f"{domain}/api/v2/deals").raise_for_status().json()["data"]
        secret = ("form_secret", session["form_secret"])
        page = deals_page(FRAMEWORK, user, found, disconnect=url_for("disconnect"), csrf=secret)
        return Response(page, headers={"Cache-Control": "no-store"})

    @app.post("/disconnect")
    def disconnect() -> ResponseReturnValue:
        given, expected = request.form.get("form_secret", ""), session.get("form_secret", "")
        if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
            abort(403)
        pipedrive.disconnect(session["account"])
        session.clear()
        return redirect(url_for("home"))

    @app.errorhandler(TokenNotFoundError)
    @app.errorhandler(InvalidGrantError)
    def connect_again(_error: Exception) -> str:
        message = "Your account is not connected any more."
        return welcome(FRAMEWORK, url_for("pipedrive.connect", next="/deals"), message)

    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the app until Ctrl-C."""
    # No access log: the addresses of callbacks contain codes.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    with setting(FRAMEWORK, arguments) as config:
        create_app(config).run("127.0.0.1", config.port, threaded=True)


if __name__ == "__main__":
    main()
