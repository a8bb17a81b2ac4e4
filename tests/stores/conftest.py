"""A folder for the tests of stores, most of which would wait for the disk alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import pytest

_MEMORY = Path("/dev", "shm")


@pytest.fixture(scope="session")
def fast_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a folder in memory, where `fsync` takes no time, on systems that have one."""
    if os.access(_MEMORY, os.W_OK):
        with TemporaryDirectory(dir=_MEMORY, prefix="pytest-stores-") as folder:
            yield Path(folder)
    else:
        yield tmp_path_factory.mktemp("stores")


@pytest.fixture
def tmp_path(fast_folder: Path) -> Path:
    """Give a test its own folder in the fast one, which is removed after all tests."""
    return Path(mkdtemp(dir=fast_folder))
