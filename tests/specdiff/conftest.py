"""Packages that are generated once in each session, whichever worker of pytest needs them."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath

import pytest

from tools.specdiff import python_package


@pytest.fixture(scope="session", autouse=True)
def shared_packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep generated packages in a directory that all workers of this session share."""
    session = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        session = session.parent
    directory = session / "specdiff-packages"
    directory.mkdir(exist_ok=True)
    generate = python_package.generate_package

    @cache
    def generate_once(text: str, label: str) -> dict[PurePosixPath, bytes]:
        file = directory / hashlib.sha256(f"{label}:{text}".encode()).hexdigest()
        if file.exists():
            kept: dict[PurePosixPath, bytes] = pickle.loads(file.read_bytes())  # noqa: S301 - ours
            return kept
        made = generate(text, label)
        unfinished = file.with_suffix(f".{os.getpid()}")
        unfinished.write_bytes(pickle.dumps(made))
        unfinished.replace(file)
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(python_package, "generate_package", generate_once)
        yield
