"""What is written beside the archives: what an installation brings along, and its licenses."""

from __future__ import annotations

import ast
import hashlib
import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

from tools.environments import ROOT, run_captured
from tools.release.archives import Built, environment
from tools.release.source import Tree, refuse

SECONDS = 120
# Licenses under which an app may use the package, whatever the app's own license is. MPL-2.0 covers
# changes to its own files only.
ALLOWED = frozenset(
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
CLASSIFIERS = {
    "License :: OSI Approved :: Apache Software License": "Apache-2.0",
    "License :: OSI Approved :: BSD License": "BSD-3-Clause",
    "License :: OSI Approved :: ISC License (ISCL)": "ISC",
    "License :: OSI Approved :: MIT License": "MIT",
    "License :: OSI Approved :: Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "License :: OSI Approved :: Python Software Foundation License": "PSF-2.0",
}


def write_metadata(
    tool: Path, everything: Path, built: Built, tree: Tree, brought: Mapping[str, Collection[str]]
) -> list[Path]:
    """Write a CycloneDX document of an installation with all extras, licenses and checksums.

    Args:
        tool: The Python that has cyclonedx-bom.
        everything: The Python of an environment with the package and all extras.
        built: What is described.
        tree: The project.
        brought: The packages that the core and each extra bring.

    Returns:
        The files, beside the archives.
    """
    bom = built.wheel.with_name("sbom.cdx.json")
    write_sbom(tool, everything, bom, tree, version=built.wheel.name.split("-")[1])
    licenses = licenses_of(bom)
    refuse(license_faults(licenses))
    listing = built.wheel.with_name("licenses.md")
    listing.write_text("\n".join(license_table(licenses, brought)) + "\n", encoding="utf-8")
    sums = built.wheel.with_name("SHA256SUMS")
    lines = map(checksum, [built.wheel, built.sdist, bom, listing])
    sums.write_text("".join(lines), encoding="utf-8")
    return [bom, listing, sums]


def write_sbom(tool: Path, python: Path, bom: Path, tree: Tree, *, version: str) -> None:
    """Describe an environment, with the package as what the description is about."""
    run_captured(
        [
            *(str(tool), "-m", "cyclonedx_py", "environment", "--output-reproducible"),
            *("--spec-version", "1.6", "--output-format", "JSON", "--output-file", str(bom)),
            *("--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "library", str(python)),
        ],
        what=f"describing {bom.name}",
        seconds=SECONDS,
        folder=bom.parent,
        variables=environment({"SOURCE_DATE_EPOCH": str(tree.commit_time)}),
    )
    content = json.loads(bom.read_text("utf-8"))
    # The version stands in the source and not in pyproject.toml, where the tool looks for it.
    about = content["metadata"]["component"]
    about |= {"version": version, "purl": f"pkg:pypi/{about['name']}@{version}"}
    bom.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def licenses_of(bom: Path) -> Mapping[str, str]:
    """Return the license of each package of a CycloneDX document, by name and version."""
    components: list[dict[str, Any]] = json.loads(bom.read_text(encoding="utf-8"))["components"]
    return {f"{each['name']} {each['version']}": _license(each) for each in components}


def license_faults(licenses: Mapping[str, str]) -> Iterator[str]:
    """Yield each package whose license is unknown or not allowed."""
    for package, expression in licenses.items():
        if not expression:
            yield f"{package} does not say under which license it is"
        elif not is_allowed(expression):
            yield f"{package} is under {expression}, which is not among the allowed licenses"


def is_allowed(expression: str) -> bool:
    """Tell whether an SPDX expression lets the user choose licenses that are all allowed."""
    try:
        valid = canonicalize_license_expression(expression)
    except InvalidLicenseExpression:
        return False
    # AND, OR and parentheses bind as Python's do, and each license becomes a string.
    words = {"AND": "and", "OR": "or"}
    python = re.sub(r"[^\s()]+", lambda word: words.get(word[0]) or repr(word[0]), valid)
    return _is_allowed(ast.parse(python, mode="eval").body)


def _is_allowed(node: ast.expr) -> bool:
    if isinstance(node, ast.BoolOp):
        combine = any if isinstance(node.op, ast.Or) else all
        return combine(map(_is_allowed, node.values))
    return isinstance(node, ast.Constant) and node.value in ALLOWED


def _license(component: Mapping[str, Any]) -> str:
    said: list[str] = []
    for entry in component.get("licenses", []):
        each = entry.get("license", {})
        text = str(entry.get("expression") or each.get("id") or each.get("name") or "")
        said.append(CLASSIFIERS.get(text, text))
    # Said in several ways, it is often one and the same; where it is not, all of it counts.
    different = list(dict.fromkeys(filter(None, said)))
    if len(different) == 1:
        return different[0]
    return " AND ".join(f"({each})" if " " in each else each for each in different)


def license_table(
    licenses: Mapping[str, str], brought: Mapping[str, Collection[str]]
) -> Iterator[str]:
    """Yield the lines of a table: each package, its license, and what brings it."""
    yield "| package | license | brought by |"
    yield "|---|---|---|"
    for package in sorted(licenses, key=str.lower):
        by = [name for name, packages in brought.items() if package in packages]
        brings = "core" if "core" in by else ", ".join(by)
        yield f"| {package} | {licenses[package]} | {brings} |"


def checksum(file: Path) -> str:
    """Return a line as `sha256sum` writes it."""
    return f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
