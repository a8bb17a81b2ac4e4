"""What commands work with, made from their options."""

from __future__ import annotations

import os
import re
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote

from pipedrive_oauth_client.cli.output import ask, ask_hidden, can_ask
from pipedrive_oauth_client.cli.reports import Manners
from pipedrive_oauth_client.cli.settings import AppSettings, read_secret_file
from pipedrive_oauth_client.cli.store_url import Place, default_url
from pipedrive_oauth_client.oauth import PipedriveOAuth

__all__ = ["app_settings", "opened_flow", "place_of"]


def place_of(
    manners: Manners, url: str | None, name: str | None, keys_file: Path | None = None
) -> Place:
    """Give the store that the options name.

    Args:
        manners: Is told what must not be written anywhere.
        url: Its address, or None for the default one.
        name: The table or the prefix of keys, or None.
        keys_file: A file with keys, or None.

    Returns:
        The place, not opened yet.

    Raises:
        ConfigurationError: The file can't be read.
    """
    text = os.environ.get("PIPEDRIVE_OAUTH_STORE_KEYS", "")
    if keys_file is not None:
        text = read_secret_file(keys_file, "the store's keys")
    keys = tuple(re.split(r"[\s,]+", text.strip())) if text.strip() else ()
    place = Place(url or default_url(), name or None, keys)
    manners.secrets += keys
    # All between the user's name and the last @ may be the password.
    for password in re.findall(r"://[^:/@]*:(.*)@", place.url):
        manners.secrets += {password, unquote(password)}
    for password in re.findall(r"[?&]password=([^&#]*)", place.url):
        manners.secrets += {password, unquote(password)}
    return place


def app_settings(
    manners: Manners,
    client_id: str | None,
    secret_file: Path | None,
    redirect_uri: str | None = None,
) -> AppSettings:
    """Give what is known of the app.

    Args:
        manners: Is told what must not be written anywhere.
        client_id: The client ID, or None.
        secret_file: A file with the client secret, or None for the environment.
        redirect_uri: The redirect URI, or None.

    Returns:
        The settings.

    Raises:
        ConfigurationError: The file can't be read.
    """
    secret = os.environ.get("PIPEDRIVE_CLIENT_SECRET")
    if secret_file is not None:
        secret = read_secret_file(secret_file, "the client secret")

    def hidden(question: str) -> str:
        answer = ask_hidden(question)
        manners.secrets.append(answer)
        return answer

    if secret:
        manners.secrets.append(secret)
    return AppSettings(client_id, secret, redirect_uri, ask if can_ask() else None, hidden)


@contextmanager
def opened_flow(
    settings: AppSettings, base_url: str, *, for_login: bool = False
) -> Generator[PipedriveOAuth]:
    """Make the flow of the app, and close its connections at the end.

    Args:
        settings: The app.
        base_url: Root of the service.
        for_login: Whether the redirect URI is needed.

    Yields:
        The flow.
    """
    with PipedriveOAuth(settings.credentials(for_login=for_login), base_url=base_url) as oauth:
        yield oauth
