"""What the model template has to know of a schema and the generator does not tell it.

openapi-python-client hands its templates names, types and descriptions, but neither `format` nor
the limits of values. They are read here, so that the spec stays the one place that says which
field is secret.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attrs import frozen
from openapi_python_client.parser.properties import Property
from openapi_python_client.parser.responses import Response
from openapi_python_client.schema import Reference, Schema
from openapi_python_client.schema import Response as ResponseData

from tools.generate.document import Document, GenerationError

# What decode.py has no argument for.
_UNKNOWN_LIMITS = (
    "maximum", "exclusiveMaximum", "exclusiveMinimum", "multipleOf", "maxLength", "minItems",
    "maxItems", "uniqueItems", "minProperties", "maxProperties",
)  # fmt: skip


@frozen
class SchemaFacts:
    """The facts of the spec's schemas; `schemas` in the templates.

    Attributes:
        document: The spec.
    """

    document: Document

    def is_secret(self, schema: Schema, name: object) -> bool:
        """Tell whether a property is marked with `format: password`, itself or inside.

        Args:
            schema: The schema that has the property.
            name: The property's name in the spec.
        """
        parts = self.property_schemas(schema, name)
        while parts:
            if any(part.schema_format == "password" for part in parts):
                return True
            parts = self.item_schemas(parts)
        return False

    def property_schemas(self, schema: Schema, name: object) -> list[Schema]:
        """Give what a property is put together from."""
        return [
            part
            for owner in self._composed(schema)
            for key, value in (owner.properties or {}).items()
            if key == name
            for part in self._composed(value)
        ]

    def item_schemas(self, parts: list[Schema]) -> list[Schema]:
        """Give what the items of an array are put together from."""
        return [
            part for each in parts if each.items is not None for part in self._composed(each.items)
        ]

    def additional_schemas(self, schema: Schema) -> list[Schema]:
        """Give what the fields that a schema does not name are put together from."""
        given = schema.additionalProperties
        return [] if given is None or isinstance(given, bool) else list(self._composed(given))

    def answer_schemas(self, response: Response) -> list[Schema]:
        """Give what the body of an answer is put together from."""
        content = response.data.content if isinstance(response.data, ResponseData) else {}
        for media in (content or {}).values():
            if media.media_type_schema is not None:
                return list(self._composed(media.media_type_schema))
        return []

    def field_description(self, schema: Schema, prop: Property) -> str:
        """Find what the spec says of a field: beside its schema, else in it."""
        for owner in self._composed(schema):
            for key, value in (owner.properties or {}).items():
                if key == prop.name and isinstance(value, Schema) and value.description:
                    return value.description.get_untrusted_value()
        return prop.description.get_untrusted_value() if prop.description else ""

    def constraints(self, parts: list[Schema]) -> dict[str, str | int | float]:
        """Find the limits that a value has to keep.

        Args:
            parts: What the value's schema is put together from.

        Returns:
            Arguments of the decoders of decode.py.

        Raises:
            GenerationError: A pattern is not anchored at both ends or is no regular expression of
                Python's, or a limit is one that the decoders do not know.
        """
        found: dict[str, str | int | float] = {}
        for part in parts:
            for limit in _UNKNOWN_LIMITS:
                if getattr(part, limit, None) not in (None, False):
                    raise GenerationError(f"The templates do not enforce {limit}; leave it out.")
            if part.pattern is not None:
                found["pattern"] = _checked_pattern(part.pattern.get_untrusted_value())
            if part.minLength:
                found["min_length"] = part.minLength
            if part.minimum is not None:
                minimum = part.minimum
                found["minimum"] = int(minimum) if minimum == int(minimum) else minimum
        if found and any(len([*part.oneOf, *part.anyOf]) > 1 for part in parts):
            raise GenerationError("The templates enforce no limits inside of oneOf and anyOf.")
        return found

    def _composed(self, schema: Schema | Reference) -> Iterator[Schema]:
        if isinstance(schema, Reference):
            schema = Schema.model_validate(
                self.document.resolve({"$ref": schema.ref.get_untrusted_value()})
            )
        yield schema
        # A schema that holds itself does so through its properties, which are not followed.
        for part in [*schema.allOf, *schema.oneOf, *schema.anyOf]:
            yield from self._composed(part)


def _checked_pattern(pattern: str) -> str:
    if not (pattern.startswith("^") and pattern.endswith("$")):
        raise GenerationError(
            f"The pattern {pattern!r} must be anchored: ^ at its start and $ at its end."
        )
    try:
        re.compile(pattern)
    except re.error as error:
        raise GenerationError(
            f"The pattern {pattern!r} is no regular expression of Python's."
        ) from error
    return pattern
