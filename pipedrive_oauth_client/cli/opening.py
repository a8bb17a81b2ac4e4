"""Opening the person's browser, where there is one."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Final

__all__ = ["open_browser"]

_PROGRAM: Final = "import sys, webbrowser; sys.exit(not webbrowser.open(sys.stdin.read()))"
_PATIENCE_SECONDS: Final = 1
# Some stay as long as the browser does, and nobody waits for them.
_openers: Final[list[subprocess.Popen[str]]] = []


def open_browser(url: str) -> bool:
    """Open an address in the person's browser.

    Args:
        url: The address.

    Returns:
        False where there is no browser with a window of its own. One that draws in the terminal
        would take it over.
    """
    if not _has_windows():
        return False
    # In a process of its own: browsers write to the terminal, and Ctrl-C in it would end them.
    try:
        opener = subprocess.Popen(
            [sys.executable, "-I", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
            # A browser, and what it starts, has no use for the app's secret.
            env={name: value for name, value in os.environ.items() if "PIPEDRIVE" not in name},
            text=True,
        )
    except OSError:
        return False
    _openers.append(opener)
    try:
        opener.communicate(url, timeout=_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    except OSError:
        return False
    return opener.returncode == 0


def _has_windows() -> bool:
    if sys.platform in ("win32", "darwin") or os.environ.get("BROWSER"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
