"""Compares two schemas: classes, unions, types, single values, fields."""

from __future__ import annotations

from collections import deque
from itertools import combinations
from typing import Any, Literal, TypeAlias

from attrs import evolve, frozen

from tools.specdiff.findings import Comparison, Level, Pair, rules
from tools.specdiff.schemas import (
    TYPED_FORMATS,
    TYPES,
    WORDING_KEYS,
    Schema,
    changed_limits,
    class_name,
    keeps_members,
    python_name,
    python_type,
    read_schema,
)
from tools.specdiff.spec import Pointer, SpecLocation, canonical

# Who sees a value: `request` is for what callers send, `response` for what they read.
Side: TypeAlias = Literal["request", "response"]

_Pairs: TypeAlias = frozenset[tuple[Pointer, Pointer]]

# The mark of a field that the side never sees.
_HIDDEN: dict[Side, str] = {"request": "readOnly", "response": "writeOnly"}
# The attributes of every model.
_RESERVED = {"additional_properties", "additional_keys", "to_dict", "from_dict"}
# The formats whose values a format includes.
_INCLUDED = {"int32": {"int32", "int64"}, "float": {"float", "double"}}


@frozen(eq=False)
class _SchemaPair:
    """Two schemas that are compared, and the queue of the pairs below them."""

    comparison: Comparison
    old: Schema
    new: Schema
    side: Side
    subject: str
    waiting: deque[tuple[SpecLocation, SpecLocation, str]]

    def at(self, old: SpecLocation | None = None, new: SpecLocation | None = None) -> Pair:
        """Give a pair of locations; where none is given, that of the schema."""
        return Pair(self.comparison, old or self.old.location, new or self.new.location)

    def add(self, rule: str, **words: Any) -> None:
        """Add a finding by the rule for this side, or by the one for both."""
        known = rule in rules()
        self.at().add(rule if known else f"{self.side}-{rule}", self.subject, **words)

    def enqueue(self, old: SpecLocation, new: SpecLocation, subject: str) -> None:
        """Have two schemas compared that are parts of these."""
        self.waiting.append((old, new, subject))


def compare_schemas(pair: Pair, side: Side, subject: str) -> None:
    """Compare two schemas and everything below them, as one side sees them."""
    # A queue, since schemas lead to schemas further down than Python's recursion limit.
    waiting = deque([(pair.old, pair.new, subject)])
    while waiting:
        old, new, subject = waiting.popleft()
        schemas = read_schema(old), read_schema(new)
        _compare(_SchemaPair(pair.comparison, *schemas, side, subject, waiting), old, new)


def _compare(pair: _SchemaPair, old: SpecLocation, new: SpecLocation) -> None:
    comparison, before, after = pair.comparison, pair.old, pair.new
    comparison.used |= {old.component, before.location.component}
    key = [(each.pointer, canonical(each.get("allOf"))) for each in (old, new)]
    if not comparison.is_first("schema", *key, pair.side, comparison.in_unused):
        return
    outer = pair.at(_with_wording_of(old, before), _with_wording_of(new, after))
    outer.compare_wording(pair.subject)
    _compare_classes(pair)
    # A schema with a class goes by its name, so that a change is one finding wherever it is used.
    subject = (before.location.component and class_name(before)) or pair.subject
    pair = evolve(pair, subject=subject)
    if _compare_unions(pair) or not _compare_types(pair):
        return
    _compare_values(pair)
    _compare_fields(pair)
    if before.item or after.item:
        ours, theirs = (each.item or each.location.empty() for each in (before, after))
        pair.enqueue(ours, theirs, f"{subject}[]")


def _with_wording_of(outer: SpecLocation, schema: Schema) -> SpecLocation:
    """Give a schema with the documentation of the `allOf` around it, which counts first."""
    inner = schema.location
    values = [each.value if isinstance(each.value, dict) else {} for each in (inner, outer)]
    return evolve(inner, value={**values[0], **values[1]})


def _compare_classes(pair: _SchemaPair) -> None:
    before, after = class_name(pair.old), class_name(pair.new)
    same_kind = (pair.old.enum is None) == (pair.new.enum is None)
    if not before or not after or before == after or not same_kind:
        return
    if before in pair.comparison.new_classes:
        pair.add("schema-replaced", old=before, new=after)
    else:
        pair.comparison.renamed.setdefault((before, after), pair.at())


