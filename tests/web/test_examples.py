from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from django.contrib.sessions.backends.signed_cookies import SessionStore
from django.http import HttpRequest
from fastapi import Request
from flask import Flask
from flask import request as flask_request
from flask import session as flask_session

from examples import django_app, fastapi_app, flask_app
from pipedrive_oauth_client import Token
from pipedrive_oauth_client.web import Connection, PipedriveUser

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
PLANTED = {"planted": "by a stranger", "account": "2:22", "form_secret": "known to a stranger"}


@pytest.fixture
def connection() -> Connection:
    """A connection that was just made."""
    token = Token(
        access_token="access",
        refresh_token="refresh",
        token_type="Bearer",
        scope="base",
        api_domain="https://acme.example",
        expires_at=NOW,
    )
    user = PipedriveUser(company_id=1, user_id=11)
    return Connection(
        account="1:11", user=user, token=token, from_marketplace=False, return_to="/", at=NOW
    )


def test_session_of_fastapi(connection: Connection) -> None:
    """Nothing of the session before the connection is in the one after it."""
    request = Request({"type": "http", "session": dict(PLANTED)})
    asyncio.run(fastapi_app.remember(request, connection))
    assert request.session.keys() == {"account", "form_secret"}
    assert not PLANTED.items() & request.session.items()


def test_session_of_flask(connection: Connection) -> None:
    """Nothing of the session before the connection is in the one after it."""
    app = Flask("tests.web")
    app.secret_key = "a-key-of-this-test"
    with app.test_request_context():
        flask_session.update(PLANTED)
        flask_app.remember(flask_request, connection)
        assert flask_session.keys() == {"account", "form_secret"}
        assert not PLANTED.items() & flask_session.items()


def test_session_of_django(connection: Connection) -> None:
    """Nothing of the session before the connection is in the one after it."""
    request = HttpRequest()
    request.session = SessionStore()
    request.session.update(PLANTED)
    django_app.remember(request, connection)
    assert dict(request.session.items()) == {"account": "1:11"}
