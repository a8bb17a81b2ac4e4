"""The settings of an app made ready: what every plan needs, and nothing of a framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any, Final

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.generated.encode import argument
from pipedrive_oauth_client.oauth import AsyncPipedriveOAuth, PipedriveOAuth
from pipedrive_oauth_client.web.login_state import Attempts, FirstUses
from pipedrive_oauth_client.web.redirect_targets import Returns
from pipedrive_oauth_client.web.runner import is_asynchronous
from pipedrive_oauth_client.web.settings import HOOKS, WebSettings

__all__ = ["WebCore"]

_FEWEST_CHARACTERS: Final = 16


class WebCore:
    """What an app has decided, with what follows from it.

    Args:
        oauth: The flow; only what sends nothing is asked of it.
        settings: What the app has decided.
        usual_keys: What cookies are signed with, newest first, where the app has named no key: the
            framework's own.

    Raises:
        ConfigurationError: A setting can't be right.
    """

    def __init__(
        self,
        oauth: PipedriveOAuth | AsyncPipedriveOAuth,
        settings: WebSettings[Any, Any],
        usual_keys: Iterable[str | bytes | None] = (),
    ) -> None:
        if isinstance(oauth, PipedriveOAuth):
            for name in HOOKS:
                if is_asynchronous(getattr(settings, name)):
                    raise ConfigurationError(f"{name} must not be asynchronous here.")
        self.oauth: Final = oauth
        self.settings: Final = settings
        self.returns: Final = Returns(settings.return_origins)
        if self.returns.allowed(settings.after_connect) is None:
            raise ConfigurationError(
                "after_connect must be a path such as /deals, or an address of return_origins."
            )
        self.attempts: Final = Attempts(
            _checked_keys(settings.secret_keys or usual_keys),
            oauth.credentials.client_id,
            lifetime=settings.lifetime,
            clock=oauth.clock,
            # Not what the request looks like: behind a proxy it may look like http.
            is_secure=oauth.credentials.redirect_uri.lower().startswith("https:"),
        )
        self.first_use: Final[Callable[[str, timedelta], Any]] = settings.first_use or FirstUses(
            oauth.clock
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.oauth!r})"

    def return_to(self, address: str | None, root: str) -> str:
        """Decide where a browser goes after connecting.

        Args:
            address: Where it wants to go; anybody can have written it.
            root: The path that the app is mounted at.

        Returns:
            That address if it may be gone to, and else the usual one.
        """
        usual = self.settings.after_connect
        return self.returns.allowed(address) or (root + usual if usual[0] == "/" else usual)


def _checked_keys(given: Iterable[str | bytes | None]) -> list[str]:
    if isinstance(given, str | bytes):
        raise ConfigurationError("secret_keys must be a list of keys, the newest first.")
    # Flask and Django take bytes as well, and an empty key for none.
    keys = [key.decode("latin-1") if isinstance(key, bytes) else key for key in given if key]
    for key in keys:
        if len(argument("secret_keys", key, str)) < _FEWEST_CHARACTERS:
            raise ConfigurationError(
                "secret_keys, or SECRET_KEY of Flask or Django in their place, must be strings of"
                f" at least {_FEWEST_CHARACTERS} characters that nobody can guess;"
                " secrets.token_urlsafe() makes one."
            )
    if not keys:
        raise ConfigurationError(
            "secret_keys is empty: name a key that nobody can guess, the same for all workers."
            " secrets.token_urlsafe() makes one."
        )
    return keys
