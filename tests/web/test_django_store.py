"""`DjangoTokenStore`: the shared tests on each kind of database, through Django's settings."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack

import pytest
from django.db import connections

from pipedrive_oauth_client.stores.conformance import LeaseConformance, TokenStoreConformance
from pipedrive_oauth_client.web.django import DjangoTokenStore
from tests.web.django_databases import database, migrated


@pytest.fixture(scope="class")
def alias(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Generator[str]:
    """Give a database for all tests of a class."""
    kind: type[_Conformance] = request.cls
    folder = tmp_path_factory.mktemp("django")
    with (
        database(kind.kind, folder, CONN_MAX_AGE=kind.max_age) as settings,
        migrated(settings) as alias,
    ):
        yield alias


class _Conformance(TokenStoreConformance, LeaseConformance):
    kind = ""
    max_age: int | None = 0

    @pytest.fixture
    def open_store(self, alias: str) -> Generator[Callable[..., DjangoTokenStore]]:
        """Give stores with connections of their own on one empty table."""
        with ExitStack() as closing:

            def open_store(**settings: object) -> DjangoTokenStore:
                store = DjangoTokenStore(alias, **settings)  # type: ignore[arg-type]
                closing.callback(store.close)
                return store

            yield open_store
        with connections[alias].cursor() as cursor:
            cursor.execute("DELETE FROM pipedrive_tokens")
        connections[alias].close()


class TestSQLite(_Conformance):
    """The shared tests on a file."""

    kind = "sqlite"


class TestPostgreSQL(_Conformance):
    """The shared tests on PostgreSQL."""

    kind = "postgresql"


class TestMariaDB(_Conformance):
    """The shared tests on MariaDB, with connections that stay open."""

    kind = "mariadb"
    max_age = 60
