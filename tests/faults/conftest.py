"""A scene on each place where tokens can be kept by several processes."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from attrs import evolve

from pipedrive_oauth_client import AppCredentials, sandbox
from tests.faults.places import BRIEF, KINDS, LONG, made
from tests.faults.scene import Part, Scene


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Give each kind of place in turn."""
    return str(request.param)


@pytest.fixture
def scene(kind: str, tmp_path: Path) -> Generator[Scene]:
    """Give a rotating sandbox, and a place with a token, whose locks are not lost."""
    with _set(kind, tmp_path, LONG) as scene:
        yield scene


@pytest.fixture
def brief_scene(kind: str, tmp_path: Path) -> Generator[Scene]:
    """Give the same with locks that are lent for a moment only."""
    with _set(kind, tmp_path, BRIEF) as scene:
        yield scene


@contextmanager
def _set(kind: str, folder: Path, lease: timedelta) -> Generator[Scene]:
    with made(kind, folder) as place, sandbox.run() as server:
        app = server.app
        credentials = AppCredentials(app.client_id, app.client_secret, app.redirect_uri)
        part = Part(evolve(place, lease=lease), server.base_url, credentials)
        with part.playing() as (oauth, store):
            scene = Scene(server, part, oauth, store)
            scene.authorize()
            scene.forget()
            yield scene
