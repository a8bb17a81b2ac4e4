"""Whose token it is: the account's name, as Pipedrive tells it.

Source:
    https://developers.pipedrive.com/docs/api/v1/Users#getCurrentUser
"""

from __future__ import annotations

import json
from typing import Any, Final

import httpx
from attrs import frozen

from pipedrive_oauth_client.cli.exits import CommandError, ExitCode
from pipedrive_oauth_client.cli.reports import one_line
from pipedrive_oauth_client.destinations import is_this_machine
from pipedrive_oauth_client.tokens import Token

__all__ = ["Owner", "owner_of"]

_MOST_BYTES: Final = 1024 * 1024
_TIMEOUT: Final = httpx.Timeout(30, connect=10)


@frozen
class Owner:
    """The person who gave the grant.

    Attributes:
        company_id: The company's number.
        user_id: The user's number.
        name: The user's name, or an empty string.
        company: The company's name, or an empty string.
    """

    company_id: int
    user_id: int
    name: str
    company: str

    @property
    def account(self) -> str:
        """The account's name, by which an uninstall notice finds it, too."""
        return f"{self.company_id}:{self.user_id}"


def owner_of(token: Token) -> Owner:
    """Ask the API whose token it is.

    Args:
        token: A token that is valid.

    Returns:
        The person.

    Raises:
        CommandError: Pipedrive did not say.
    """
    if token.api_domain is None:
        raise _unknown("its answer does not name the company's API")
    try:
        data = json.loads(_asked(token.api_domain, token.access_token))["data"]
        company_id, user_id = data["company_id"], data["id"]
    except httpx.HTTPError as error:
        raise _unknown(f"{type(error).__name__} on the way") from error
    except (ValueError, LookupError, TypeError, RecursionError):
        problem = "its answer is not what it has to be"
    else:
        if type(company_id) is int and type(user_id) is int:
            name, company = data.get("name"), data.get("company_name")
            return Owner(company_id, user_id, _text(name), _text(company))
        problem = "its answer lacks the company or the user"
    raise _unknown(problem)


def _asked(api_domain: str, access_token: str) -> bytes:
    url = httpx.URL(api_domain).join("/api/v1/users/me")
    # A proxy that the environment names must not see what stays within this machine.
    is_direct = url.scheme == "http" and is_this_machine(url.host)
    headers = {"Authorization": f"Bearer {access_token}"}
    with (
        httpx.Client(timeout=_TIMEOUT, trust_env=not is_direct) as client,
        client.stream("GET", url, headers=headers) as response,
    ):
        if response.status_code != 200:
            raise _unknown(f"its API answered with status {response.status_code}")
        body = b""
        for part in response.iter_bytes():
            body += part
            if len(body) > _MOST_BYTES:
                raise _unknown("its answer is too long")
        return body


def _unknown(why: str) -> CommandError:
    return CommandError(f"Pipedrive did not say whose token this is: {why}.", ExitCode.NO_ANSWER)


def _text(value: Any) -> str:
    return one_line(value) if isinstance(value, str) else ""
