"""Connecting Pipedrive accounts in a web app: routes for three frameworks, over one core.

`web.starlette` (FastAPI, too), `web.flask` and `web.django` mount them, and each imports its own
framework alone, which is the app's to install; the extra `web` brings what signs the cookies.

What is answered is a plan without I/O in `journey` and `uninstalling`; `steps` carries plans out,
once for synchronous and once for asynchronous frameworks. Below them are `attempts` (the state,
bound to the browser), `returns` (where the browser may go), `notices` (uninstalling), `pages` and
`explanations` (what a person reads when it goes wrong).
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