def _compare_types(pair: _SchemaPair) -> bool:
    """Compare types; tell whether values are still similar enough to compare them further."""
    before, after = _value_types(pair.old), _value_types(pair.new)
    if pair.old.types is not None and pair.new.types is not None:
        if ("null" in before) != ("null" in after):
            pair.add("null-allowed" if "null" in after else "null-refused")
        before, after = before - {"null"}, after - {"null"}
    if before == after:
        return True
    verdict = "narrowed" if after < before else "widened" if before < after else "changed"
    types = (pair.old.types, pair.new.types)
    texts = ["any" if each is None else " or ".join(sorted(each)) for each in types]
    pair.add(f"type-{verdict}", old=texts[0], new=texts[1])
    return bool(before & after) and verdict != "changed"


def _value_types(schema: Schema) -> frozenset[str]:
    types = TYPES if schema.types is None else schema.types
    return types | {"integer"} if "number" in types else types


def _compare_values(pair: _SchemaPair) -> None:
    """Compare formats, enums, limits, defaults and marks."""
    old, new = pair.old, pair.new
    _compare_formats(pair)
    _compare_enums(pair)
    for key, verdict, before, after in changed_limits(old.limits, new.limits):
        pair.add(f"limit-{verdict}", limit=key, old=before, new=after)
    _compare_defaults(pair)
    if old.secret != new.secret:
        pair.add("secret-marked" if new.secret else "secret-unmarked")
    if ("deprecated" in old.flags) != ("deprecated" in new.flags):
        marked = "deprecated" in new.flags
        pair.add("deprecated" if marked else "no-longer-deprecated")
    for key in sorted(old.unsupported.keys() | new.unsupported.keys()):
        if old.unsupported.get(key) != new.unsupported.get(key):
            # A discriminator rules out no value, and the generated code does not read it.
            harmless = key == "discriminator" and key not in old.unsupported
            pair.add("wording-changed" if harmless else "not-judged", detail=key)


def _compare_formats(pair: _SchemaPair) -> None:
    old, new = pair.old.formats, pair.new.formats
    if old == new:
        return
    before, after = (
        {part for name in each for part in _INCLUDED.get(name, {name})} for each in (old, new)
    )
    verdict = "narrowed" if before < after else "widened" if after < before else "changed"
    importer = Level.BREAKING if old & TYPED_FORMATS != new & TYPED_FORMATS else None
    words = [" and ".join(sorted(each)) or "none" for each in (old, new)]
    pair.add(f"format-{verdict}", importer=importer, old=words[0], new=words[1])


def _compare_enums(pair: _SchemaPair) -> None:
    old, new = pair.old.enum, pair.new.enum
    if old is None and new is not None:
        pair.add("enum-introduced", new=", ".join(new))
    elif old is not None and new is None:
        pair.add("enum-dropped", old=", ".join(old))
    elif old is not None and new is not None:
        kept = keeps_members(pair.old, pair.new)
        for value in old:
            if value not in new:
                pair.add("enum-value-removed", old=value)
        for value in new:
            if value not in old:
                pair.add("enum-value-added", importer=None if kept else Level.BREAKING, new=value)
        if set(old) == set(new) and not kept:
            pair.add("python-surface")


def _compare_defaults(pair: _SchemaPair) -> None:
    old, new = pair.old.default, pair.new.default
    if old == new:
        return
    verdict = "added" if old is None else "removed" if new is None else "changed"
    verdict = verdict if pair.side == "request" else "changed"
    pair.add(f"default-{verdict}", old=old or "none", new=new or "none")


