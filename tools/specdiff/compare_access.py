"""Who may call an operation, and where: security and servers, its own or the document's."""

from __future__ import annotations

from typing import TypeAlias

from tools.specdiff.spec import Place, canonical
from tools.specdiff.walk import Walk

# One way to be let in: what each scheme is, with the scopes that it takes.
Credentials: TypeAlias = dict[str, frozenset[str]]

_WORDS = {"description", "bearerFormat"}


def compare_security(walk: Walk, old: Place, new: Place, operation: str) -> None:
    """Note what changed about the credentials that an operation takes.

    Whoever was let in by the old spec has to be let in by the new one: each old way in must have a
    new one that asks for no more. Schemes count by what they are, not by their names.

    Args:
        walk: The comparison.
        old: The old operation.
        new: The new one.
        operation: What to call it.
    """
    before, after = _nearest("security", old), _nearest("security", new)
    # What the document says for all operations is reported once.
    shared = before[0].pointer == after[0].pointer == ()
    if not walk.first_time("security", () if shared else old.pointer):
        return
    subject = "every operation without a word of its own" if shared else operation
    ours, theirs = _ways_in(before[1]), _ways_in(after[1])
    for way in ours:
        if not any(_asks_no_more(each, way) for each in theirs):
            words = {"old": _text(before[0], way)}
            walk.add("security-tightened", before[0], after[0], subject, **words)
    for way in theirs:
        if not any(_asks_no_more(way, each) and _asks_no_more(each, way) for each in ours):
            words = {"new": _text(after[0], way)}
            walk.add("security-loosened", before[0], after[0], subject, **words)


def _nearest(key: str, *places: Place) -> tuple[Place, list[Place] | None]:
    """Find the first place that has a key, else the document, with the items of the key."""
    for place in (*places, places[0].spec.top):
        if isinstance(place.get(key), list):
            return place, place.items(key)
    return places[0].spec.top, None


def _ways_in(requirements: list[Place] | None) -> list[Credentials]:
    return [
        {
            _scheme(each, name): frozenset(map(str, scopes or ()))
            for name, scopes in each.value.items()
        }
        for each in requirements or ()
    ] or [{}]


def _scheme(requirement: Place, name: str) -> str:
    components = requirement.spec.top.at("components")
    scheme = components.entries("securitySchemes").get(name) if components else None
    if scheme is None:
        return name
    kept = {
        key: value
        for key, value in scheme.value.items()
        if key not in _WORDS and not key.startswith("x-")
    }
    for flow in (kept.get("flows") or {}).values():
        # Which scopes there are is told where they are asked for.
        kept["flows"] = {**kept["flows"]}
        if isinstance(flow, dict):
            kept["flows"] = {
                kind: {key: value for key, value in each.items() if key != "scopes"}
                for kind, each in kept["flows"].items()
                if isinstance(each, dict)
            }
    if kept.get("type") == "http":
        kept["scheme"] = str(kept.get("scheme", "")).lower()
    return canonical(kept)


def _asks_no_more(new: Credentials, old: Credentials) -> bool:
    return all(scheme in old and scopes <= old[scheme] for scheme, scopes in new.items())


def _text(place: Place, way: Credentials) -> str:
    names = [
        name
        for requirement in place.items("security")
        if _ways_in([requirement]) == [way]
        for name in (
            f"{key} ({', '.join(map(str, scopes))})" if scopes else key
            for key, scopes in requirement.value.items()
        )
    ]
    return " and ".join(names) or "none"


def compare_servers(walk: Walk, old: tuple[Place, ...], new: tuple[Place, ...]) -> None:
    """Note what changed about the servers of an operation.

    Args:
        walk: The comparison.
        old: The old operation and its path item.
        new: The new ones.
    """
    before, after = _nearest("servers", *old), _nearest("servers", *new)
    if not walk.first_time("servers", before[0].pointer, after[0].pointer):
        return
    ours, theirs = _servers(before), _servers(after)
    for url in ours.keys() - theirs.keys():
        walk.add("server-removed", ours[url], after[0], url)
    for url in theirs.keys() - ours.keys():
        walk.add("server-added", before[0], theirs[url], url)
    same = [url for url in ours if url in theirs]
    for url in same:
        walk.wording(ours[url], theirs[url], url)
    if ours.keys() == theirs.keys() and list(ours) != list(theirs):
        words = {"old": next(iter(ours)), "new": next(iter(theirs))}
        walk.add("server-order-changed", before[0], after[0], words["new"], **words)


def _servers(nearest: tuple[Place, list[Place] | None]) -> dict[str, Place]:
    """Give servers by address, variables included, since another default is another address."""
    found: dict[str, Place] = {}
    for server in nearest[1] or ():
        variables = server.get("variables")
        extra = f" with {canonical(variables)}" if variables else ""
        found[f"{server.text('url').rstrip('/') or '/'}{extra}"] = server
    return found or {"/": nearest[0]}
