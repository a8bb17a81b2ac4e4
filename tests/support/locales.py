"""The locale of bare containers, which knows ASCII alone, for programs that tests start."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import pytest

__all__ = ["ASCII_ONLY", "needs_ascii_folder"]

# With Python's own remedies for it turned off.
ASCII_ONLY: Final = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}

# The environment of this project names the project's folder in a file that Python reads when it
# starts, before 3.13 in the encoding of the locale.
needs_ascii_folder: Final = pytest.mark.skipif(
    sys.version_info < (3, 13) and not str(Path(__file__).parents[2]).isascii(),
    reason="Python does not start in this locale: the path of the project is not ASCII",
)
