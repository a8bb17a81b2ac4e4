"""What is said when a command fails: one line, or a JSON object, and a traceback where asked for.

With `--json` the object goes to standard error, so that standard output is either what was asked
for or empty.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Iterable, Sequence
from urllib.parse import quote, quote_plus

from attrs import define, field

from pipedrive_oauth_client.cli.exit_codes import ExitCode
from pipedrive_oauth_client.errors import PipedriveOAuthError

__all__ = ["Manners", "described", "one_line"]

# What is shorter is no secret, and stands in many words.
_SHORTEST = 4


@define
class Manners:
    """How a command talks.

    Attributes:
        json: Whether in JSON.
        debug: Whether errors come with a traceback.
        secrets: What must not be written even there; the settings add what they have read.
    """

    json: bool = False
    debug: bool = False
    secrets: list[str] = field(factory=list[str], repr=False)


def described(error: BaseException, code: ExitCode, manners: Manners) -> str:
    """Describe an error for standard error.

    Args:
        error: The error.
        code: The exit code that belongs to it.
        manners: How to say it.

    Returns:
        Lines with a line break at the end.
    """
    # What was expected says enough in its own words; of anything else the kind says most.
    message = one_line(_hidden(_words(error), manners.secrets)) or type(error).__name__
    if code is ExitCode.UNEXPECTED and not isinstance(error, PipedriveOAuthError):
        where = "" if manners.debug else " (--debug shows where)"
        message = f"{type(error).__name__}: {message}{where}"
    lines = ""
    if manners.debug and error.__traceback__ is not None:
        # Without the variables of the frames, which hold tokens.
        told = traceback.format_exception(error)
        text = _hidden("".join(told), manners.secrets)
        lines = "".join(each if each.isprintable() or each == "\n" else " " for each in text)
    if manners.json:
        told_in_json = {"reason": code.name.lower(), "message": message, "exit_code": int(code)}
        return f"{lines}{json.dumps({'error': told_in_json})}\n"
    return f"{lines}Error: {message}\n"


def _words(error: BaseException) -> str:
    # In the library the cause is at hand; here only what is said of it.
    if error.__cause__ is None:
        return str(error)
    return str(error).replace("the cause says why.", f"the cause: {error.__cause__}")


def one_line(text: str) -> str:
    """Make a text of others fit for a terminal: one line, and nothing that steers it.

    Args:
        text: The text.

    Returns:
        The same words.
    """
    shown = "".join(each if each.isprintable() else " " for each in text)
    return " ".join(shown.split())


def _hidden(text: str, secrets: Sequence[str]) -> str:
    for secret in sorted(_spellings(secrets), key=len, reverse=True):
        text = text.replace(secret, "<hidden>")
    return text


def _spellings(secrets: Iterable[str]) -> set[str]:
    spelled = {form(each) for each in secrets for form in (str, _quoted, quote_plus, repr)}
    return {each for each in spelled if len(each.strip("'\"")) >= _SHORTEST}


def _quoted(text: str) -> str:
    return quote(text, safe="")
