"""The catalogue of errors: docs/errors.md says what to do, the code says the rest.

Each public error has a heading there. Under it, the site shows where the error stands in the tree
and what its docstring says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipedrive_oauth_client import errors
from pipedrive_oauth_client.errors import PipedriveOAuthError
from tools.environments import SetupError

HEADING = re.compile(r"^#{2,4} `?(\w+)`?$", re.MULTILINE)


def public_errors() -> Iterator[type[PipedriveOAuthError]]:
    """Give every public error of the tree."""
    for name in errors.__all__:
        error = getattr(errors, name)
        if issubclass(error, PipedriveOAuthError):
            yield error


def complete(text: str) -> str:
    """Give the catalogue with what the code says under each heading.

    Args:
        text: docs/errors.md.

    Raises:
        SetupError: A public error has no heading there, or a heading names none.
    """
    classes = {error.__name__: error for error in public_errors()}
    named = [name for name in HEADING.findall(text) if name.endswith(("Error", "Status"))]
    for name in classes:
        if named.count(name) != 1:
            raise SetupError(f"docs/errors.md has {named.count(name)} headings for {name}, not 1")
    for name in named:
        if name not in classes:
            raise SetupError(f"docs/errors.md has a heading for {name}, which is no public error")

    def put(found: re.Match[str]) -> str:
        error = classes.get(found[1])
        return found[0] if error is None else f"{found[0]}\n\n{_facts(error)}"

    return HEADING.sub(put, text)


def _facts(error: type[PipedriveOAuthError]) -> str:
    base = error.__mro__[1].__name__
    kind = "" if base == "Exception" else f"A kind of [`{base}`](#{base.lower()}).\n\n"
    return (
        f"{kind}"
        f"::: pipedrive_oauth_client.errors.{error.__name__}\n"
        "    options:\n"
        "      heading_level: 5\n"
        "      members: false\n"
        "      merge_init_into_class: false\n"
        "      show_bases: false\n"
        "      show_root_heading: false\n"
        "      show_root_toc_entry: false\n"
    )
