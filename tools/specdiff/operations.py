"""The operations of a spec."""

from __future__ import annotations

from attrs import frozen

from tools.specdiff.spec import Place, Spec

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


@frozen(eq=False)
class Operation:
    """An operation of a spec.

    Attributes:
        method: Its method, in small letters.
        path: Its path.
        item: Where its path stands.
        place: Where it stands itself.
    """

    method: str
    path: str
    item: Place
    place: Place

    @property
    def address(self) -> str:
        """Method and path, as they are written."""
        return f"{self.method.upper()} {self.path}"

    @property
    def name(self) -> str:
        """The operationId, or the address where there is none."""
        return self.place.text("operationId") or self.address


def operations(spec: Spec) -> list[Operation]:
    """Give the operations of a spec in its order."""
    return [
        Operation(method, path, item, place)
        for path, item in spec.top.entries("paths").items()
        if path.startswith("/")
        for method in METHODS
        if (place := item.at(method)) is not None
    ]
