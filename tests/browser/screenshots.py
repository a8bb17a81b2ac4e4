"""The pictures in docs/images: `make docs ARGS=screenshots` makes them from the pages they show.

Each picture carries a record of its page: the visible elements in their order, with their texts,
colors and sizes; of Django's admin, the texts alone. tests/browser/test_screenshots.py compares it
with the page as it is. The pixels differ from machine to machine with the fonts, the record does
not.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from html import escape
from pathlib import Path
from typing import Final

from attrs import evolve, frozen
from rich.console import Console
from rich.terminal_theme import DEFAULT_TERMINAL_THEME
from rich.text import Text

from pipedrive_oauth_client import Token
from pipedrive_oauth_client.sandbox import DEFAULT_APP, DEFAULT_USER, OTHER_USER, create_app, run
from pipedrive_oauth_client.stores import SQLTokenStore
from pipedrive_oauth_client.tokens import GrantEnd
from tests.browser.driver import DRIVER_PROGRAM, PROGRAM, Browser, open_browser
from tests.sandbox.support import authorization_query
from tests.support.django_guide import made_project
from tests.support.png import read_png, write_png
from tests.support.programs import ROOT

IMAGES: Final = ROOT / "docs" / "images"
COMMAND: Final = "make docs ARGS=screenshots"
# No page may show one of these.
SECRETS: Final = ("planted-access-token", "planted-refresh-token", "planted-password")
# Under which a picture carries the record of its page.
KEYWORD: Final = "Page"

# One line for each element that can be seen: what it is, what it says and how it is set. Nothing
# in it depends on the fonts of the machine.
_RECORD: Final = """
const said = (element) => [...element.childNodes]
  .filter((each) => each.nodeType === Node.TEXT_NODE)
  .map((each) => each.data.replace(/\\s+/g, " ").trim()).filter(Boolean).join(" ");
const looks = ["display", "position", "color", "backgroundColor", "fontSize", "fontWeight",
  "textAlign", "borderTopStyle"];
return [...document.body.querySelectorAll("*")].filter((element) => element.checkVisibility(
  {opacityProperty: true, visibilityProperty: true}) && !element.closest("svg, option"))
  .map((element) => {
    const style = getComputedStyle(element);
    const kind = element.localName + (element.type ? `[${element.type}]` : "")
      + (element.checked ? ":checked" : "") + (element.alt ? `[alt=${element.alt}]` : "");
    return `${kind} "${said(element)}" ${looks.map((name) => style[name]).join(" ")}`;
  });
"""

# What this package puts into Django's admin, in words: the actions, and the table of accounts. The
# page around them, and how it looks, is another one in each version of Django.
_RECORD_OF_ADMIN: Final = """
const said = (element) => element.textContent.replace(/\\s+/g, " ").trim()
  + [...element.querySelectorAll("img")].map((image) => `[${image.alt}]`).join("");
return [...document.querySelectorAll("select[name=action], #result_list tr")]
  .map((row) => [...row.children].filter((each) => each.value !== "")
    .map(said).filter(Boolean).join(" | "));
"""

# A terminal, as a page.
_TERMINAL: Final = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<title>A terminal</title><style>
body { margin: 0; padding: 16px; background: #e9ecf0; }
main { border: 1px solid #b9c0c9; border-radius: 8px; background: #fff; overflow: hidden; }
p { margin: 0; padding: 6px 12px; background: #d9dde3; color: #37414d;
  font: 12px/1.5 "DejaVu Sans", system-ui, sans-serif; text-align: center; }
pre { margin: 0; padding: 12px 14px 14px; color: #16202b;
  font: 13px/1.45 "DejaVu Sans Mono", Menlo, Consolas, monospace; }
</style></head><body><main><p>Terminal</p><pre>$ COMMAND
OUTPUT</pre></main></body></html>"""


@frozen
class Page:
    """A page that is pictured: how to open it, how wide the picture is, in pixels, its record."""

    opened: Callable[[Browser, Path], AbstractContextManager[None]]
    width: int
    record: str = _RECORD


@frozen
class Shot:
    """A picture in PNG as the browser has taken it, with the record and the source of its page."""

    png: bytes
    record: list[str]
    source: str


def token(name: str, expires_at: datetime, company: str = "acme") -> Token:
    """Return a token whose secrets are planted."""
    return Token(
        access_token=f"planted-access-token-{name}",
        refresh_token=f"planted-refresh-token-{name}",
        token_type="Bearer",
        scope="base deals:full",
        api_domain=f"https://{company}.pipedrive.com",
        expires_at=expires_at,
    )


@contextmanager
def consent_page(browser: Browser, _folder: Path) -> Generator[None]:
    """Open the sandbox's consent page."""
    app = evolve(
        DEFAULT_APP, name="Acme Reports", redirect_uri="https://reports.example/pipedrive/callback"
    )
    with run(create_app(apps=[app], users=[DEFAULT_USER, OTHER_USER])) as server:
        browser.open(f"{server.base_url}/oauth/authorize?{authorization_query(app, 'a-state')}")
        yield


