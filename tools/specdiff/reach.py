"""Which operations a place in a spec reaches, through references."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from attrs import define, evolve, field

from tools.specdiff.findings import Finding
from tools.specdiff.operations import Operation, operations
from tools.specdiff.spec import Pointer, Spec


@define(eq=False)
class Reach:
    """The operations of a spec and the components that each of them leads to.

    Attributes:
        spec: The spec.
        operations: Its operations.
    """

    spec: Spec
    operations: list[Operation] = field(init=False)
    _direct: dict[Pointer, set[Pointer]] = field(factory=dict)
    _leads: dict[Pointer, set[Pointer]] = field(factory=dict)

    def __attrs_post_init__(self) -> None:
        self.operations = operations(self.spec)
        for each in self.operations:
            item = each.item.get("parameters")
            self._leads[each.place.pointer] = self.closure([each.place.value, item])

    def closure(self, values: Any) -> set[Pointer]:
        """Give the components that a value leads to, at first and further hand."""
        found: set[Pointer] = set()
        waiting = set(_references(values))
        while waiting:
            target = waiting.pop()
            found.add(target)
            if target not in self._direct:
                node: Any = self.spec.content
                for step in target:
                    node = node.get(step) if isinstance(node, dict) else None
                self._direct[target] = set(_references(node))
            waiting |= self._direct[target] - found
        return found

    def leads_to(self, operation: Operation) -> set[Pointer]:
        """Give the components that an operation leads to."""
        return self._leads[operation.place.pointer]

    def reached_by(self, pointer: Pointer) -> list[Operation]:
        """Give the operations that see what a pointer names."""
        if pointer[:1] == ("components",) and len(pointer) >= 3:
            found = pointer[:3]
            return [each for each in self.operations if found in self._leads[each.place.pointer]]
        if pointer[:1] == ("paths",):
            return [
                each
                for each in self.operations
                if pointer[: len(each.place.pointer)] == each.place.pointer
                or (len(pointer) > 2 and pointer[2] in ("parameters", "servers")
                    and pointer[:2] == each.item.pointer)
            ]  # fmt: skip
        return []

    def components_of(self, chosen: list[Operation]) -> set[Pointer]:
        """Give the components that some operations lead to."""
        found: set[Pointer] = set()
        return found.union(*(self._leads[each.place.pointer] for each in chosen))


def _references(value: Any) -> Iterator[Pointer]:
    """Give the component, by the first three keys, of each reference in a value."""
    if isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str) and reference.startswith("#/"):
            steps = [
                unquote(step).replace("~1", "/").replace("~0", "~") for step in reference.split("/")
            ]
            yield tuple(steps[1:4])
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _references(inner)


def with_operations(found: list[Finding], old: Reach, new: Reach) -> list[Finding]:
    """Say of each finding which operations it reaches, by their new addresses where they have one.

    Args:
        found: The findings.
        old: The old spec's operations.
        new: The new spec's operations.
    """
    return [
        evolve(
            each,
            operations=tuple(
                dict.fromkeys(
                    operation.address
                    for operation in (
                        new.reached_by(each.new.pointer) or old.reached_by(each.old.pointer)
                    )
                )
            ),
        )
        for each in found
    ]
