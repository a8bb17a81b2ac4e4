"""From spec, configuration, templates and runtime modules to the bytes of every generated file."""

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
from unittest import mock

from attrs import define
from jinja2 import (
    BytecodeCache,
    ChoiceLoader,
    DictLoader,
    FileSystemLoader,
    StrictUndefined,
    TemplateError,
)
from jinja2.bccache import Bucket
from openapi_python_client import Project
from openapi_python_client.config import ClassOverride, Config, ConfigFile, MetaType
from openapi_python_client.parser import GeneratorData
from openapi_python_client.parser.errors import GeneratorError
from openapi_python_client.parser.properties import EnumProperty
from pydantic import ValidationError

from tools.bounded_yaml import ParsedYAML
from tools.generate import prose
from tools.generate.check_spec import check_document, check_values
from tools.generate.document import (
    ConstructError,
    Document,
    GenerationError,
    load_yaml,
    located,
    one_line,
    read_bytes,
    refuse,
)
from tools.generate.facts import SchemaFacts, SpecFacts
from tools.generate.names import Names, values_for_template
from tools.generate.prove import prove

LINE_LENGTH = 100

# Files that are the same for every spec: copied from the folder `runtime` of the templates.
RUNTIME = (
    "body.py", "client.py", "decode.py", "encode.py", "errors.py", "network_errors.py",
    "response.py", "settings.py", "types.py",
)  # fmt: skip

# The settings of openapi-python-client that this project's templates honor.
SETTINGS = {
    "class_overrides", "content_type_overrides", "field_prefix", "generate_all_tags",
    "http_timeout", "post_hooks", "use_path_prefixes_for_title_model_names",
}  # fmt: skip


@define(frozen=True)
class Sources:
    """The paths of everything that generated code depends on.

    Attributes:
        spec: The OpenAPI document.
        config: The generator's settings.
        templates: The folder of the project's templates.
    """

    spec: Path
    config: Path
    templates: Path


