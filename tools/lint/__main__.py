"""Lint OpenAPI documents: `python -m tools.lint FILE`.

Each document is checked against the OpenAPI specification, then against the rules in redocly.yaml.
Each problem is one line that names its position.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from attrs import frozen
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedBase
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from tools.environments import SetupError, exit_code
from tools.generate.document import with_text_keys
from tools.npm import install

HERE = Path(__file__).resolve().parent
CLI = "@redocly/cli/bin/cli.js"

# Some messages hold the object that they are about.
LONGEST = 200
VALIDATORS = {"3.0": OpenAPIV30SpecValidator, "3.1": OpenAPIV31SpecValidator}


@frozen(order=True)
class Problem:
    """A problem of a document, at a line and a column that count from 1."""

    file: str
    line: int
    column: int
    message: str
    rule: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}: {self.message} [{self.rule}]"


def main() -> None:
    """Print each problem of the files named on the command line; exit with 1 if there is any."""
    files = [Path(name) for name in sys.argv[1:]]
    missing = [file for file in files if not file.is_file()]
    if missing or not files:
        raise SetupError(f"there is no {missing[0]}" if missing else "name a document to check")
    found = [problem for file in files for problem in spec_problems(file)]
    if all(problem.rule == "openapi" for problem in found):
        by_rules = rule_problems(files)
        # redocly describes a wrong structure better than the schema of OpenAPI does.
        better = any(problem.rule == "struct" for problem in by_rules)
        found = sorted({*by_rules, *(() if better else found)})
    for problem in found:
        print(problem)
    if found:
        sys.exit(1)
    print(f"{', '.join(map(str, files))}: valid, and no rule is broken")


def spec_problems(file: Path) -> Iterator[Problem]:
    """Check a document against the OpenAPI specification."""
    try:
        content = YAML().load(file.read_bytes())
    except (YAMLError, UnicodeDecodeError) as error:
        mark = error.problem_mark if isinstance(error, MarkedYAMLError) else None
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        why = error.problem if isinstance(error, MarkedYAMLError) else "the file is not UTF-8"
        yield Problem(str(file), line, column, f"This is not YAML: {why}.", "yaml")
        return
    version = re.match(r"3\.\d", str(content.get("openapi")) if isinstance(content, dict) else "")
    if version is None or version[0] not in VALIDATORS:
        wanted = " or ".join(VALIDATORS)
        yield Problem(str(file), 1, 1, f"This is not an OpenAPI document of {wanted}.", "yaml")
        return
    for fault in VALIDATORS[version[0]](with_text_keys(content)).iter_errors():
        # Of an object that fits none of several forms, what is wrong deepest inside it.
        exact = max([fault, *fault.context], key=lambda each: len(each.absolute_path))
        line, column = position_of(content, list(exact.absolute_path))
        message = " ".join(str(exact.message).split())
        shown = message if len(message) < LONGEST else f"{message[:LONGEST]}..."
        yield Problem(str(file), line, column, shown, "openapi")


def position_of(content: Any, path: Sequence[str | int]) -> tuple[int, int]:
    """Return line and column, from 1, of the last key of a path that exists."""
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


def rule_problems(files: Sequence[Path], settings: Path = HERE / "redocly.yaml") -> list[Problem]:
    """Check documents against the rules of redocly.yaml."""
    node, modules = install(HERE, usable=CLI)
    command = [
        *(str(node), str(modules / CLI), "lint", "--config", str(settings)),
        *("--lint-config=error", "--format=json", "--max-problems=1000"),
    ]
    quiet = {"REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"}
    done = subprocess.run(
        [*command, *map(str, files)],
        env={**os.environ, **quiet},
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    try:
        return list(read_redocly(done.stdout))
    except (ValueError, LookupError) as error:
        print(done.stderr, file=sys.stderr)
        raise SetupError("cannot read the output of redocly; see the lines above") from error


def read_redocly(printed: str) -> Iterator[Problem]:
    """Read the JSON that redocly prints, one object for each document."""
    decoder, rest = json.JSONDecoder(), printed.lstrip()
    if not rest:
        raise ValueError("nothing was printed")
    while rest:
        content, end = decoder.raw_decode(rest)
        rest = rest[end:].lstrip()
        for each in content["problems"]:
            location = each["location"][0]
            start = location.get("start") or {"line": 1, "col": 1}
            message = " ".join(each["message"].split())
            file = location["source"]["ref"]
            yield Problem(file, start["line"], start["col"], message, each["ruleId"])


if __name__ == "__main__":
    sys.exit(exit_code(main))
