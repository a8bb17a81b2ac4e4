"""An app whose workers share, in Redis, the callbacks that they have seen, as the guide says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Final

import uvicorn
from redis import Redis
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route

from examples.setting import setting
from pipedrive_oauth_client import AsyncPipedriveOAuth
from pipedrive_oauth_client.web.starlette import PipedriveWeb

GUIDE: Final = Path(__file__).parents[2] / "docs" / "web-apps.md"


def main() -> None:
    """Serve the app until it is stopped."""
    with setting("Starlette") as place:
        redis = Redis.from_url(sys.argv[-1])
        (written,) = re.findall(r"`(lambda key, life: [^`]+)`", GUIDE.read_text(encoding="utf-8"))
        pipedrive = PipedriveWeb(
            AsyncPipedriveOAuth(place.credentials, base_url=place.base_url),
            place.store,
            secret_keys=[place.secret_key],
            first_use=eval(written, {"redis": redis}),  # noqa: S307 - our own
        )
        home = Route("/", lambda _request: PlainTextResponse("Hello"))
        app = Starlette(routes=[home, Mount("/pipedrive", routes=pipedrive.routes)])
        uvicorn.run(app, host="127.0.0.1", port=place.port, access_log=False, log_level="warning")


if __name__ == "__main__":
    main()
