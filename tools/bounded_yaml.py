"""Reads YAML of documents that others wrote, within bounds: what generate, lint and diff share.

YAML 1.2 as specs use it (`on` is a string), with merge keys. PyYAML's C parser is fast; what its
nodes mean is decided here: keys are strings and occur once, numbers are those of JSON, and nothing
grows beyond bounds. Aliases and merge keys make a short text stand for a long one, so values are
counted as they are expanded, and the first one too many ends it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from attrs import define, field
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

# A hundred times the project's own spec, ten times one of 500 operations.
MAX_BYTES = 16 * 1024 * 1024
# A hundred times the project's spec, with every alias counted as what it stands for.
MAX_VALUES = 500_000
MAX_DEPTH = 200

_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?[0-9]{1,400}|0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_DATE = re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?")
# JSON may write a character above U+FFFF as two escapes, which YAML does not know.
_SURROGATES = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|\\.", re.IGNORECASE)
_PLAIN_VALUES: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


class RejectedYAMLError(Exception):
    """A document is not YAML, or more than is read; the text is one line with file and line."""

    def __init__(
        self,
        label: str,
        problem: str,
        position: tuple[int, int] = (1, 1),
        pointer: tuple[str, ...] | None = None,
    ) -> None:
        self.problem = " ".join(problem.split())
        self.position = position  # line and column, from 1
        self.pointer = pointer  # the keys that lead there; None where it could not be parsed
        super().__init__(f"{label}:{position[0]}: {self.problem}")


@define
class ParsedYAML:
    """A YAML document as plain values whose keys are strings, with the position of each value."""

    content: Any
    _root: Node
    _reader: _Reader

    def position(self, path: Sequence[str | int]) -> tuple[int, int]:
        """Find line and column, from 1, where a value or its key begins; a missing one: its parent.

        Args:
            path: The keys and indices that lead to it.
        """
        node, mark = self._root, self._root.start_mark
        for key in path:
            if isinstance(node, MappingNode):
                found = self._reader.entries(node).get(str(key))
            elif isinstance(node, SequenceNode) and str(key).isdecimal():
                item = node.value[int(key) : int(key) + 1]
                found = (item[0], item[0]) if item else None
            else:
                found = None
            if found is None:
                break
            mark, node = found[0].start_mark, found[1]
        return (mark.line + 1, mark.column + 1) if path else (1, 1)

    def line(self, path: Sequence[str | int]) -> int:
        """Find the line, from 1, where a value or its key begins; a missing one: its parent's."""
        return self.position(path)[0]


def read_bytes(file: Path) -> bytes:
    """Read a file as far as `parse` needs it to reject one that is too large."""
    with file.open("rb") as opened:
        return opened.read(MAX_BYTES + 1)