@contextmanager
def status(browser: Browser, folder: Path) -> Generator[None]:
    """Run `pipedrive-oauth status` in a terminal, and show what it has printed."""
    now = datetime.now(UTC)
    # The command rounds durations down, so a run has half a unit of time to read the same.
    soon = now + timedelta(minutes=41, seconds=30)
    ended = GrantEnd(at=now - timedelta(days=3, hours=12), error="invalid_grant", tried_at=now)
    last_used = now - timedelta(days=54, hours=12)
    with SQLTokenStore(f"sqlite:///{folder / 'tokens.db'}") as store:
        store.save("acme", token("acme", soon))
        store.save("globex", token("globex", last_used, "globex"))
        away = token("initech", now - timedelta(days=3, hours=12), "initech")
        store.save("initech", evolve(away, grant_end=ended))
    printed = subprocess.run(
        [sys.executable, "-m", "pipedrive_oauth_client.cli", "status"],
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "HOME": str(folder),
            "PIPEDRIVE_OAUTH_STORE": "sqlite:///tokens.db",
            "FORCE_COLOR": "1",
            "COLUMNS": "112",
            "TERM": "xterm",
            "PYTHONIOENCODING": "utf-8",
        },
        capture_output=True,
        encoding="utf-8",
        check=True,
        timeout=60,
    ).stdout
    browser.open(as_page("pipedrive-oauth status", printed, folder))
    yield


def as_page(command: str, printed: str, folder: Path) -> str:
    """Write a page that shows a command and what it has printed, and return its address."""
    with (folder / "unused").open("w", encoding="utf-8") as nowhere:
        console = Console(file=nowhere, record=True, width=112, force_terminal=True)
        console.print(Text.from_ansi(printed), soft_wrap=True)
        output = console.export_html(
            theme=DEFAULT_TERMINAL_THEME, code_format="{code}", inline_styles=True
        )
    page = folder / "terminal.html"
    text = _TERMINAL.replace("COMMAND", escape(command)).replace("OUTPUT", output.rstrip())
    page.write_text(text, encoding="utf-8")
    return page.as_uri()


# Run in the project of the guide: users, and accounts as its store saves them.
_ACCOUNTS: Final = """
import django
django.setup()
from datetime import UTC, datetime
from django.contrib.auth import get_user_model
from pipedrive_oauth_client import Token
from pipedrive_oauth_client.tokens import GrantEnd
from pipedrive_oauth_client.web.django import DjangoTokenStore
from pipedrive_oauth_client.web.django.models import PipedriveAccount

users = get_user_model()
ada = users.objects.create_superuser("ada", password="planted-password")
grace = users.objects.create_user("grace")
store = DjangoTokenStore()
ended = GrantEnd(
    at=datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
    error="invalid_grant",
    tried_at=datetime(2026, 3, 1, 9, 30, tzinfo=UTC),
)
for account, user, day, grant_end in (
    ("101:7", ada, 3, None), ("101:9", grace, 2, None), ("205:31", ada, 1, ended)
):
    token = Token(
        access_token="planted-access-token-" + account,
        refresh_token="planted-refresh-token-" + account,
        token_type="Bearer",
        scope="base",
        api_domain="https://acme.pipedrive.com",
        expires_at=datetime(2026, 3, day, 10, 15, tzinfo=UTC),
        grant_end=grant_end,
    )
    store.save(account, token)
    PipedriveAccount.objects.filter(account=account).update(user=user)
"""


@contextmanager
def django_admin(browser: Browser, folder: Path) -> Generator[None]:
    """Log in to the admin of the Django guide's project, and open the list of accounts."""
    with made_project(Path(sys.executable), folder) as project:
        project.run("manage.py", "migrate", "-v0")
        project.run("-c", _ACCOUNTS)
        with project.served("manage.py", "runserver", "--noreload", str(project.port)):
            accounts = "/admin/pipedrive_oauth_client/pipedriveaccount/"
            browser.open(project.url(f"/admin/login/?next={accounts}"))
            browser.find("#id_username").send_keys("ada")
            browser.find("#id_password").send_keys("planted-password")
            browser.find("input[type=submit]").click()
            browser.wait(lambda: browser.find_all("#result_list"))
            yield


PAGES: Final[Mapping[str, Page]] = {
    "consent-page": Page(consent_page, 560),
    "status": Page(status, 960),
    "django-admin": Page(django_admin, 1100, _RECORD_OF_ADMIN),
}


def take(browser: Browser, page: Page, folder: Path) -> Shot:
    """Open a page, and take its picture, as tall as the page is."""
    browser.looks(width=page.width, height=100)
    with page.opened(browser, folder):
        browser.run("document.activeElement.blur()")
        height = browser.run("return document.documentElement.scrollHeight")
        clip = {"x": 0, "y": 0, "width": page.width, "height": height, "scale": 1}
        taken = browser.command(
            "Page.captureScreenshot", format="png", captureBeyondViewport=True, clip=clip
        )
        record = [str(line) for line in browser.run(page.record)]
        source = browser.driver.page_source
    return Shot(base64.b64decode(taken["data"]), record, source)


def main() -> int:
    """Write all pictures, and return the exit code."""
    if PROGRAM is None or DRIVER_PROGRAM is None:
        sys.stderr.write("Install chromium and chromedriver, which take the pictures.\n")
        return 1
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="screenshots-") as name:
        folder = Path(name).resolve()
        with open_browser(folder) as browser:
            for title, page in PAGES.items():
                (folder / title).mkdir()
                shot = take(browser, page, folder / title)
                picture = evolve(read_png(shot.png, KEYWORD), text=json.dumps(shot.record))
                file = IMAGES / f"{title}.png"
                file.write_bytes(write_png(picture, KEYWORD))
                sys.stdout.write(f"{file.relative_to(ROOT)}: {file.stat().st_size:,} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
