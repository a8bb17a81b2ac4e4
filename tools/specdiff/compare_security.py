"""Compares security requirements and servers, those of an operation or those of the document."""

from __future__ import annotations

from itertools import product
from typing import TypeAlias

from tools.specdiff.findings import Pair
from tools.specdiff.spec import SpecLocation, canonical

# A sufficient set of credentials: what each scheme is, whatever its name, with its scopes.
Credentials: TypeAlias = dict[str, frozenset[str]]

# The documentation keys of a scheme.
_SCHEME_WORDING = {"description", "bearerFormat"}


def compare_schemes(pair: Pair) -> None:
    """Compare the documentation of the schemes themselves."""
    before, after = (each.spec.components("securitySchemes") for each in (pair.old, pair.new))
    for name in before.keys() & after.keys():
        ours, theirs = before[name], after[name]
        names = ("name", "scheme")
        case_only = [key for key in names if ours.text(key).lower() == theirs.text(key).lower()]
        pair.of(ours, theirs).compare_wording(name, "bearerFormat", *case_only)
        flows, others = ours.entries("flows"), theirs.entries("flows")
        for kind in flows.keys() & others.keys():
            pair.of(flows[kind], others[kind]).compare_wording(f"{name}, {kind}", "scopes")


def compare_security(pair: Pair, operation: str) -> None:
    """Compare the credentials that an operation accepts; none that it accepted may be missing."""
    before, after = _nearest("security", pair.old), _nearest("security", pair.new)
    nearest = pair.of(before, after)
    # What the document says for all operations is reported once.
    shared = before.pointer == after.pointer == ()
    if not pair.comparison.is_first("security", () if shared else pair.old.pointer):
        return
    subject = "every operation without security of its own" if shared else operation
    ours, theirs = _accepted(before.items("security")), _accepted(after.items("security"))
    for each in ours:
        if not any(_demands_no_more(other, each) for other in theirs):
            nearest.add("security-tightened", subject, old=_text(before, each))
    for each in theirs:
        if not any(_demands_no_more(each, o) and _demands_no_more(o, each) for o in ours):
            nearest.add("security-loosened", subject, new=_text(after, each))


def _nearest(key: str, *locations: SpecLocation) -> SpecLocation:
    """Find the first location that has a key, else the document."""
    having = (each for each in locations if isinstance(each.get(key), list))
    return next(having, locations[0].spec.top)


def _accepted(requirements: list[SpecLocation]) -> list[Credentials]:
    return [
        dict(zip(chosen, scopes, strict=True))
        for each in requirements
        for scopes in [[frozenset(map(str, names or ())) for names in each.value.values()]]
        for chosen in product(*(_alternatives(each, name) for name in each.value))
    ] or [{}]


def _alternatives(requirement: SpecLocation, name: str) -> list[str]:
    """Describe what a scheme accepts; each flow of OAuth 2.0 is an alternative of its own."""
    scheme = requirement.spec.components("securitySchemes").get(name)
    if scheme is None:
        return [name]
    kept = scheme.without({"flows", *_SCHEME_WORDING}).value
    kept = {key: value for key, value in kept.items() if not key.startswith("x-")}
    # Both are case-insensitive in HTTP.
    if kept.get("type") == "http" or kept.get("in") == "header":
        kept |= {key: str(kept[key]).lower() for key in ("scheme", "name") if key in kept}
    flows = scheme.entries("flows")
    found = []
    for kind, flow in flows.items():
        # Tokens are refreshed at the token URL unless the flow says otherwise.
        token, authorize = flow.text("tokenUrl"), flow.text("authorizationUrl")
        urls = {"token": token, "authorize": authorize, "refresh": flow.text("refreshUrl") or token}
        found.append(canonical({**kept, **urls, "flow": kind}))
    return found or [canonical(kept)]


def _demands_no_more(new: Credentials, old: Credentials) -> bool:
    return all(scheme in old and scopes <= old[scheme] for scheme, scopes in new.items())


def _text(location: SpecLocation, credentials: Credentials) -> str:
    found = [each for each in location.items("security") if credentials in _accepted([each])]
    schemes = [scheme for each in found for scheme in each.value.items()]
    texts = [f"{key} ({', '.join(map(str, names))})" if names else key for key, names in schemes]
    return " and ".join(texts) or "none"


def compare_servers(pair: Pair, items: Pair) -> None:
    """Compare the servers of operations, path items or documents."""
    before = _nearest("servers", pair.old, items.old)
    after = _nearest("servers", pair.new, items.new)
    nearest = pair.of(before, after)
    if not nearest.is_first("servers"):
        return
    bases = pair.comparison.bases
    ours, theirs = _servers(before, bases[0]), _servers(after, bases[1])
    for url in ours.keys() - theirs.keys():
        nearest.of(old=ours[url]).add("server-removed", url)
    for url in theirs.keys() - ours.keys():
        nearest.of(new=theirs[url]).add("server-added", url)
    for url in ours:
        if url in theirs:
            server = nearest.of(ours[url], theirs[url])
            server.compare_wording(url)
            _compare_variables(server, url)
    if ours.keys() == theirs.keys() and list(ours) != list(theirs):
        first = next(iter(theirs))
        nearest.add("server-order-changed", first, old=next(iter(ours)), new=first)


def _compare_variables(pair: Pair, url: str) -> None:
    """Report which URLs the variables of a server no longer give, or give now."""
    before, after = pair.old.entries("variables"), pair.new.entries("variables")
    for name in before.keys() & after.keys():
        variable = pair.of(before[name], after[name])
        variable.compare_wording(f"{url} {name}")
        ours, theirs = (each.get("enum") or [None] for each in (variable.old, variable.new))
        changes = (("server-removed", ours, theirs), ("server-added", theirs, ours))
        for rule, values, others in changes:
            for value in values:
                if value not in others and None not in others:
                    variable.add(rule, f"{url}, {name}: {value or 'any other'}")


def _servers(nearest: SpecLocation, base: str) -> dict[str, SpecLocation]:
    """Give servers by URL; another default of a variable is another URL."""
    found: dict[str, SpecLocation] = {}
    for server in nearest.items("servers"):
        variables = server.entries("variables")
        defaults = {name: each.text("default") for name, each in variables.items()}
        extra = f" with {canonical(defaults)}" if defaults else ""
        url = server.text("url").rstrip("/").removesuffix(base) or "/"
        found[f"{url}{extra}"] = server
    return found or {"/": nearest}
