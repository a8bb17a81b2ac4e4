"""Connecting Pipedrive accounts in a web app: routes for three frameworks, over one core.

`web.starlette` (FastAPI, too), `web.flask` and `web.django` mount them, and each imports its own
framework alone, which is the app's to install; the extra `web` brings what signs the cookies.

`connect` and `disconnecting` compute each response as a plan without I/O; `runner` executes plans,
once for synchronous and once for asynchronous frameworks. They use `login_state` (the state, bound
to the browser), `redirect_targets` (where the browser may go), `notices` (uninstall notices),
`error_pages` (what the user reads after a failure) and `messages` (requests and responses).
"""

from pipedrive_oauth_client.users import PipedriveUser
from pipedrive_oauth_client.web.disconnecting import disconnect
from pipedrive_oauth_client.web.error_pages import ReplayedCallbackError
from pipedrive_oauth_client.web.notices import UninstallNotice
from pipedrive_oauth_client.web.settings import Connection, WebSettings

__all__ = [
    "Connection",
    "PipedriveUser",
    "ReplayedCallbackError",
    "UninstallNotice",
    "WebSettings",
    "disconnect",
]