def _compare_fields(pair: _SchemaPair) -> None:
    """Compare the properties of objects, and whether there may be others."""
    old, new, side = pair.old, pair.new, pair.side
    owner = class_name(old) or pair.subject
    for name in dict.fromkeys([*old.fields, *new.fields]):
        before, after = old.fields.get(name), new.fields.get(name)
        at, subject = pair.at(before, after), f"{owner}.{name}"
        if after is not None and name in new.required - old.required:
            _compare_model(at, side, subject)
        if before is not None and after is not None:
            _compare_field(pair, name, at, subject)
        elif before is not None and _is_seen(before, side):
            at.add(f"{side}-field-removed", subject)
        elif after is not None and _is_seen(after, side):
            _add_new_field(pair, name, at, subject)
    for name in sorted((old.required ^ new.required) - old.fields.keys() - new.fields.keys()):
        change = "required" if name in new.required else "optional"
        pair.at().add(f"{side}-field-became-{change}", f"{owner}.{name}")
    if old.is_object and new.is_object:
        _compare_additional(pair, owner)


def _compare_model(at: Pair, side: Side, subject: str) -> None:
    """Report a field that is never sent, but that the generated model requires all the same."""
    if side == "request" and not _is_seen(at.new, side) and not importer_level(at.new):
        at.add("request-field-read-only-required", subject)


def _is_seen(field: SpecLocation, side: Side) -> bool:
    return _HIDDEN[side] not in read_schema(field).flags


def importer_level(required: SpecLocation) -> Level | None:
    """Give the importers' level of a value that is required now: the client sends defaults."""
    schema = read_schema(required)
    # The generator writes the defaults of single values only.
    scalar = schema.types is not None and not schema.types & {"array", "object"}
    written = scalar and not schema.union and schema.default not in (None, "null")
    return Level.COMPATIBLE if written else None


def _add_new_field(pair: _SchemaPair, name: str, at: Pair, subject: str) -> None:
    rule, importer = f"{pair.side}-field-added", None
    if pair.side == "response" and pair.old.additional is not True:
        rule = "response-field-added-to-closed"
    elif pair.side == "request" and name in pair.new.required:
        rule, importer = "request-field-required-added", importer_level(at.new)
    # Two fields of one attribute: the generator names both otherwise, or rejects them.
    if python_name(name) in _RESERVED | {python_name(each) for each in pair.old.fields}:
        importer = Level.BREAKING
    at.add(rule, subject, importer=importer)


def _compare_field(pair: _SchemaPair, name: str, at: Pair, subject: str) -> None:
    side, is_seen = pair.side, _is_seen(at.new, pair.side)
    was_required, is_required = name in pair.old.required, name in pair.new.required
    mark = "read-only" if side == "request" else "write-only"
    if not _is_seen(at.old, side) or not is_seen:
        if _is_seen(at.old, side):
            at.add(f"{side}-field-became-{mark}", subject)
        elif is_seen:
            at.add(f"{side}-field-no-longer-{mark}", subject)
            if side == "request" and is_required:
                at.add("request-field-required-added", subject)
        at.compare_wording(subject)
        return
    if is_required and not was_required:
        importer = importer_level(at.new) if side == "request" else None
        at.add(f"{side}-field-became-required", subject, importer=importer)
    elif was_required and not is_required:
        at.add(f"{side}-field-became-optional", subject)
    pair.enqueue(at.old, at.new, subject)


def _compare_additional(pair: _SchemaPair, owner: str) -> None:
    before, after = pair.old.additional, pair.new.additional
    if before is False or after is False or (before is True and after is True):
        if isinstance(before, SpecLocation) or before != after:
            change = "refused" if after is False else "allowed"
            pair.at().add(f"{pair.side}-unknown-fields-{change}", owner)
        return
    # Fields of any kind, compared as fields of a kind.
    ours = before if isinstance(before, SpecLocation) else pair.old.location.empty()
    theirs = after if isinstance(after, SpecLocation) else pair.new.location.empty()
    pair.enqueue(ours, theirs, f"{owner}.*")


def _compare_unions(pair: _SchemaPair) -> bool:
    """Compare the variants of `oneOf` or `anyOf`; tell whether that was all there is to compare."""
    single = [each for each in (pair.old, pair.new) if not each.union]
    if len(single) == 2:
        return False
    if single and single[0].allows_anything:
        verdict, anything = ("narrowed", "old") if single[0] is pair.old else ("widened", "new")
        variants = "one of several variants"
        words = {"old": variants, "new": variants, anything: "any"}
        pair.add(f"type-{verdict}", **words)
    elif single and not all(_is_only_union(each) for each in (pair.old, pair.new) if each.union):
        pair.add("not-judged", detail="oneOf or anyOf")
    else:
        _compare_variants(pair)
    return bool(single)


