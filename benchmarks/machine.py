"""What the benchmarks run on: without it a figure means nothing."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from pipedrive_oauth_client import __version__

__all__ = ["described"]

PACKAGES = (
    *("httpx", "httpcore", "h11", "anyio", "attrs", "authlib", "httpx-oauth", "requests-oauthlib"),
    *("openapi-python-client", "openapi-generator-cli", "starlette", "uvicorn", "sqlalchemy"),
)


def described() -> Mapping[str, str]:
    """Describe the machine and what runs on it."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "load when it began": f"{os.getloadavg()[0]:.1f} processes waiting or running",
        "processor": f"{_first('/proc/cpuinfo', 'model name') or platform.machine()}, "
        f"{os.cpu_count()} cores",
        "memory": _memory(),
        "system": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        "pipedrive-oauth-client": __version__,
        **{name: version(name) for name in PACKAGES},
    }


def _memory() -> str:
    found = re.match(r"\d+", _first("/proc/meminfo", "MemTotal"))
    return f"{int(found[0]) / 2**20:.0f} GiB" if found else "unknown"


def _first(file: str, name: str) -> str:
    try:
        text = Path(file).read_text(encoding="utf-8")
    except OSError:
        return ""
    found = re.search(rf"^{name}\s*:\s*(.+)$", text, re.MULTILINE)
    return found[1].strip() if found else ""
