"""The WWW-Authenticate header of an API answer that says no to a token, or misses one.

Source:
    RFC 6750 section 3.
"""

from __future__ import annotations

from pipedrive_oauth_client.sandbox.refusals import Refusal

_REALM = 'Bearer realm="pipedrive-sandbox"'
# Without a token there is no error to name (section 3.1).
_NAMED = ("invalid_token", "insufficient_scope")


def challenge(refusal: Refusal, *, scope: str = "") -> dict[str, str]:
    """Return the header for a refusal that is about a token, and no header for another one.

    Args:
        refusal: Why the call was refused.
        scope: The scope that would do, where one is missing.
    """
    if refusal.status != 401 and refusal.error not in _NAMED:
        return {}
    value = _REALM
    if refusal.error in _NAMED:
        value += f', error="{refusal.error}", error_description="{refusal.message}"'
    if scope:
        value += f', scope="{scope}"'
    return {"WWW-Authenticate": value}