class _Compiled(BytecodeCache):
    """Compiled templates, by their text; half of a run's time is for compiling."""

    def __init__(self) -> None:
        self._code: dict[tuple[str, str], bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        code = self._code.get((bucket.key, bucket.checksum))
        if code is not None:
            bucket.bytecode_from_string(code)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._code[bucket.key, bucket.checksum] = bucket.bytecode_to_string()


_COMPILED = _Compiled()


def render(sources: Sources, *, proven: bool = False) -> dict[PurePosixPath, bytes]:
    """Generate the package: the content of each file by its path inside the package.

    Args:
        sources: What to generate from.
        proven: Whether to import and try out what was generated.

    Raises:
        GenerationError: The spec holds what the templates cannot write, or the generator, a
            template, the formatter or the proof fails.
    """
    config = Config.from_sources(
        load_settings(sources.config),
        MetaType.NONE,
        document_source=sources.spec,
        file_encoding="utf-8",
        overwrite=False,
        output_path=None,
    )
    text = read_bytes(sources.spec)
    parsed = load_yaml(sources.spec, text)
    try:
        document, names = load_spec(text, parsed, config)
        files = _render(document, names, config, sources)
        if proven:
            prove(files, document, names)
    except ConstructError as error:
        raise located(sources.spec, parsed, error) from error
    except RecursionError as error:
        raise GenerationError(f"{sources.spec.name} nests schemas too deeply.") from error
    return files


def _render(
    document: Document, names: Names, config: Config, sources: Sources
) -> dict[PurePosixPath, bytes]:
    with tempfile.TemporaryDirectory(prefix="generate-") as folder:
        package = Path(folder, "generated")
        config.output_path = package
        header = _build(document, names, config, sources)
        _format(package)
        files = {
            PurePosixPath(path.relative_to(package).as_posix()): path.read_bytes()
            for path in sorted(package.rglob("*.py"))
        }
    for name in RUNTIME:
        try:
            code = (sources.templates / "runtime" / name).read_text(encoding="utf-8")
        except OSError as error:
            raise GenerationError(f"Cannot read runtime/{name}: {error.strerror}.") from error
        files[PurePosixPath(name)] = (header + code).encode()
    for path, written in files.items():
        _compile(path, written)
        if not written.startswith(b"# @generated "):
            raise GenerationError(f"The template of {path} does not begin with _header.jinja.")
    return dict(sorted(files.items()))


def load_settings(path: Path) -> ConfigFile:
    """Read generator-config.yml; reject settings that do not exist or have no effect here."""
    settings = load_yaml(path, read_bytes(path)).content
    # The generator ignores what it does not know, a misspelled setting included.
    unknown = sorted(settings.keys() - SETTINGS)
    overrides = settings.get("class_overrides")
    for override in overrides.values() if isinstance(overrides, dict) else ():
        unknown += sorted(dict(override or {}).keys() - ClassOverride.model_fields.keys())
    if unknown:
        raise GenerationError(
            f"{path} has settings that do not exist or have no effect here: {', '.join(unknown)}."
        )
    try:
        return ConfigFile.model_validate(settings)
    except ValidationError as error:
        raise GenerationError(
            f"{path} has settings that are not valid: {one_line(str(error))}"
        ) from error


def load_spec(text: bytes, parsed: ParsedYAML, config: Config) -> tuple[Document, Names]:
    """Take a parsed spec, and reject whatever the templates are not known to write correctly."""
    check_values(parsed.content)
    document = Document.read(text, parsed.content)
    try:
        check_document(document)
        names = Names(document, config)
        names.check()
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        # A component is used before the walk comes to it, and may have any shape.
        raise GenerationError(f"A part of the spec has a wrong shape: {_cause(error)}") from error
    return document, names


def _parse(document: Document, names: Names, config: Config) -> GeneratorData:
    """Let the generator parse the spec; whatever it raises becomes one line."""
    try:
        with mock.patch.object(EnumProperty, "values_from_list", values_for_template):
            parsed = GeneratorData.from_dict(dict(document.content), config=config)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise GenerationError(f"The generator cannot parse the spec: {_cause(error)}") from error
    if isinstance(parsed, GeneratorError):
        raise GenerationError(_words(parsed))
    problems = [
        *parsed.errors,
        *(
            error
            for collection in parsed.endpoint_collections_by_tag.values()
            for error in collection.parse_errors
        ),
    ]
    if problems:
        raise GenerationError("\n".join(_words(problem) for problem in problems))
    made = {str(each.class_info.name) for each in [*parsed.models, *parsed.enums]}
    if made != set(names.classes):
        different = ", ".join(sorted(made ^ set(names.classes)))
        raise GenerationError(f"The generator gives other classes than the spec has: {different}.")
    return parsed


def _build(document: Document, names: Names, config: Config, sources: Sources) -> str:
    """Write what depends on the spec, and return the first line of every file."""
    project = Project(openapi=_parse(document, names, config), config=config)
    # The generator asks for these; those in RUNTIME replace what it writes.
    unused = ("client.py", "errors.py", "types.py", "literal_enum.py")
    project.env.loader = ChoiceLoader(
        [
            DictLoader({f"{name}.jinja": "" for name in unused}),
            FileSystemLoader(sources.templates),
        ]
    )
    project.env.undefined = StrictUndefined
    project.env.bytecode_cache = _COMPILED
    project.env.filters["literal"] = repr
    for_templates: dict[str, Any] = project.env.globals
    for_templates.update(
        spec=SpecFacts(document),
        schemas=SchemaFacts(document),
        generator=f"openapi-python-client {version('openapi-python-client')}",
        refuse=refuse,
        doc=prose.doc,
        item=prose.item,
        sentence=prose.sentence,
    )
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            problems = project.build()
        header = project.env.get_template("_header.jinja").render()
    except (TemplateError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise GenerationError(f"A template cannot be rendered: {_cause(error)}") from error
    if problems:
        raise GenerationError("\n".join(_words(problem) for problem in problems))
    return header


def _compile(path: PurePosixPath, content: bytes) -> None:
    """Reject what the formatter accepts and Python does not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            compile(content, str(path), "exec")
    except (SyntaxError, ValueError, Warning) as error:
        raise GenerationError(f"The templates of {path} give no Python: {error}") from error


def _words(problem: GeneratorError) -> str:
    return one_line(f"{problem.level.value}: {problem.header} {problem.detail or ''}")


def _cause(error: Exception) -> str:
    return one_line(f"{type(error).__name__}: {error}")


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
            problem = one_line(f"{done.stdout} {done.stderr}")
            raise GenerationError(f"The formatter rejects generated code: {problem}")
