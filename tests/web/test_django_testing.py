"""Tests of a Django project leave live tokens alone, whichever runner they have."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pipedrive_oauth_client.stores import SQLTokenStore
from pipedrive_oauth_client.stores.conformance import a_token
from tests.web.django_databases import database
from tests.web.test_django_store import engine_of

ROOT = Path(__file__).parents[2]

SETTINGS = """
import pymysql
pymysql.install_as_MySQLdb()
DATABASES = {"default": %(database)r}
INSTALLED_APPS += ["pipedrive_oauth_client.web.django"]
PIPEDRIVE_OAUTH = {
    "CLIENT_ID": "sandbox-client",
    "CLIENT_SECRET": "sandbox-secret",
    "REDIRECT_URI": "http://127.0.0.1:8000/pipedrive/callback",
}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
%(more)s
"""
URLS = """
from django.urls import include, path
urlpatterns = [path("pipedrive/", include("pipedrive_oauth_client.web.django.%(urls)s"))]
"""
TESTS = '''
from datetime import timedelta
from django.contrib.auth.models import User
from django.db import connection
from django.test import SimpleTestCase, TestCase, TransactionTestCase, override_settings
from django.conf import settings
from pipedrive_oauth_client import sandbox
from pipedrive_oauth_client.stores.conformance import a_token
from pipedrive_oauth_client.web.django import DjangoTokenStore, auth_for, configuration


class Steps:
    """What a test of an app does."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.server = cls.enterClassContext(sandbox.run(sandbox.create_app(apps=[sandbox.App(
            client_id="sandbox-client", client_secret="sandbox-secret",
            redirect_uri="http://127.0.0.1:8000/pipedrive/callback", name="App",
            scopes=("base", "deals:read"))])))

    def setUp(self):
        changed = {**settings.PIPEDRIVE_OAUTH, "BASE_URL": self.server.base_url}
        override = override_settings(PIPEDRIVE_OAUTH=changed)
        override.enable()
        self.addCleanup(override.disable)
        self.user = User.objects.create_user("ada")  # a transaction that has written

    def connect_and_refresh(self):
        store = configuration.site().store
        self.assertEqual(list(store.accounts()), [])
        self.client.force_login(self.user)
        page = self.client.get("/pipedrive/connect")["Location"]
        self.assertEqual(self.client.get(self.server.visit(page)).status_code, 302 + 1)
        (account,) = store.accounts()
        stored = store.load(account)
        renewed = auth_for(account).token(rejected=stored)
        self.assertEqual(store.load(account), renewed)
        self.assertNotEqual(stored, renewed)
        self.assertEqual(User.objects.count(), 1)

    def test_first(self):
        self.connect_and_refresh()

    def test_second(self):
        self.connect_and_refresh()


class InTestCase(Steps, TestCase):
    pass


class InTransactionTestCase(Steps, TransactionTestCase):
    pass


class Simple(SimpleTestCase):
    def test_refused(self):
        with self.assertRaises(AssertionError):
            DjangoTokenStore().save("acme", a_token(5))
'''


ALONE = """
from django.test import SimpleTestCase
from pipedrive_oauth_client.stores.conformance import a_token
from pipedrive_oauth_client.web.django import DjangoTokenStore

class SimpleFromThread(SimpleTestCase):
    def test_refused(self):
        from threading import Thread
        errors = []
        def save():
            try:
                DjangoTokenStore().save("acme", a_token(5))
            except Exception as error:
                errors.append(str(error))
        thread = Thread(target=save)
        thread.start()
        thread.join()
        assert "no test database" in errors[0], errors
"""


class Project:
    """What `startproject` makes, with the app in it."""

    def __init__(self, folder: Path, settings: dict[str, Any], urls: str, more: str = "") -> None:
        self.folder = folder
        self.run("-m", "django", "startproject", "mysite", str(folder))
        with (folder / "mysite" / "settings.py").open("a", encoding="utf-8") as file:
            file.write(SETTINGS % {"database": settings, "more": more})
        self.write("mysite/urls.py", URLS % {"urls": urls})

    def write(self, name: str, text: str) -> None:
        """Write a file."""
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text(text, encoding="utf-8")

    def run(self, *words: str, fails: bool = False) -> str:
        """Run Python in the project, and give what it has printed."""
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": f"{ROOT}"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=80,
        )
        assert (done.returncode != 0) == fails, done.stdout
        return done.stdout


@pytest.fixture(params=[("sqlite", "urls"), ("postgresql", "urls"), ("sqlite", "async_urls")])
def settings_and_urls(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Generator[tuple[dict[str, Any], str]]:
    """Give an empty database, and the routes."""
    kind, urls = request.param
    with database(kind, tmp_path, is_whole=True) as settings:
        yield settings, urls


def test_manage_py_test(settings_and_urls: tuple[dict[str, Any], str], tmp_path: Path) -> None:
    """TestCase and TransactionTestCase begin without tokens, and the live ones stay as they are."""
    settings, urls = settings_and_urls
    project = Project(tmp_path, settings, urls)
    project.write("tests.py", TESTS)
    project.write("tests_alone.py", ALONE)
    with ExitStack() as stack:
        engine = engine_of(settings)
        stack.callback(engine.dispose)
        live = SQLTokenStore(engine)
        live.save("acme", a_token(1))
        printed = project.run("manage.py", "test", "tests", "--noinput")
        assert "Ran 5 tests" in printed
        if settings["ENGINE"].endswith("sqlite3") and urls == "urls":
            printed = project.run("manage.py", "test", "tests_alone")
        assert live.load("acme") == a_token(1)
        assert list(live.accounts()) == ["acme"]
