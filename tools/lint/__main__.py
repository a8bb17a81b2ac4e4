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
from typing import Any, cast

from attrs import frozen
from openapi_spec_validator import OpenAPIV30SpecValidator, OpenAPIV31SpecValidator

from tools.bounded_yaml import RejectedYAMLError, parse, read_bytes
from tools.environments import SetupError, exit_code
from tools.npm import install
from tools.safe_output import printable_lines

HERE = Path(__file__).resolve().parent
CLI = "@redocly/cli/bin/cli.js"

# Some messages hold the object that they are about.
LONGEST = 200
# Of a component to others, through references: the project's spec has fewer than ten.
MAX_WAYS = 10_000
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
        where = f"{self.file}:{self.line}:{self.column}"
        return printable_lines(f"{where}: {self.message} [{self.rule}]")


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
        parsed = parse(str(file), read_bytes(file))
    except RejectedYAMLError as error:
        yield Problem(str(file), *error.position, f"This can't be read: {error.problem}.", "yaml")
        return
    content = parsed.content
    version = re.match(r"3\.\d", str(content.get("openapi")) if isinstance(content, dict) else "")
    if version is None or version[0] not in VALIDATORS:
        wanted = " or ".join(VALIDATORS)
        yield Problem(str(file), 1, 1, f"This is not an OpenAPI document of {wanted}.", "yaml")
        return
    if (tangled := tangled_schema(content)) is not None:
        line, column = parsed.position(["components", "schemas", tangled])
        problem = f"The schema {tangled} refers to others in more than {MAX_WAYS:,} ways."
        yield Problem(str(file), line, column, problem, "references")
        return
    try:
        faults = list(VALIDATORS[version[0]](content).iter_errors())
    except Exception as error:  # noqa: BLE001 - it follows whatever references it meets
        problem = f"openapi-spec-validator fails on it with {type(error).__name__}."
        yield Problem(str(file), 1, 1, problem, "openapi")
        return
    for fault in faults:
        # Of an object that fits none of several forms, what is wrong deepest inside it.
        exact = max([fault, *fault.context], key=lambda each: len(each.absolute_path))
        line, column = parsed.position(list(exact.absolute_path))
        message = " ".join(str(exact.message).split())
        shown = message if len(message) < LONGEST else f"{message[:LONGEST]}..."
        yield Problem(str(file), line, column, shown, "openapi")


def tangled_schema(content: dict[str, Any]) -> str | None:
    """Return a component that leads to schemas in so many ways that a validator would not end."""
    components = content.get("components")
    schemas = components.get("schemas") if isinstance(components, dict) else None
    schemas = cast("dict[str, Any]", schemas if isinstance(schemas, dict) else {})
    below = {name: list(_referred(schema)) for name, schema in schemas.items()}
    ways: dict[str, int] = {}
    for first in schemas:
        # Without recursion: a chain of references may be as long as the document.
        waiting, open_ = [first], set[str]()
        while waiting:
            name = waiting[-1]
            if name in open_ or name in ways or name not in below:
                waiting.pop()
                if name in open_:
                    open_.discard(name)
                    ways[name] = 1 + sum(ways.get(each, 1) for each in below[name])
                    if ways[name] > MAX_WAYS:
                        return name
                continue
            open_.add(name)
            waiting += [each for each in below[name] if each not in open_ and each not in ways]
    return None


def _referred(node: Any) -> Iterator[str]:
    """Yield the name of the component in each reference, as often as there is one."""
    if isinstance(node, dict):
        reference = node.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/components/schemas/"):
            yield reference.rpartition("/")[2]
        for each in node.values():
            yield from _referred(each)
    elif isinstance(node, list):
        for each in node:
            yield from _referred(each)


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
