"""Who may call an operation, and where: security and servers, its own or the document's."""

from __future__ import annotations

from itertools import product
from typing import TypeAlias

from tools.specdiff.spec import Place, Spec, canonical
from tools.specdiff.walk import Walk

# One way to be let in: what each scheme is, with the scopes that it takes.
Credentials: TypeAlias = dict[str, frozenset[str]]

# What a scheme says for readers alone.
_SCHEME_WORDS = {"description", "bearerFormat"}


def security_schemes(spec: Spec) -> dict[str, Place]:
    """Give the security schemes of a spec by their names."""
    components = spec.top.at("components")
    return components.entries("securitySchemes") if components else {}


def compare_schemes(walk: Walk) -> None:
    """Note what reads differently about the schemes themselves."""
    before, after = security_schemes(walk.old), security_schemes(walk.new)
    for name in before.keys() & after.keys():
        more = ["bearerFormat"]
        for key in ("name", "scheme"):  # in another case only
            ours, theirs = (each[name].text(key).lower() for each in (before, after))
            more += [key] * (ours == theirs)
        walk.wording(before[name], after[name], name, more=tuple(more))
        flows, others = (each[name].entries("flows") for each in (before, after))
        for kind in flows.keys() & others.keys():
            walk.wording(flows[kind], others[kind], f"{name}, {kind}", more=("scopes",))


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
        dict(zip(chosen, scopes, strict=True))
        for each in requirements or ()
        for scopes in [[frozenset(map(str, names or ())) for names in each.value.values()]]
        for chosen in product(*(_forms(each, name) for name in each.value))
    ] or [{}]


def _forms(requirement: Place, name: str) -> list[str]:
    """Give what a scheme takes; each flow of OAuth 2.0 is a way to the token of its own."""
    scheme = security_schemes(requirement.spec).get(name)
    if scheme is None:
        return [name]
    kept = {
        key: value
        for key, value in scheme.value.items()
        if key not in _SCHEME_WORDS and key != "flows" and not key.startswith("x-")
    }
    # Neither has a case over HTTP.
    if kept.get("type") == "http" or kept.get("in") == "header":
        kept |= {key: str(kept[key]).lower() for key in ("scheme", "name") if key in kept}
    flows = scheme.entries("flows")
    return [canonical({**kept, **_flow(kind, flow)}) for kind, flow in flows.items()] or [
        canonical(kept)
    ]


def _flow(kind: str, flow: Place) -> dict[str, str]:
    """Give where a flow goes; tokens are renewed where they come from, unless it says otherwise."""
    token = flow.text("tokenUrl")
    return {
        "flow": kind,
        "authorize": flow.text("authorizationUrl"),
        "token": token,
        "refresh": flow.text("refreshUrl") or token,
    }


def _asks_no_more(new: Credentials, old: Credentials) -> bool:
    return all(scheme in old and scopes <= old[scheme] for scheme, scopes in new.items())


def _text(place: Place, way: Credentials) -> str:
    names = [
        name
        for requirement in place.items("security")
        if way in _ways_in([requirement])
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
    for url in ours:
        if url in theirs:
            walk.wording(ours[url], theirs[url], url)
            _compare_variables(walk, ours[url], theirs[url], url)
    if ours.keys() == theirs.keys() and list(ours) != list(theirs):
        words = {"old": next(iter(ours)), "new": next(iter(theirs))}
        walk.add("server-order-changed", before[0], after[0], words["new"], **words)


def _compare_variables(walk: Walk, old: Place, new: Place, url: str) -> None:
    """Note which addresses the variables of a server no longer give, or give now."""
    before, after = old.entries("variables"), new.entries("variables")
    for name in before.keys() & after.keys():
        ours, theirs = before[name], after[name]
        walk.wording(ours, theirs, f"{url} {name}")
        here, there = (each.get("enum") or [None] for each in (ours, theirs))
        for value in here:
            if value not in there and None not in there:
                walk.add("server-removed", ours, theirs, f"{url}, {name}: {value or 'any other'}")
        for value in there:
            if value not in here and None not in here:
                walk.add("server-added", ours, theirs, f"{url}, {name}: {value or 'any other'}")


def _servers(nearest: tuple[Place, list[Place] | None]) -> dict[str, Place]:
    """Give servers by address; another default of a variable is another address."""
    found: dict[str, Place] = {}
    for server in nearest[1] or ():
        defaults = {
            name: each.text("default") for name, each in server.entries("variables").items()
        }
        extra = f" with {canonical(defaults)}" if defaults else ""
        found[f"{server.text('url').rstrip('/') or '/'}{extra}"] = server
    return found or {"/": nearest[0]}
