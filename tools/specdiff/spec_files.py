"""Where specs come from, a file or a git revision, and how their YAML is read, with line numbers.

YAML 1.2 as the generator reads it (`on` is a string), with merge keys. PyYAML's C parser is fast;
what its nodes mean is decided here: keys are strings and occur once, nothing grows beyond bounds.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from attrs import define, field, frozen
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

ROOT = Path(__file__).resolve().parents[2]
SPEC = "openapi.yaml"

# A hundred times the project's own spec, ten times one of 500 operations.
MAX_BYTES = 16 * 1024 * 1024
# Aliases make a short text stand for a long one; the project's spec has some thousand values.
MAX_VALUES = 2_000_000
_MAX_DEPTH = 200
_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?[0-9]{1,400}|0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
# JSON may write a character above U+FFFF as two escapes, which YAML does not know.
_SURROGATES = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|\\.", re.IGNORECASE)
_PLAIN_VALUES: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{sign + dot: float(sign + "inf") for sign in ("", "+", "-") for dot in (".inf", ".Inf")},
    ".nan": float("nan"),
}


class CannotCompareError(Exception):
    """One of the two specs can't be found, read or understood; the text is one line."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(" ".join(message.split())))


def printable(text: str) -> str:
    """Replace the characters that a terminal would interpret instead of showing them."""
    return "".join(char if char.isprintable() else " " for char in text)


@frozen
class Source:
    """The bytes of a spec, with the name that the user gave for it."""

    label: str
    text: bytes


def read_source(name: str, *, root: Path = ROOT) -> Source:
    """Read a spec from a file, a revision (its `openapi.yaml`), or `REVISION:PATH`; files win."""
    if not name or "\0" in name or not name.isprintable():
        raise CannotCompareError(f"{name!r} is neither a file nor a git revision")
    path = Path(name)
    if path.is_dir() and not _is_revision(name, root):
        raise CannotCompareError(f"{name} is a directory; name the file in it")
    is_file = path.exists() and not path.is_dir()
    text = _read_file(path) if is_file else _read_revision(name, root)
    if len(text) > MAX_BYTES:
        raise CannotCompareError(f"{name} is too large for a spec: over {MAX_BYTES >> 20} MB")
    return Source(name, text)


def _read_file(path: Path) -> bytes:
    if not path.is_file():
        raise CannotCompareError(f"{path} is not a regular file")
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise CannotCompareError(f"{path} can't be read: {error.strerror}") from error


def _is_revision(name: str, root: Path) -> bool:
    return git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", name) is not None


def _read_revision(name: str, root: Path) -> bytes:
    wanted = name if ":" in name else f"{name}:{SPEC}"
    blob = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted)
    content = None if blob is None else git(root, "cat-file", "blob", blob.decode().strip())
    if content is not None:
        return content
    revision = name.partition(":")[0]
    if revision and _is_revision(f"{revision}^{{commit}}", root):
        raise CannotCompareError(f"the revision {revision} has no file {wanted.partition(':')[2]}")
    raise CannotCompareError(f"{name} is neither a file nor a git revision (a shallow clone?)")


def git(root: Path, *arguments: str) -> bytes | None:
    """Run a read-only git command; give its output, or None if it failed."""
    # A hook runs with variables that name the repository of the hook.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("GIT_")}
    environment |= {"GIT_OPTIONAL_LOCKS": "0"}
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, check=False, env=environment)

    except OSError as error:
        raise CannotCompareError("git can't be run, and is needed to look up revisions") from error
    return done.stdout if done.returncode == 0 else None


class _Loader(yaml.CSafeLoader):
    """The C parser, with a tag of its own in place of what YAML 1.1 makes of plain scalars."""

    yaml_implicit_resolvers = {None: [("plain", re.compile(""))]}  # noqa: RUF012 - PyYAML's name


@define
class ParsedYAML:
    """A YAML document as plain values whose keys are strings, with the line of each value."""

    content: Any
    _root: Node

    def line(self, path: tuple[str, ...]) -> int:
        """Find the line, from 1, where a value or its key begins; a missing one: its parent's."""
        node, line = self._root, 1
        for key in path:
            entry = next((each for each in _entries(node) if each[0] == key), None)
            if entry is None:
                break
            node, line = entry[2], entry[1].start_mark.line + 1
        return line


