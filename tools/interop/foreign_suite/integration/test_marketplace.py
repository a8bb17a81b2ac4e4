"""Another project's tests of installs that begin and end in the Pipedrive Marketplace."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from pipedrive_oauth_client import NO_STATE, InvalidGrantError, PipedriveOAuth
from pipedrive_oauth_client.sandbox import DEFAULT_USER, OTHER_USER

if TYPE_CHECKING:
    from pipedrive_oauth_client.pytest_plugin import PipedriveSandbox


def test_an_install_without_a_state(pipedrive_sandbox: PipedriveSandbox) -> None:
    """An install from the Marketplace comes back without a state and is accepted as such."""
    box = pipedrive_sandbox
    with PipedriveOAuth(box.credentials, base_url=box.base_url) as oauth:
        token = oauth.exchange(oauth.read_callback(box.server.install(), NO_STATE))
    assert "deals:full" in token.scopes


def test_an_uninstall_ends_one_account(pipedrive_sandbox: PipedriveSandbox) -> None:
    """The notice names the account, whose refresh token is dead; the other one's works."""
    box = pipedrive_sandbox
    with PipedriveOAuth(box.credentials, base_url=box.base_url) as oauth:
        gone, kept = (
            oauth.exchange(oauth.read_callback(box.server.install(user=user), NO_STATE))
            for user in (DEFAULT_USER, OTHER_USER)
        )
        notice = json.loads(box.server.sandbox.uninstall(DEFAULT_USER).content)
        assert notice["user_id"] == DEFAULT_USER.id
        with pytest.raises(InvalidGrantError):
            oauth.refresh(gone)
        oauth.refresh(kept)


def test_we_leave(pipedrive_sandbox: PipedriveSandbox) -> None:
    """Revoking the refresh token uninstalls the app."""
    box = pipedrive_sandbox
    with PipedriveOAuth(box.credentials, base_url=box.base_url) as oauth:
        token = oauth.exchange(oauth.read_callback(box.server.install(), NO_STATE))
        assert box.server.sandbox.is_installed(DEFAULT_USER)
        oauth.revoke(token, "refresh_token")
    assert not box.server.sandbox.is_installed(DEFAULT_USER)
