"""`SQLTokenStore` passes the tests that every store has to pass, on each kind of database."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pipedrive_oauth_client.stores import SQLTokenStore
from pipedrive_oauth_client.stores.conformance import LeaseConformance, TokenStoreConformance
from tests.support.backends import mariadb_url, postgres_url, throwaway_table


class _Conformance(TokenStoreConformance, LeaseConformance):
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        raise NotImplementedError

    @pytest.fixture
    def open_store(self, url: str) -> Generator[Callable[..., SQLTokenStore]]:
        """Give stores with engines of their own on one table."""
        with throwaway_table(url) as table, ExitStack() as closing:
            yield lambda **settings: closing.enter_context(
                SQLTokenStore(url, table=table, **settings)
            )


class TestSQLite(_Conformance):
    """The shared tests on a file."""

    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        """Give the address of a new file."""
        return f"sqlite:///{tmp_path / 'tokens.db'}"


class TestPostgreSQL(_Conformance):
    """The shared tests on PostgreSQL."""

    @pytest.fixture
    def url(self) -> str:
        """Give the address of the server."""
        return postgres_url()


class TestMariaDB(_Conformance):
    """The shared tests on MariaDB."""

    @pytest.fixture
    def url(self) -> str:
        """Give the address of the server."""
        return mariadb_url()