def _compare_variants(pair: _SchemaPair) -> None:
    """Match variants: those that mean the same, those of one class, then the only two left."""
    # The documentation of a single schema was compared with that of the union.
    schemas = pair.old, pair.new
    ours, theirs = (list(each.union or [each.location.without(WORDING_KEYS)]) for each in schemas)
    order: dict[int, tuple[int, SpecLocation]] = {}
    places = {id(each): place for place, each in enumerate([*ours, *theirs])}
    for matches in (_mean_the_same, _are_related):
        for before in list(ours):
            after = next((each for each in theirs if matches(before, each)), None)
            if after is not None:
                ours.remove(before)
                theirs.remove(after)
                pair.enqueue(before, after, pair.subject)
                order[places[id(before)]] = (places[id(after)], after)
    if pair.side == "response" and _decodes_differently([order[place] for place in sorted(order)]):
        pair.add("python-surface")
    if len(ours) == len(theirs) == 1 and read_schema(ours[0]).types == read_schema(theirs[0]).types:
        pair.enqueue(ours.pop(), theirs.pop(), pair.subject)
    if ours and theirs:
        pair.add("not-judged", detail="oneOf or anyOf")
        return
    for variant in ours:
        kind, at = python_type(read_schema(variant)), pair.at(old=variant)
        at.add(f"{pair.side}-variant-removed", pair.subject, old=kind)
    for variant in theirs:
        kind, at = python_type(read_schema(variant)), pair.at(new=variant)
        at.add(f"{pair.side}-variant-added", pair.subject, new=kind)


def _decodes_differently(variants: list[tuple[int, SpecLocation]]) -> bool:
    """Tell whether values may have another class: the client takes the first variant that fits."""
    for (place, one), (other_place, other) in combinations(variants, 2):
        schemas = read_schema(one), read_schema(other)
        types = [(each.types or TYPES) - {"null"} for each in schemas]
        same = python_type(schemas[0]) == python_type(schemas[1])
        if place > other_place and types[0] & types[1] and not same:
            return True
    return False


def _is_only_union(schema: Schema) -> bool:
    """Tell whether a schema says nothing beside its variants."""
    says_more = schema.fields or schema.limits or schema.unsupported
    return schema.allows_anything or (schema.types is not None and not says_more)


def _are_related(one: SpecLocation, other: SpecLocation) -> bool:
    if one.component and one.component == other.component:
        return True
    names = [python_type(read_schema(each)) for each in (one, other)]
    return names[0] == names[1] and names[0] != "Any"


def _mean_the_same(one: SpecLocation, other: SpecLocation, above: _Pairs = frozenset()) -> bool:
    """Tell whether two schemas mean the same, as the pairs in a circle `above` do."""
    assumed, waiting = set(above), [(one, other)]
    while waiting:
        ours, theirs = (read_schema(each) for each in waiting.pop())
        pair = (ours.location.pointer, theirs.location.pointer)
        if pair in assumed:
            continue
        assumed.add(pair)
        if _own(ours) != _own(theirs) or not _same_variants(ours, theirs, frozenset(assumed)):
            return False
        waiting += [(location, theirs.fields[name]) for name, location in ours.fields.items()]
        parts = ((ours.additional, theirs.additional), (ours.item, theirs.item))
        for inner, counterpart in parts:
            if isinstance(inner, SpecLocation) and isinstance(counterpart, SpecLocation):
                waiting.append((inner, counterpart))
            elif inner != counterpart:
                return False
    return True


def _same_variants(one: Schema, other: Schema, above: _Pairs) -> bool:
    left = list(other.union)
    for variant in one.union:
        found = next((each for each in left if _mean_the_same(variant, each, above)), None)
        if found is None:
            return False
        left.remove(found)
    return not left


def _own(schema: Schema) -> tuple[object, ...]:
    """Give what a schema says without what is below it."""
    enum = None if schema.enum is None else sorted(schema.enum)
    flags = schema.flags - {"deprecated"}
    values = (schema.types, enum, schema.formats, schema.limits, schema.default)
    return (*values, schema.fields.keys(), schema.required, flags, schema.unsupported)
