"""From the bytes of a spec to plain values, with the line of each.

YAML 1.2 as the generator reads it (`on` is a word), with merge keys. PyYAML's C parser does the
reading, since a spec of 500 operations has tens of thousands of lines; what its nodes mean is
decided here, strictly: keys are text and occur once, and nothing grows beyond bounds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from attrs import define, field
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from tools.specdiff.trouble import CannotCompareError

# Aliases make a short text stand for a long one; the project's spec has some thousand values.
MOST_VALUES = 2_000_000
_DEEPEST = 200
_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?[0-9]{1,400}|0o[0-7]{1,400}|0x[0-9a-fA-F]{1,400}")
# In JSON, what stands above U+FFFF may be written as two escapes, which YAML does not know.
_PAIR = re.compile(r"\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})|\\.", re.IGNORECASE)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS: dict[str, Any] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **{sign + dot: float(sign + "inf") for sign in ("", "+", "-") for dot in (".inf", ".Inf")},
    ".nan": float("nan"),
}


class _Loader(yaml.CSafeLoader):
    """The C parser, with a tag of ours in place of what YAML 1.1 makes of plain scalars."""

    yaml_implicit_resolvers = {None: [("plain", re.compile(""))]}  # noqa: RUF012 - PyYAML's name


@define
class Reading:
    """A text read as YAML.

    Attributes:
        label: What to call it in messages.
        content: The plain values; keys are strings.
    """

    label: str
    content: Any
    _root: Node
    _lines: dict[tuple[str, ...], int] = field(factory=dict)

    def line(self, path: tuple[str, ...]) -> int:
        """Find the line, from 1, on which a value begins (for a mapping's entry: its key).

        Args:
            path: Keys and indices from the top. What is not there is looked for as far as it is.
        """
        node, line = self._root, 1
        for key in path:
            step = next((each for each in _steps(node) if each[0] == key), None)
            if step is None:
                break
            node, line = step[2], step[1].start_mark.line + 1
        return line


def read(label: str, text: bytes) -> Reading:
    """Read a text.

    Args:
        label: What to call it in messages.
        text: The bytes: UTF-8, with or without a byte order mark.

    Raises:
        CannotCompareError: It is not UTF-8, no YAML, or YAML that no spec needs.
    """
    try:
        plain = text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise CannotCompareError(f"{label}:{line} is not UTF-8") from error
    if plain.lstrip().startswith("{"):
        plain = _PAIR.sub(_one_character, plain)
    try:
        root = yaml.compose(plain, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f":{mark.line + 1}" if mark else ""
        raise CannotCompareError(f"{label}{place} is not YAML: {error.problem}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise CannotCompareError(f"{label} is not YAML: {error}") from error
    if root is None:
        raise CannotCompareError(f"{label} is empty")
    return Reading(label, _Builder(label).value(root, 0)[0], root)


def _one_character(found: re.Match[str]) -> str:
    if found[1] is None:
        return found[0]
    return bytes.fromhex(found[1] + found[2]).decode("utf-16-be")


@define
class _Builder:
    label: str
    _done: dict[int, tuple[Any, int]] = field(factory=dict)
    _open: set[int] = field(factory=set)

    def value(self, node: Node, depth: int) -> tuple[Any, int]:
        """Give the value of a node, and how many values it stands for with all aliases followed."""
        if id(node) in self._done:
            return self._done[id(node)]
        if id(node) in self._open:
            raise self._refusal(node, "an anchor that holds itself")
        if depth > _DEEPEST:
            raise self._refusal(node, f"more than {_DEEPEST} levels")
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
        if built[1] > MOST_VALUES:
            raise self._refusal(node, f"aliases that stand for over {MOST_VALUES:,} values")
        self._open.discard(id(node))
        self._done[id(node)] = built
        return built

    def _mapping(self, node: MappingNode, depth: int) -> tuple[dict[str, Any], int]:
        self._check_tag(node, "map")
        own: set[str] = set()
        for key, _value in node.value:
            if not isinstance(key, ScalarNode):
                raise self._refusal(key, "a key that is no text")
            if key.value in own:
                raise self._refusal(key, f"the key {key.value!r} twice")
            own.add(key.value)
        result: dict[str, Any] = {}
        size = 1
        for name, _key, value in _steps(node):
            if name not in result:
                result[name], part = self.value(value, depth + 1)
                size += part
        if any(_is_merge(key) and not _mergeable(value) for key, value in node.value):
            raise self._refusal(node, "a merge key with something else than mappings")
        return result, size

    def _scalar(self, node: Node) -> Any:
        text: str = node.value
        if node.tag == f"{_TAG}str":
            return text
        if node.tag.removeprefix(_TAG) not in ("plain", "int", "float", "bool", "null"):
            raise self._strange_tag(node)
        if text in _WORDS:
            return _WORDS[text]
        if _INT.fullmatch(text):
            return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
        return _number(float(text)) if _FLOAT.fullmatch(text) else text

    def _check_tag(self, node: Node, kind: str) -> None:
        if node.tag != f"{_TAG}{kind}":
            raise self._strange_tag(node)

    def _strange_tag(self, node: Node) -> CannotCompareError:
        return self._refusal(node, f"the tag {node.tag.removeprefix(_TAG)!r}, which no spec needs")

    def _refusal(self, node: Node, what: str) -> CannotCompareError:
        return CannotCompareError(f"{self.label}:{node.start_mark.line + 1} has {what}")


def _number(value: float) -> int | float:
    """Give 2 for 2.0: JSON Schema knows no difference."""
    return int(value) if value.is_integer() else value


def _is_merge(key: Node) -> bool:
    return isinstance(key, ScalarNode) and key.value == "<<" and key.tag == "plain"


def _mergeable(node: Node) -> bool:
    if isinstance(node, SequenceNode):
        return all(isinstance(each, MappingNode) for each in node.value)
    return isinstance(node, MappingNode)


def _steps(node: Node) -> Iterator[tuple[str, Node, Node]]:
    """Give key, where it stands, and value of each entry; own entries before merged ones."""
    if isinstance(node, SequenceNode):
        for index, each in enumerate(node.value):
            yield str(index), each, each
    if not isinstance(node, MappingNode):
        return
    for key, value in node.value:
        if not _is_merge(key):
            yield key.value, key, value
    for key, value in node.value:
        if _is_merge(key) and _mergeable(value):
            for each in value.value if isinstance(value, SequenceNode) else [value]:
                # A mapping that merges itself is refused before anybody asks for a line of it.
                yield from _steps(each) if each is not node else ()