def parse(label: str, text: bytes, *, strict: bool = False) -> ParsedYAML:
    """Parse YAML in UTF-8, with or without a byte order mark; no more of YAML than specs need.

    Args:
        label: What messages call the document.
        text: Its bytes.
        strict: Whether to reject what other readers of YAML do not take for text: dates, and keys
            such as `true`, without quotes.

    Raises:
        RejectedYAMLError: The document can't be read, or stands for more than the bounds.
    """
    if len(text) > MAX_BYTES:
        raise RejectedYAMLError(label, f"is too large for a spec: over {MAX_BYTES >> 20} MB")
    try:
        plain = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise RejectedYAMLError(label, "not YAML in UTF-8", (line, 1)) from error
    if plain.lstrip().startswith("{"):
        plain = _SURROGATES.sub(lambda pair: _character(*pair.groups()) or pair[0], plain)
    try:
        root = yaml.compose(plain, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        position = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise RejectedYAMLError(label, f"not YAML: {error.problem}", position) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise RejectedYAMLError(label, f"not YAML: {error}") from error
    if root is None:
        raise RejectedYAMLError(label, "the document is empty")
    reader = _Reader(label, strict)
    return ParsedYAML(reader.read(root), root, reader)


def _character(high: str | None, low: str | None) -> str:
    return bytes.fromhex(f"{high}{low}").decode("utf-16-be") if high else ""


class _Loader(yaml.CSafeLoader):
    """The C parser, with a tag of its own in place of what YAML 1.1 makes of plain scalars."""

    yaml_implicit_resolvers = {None: [("plain", re.compile(""))]}  # noqa: RUF012 - PyYAML's name


@define
class _Built:
    """A value; how many values it stands for with all aliases followed; how deep it is."""

    value: Any
    size: int = 1
    height: int = 0


@define
class _Reader:
    """Makes plain values of the parser's nodes."""

    label: str
    strict: bool
    _built: dict[int, _Built] = field(factory=dict)
    _entries: dict[int, dict[str, tuple[Node, Node]]] = field(factory=dict)
    _open: set[int] = field(factory=set)
    _path: list[str] = field(factory=list)
    _merged: int = 0

    def read(self, node: Node) -> Any:
        """Make the value of the document."""
        return self._value(node).value

    def entries(self, node: MappingNode, depth: int = 0) -> dict[str, tuple[Node, Node]]:
        """Give the key and the value of each entry by its name; merged ones come last."""
        known = self._entries.get(id(node))
        if known is not None:
            return known
        if depth > MAX_DEPTH:
            raise self._error(node, f"more than {MAX_DEPTH} levels")
        found, merged = self._own(node)
        for source in merged:
            with self._opened(source):
                below = self.entries(source, depth + 1)
            # Each entry counts, whether it is replaced or not: looking at it takes time, too.
            self._merged += len(below) + 1
            if self._merged > MAX_VALUES:
                raise self._error(node, f"merge keys that stand for over {MAX_VALUES:,} entries")
            for name, entry in below.items():
                found.setdefault(name, entry)
        self._entries[id(node)] = found
        return found

    def _own(self, node: MappingNode) -> tuple[dict[str, tuple[Node, Node]], list[MappingNode]]:
        """Give the entries that a mapping has itself, and the mappings that it merges."""
        found: dict[str, tuple[Node, Node]] = {}
        merged: list[MappingNode] = []
        merges = False
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                raise self._error(key, "a key that is not a string")
            is_merge = key.value == "<<" and key.tag == "plain"
            if key.value in found or (is_merge and merges):
                raise self._error(key, f"the key {key.value!r} twice")
            if not is_merge:
                self._check_key(key)
                found[key.value] = (key, value)
                continue
            merges = True
            for each in value.value if isinstance(value, SequenceNode) else [value]:
                if not isinstance(each, MappingNode):
                    raise self._error(node, "a merge key with something else than mappings")
                merged.append(each)
        return found, merged

    def _check_key(self, key: ScalarNode) -> None:
        if self.strict and key.tag == "plain" and key.value in _PLAIN_VALUES:
            raise self._error(key, f"the key {key.value or '(nothing)'} is not text: quote it")

    def _value(self, node: Node) -> _Built:
        depth = len(self._path)
        built = self._built.get(id(node))
        if built is None:
            if depth > MAX_DEPTH:
                raise self._error(node, f"more than {MAX_DEPTH} levels")
            with self._opened(node):
                built = self._make(node)
            self._built[id(node)] = built
        if built.size > MAX_VALUES:
            raise self._error(node, f"more than {MAX_VALUES:,} values, with aliases written out")
        if depth + built.height > MAX_DEPTH:  # where aliases nest what is flat
            raise self._error(node, f"more than {MAX_DEPTH} levels")
        return built

    def _make(self, node: Node) -> _Built:
        if isinstance(node, MappingNode):
            self._check_tag(node, "map")
            mapping: dict[str, Any] = {}
            made = _Built(mapping)
            for name, (_key, value) in self.entries(node).items():
                mapping[name] = self._part(made, name, value)
            return made
        if isinstance(node, SequenceNode):
            self._check_tag(node, "seq")
            items: list[Any] = []
            made = _Built(items)
            for index, each in enumerate(node.value):
                items.append(self._part(made, str(index), each))
            return made
        return _Built(self._scalar(node))

    def _part(self, whole: _Built, key: str, node: Node) -> Any:
        """Make a part of a mapping or sequence, and count it."""
        self._path.append(key)
        part = self._value(node)
        whole.size += part.size
        whole.height = max(whole.height, part.height + 1)
        if whole.size > MAX_VALUES:
            raise self._error(node, f"more than {MAX_VALUES:,} values, with aliases written out")
        self._path.pop()
        return part.value

    @contextmanager
    def _opened(self, node: Node) -> Generator[None]:
        if id(node) in self._open:
            raise self._error(node, "an anchor that contains itself")
        self._open.add(id(node))
        yield
        self._open.discard(id(node))

    def _scalar(self, node: Node) -> Any:
        text: str = node.value
        if node.tag == f"{_TAG}str":
            return text
        self._check_tag(node, "plain", "int", "float", "bool", "null")
        if text in _PLAIN_VALUES:
            return _PLAIN_VALUES[text]
        if _NO_NUMBER.fullmatch(text):
            raise self._error(node, f"{text} is no number of JSON")
        if self.strict and _DATE.fullmatch(text):
            raise self._error(node, f"YAML may read {text} as a date: quote it, so that it is text")
        if _INT.fullmatch(text):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        if not _FLOAT.fullmatch(text):
            return text
        number = float(text)
        if not math.isfinite(number):
            raise self._error(node, f"the number {text[:20]}... is too large")
        # JSON Schema knows no difference between 2 and 2.0.
        return int(number) if number.is_integer() else number

    def _check_tag(self, node: Node, *kinds: str) -> None:
        tag = node.tag.removeprefix(_TAG)
        if tag not in kinds:
            raise self._error(node, f"the tag {tag!r}, which no spec needs")

    def _error(self, node: Node, problem: str) -> RejectedYAMLError:
        mark = node.start_mark
        position = (mark.line + 1, mark.column + 1)
        return RejectedYAMLError(self.label, problem, position, tuple(self._path))
