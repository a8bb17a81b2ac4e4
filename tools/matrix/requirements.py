"""The oldest versions of what the package needs or works with that pyproject.toml allows."""

from __future__ import annotations

import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def runtime(pyproject: str) -> list[Requirement]:
    """Return what pyproject.toml asks for at run time.

    That is the dependencies, each extra, and what apps bring themselves.
    """
    content = tomllib.loads(pyproject)
    project = content["project"]
    lists: list[list[str]] = [project["dependencies"], *project["optional-dependencies"].values()]
    lists.append(content["dependency-groups"]["apps"])
    own = canonicalize_name(project["name"])
    asked = [Requirement(line) for lines in lists for line in lines]
    return [each for each in asked if canonicalize_name(each.name) != own]


def lowest(requirement: Requirement) -> str:
    """Return a requirement of the oldest version that another one allows.

    Raises:
        ValueError: It has no lower bound, so that nobody knows what it was tried with.
    """
    bounds = [each.version for each in requirement.specifier if each.operator in (">=", "==", "~=")]
    if len(bounds) != 1:
        raise ValueError(f"{requirement.name} has no lower bound in pyproject.toml; give it one")
    return f"{requirement.name}=={bounds[0]}"
