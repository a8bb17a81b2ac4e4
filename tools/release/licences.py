"""Which licences the packages have that an installation brings along, and which are fine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# Licences under which anybody may use the package in their own app, whatever that app's licence is.
# MPL-2.0 covers changes to its own files only.
FINE = frozenset(
    [
        "0BSD",
        "Apache-2.0",
        "BSD-2-Clause",
        "BSD-3-Clause",
        "ISC",
        "MIT",
        "MIT-0",
        "MPL-2.0",
        "PSF-2.0",
        "Python-2.0",
        "Unlicense",
        "Zlib",
    ]
)
# What packages that name no SPDX identifier say, and what it means.
MEANT = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
}


def licences_of(bom: Path) -> Mapping[str, str]:
    """Return the licence of each package of a CycloneDX document, by name and version.

    Args:
        bom: The document, as JSON.
    """
    components: list[dict[str, Any]] = json.loads(bom.read_text(encoding="utf-8"))["components"]
    return {f"{each['name']} {each['version']}": _licence(each) for each in components}


def licence_faults(licences: Mapping[str, str]) -> Iterator[str]:
    """Yield each package whose licence is unknown or not fine."""
    for package, licence in licences.items():
        if not licence:
            yield f"{package} does not say under which licence it is"
        elif not is_fine(licence):
            yield f"{package} is under {licence}, which is not among the licences that are fine"


def is_fine(expression: str) -> bool:
    """Tell whether an SPDX expression lets one choose licences that are all fine."""
    tokens = re.findall(r"[()]|[^\s()]+", expression)
    result, rest = _either(tokens)
    return result and not rest


def _either(tokens: list[str]) -> tuple[bool, list[str]]:
    result, rest = _all(tokens)
    while rest[:1] == ["OR"]:
        further, rest = _all(rest[1:])
        result = result or further
    return result, rest


def _all(tokens: list[str]) -> tuple[bool, list[str]]:
    result, rest = _one(tokens)
    while rest[:1] == ["AND"]:
        further, rest = _one(rest[1:])
        result = result and further
    return result, rest


def _one(tokens: list[str]) -> tuple[bool, list[str]]:
    if tokens[:1] == ["("]:
        result, rest = _either(tokens[1:])
        return result and rest[:1] == [")"], rest[1:]
    return tokens[:1] != [] and tokens[0] in FINE, tokens[1:]


def _licence(component: Mapping[str, Any]) -> str:
    said: list[str] = []
    for entry in component.get("licenses", []):
        each = entry.get("license", {})
        text = str(entry.get("expression") or each.get("id") or each.get("name") or "")
        said.append(MEANT.get(text, text))
    # Said in several ways, it is often one and the same; where it is not, all of it counts.
    different = list(dict.fromkeys(filter(None, said)))
    if len(different) == 1:
        return different[0]
    return " AND ".join(f"({each})" if " " in each else each for each in different)
