"""A typed program that uses all of a generated package, for mypy to run against another one.

It is written from the package that it is for, read as Python and nothing else: it imports every
class, calls every function with all arguments and with as few as may be, puts every field that it
reads into a variable of the old type, and tells apart all members of enums that it reads.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import PurePosixPath
from typing import TypeAlias

Files: TypeAlias = dict[PurePosixPath, bytes]

_HEAD = """\
import datetime
from typing import Any, assert_never
from {package}.client import Client
from {package}.types import Unset
"""

# A value of each type, as source.
_VALUES = {
    "str": '"a"', "int": "7", "float": "2.5", "bool": "True",
    "datetime.date": "datetime.date(2026, 1, 2)",
    "Any": '"a"', "None": "None", "list[str]": '["a"]',
}  # fmt: skip


def stubs(files: Files) -> Files:
    """Leave of a package what it declares, so that mypy reads no more than callers see."""
    kept = {
        name: _stub(text)
        for name, text in files.items()
        if name.parts[0] in ("api", "models", "types.py")
    }
    client = b"class Client: ...\nclass AuthenticatedClient(Client): ...\n"
    return {**kept, PurePosixPath("client.py"): client, PurePosixPath("__init__.py"): b""}


# Most files are the same in all packages.


@cache
def _stub(text: bytes) -> bytes:
    return ast.unparse(_BodyRemover().visit(ast.parse(text))).encode()


@cache
def _parse(text: bytes) -> ast.Module:
    return ast.parse(text)


class _BodyRemover(ast.NodeTransformer):
    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.ImportFrom | None:
        return None if node.level and node.module in ("decode", "encode", "errors") else node

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        node.body = [ast.Expr(ast.Constant(...))]
        return node

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AsyncFunctionDef:
        node.body = [ast.Expr(ast.Constant(...))]
        return node


class Writer:
    """Writes the program.

    Args:
        files: The package that the program is for.
        package: What the package that it runs against is called.
    """

    def __init__(self, files: Files, package: str) -> None:
        self._package = package
        self._classes: dict[str, ast.ClassDef] = {}
        self._operations: dict[str, dict[str, ast.FunctionDef]] = {}
        for name, text in files.items():
            tree = _parse(text)
            if name.parts[0] == "models" and name.name != "__init__.py":
                classes = (node for node in tree.body if isinstance(node, ast.ClassDef))
                self._classes |= {node.name: node for node in classes}
            elif name.parts[0] == "api" and len(name.parts) == 3 and name.name != "__init__.py":
                functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
                module = ".".join(name.with_suffix("").parts)
                self._operations[module] = {node.name: node for node in functions}

    def program(self) -> str:
        """Give the source."""
        lines = [_HEAD.format(package=self._package)]
        lines += [f"from {self._package}.models import {name}" for name in sorted(self._classes)]
        read: dict[str, None] = {}
        calls: list[str] = []
        for number, (module, functions) in enumerate(sorted(self._operations.items())):
            folder, _, name = module.rpartition(".")
            alias = f"operation_{number}"
            lines.append(f"from {self._package}.{folder} import {name} as {alias}")
            calls += self._calls(alias, functions)
            read |= dict.fromkeys(self._named(_result(functions["sync"])))
        waiting = list(read)
        while waiting:
            node = self._classes[waiting.pop()]
            for _name, kind, _value in _fields(node):
                new = [each for each in self._named(kind) if each not in read]
                read |= dict.fromkeys(new)
                waiting += new
        readers = [line for name in read for line in self._reader(name)]
        writers = [
            f'def extend_{name}(value: {name}) -> None:\n    value["later"] = {self._extra(node)}\n'
            for name, node in self._classes.items()
            if any(field == "additional_properties" for field, _, _ in _fields(node))
        ]
        return "\n".join([*lines, "", *readers, *writers, *calls]) + "\n"

    def _extra(self, node: ast.ClassDef) -> str:
        kind = next(kind for name, kind, _ in _fields(node) if name == "additional_properties")
        return self._value(kind.removeprefix("dict[str, ").removesuffix("]"))

    def _named(self, annotation: str) -> list[str]:
        return [word for word in re.findall(r"\w+", annotation) if word in self._classes]

    def _calls(self, alias: str, functions: dict[str, ast.FunctionDef]) -> Iterator[str]:
        result = _result(functions["sync"])
        yield f"def use_{alias}(client: Client) -> None:"
        for everything in (True, False):
            arguments = self._arguments(functions["sync"].args, everything=everything)
            yield f"    parsed_{everything}: {result} = {alias}.sync_detailed({arguments}).parsed"
            yield f"    again_{everything}: {result} = {alias}.sync({arguments})"
            where = self._arguments(functions["url"].args, everything=everything)
            yield f"    address_{everything}: str = {alias}.url({where})"
        yield ""

    def _arguments(self, args: ast.arguments, *, everything: bool) -> str:
        given: list[str] = []
        for each in args.args:
            value = self._value(ast.unparse(each.annotation or ast.Constant(None)))
            # Once by position, once by name.
            given.append(value if everything else f"{each.arg}={value}")
        for each, default in zip(args.kwonlyargs, args.kw_defaults, strict=True):
            if everything or default is None:
                kind = ast.unparse(each.annotation or ast.Constant(None))
                given.append(f"{each.arg}={self._value(kind)}")
        return ", ".join(given)

    def _value(self, annotation: str) -> str:
        kind = annotation.partition(" | ")[0]
        if "Client" in annotation:
            return "client"
        if kind not in self._classes:
            return _VALUES[kind]
        node = self._classes[kind]
        if _is_enum(node):
            return f"{kind}.{_members(node)[-1]}"
        fields = [
            (name, type_) for name, type_, _ in _fields(node) if name != "additional_properties"
        ]
        return f"{kind}({', '.join(f'{name}={self._value(type_)}' for name, type_ in fields)})"

    def _reader(self, name: str) -> Iterator[str]:
        node = self._classes[name]
        yield f"def read_{name}(value: {name}) -> None:"
        if _is_enum(node):
            yield "    match value:"
            for member in _members(node):
                yield f"        case {name}.{member}:\n            pass"
            yield "        case _:\n            assert_never(value)"
        for field, kind, _value in _fields(node):
            yield f"    field_{field}: {kind} = value.{field}"
        yield "    print(value)\n"


def _result(function: ast.FunctionDef) -> str:
    return ast.unparse(function.returns or ast.Constant(None))


def _is_enum(node: ast.ClassDef) -> bool:
    return [ast.unparse(base) for base in node.bases] not in ([], ["Equality"])


def _members(node: ast.ClassDef) -> list[str]:
    return [ast.unparse(each.targets[0]) for each in node.body if isinstance(each, ast.Assign)]


def _fields(node: ast.ClassDef) -> list[tuple[str, str, str]]:
    return [
        (
            ast.unparse(each.target),
            ast.unparse(each.annotation),
            ast.unparse(each.value or ast.Constant(None)),
        )
        for each in node.body
        if isinstance(each, ast.AnnAssign)
    ]
