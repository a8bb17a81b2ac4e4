"""Check requirements.lock against pyproject.toml, without a network: `python -m tools.lock_check`.

The lock has to hold every package that pyproject.toml asks for, directly or through another
package, and no other; each at one exact version that is among those asked for, with hashes; and no
address, so that it installs from any package index. What the packages ask for in turn is read from
the environment that was made from the lock.
"""

from __future__ import annotations

import re
import sys
import tomllib
from importlib import metadata
from typing import TYPE_CHECKING

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from tools.environments import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

HASH = re.compile(r"\s--hash=sha256:[0-9a-f]{64}(?=\s|$)")


def main() -> int:
    """Print every fault of the lock and return the exit code."""
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pyproject = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    faults = list(faults_of(lock, pyproject, metadata.requires))
    for fault in faults:
        print(f"requirements.lock: {fault}", file=sys.stderr)
    if faults:
        print("requirements.lock does not fit; make it anew: make lock", file=sys.stderr)
        return 1
    return 0


def faults_of(
    lock: str, pyproject: str, requires: Callable[[str], list[str] | None]
) -> Iterator[str]:
    """Yield what is wrong with the lock, a line for each fault."""
    if "://" in lock:
        yield "it names an address"
    locked: dict[str, Requirement] = {}
    for line in entries(lock):
        try:
            entry = Requirement(HASH.sub("", line))
        except InvalidRequirement:
            yield f"{line.split()[0]} is not a package with its hashes"
            continue
        if not HASH.search(line):
            yield f"{entry.name} has no hash"
        if not re.fullmatch(r"==[^*,]+", str(entry.specifier)):
            yield f"{entry.name} has no exact version"
        locked[canonicalize_name(entry.name)] = entry
    yield from misfits(locked, asked_by(pyproject), requires)


def misfits(
    locked: Mapping[str, Requirement],
    direct: Iterable[Requirement],
    requires: Callable[[str], list[str] | None],
) -> Iterator[str]:
    """Yield where the locked packages and those asked for differ."""
    waiting = [(need, "pyproject.toml") for need in direct]
    met = set(waiting)
    for need, asker in waiting:
        name: str = canonicalize_name(need.name)
        if name not in locked:
            yield f"{name} is missing; {asker} asks for it"
            continue
        version = str(locked[name].specifier).removeprefix("==")
        if not need.specifier.contains(version, prereleases=True):
            yield f"{name} {version} is not what {asker} asks for: {need.specifier}"
        # What only another platform or Python needs is locked, but not installed here to be asked.
        further = map(Requirement, requires(name) or ()) if applies(need) else ()
        new = [(more, name) for more in further if applies(more, need.extras)]
        waiting += [pair for pair in new if pair not in met]
        met.update(new)
    needed = {canonicalize_name(need.name) for need, _asker in met}
    for name in sorted(locked.keys() - needed):
        if applies(locked[name]):
            yield f"nothing asks for {name}"


def entries(lock: str) -> Iterator[str]:
    """Yield the lock's entries, each on one line, without comments."""
    without_comments = re.sub(r"^\s*#.*$", "", lock, flags=re.MULTILINE)
    for line in re.sub(r"\\\n", " ", without_comments).splitlines():
        if line.strip():
            yield line


def asked_by(pyproject: str) -> Iterator[Requirement]:
    """Yield what pyproject.toml asks for: to build, to run, with every extra, to develop."""
    content = tomllib.loads(pyproject)
    project = content["project"]
    lists: list[Iterable[str]] = [content["build-system"]["requires"], project["dependencies"]]
    lists += project["optional-dependencies"].values()
    # What is no text includes another group, which has its own turn.
    for group in content["dependency-groups"].values():
        lists.append(line for line in group if isinstance(line, str))
    own_name = canonicalize_name(project["name"])
    for requirements in lists:
        for requirement in map(Requirement, requirements):
            # An extra that names the project itself bundles other extras, which are all here.
            if canonicalize_name(requirement.name) != own_name:
                yield requirement


def applies(requirement: Requirement, extras: Iterable[str] = ()) -> bool:
    """Return whether a requirement counts for this Python, this platform and these extras."""
    marker = requirement.marker
    return marker is None or any(marker.evaluate({"extra": e}) for e in ["", *extras])


if __name__ == "__main__":
    sys.exit(main())
