"""Compares security requirements and servers, those of an operation or those of the document."""

from __future__ import annotations

from itertools import product
from typing import TypeAlias

from tools.specdiff.findings import Comparison
from tools.specdiff.spec import SpecLocation, canonical

# A sufficient set of credentials: what each scheme is, with the scopes that it takes.
Credentials: TypeAlias = dict[str, frozenset[str]]

# The documentation keys of a scheme.
_SCHEME_WORDING = {"description", "bearerFormat"}


def compare_security_schemes(comparison: Comparison) -> None:
    """Compare the documentation of the schemes themselves."""
    before, after = (
        each.components("securitySchemes") for each in (comparison.old, comparison.new)
    )
    for name in before.keys() & after.keys():
        more = ["bearerFormat"]
        for key in ("name", "scheme"):  # that differ in case only
            ours, theirs = (each[name].text(key).lower() for each in (before, after))
            more += [key] * (ours == theirs)
        comparison.compare_wording(before[name], after[name], name, more=tuple(more))
        flows, others = (each[name].entries("flows") for each in (before, after))
        for kind in flows.keys() & others.keys():
            subject = f"{name}, {kind}"
            comparison.compare_wording(flows[kind], others[kind], subject, more=("scopes",))


def compare_security(
    comparison: Comparison, old: SpecLocation, new: SpecLocation, operation: str
) -> None:
    """Compare the credentials that an operation accepts.

    For all credentials that were sufficient there must be new ones that demand no more. Schemes
    count by what they are, not by their names.
    """
    before, after = _nearest("security", old), _nearest("security", new)
    # What the document says for all operations is reported once.
    shared = before[0].pointer == after[0].pointer == ()
    if not comparison.is_first("security", () if shared else old.pointer):
        return
    subject = "every operation without security of its own" if shared else operation
    ours, theirs = _accepted(before[1]), _accepted(after[1])
    for each in ours:
        if not any(_demands_no_more(other, each) for other in theirs):
            words = {"old": _text(before[0], each)}
            comparison.add("security-tightened", before[0], after[0], subject, **words)
    for each in theirs:
        if not any(_demands_no_more(each, o) and _demands_no_more(o, each) for o in ours):
            words = {"new": _text(after[0], each)}
            comparison.add("security-loosened", before[0], after[0], subject, **words)


def _nearest(key: str, *locations: SpecLocation) -> tuple[SpecLocation, list[SpecLocation] | None]:
    """Find the first location that has a key, else the document, with the items of the key."""
    for location in (*locations, locations[0].spec.top):
        if isinstance(location.get(key), list):
            return location, location.items(key)
    return locations[0].spec.top, None


def _accepted(requirements: list[SpecLocation] | None) -> list[Credentials]:
    return [
        dict(zip(chosen, scopes, strict=True))
        for each in requirements or ()
        for scopes in [[frozenset(map(str, names or ())) for names in each.value.values()]]
        for chosen in product(*(_alternatives(each, name) for name in each.value))
    ] or [{}]


def _alternatives(requirement: SpecLocation, name: str) -> list[str]:
    """Describe what a scheme accepts; each flow of OAuth 2.0 is an alternative of its own."""
    scheme = requirement.spec.components("securitySchemes").get(name)
    if scheme is None:
        return [name]
    kept = {
        key: value
        for key, value in scheme.value.items()
        if key not in _SCHEME_WORDING and key != "flows" and not key.startswith("x-")
    }
    # Both are case-insensitive in HTTP.
    if kept.get("type") == "http" or kept.get("in") == "header":
        kept |= {key: str(kept[key]).lower() for key in ("scheme", "name") if key in kept}
    flows = scheme.entries("flows")
    return [canonical({**kept, **_flow(kind, flow)}) for kind, flow in flows.items()] or [
        canonical(kept)
    ]


def _flow(kind: str, flow: SpecLocation) -> dict[str, str]:
    """Give the URLs of a flow; tokens are refreshed at the token URL unless it says otherwise."""
    token = flow.text("tokenUrl")
    return {
        "flow": kind,
        "authorize": flow.text("authorizationUrl"),
        "token": token,
        "refresh": flow.text("refreshUrl") or token,
    }


def _demands_no_more(new: Credentials, old: Credentials) -> bool:
    return all(scheme in old and scopes <= old[scheme] for scheme, scopes in new.items())


def _text(location: SpecLocation, credentials: Credentials) -> str:
    names = [
        name
        for requirement in location.items("security")
        if credentials in _accepted([requirement])
        for name in (
            f"{key} ({', '.join(map(str, scopes))})" if scopes else key
            for key, scopes in requirement.value.items()
        )
    ]
    return " and ".join(names) or "none"


def compare_servers(
    comparison: Comparison, old: tuple[SpecLocation, ...], new: tuple[SpecLocation, ...]
) -> None:
    """Compare the servers of an operation, its path item or the document."""
    before, after = _nearest("servers", *old), _nearest("servers", *new)
    if not comparison.is_first("servers", before[0].pointer, after[0].pointer):
        return
    ours, theirs = _servers(before), _servers(after)
    for url in ours.keys() - theirs.keys():
        comparison.add("server-removed", ours[url], after[0], url)
    for url in theirs.keys() - ours.keys():
        comparison.add("server-added", before[0], theirs[url], url)
    for url in ours:
        if url in theirs:
            comparison.compare_wording(ours[url], theirs[url], url)
            _compare_variables(comparison, ours[url], theirs[url], url)
    if ours.keys() == theirs.keys() and list(ours) != list(theirs):
        words = {"old": next(iter(ours)), "new": next(iter(theirs))}
        comparison.add("server-order-changed", before[0], after[0], words["new"], **words)


def _compare_variables(
    comparison: Comparison, old: SpecLocation, new: SpecLocation, url: str
) -> None:
    """Report which URLs the variables of a server no longer give, or give now."""
    before, after = old.entries("variables"), new.entries("variables")
    for name in before.keys() & after.keys():
        pair = before[name], after[name]
        comparison.compare_wording(*pair, f"{url} {name}")
        ours, theirs = (each.get("enum") or [None] for each in pair)
        for rule, values, others in (
            ("server-removed", ours, theirs),
            ("server-added", theirs, ours),
        ):
            for value in values:
                if value not in others and None not in others:
                    comparison.add(rule, *pair, f"{url}, {name}: {value or 'any other'}")


def _servers(
    nearest: tuple[SpecLocation, list[SpecLocation] | None],
) -> dict[str, SpecLocation]:
    """Give servers by URL; another default of a variable is another URL."""
    found: dict[str, SpecLocation] = {}
    for server in nearest[1] or ():
        defaults = {
            name: each.text("default") for name, each in server.entries("variables").items()
        }
        extra = f" with {canonical(defaults)}" if defaults else ""
        found[f"{server.text('url').rstrip('/') or '/'}{extra}"] = server
    return found or {"/": nearest[0]}
