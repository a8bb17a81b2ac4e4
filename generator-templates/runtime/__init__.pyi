"""What package_init.py.jinja writes, for the type checkers and editors that read this folder."""

from typing import Final

DEFAULT_BASE_URL: Final[str]
