"""The token endpoint's path with a slash: served as the other one, or redirected to it.

Pipedrive's own documents show both paths, and third parties report redirects from one to the
other. A client has to cope with either.
"""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

import attrs
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from pipedrive_oauth_client.errors import ConfigurationError
from pipedrive_oauth_client.sandbox.addresses import ISSUE_PATH, base_path, base_url
from pipedrive_oauth_client.sandbox.answers import PRIVATE
from pipedrive_oauth_client.sandbox.request_log import NOTHING_WAS_DONE

SlashedTokenPath: TypeAlias = Literal["serve", 301, 302, 303, 307, 308]
SlashedTokenLocation: TypeAlias = Literal["absolute", "relative"]


@attrs.frozen
class Redirect:
    """Sends whoever posts to the path with the slash to the one without.

    Args:
        status: The redirect's status.
        location: Whether its Location names the host (`absolute`) or only the path (`relative`).
    """

    status: int
    location: SlashedTokenLocation

    async def answer(self, request: Request) -> Response:
        """Answer any POST with the redirect, and do nothing else."""
        request.scope[NOTHING_WAS_DONE] = True
        base = base_url(request) if self.location == "absolute" else base_path(request)
        return RedirectResponse(base + ISSUE_PATH, status_code=self.status, headers=PRIVATE)


def check_settings(path: SlashedTokenPath, location: SlashedTokenLocation) -> None:
    """Refuse settings that are none of those there are.

    Raises:
        ConfigurationError: One is another.
    """
    if path not in get_args(SlashedTokenPath):
        raise ConfigurationError('slashed_token_path must be "serve", 301, 302, 303, 307 or 308.')
    if location not in get_args(SlashedTokenLocation):
        raise ConfigurationError('slashed_token_location must be "absolute" or "relative".')
