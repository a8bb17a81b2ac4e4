"""Connecting Pipedrive accounts in a web app: routes for three frameworks, over one core.

`web.starlette` (FastAPI, too), `web.flask` and `web.django` mount them, and each imports its own
framework alone, which is the app's to install; the extra `web` brings what signs the cookies.

`connect` and `disconnecting` compute each response as a plan without I/O; `runner` executes plans,
once for synchronous and once for asynchronous frameworks. They use `login_state` (the state, bound
to the browser), `redirect_targets` (where the browser may go), `notices` (what the service sends to
the callback URL), `signed_tokens` (the user of an app extension), `error_pages` (what the user
reads after a failure) and `messages` (requests and responses).
"""

from pipedrive_oauth_client.errors import SignedTokenError
from pipedrive_oauth_client.users import PipedriveUser
from pipedrive_oauth_client.web.disconnecting import disconnect
from pipedrive_oauth_client.web.error_pages import ReplayedCallbackError
from pipedrive_oauth_client.web.notices import SharingNotice, UninstallNotice, is_from_service
from pipedrive_oauth_client.web.settings import Connection, WebSettings
from pipedrive_oauth_client.web.signed_tokens import ExtensionUser, read_signed_token

__all__ = [
    "Connection",
    "ExtensionUser",
    "PipedriveUser",
    "ReplayedCallbackError",
    "SharingNotice",
    "SignedTokenError",
    "UninstallNotice",
    "WebSettings",
    "disconnect",
    "is_from_service",
    "read_signed_token",
]
