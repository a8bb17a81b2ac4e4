"""Lets mkdocstrings show how classes made with attrs are called.

The pages are written from the source without running it, and griffe, which reads the source, knows
the constructors of dataclasses only. It is loaded by mkdocs.yml, in the environment of the site.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import griffe

MAKERS = {"attrs.define", "attrs.frozen"}
FIELD = "attrs.field"


class AttrsClasses(griffe.Extension):
    """Adds to each class made with attrs the `__init__` that attrs will add to it."""

    def on_package(self, *, pkg: griffe.Module, **_more: Any) -> None:
        """Go through a package that was read."""
        for each in list(classes(pkg)):
            if maker(each) is not None and "__init__" not in each.members:
                each.set_member("__init__", constructor(each))


def classes(parent: griffe.Module | griffe.Class) -> Iterator[griffe.Class]:
    """Yield every class of a module or class, at any depth."""
    for member in parent.members.values():
        if isinstance(member, griffe.Class):
            yield member
        if isinstance(member, griffe.Module | griffe.Class):
            yield from classes(member)


def maker(each: griffe.Class) -> griffe.Decorator | None:
    """Return the decorator that makes the class, if there is one."""
    found = (d for d in each.decorators if d.callable_path in MAKERS)
    return next(found, None)


def constructor(each: griffe.Class) -> griffe.Function:
    """Return the `__init__` of a class, with the fields of its bases first."""
    fields: dict[str, griffe.Parameter] = {}
    for owner in (*reversed(each.mro()), each):
        decorator = maker(owner)
        if decorator is not None:
            fields.update((field.name, field) for field in parameters(owner, decorator))
    ordered = sorted(
        fields.values(), key=lambda field: field.kind is griffe.ParameterKind.keyword_only
    )
    own = griffe.Parameter("self", kind=griffe.ParameterKind.positional_or_keyword)
    return griffe.Function(
        "__init__", parent=each, parameters=griffe.Parameters(own, *ordered), returns="None"
    )


def parameters(each: griffe.Class, decorator: griffe.Decorator) -> Iterator[griffe.Parameter]:
    """Yield the parameters that a class's own fields become."""
    all_by_name = given(decorator.value).get("kw_only") == "True"
    for name, member in each.members.items():
        if not isinstance(member, griffe.Attribute) or member.annotation is None:
            continue
        if "property" in member.labels or "instance-attribute" not in member.labels:
            continue
        is_field = (
            isinstance(member.value, griffe.ExprCall) and member.value.canonical_path == FIELD
        )
        arguments = given(member.value) if is_field else {}
        if arguments.get("init") == "False":
            continue
        by_name = all_by_name or arguments.get("kw_only") == "True"
        default = arguments.get("default") if is_field else member.value
        if "factory" in arguments:
            default = f"{arguments['factory']}()"
        yield griffe.Parameter(
            # As attrs does: a private field is given without its underscores.
            name.lstrip("_"),
            annotation=member.annotation,
            kind=griffe.ParameterKind.keyword_only
            if by_name
            else griffe.ParameterKind.positional_or_keyword,
            default=default if default is None else str(default),
        )


def given(call: Any) -> dict[str, str]:
    """Return the keyword arguments of a call, as they are written."""
    if not isinstance(call, griffe.ExprCall):
        return {}
    keywords = (each for each in call.arguments if isinstance(each, griffe.ExprKeyword))
    return {each.name: str(each.value) for each in keywords}