def parse_yaml(label: str, text: bytes) -> ParsedYAML:
    """Parse YAML in UTF-8, with or without a byte order mark; no more of YAML than specs need."""
    try:
        plain = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise CannotCompareError(f"{label}:{line} is not UTF-8") from error
    if plain.lstrip().startswith("{"):
        plain = _SURROGATES.sub(lambda pair: _character(*pair.groups()) or pair[0], plain)
    try:
        root = yaml.compose(plain, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line_text = f":{mark.line + 1}" if mark else ""
        raise CannotCompareError(f"{label}{line_text} is not YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise CannotCompareError(f"{label} is not YAML: {error}") from error
    if root is None:
        raise CannotCompareError(f"{label} is empty")
    return ParsedYAML(_Builder(label).value(root, 0)[0], root)


def _character(high: str | None, low: str | None) -> str:
    return bytes.fromhex(f"{high}{low}").decode("utf-16-be") if high else ""


@define
class _Builder:
    """Builds plain values from the parser's nodes."""

    label: str
    _done: dict[int, tuple[Any, int]] = field(factory=dict)
    _open: set[int] = field(factory=set)

    def value(self, node: Node, depth: int) -> tuple[Any, int]:
        """Build a value; count the values that it stands for with all aliases followed."""
        if id(node) in self._done:
            return self._done[id(node)]
        if id(node) in self._open:
            raise self._error(node, "an anchor that contains itself")
        if depth > _MAX_DEPTH:
            raise self._error(node, f"more than {_MAX_DEPTH} levels")
        self._open.add(id(node))
        built: tuple[Any, int]
        if isinstance(node, MappingNode):
            built = self._mapping(node, depth)
        elif isinstance(node, SequenceNode):
            self._check_tag(node, "seq")
            parts = [self.value(each, depth + 1) for each in node.value]
            built = [part for part, _ in parts], 1 + sum(size for _, size in parts)
        else:
            built = self._scalar(node), 1
        if built[1] > MAX_VALUES:
            raise self._error(node, f"aliases that stand for over {MAX_VALUES:,} values")
        self._open.discard(id(node))
        self._done[id(node)] = built
        return built

    def _mapping(self, node: MappingNode, depth: int) -> tuple[dict[str, Any], int]:
        self._check_tag(node, "map")
        own: set[str] = set()
        for key, _value in node.value:
            if not isinstance(key, ScalarNode):
                raise self._error(key, "a key that is not a string")
            if key.value in own:
                raise self._error(key, f"the key {key.value!r} twice")
            own.add(key.value)
        result: dict[str, Any] = {}
        size = 1
        for name, _key, value in _entries(node):
            if name not in result:
                result[name], part = self.value(value, depth + 1)
                size += part
        if any(_is_merge(key) and not _is_mergeable(value) for key, value in node.value):
            raise self._error(node, "a merge key with something else than mappings")
        return result, size

    def _scalar(self, node: Node) -> Any:
        text: str = node.value
        if node.tag == f"{_TAG}str":
            return text
        self._check_tag(node, "plain", "int", "float", "bool", "null")
        if text in _PLAIN_VALUES:
            return _PLAIN_VALUES[text]
        if _INT.fullmatch(text):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if not _FLOAT.fullmatch(text):
            return text
        # JSON Schema knows no difference between 2 and 2.0.
        number = float(text)
        return int(number) if number.is_integer() else number

    def _check_tag(self, node: Node, *kinds: str) -> None:
        tag = node.tag.removeprefix(_TAG)
        if tag not in kinds:
            raise self._error(node, f"the tag {tag!r}, which no spec needs")

    def _error(self, node: Node, what: str) -> CannotCompareError:
        return CannotCompareError(f"{self.label}:{node.start_mark.line + 1} has {what}")


def _is_merge(key: Node) -> bool:
    return isinstance(key, ScalarNode) and key.value == "<<" and key.tag == "plain"


def _is_mergeable(node: Node) -> bool:
    if isinstance(node, SequenceNode):
        return all(isinstance(each, MappingNode) for each in node.value)
    return isinstance(node, MappingNode)


def _entries(node: Node) -> Iterator[tuple[str, Node, Node]]:
    """Give the key of each entry, the node where it stands, and its value; merged entries last."""
    if isinstance(node, SequenceNode):
        for index, each in enumerate(node.value):
            yield str(index), each, each
    if not isinstance(node, MappingNode):
        return
    for key, value in node.value:
        if not _is_merge(key):
            yield key.value, key, value
    for key, value in node.value:
        if _is_merge(key) and _is_mergeable(value):
            for each in value.value if isinstance(value, SequenceNode) else [value]:
                # A mapping that merges itself is rejected before a line of it is looked up.
                yield from _entries(each) if each is not node else ()
