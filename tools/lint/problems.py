"""What is wrong with a document, each in one line that leads to its place."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedBase
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from tools.generate.document import with_text_keys

# Some messages hold the object that they are about.
LONGEST = 200
VALIDATORS = {"3.0": OpenAPIV30SpecValidator, "3.1": OpenAPIV31SpecValidator}


@frozen(order=True)
class Problem:
    """A fault of a document.

    Attributes:
        file: The document.
        line: The line, from 1.
        column: The column, from 1.
        message: What is wrong, on one line.
        rule: The rule that says so.
    """

    file: str
    line: int
    column: int
    message: str
    rule: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message} [{self.rule}]"


def of_redocly(printed: str) -> Iterator[Problem]:
    """Read what redocly prints as JSON.

    Args:
        printed: Its standard output.
    """
    decoder, rest = json.JSONDecoder(), printed.lstrip()
    if not rest:
        raise ValueError("nothing was printed")
    while rest:  # an object for each document
        content, end = decoder.raw_decode(rest)
        rest = rest[end:].lstrip()
        for each in content["problems"]:
            place = each["location"][0]
            start = place.get("start") or {"line": 1, "col": 1}
            message = " ".join(each["message"].split())
            file = place["source"]["ref"]
            yield Problem(file, start["line"], start["col"], message, each["ruleId"])


def of_validity(file: Path) -> Iterator[Problem]:
    """Hold a document against the OpenAPI specification.

    Args:
        file: The document.
    """
    try:
        content = YAML().load(file.read_bytes())
    except (YAMLError, UnicodeDecodeError) as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        why = error.problem if isinstance(error, MarkedYAMLError) else "it can't be read"
        yield Problem(str(file), line, column, f"This is no YAML: {why}.", "yaml")
        return
    version = re.match(r"3\.\d", str(content.get("openapi")) if isinstance(content, dict) else "")
    if version is None or version[0] not in VALIDATORS:
        wanted = " or ".join(VALIDATORS)
        yield Problem(str(file), 1, 1, f"This is no OpenAPI document of {wanted}.", "yaml")
        return
    for fault in VALIDATORS[version[0]](with_text_keys(content)).iter_errors():
        # Of an object that fits none of several forms, what is wrong deepest inside it.
        exact = max([fault, *fault.context], key=lambda each: len(each.absolute_path))
        line, column = place_of(content, list(exact.absolute_path))
        message = " ".join(str(exact.message).split())
        shown = message if len(message) < LONGEST else f"{message[:LONGEST]}..."
        yield Problem(str(file), line, column, shown, "openapi")


def place_of(content: Any, path: Sequence[str | int]) -> tuple[int, int]:
    """Give line and column, from 1, of the last key of a path that there is."""
    line = column = 0
    for key in path:
        if not isinstance(content, CommentedBase):
            break
        try:
            known = content.lc.key(key) if isinstance(content, dict) else content.lc.item(key)
            content = content[key]  # type: ignore[index]
        except (KeyError, IndexError, TypeError):
            break
        line, column = known
    return line + 1, column + 1
