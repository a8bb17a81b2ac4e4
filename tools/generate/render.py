"""From spec, configuration and templates to the bytes of every generated file."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from attrs import define
from jinja2 import StrictUndefined, TemplateError
from openapi_python_client import Project
from openapi_python_client.config import Config, ConfigFile, MetaType
from openapi_python_client.parser import GeneratorData
from openapi_python_client.parser.errors import GeneratorError
from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tools.generate import prose
from tools.generate.facts import GenerationError, SpecFacts, refuse

LINE_LENGTH = 100

# Files that openapi-python-client has no notion of.
_OWN_FILES = ("decode.py", "encode.py")


@define(frozen=True)
class Sources:
    """Where everything that generated code depends on stands.

    Attributes:
        spec: The OpenAPI document.
        config: The generator's settings.
        templates: The folder of the project's templates.
    """

    spec: Path
    config: Path
    templates: Path


def render(sources: Sources) -> dict[PurePosixPath, bytes]:
    """Generate the package.

    Args:
        sources: Spec, configuration and templates.

    Returns:
        The content of each file by its path inside the package.

    Raises:
        GenerationError: The generator has an error or a warning, a template meets something it
            can't write, or the formatter fails.
    """
    text, document = _load_spec(sources.spec)
    facts = SpecFacts.read(text, document)
    with tempfile.TemporaryDirectory(prefix="generate-") as folder:
        package = Path(folder, "generated")
        _build(document, facts, sources, package)
        _format(package)
        files = {
            PurePosixPath(path.relative_to(package).as_posix()): path.read_bytes()
            for path in sorted(package.rglob("*"))
            if path.is_file()
        }
    for path, content in files.items():
        if not content.startswith(b"# @generated "):
            raise GenerationError(f"The template of {path} does not begin with _header.jinja.")
    return files


def _load_spec(path: Path) -> tuple[bytes, dict[str, Any]]:
    try:
        text = path.read_bytes()
        document = YAML(typ="safe").load(text)
    except OSError as error:
        raise GenerationError(f"{path} can't be read: {error.strerror}.") from error
    except YAMLError as error:
        raise GenerationError(f"{path} is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise GenerationError(f"{path} holds no OpenAPI document.")
    return text, document


def _build(document: dict[str, Any], facts: SpecFacts, sources: Sources, package: Path) -> None:
    config = Config.from_sources(
        _load_config(sources.config),
        MetaType.NONE,
        document_source=sources.spec,
        file_encoding="utf-8",
        overwrite=False,
        output_path=package,
    )
    parsed = GeneratorData.from_dict(document, config=config)
    if isinstance(parsed, GeneratorError):
        raise GenerationError(_words(parsed))
    project = Project(openapi=parsed, config=config, custom_template_path=sources.templates)
    project.env.undefined = StrictUndefined
    project.env.filters["literal"] = repr
    project.env.globals.update(
        spec=facts,
        generator=f"openapi-python-client {version('openapi-python-client')}",
        refuse=refuse,
        doc=prose.doc,
        item=prose.item,
        sentence=prose.sentence,
    )
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            problems = project.build()
        for name in _OWN_FILES:
            content = project.env.get_template(f"{name}.jinja").render()
            (package / name).write_text(content, encoding="utf-8", newline="\n")
    except TemplateError as error:
        raise GenerationError(f"A template can't be rendered: {error!r}") from error
    if problems:
        raise GenerationError("\n".join(_words(problem) for problem in problems))


def _load_config(path: Path) -> ConfigFile:
    try:
        settings = YAML(typ="safe").load(path.read_bytes())
    except OSError as error:
        raise GenerationError(f"{path} can't be read: {error.strerror}.") from error
    except YAMLError as error:
        raise GenerationError(f"{path} is not YAML: {error}") from error
    if not isinstance(settings, dict):
        raise GenerationError(f"{path} holds no settings.")
    # The generator passes over what it does not know, a misspelt setting included.
    unknown = sorted(settings.keys() - ConfigFile.model_fields.keys())
    if unknown:
        raise GenerationError(f"{path} has settings that do not exist: {', '.join(unknown)}.")
    try:
        return ConfigFile.model_validate(settings)
    except ValidationError as error:
        raise GenerationError(f"{path} has settings that can't be: {error}") from error


def _words(problem: GeneratorError) -> str:
    return f"{problem.level.value}: {problem.header} {problem.detail or ''}".strip()


def _format(package: Path) -> None:
    """Drop unused imports, sort the rest, and format: the output only, under no outer settings."""
    ruff = [sys.executable, "-m", "ruff"]
    common = [
        "--isolated",
        "--no-cache",
        f"--config=line-length={LINE_LENGTH}",
        # The templates end every list with a comma; short lists still go on one line.
        "--config=format.skip-magic-trailing-comma=true",
        "--config=lint.isort.split-on-trailing-comma=false",
        package.name,
    ]
    for command in (
        [*ruff, "check", "--fix-only", "--select=I,F401,UP", "--target-version=py311", *common],
        [*ruff, "format", "--target-version=py311", *common],
    ):
        done = subprocess.run(
            command,
            cwd=package.parent,
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )
        if done.returncode != 0:
            raise GenerationError(
                f"The formatter failed on generated code:\n{done.stdout}{done.stderr}"
            )
