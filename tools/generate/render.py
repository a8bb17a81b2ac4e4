"""From spec, configuration and templates to the bytes of every generated file."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import tempfile
import warnings
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any

from attrs import define
from jinja2 import BytecodeCache, StrictUndefined, TemplateError
from jinja2.bccache import Bucket
from openapi_python_client import Project
from openapi_python_client.config import Config, ConfigFile, MetaType
from openapi_python_client.parser import GeneratorData
from openapi_python_client.parser.errors import GeneratorError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from tools.generate import prose
from tools.generate.document import Document, GenerationError, refuse, with_text_keys
from tools.generate.facts import SpecFacts
from tools.generate.refusals import check_class, check_endpoint
from tools.generate.schemas import SchemaFacts
from tools.generate.settings import load_settings

LINE_LENGTH = 100

# Files that openapi-python-client has no notion of.
_OWN_FILES = ("answer.py", "body.py", "decode.py", "encode.py", "settings.py")


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


class _Compiled(BytecodeCache):
    """Templates that were compiled, by their text; half of a run's time goes into compiling."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        code = self._code.get((bucket.key, bucket.checksum))
        if code is not None:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key, bucket.checksum] = bucket.bytecode_to_string()


_COMPILED = _Compiled()


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
    config = load_settings(sources.config)
    with tempfile.TemporaryDirectory(prefix="generate-") as folder:
        package = Path(folder, "generated")
        _build(text, document, config, sources, package)
        _format(package)
        files = {
            PurePosixPath(path.relative_to(package).as_posix()): path.read_bytes()
            for path in sorted(package.rglob("*"))
            if path.is_file()
        }
    for path, content in files.items():
        _compile(path, content)
        if not content.startswith(b"# @generated "):
            raise GenerationError(f"The template of {path} does not begin with _header.jinja.")
    return files


def _load_spec(path: Path) -> tuple[bytes, dict[str, Any]]:
    try:
        text = path.read_bytes()
        document = with_text_keys(YAML(typ="safe").load(text))
    except OSError as error:
        raise GenerationError(f"{path} can't be read: {error.strerror}.") from error
    except (YAMLError, RecursionError) as error:
        raise GenerationError(f"{path} is not YAML: {error}") from error
    if not isinstance(document, dict):
        raise GenerationError(f"{path} holds no OpenAPI document.")
    return text, document


def _build(
    text: bytes, document: dict[str, Any], settings: ConfigFile, sources: Sources, package: Path
) -> None:
    config = Config.from_sources(
        settings,
        MetaType.NONE,
        document_source=sources.spec,
        file_encoding="utf-8",
        overwrite=False,
        output_path=package,
    )
    parsed = GeneratorData.from_dict(document, config=config)
    if isinstance(parsed, GeneratorError):
        raise GenerationError(_words(parsed))
    spec = Document.read(text, document)
    for model in [*parsed.models, *parsed.enums]:
        check_class(model)
    for collection in parsed.endpoint_collections_by_tag.values():
        for endpoint in collection.endpoints:
            check_endpoint(spec, endpoint)
    project = Project(openapi=parsed, config=config, custom_template_path=sources.templates)
    project.env.undefined = StrictUndefined
    project.env.bytecode_cache = _COMPILED
    project.env.filters["literal"] = repr
    for_templates: dict[str, Any] = project.env.globals
    for_templates.update(
        spec=SpecFacts(spec),
        schemas=SchemaFacts(spec),
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
    except (TemplateError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise GenerationError(f"A template can't be rendered: {error!r}") from error
    if problems:
        raise GenerationError("\n".join(_words(problem) for problem in problems))


def _compile(path: PurePosixPath, content: bytes) -> None:
    """Refuse what the formatter lets through and Python does not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compile(content, str(path), "exec")
    except (SyntaxError, ValueError, Warning) as error:
        raise GenerationError(f"The templates of {path} give no Python: {error}") from error


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
