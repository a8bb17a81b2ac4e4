"""A web app with Flask: log in, connect a Pipedrive account, see its deals, disconnect.

    python -m examples.flask_app --sandbox

Then open http://127.0.0.1:8123/. Without `--sandbox` it uses the real service, and the three
environment variables of `AppCredentials.from_env` identify the app.
"""

from __future__ import annotations

import hmac
import logging
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import cast

import httpx
from flask import (
    Flask,
    Request,
    Response,
    abort,
    current_app,
    redirect,
    request,
    session,
    url_for,
)
from flask.typing import ResponseReturnValue

from examples.look import Form, deals_page, login_page, welcome
from examples.setting import USERS, Setting, UserAccounts, setting
from pipedrive_oauth_client import InvalidGrantError, PipedriveOAuth, TokenNotFoundError
from pipedrive_oauth_client.web import Connection
from pipedrive_oauth_client.web.flask import PipedriveWeb

FRAMEWORK = "Flask"
PRIVATE = {"Cache-Control": "no-store"}


def user_of(_request: Request) -> str:
    """Return the user who is logged in; without one, the browser goes to the login page."""
    if "user" not in session:
        abort(redirect(url_for("home"), 303))
    return str(session["user"])


def form_of() -> Form:
    """Return what a form of this session has."""
    return Form("secret", session.setdefault("secret", secrets.token_urlsafe(32)))


def check_form() -> None:
    """Reject a form that this session was not given."""
    given, expected = request.form.get("secret", ""), session.get("secret", "")
    if not expected or not hmac.compare_digest(given.encode(), expected.encode()):
        abort(403)


def remember(request: Request, connection: Connection) -> None:
    """Make the account that of the user who is logged in; the user's session goes on."""
    accounts().put(user_of(request), connection.account)


def accounts() -> UserAccounts:
    """Return the accounts of the app's users."""
    return UserAccounts(cast("Path", current_app.config["DATABASE"]))


pipedrive = PipedriveWeb(
    after_connect="/deals",
    connected=remember,
    session_of=user_of,  # a user who has begun to connect must be the one who ends it
)


def invite(message: str = "") -> Response:
    """Return the page of a user who has to connect."""
    connect = url_for("pipedrive.connect", next="/deals")
    page = welcome(FRAMEWORK, user_of(request), form_of(), connect, message)
    return Response(page, headers=PRIVATE)


def add_login(app: Flask) -> None:
    """Add what lets users log in to the app and out."""

    @app.get("/")
    def home() -> Response:
        if "user" not in session:
            return Response(login_page(FRAMEWORK, USERS, form_of()), headers=PRIVATE)
        return invite()

    @app.post("/login")
    def log_in() -> ResponseReturnValue:
        check_form()
        user = request.form.get("user")
        if user not in USERS:
            abort(403)
        session.clear()  # makes a session planted before useless
        session["user"] = user
        return redirect(url_for("home"), 303)

    @app.post("/logout")
    def log_out() -> ResponseReturnValue:
        check_form()
        session.clear()
        return redirect(url_for("home"), 303)


def create_app(config: Setting) -> Flask:
    """Create the app."""
    app = Flask(__name__)
    app.secret_key = config.secret_key
    app.config["DATABASE"] = config.database
    app.config["SESSION_COOKIE_SAMESITE"] = "Lax"
    app.config["SESSION_COOKIE_SECURE"] = config.is_https
    oauth = PipedriveOAuth(config.credentials, base_url=config.base_url)
    pipedrive.init_app(app, store=config.store, oauth=oauth)
    add_login(app)

    @app.get("/deals")
    def deals() -> ResponseReturnValue:
        user = user_of(request)
        account = accounts().get(user)
        if account is None:
            return redirect(url_for("home"))
        auth = pipedrive.auth_for(account)
        with httpx.Client(auth=auth, trust_env=config.is_https) as api:
            domain = auth.token().api_domain
            owner = api.get(f"{domain}/api/v1/users/me").raise_for_status().json()["data"]
            found = api.get(f"{domain}/api/v2/deals").raise_for_status().json()["data"]
        page = deals_page(FRAMEWORK, user, form_of(), owner, found)
        return Response(page, headers=PRIVATE)

    @app.post("/disconnect")
    def disconnect() -> ResponseReturnValue:
        check_form()
        user = user_of(request)
        account = accounts().get(user)
        if account is not None:
            pipedrive.disconnect(account)
            accounts().remove(user)
        return redirect(url_for("home"))

    @app.errorhandler(TokenNotFoundError)
    @app.errorhandler(InvalidGrantError)
    def connect_again(_error: Exception) -> Response:
        return invite("Your account is not connected any more.")

    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve the app until Ctrl-C."""
    # No access log: the addresses of callbacks contain codes.
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    with setting(FRAMEWORK, arguments) as config:
        create_app(config).run("127.0.0.1", config.port, threaded=True)


if __name__ == "__main__":
    main()
