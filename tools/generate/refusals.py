"""What the templates would write wrongly, and therefore reject."""

from __future__ import annotations

from openapi_python_client.parser.openapi import Endpoint
from openapi_python_client.parser.properties import (
    EnumProperty,
    LiteralEnumProperty,
    ModelProperty,
)

from tools.generate.document import Document, GenerationError

_PARAMETERS = {
    "StringProperty", "IntProperty", "FloatProperty", "BooleanProperty", "DateProperty",
    "DateTimeProperty", "UuidProperty", "EnumProperty", "ListProperty",
}  # fmt: skip

# Names that the templates use in the scope of the spec's own names.
_ARGUMENTS = {
    "body", "headers", "params", "address", "argument", "document", "form", "header", "plain",
    "segment", "word", "quote", "client",
}  # fmt: skip
_FIELD_NAMES = {
    "field", "hidden", "counted", "to_dict", "from_dict", "additional_properties",
    "additional_keys",
}  # fmt: skip
_CLASS_NAMES = {
    "Response", "Unset", "UNSET", "Any", "Client", "AuthenticatedClient", "RawResponse",
    "UnexpectedStatus",
}  # fmt: skip


def check_class(prop: ModelProperty | EnumProperty | LiteralEnumProperty) -> None:
    """Reject a class or a field with a name that the templates need for themselves."""
    name = prop.class_info.name
    if name in _CLASS_NAMES:
        raise GenerationError(f"A schema cannot be called {name}: the templates use the name.")
    if not isinstance(prop, ModelProperty):
        return
    for field_ in [*(prop.required_properties or []), *(prop.optional_properties or [])]:
        if field_.python_name in _FIELD_NAMES:
            raise GenerationError(
                f"{name}: a field cannot be called {field_.python_name}: the templates use it."
            )


def check_endpoint(document: Document, endpoint: Endpoint) -> None:
    """Reject cookies, several kinds of body, an optional body, and unknown kinds of either."""
    _check_parameters(document, endpoint)
    if endpoint.cookie_parameters:
        raise GenerationError(f"{endpoint.name}: the templates send no cookie parameters.")
    if len(endpoint.bodies) > 1:
        raise GenerationError(f"{endpoint.name}: the templates send one kind of body.")
    for body in endpoint.bodies:
        if not body.prop.required or body.body_type not in ("data", "json"):
            raise GenerationError(
                f"{endpoint.name}: the templates send required forms and JSON only."
            )


def _check_parameters(document: Document, endpoint: Endpoint) -> None:
    for node in document.operation(endpoint).get("parameters") or []:
        parameter = document.resolve(node)
        if "schema" not in parameter or {"style", "explode", "allowReserved"} & parameter.keys():
            raise GenerationError(
                f"{endpoint.name}: the templates send parameters with a schema, in the default"
                f" style, only; {parameter['name']} is another."
            )
    for prop in endpoint.list_all_parameters():
        kind = prop.__class__.__name__
        if prop.name != "body" and kind not in _PARAMETERS:
            raise GenerationError(f"{endpoint.name}: {prop.python_name} cannot be a {kind}.")
    for _where, prop in endpoint.iter_all_parameters():
        if prop.python_name in _ARGUMENTS:
            raise GenerationError(
                f"{endpoint.name}: a parameter cannot be called {prop.python_name}: the"
                " templates use the name."
            )
