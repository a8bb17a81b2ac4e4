"""What is written beside the archives: what an installation brings along, and its licences."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from attrs import frozen

from tools.interop.subprocesses import environment, run
from tools.release.building import Built
from tools.release.licences import licence_faults, licences_of
from tools.release.refused import refuse
from tools.release.tree import Tree
from tools.release.trying import Workshop

SECONDS = 120.0


@frozen
class Clerk:
    """Writes down what an installation brings along.

    Attributes:
        shop: Makes the environments that are described.
        tool: The Python that has cyclonedx-bom.
        python: The Python of the environments.
        tree: The project.
    """

    shop: Workshop
    tool: Path
    python: Path
    tree: Tree

    def write(self, built: Built, extras: Sequence[str]) -> list[Path]:
        """Write a CycloneDX document for the core and for each extra, licences and checksums.

        Args:
            built: What is described.
            extras: The extras.

        Returns:
            The files, beside the archives.

        Raises:
            RefusedError: A licence is unknown or not fine.
        """
        version = built.wheel.name.split("-")[1]
        files: list[Path] = []
        licences: dict[str, dict[str, str]] = {}
        for name in ("core", *extras):
            chosen = [] if name == "core" else [name]
            own = self.shop.install(f"bom-{name}", self.python, built.wheel, chosen)
            bom = built.wheel.with_name(f"sbom-{name}.cdx.json")
            self._describe(own, bom, version)
            licences[name] = dict(licences_of(bom))
            files.append(bom)
        refuse(dict.fromkeys(f for each in licences.values() for f in licence_faults(each)))
        listing = built.wheel.with_name("licences.md")
        listing.write_text("\n".join(table(licences)) + "\n", encoding="utf-8")
        sums = built.wheel.with_name("SHA256SUMS")
        lines = map(checksum, [built.wheel, built.sdist, *files, listing])
        sums.write_text("".join(lines), encoding="utf-8")
        return [*files, listing, sums]

    def _describe(self, python: Path, bom: Path, version: str) -> None:
        """Describe an environment, with the package as what the description is about."""
        run(
            [
                *(str(self.tool), "-m", "cyclonedx_py", "environment", "--output-reproducible"),
                *("--spec-version", "1.6", "--output-format", "JSON", "--output-file", str(bom)),
                *("--pyproject", str(self.tree.root / "pyproject.toml"), "--mc-type", "library"),
                str(python),
            ],
            what=f"describing {bom.name}",
            seconds=SECONDS,
            folder=bom.parent,
            variables=environment({"SOURCE_DATE_EPOCH": str(self.tree.commit_time)}),
        )
        content = json.loads(bom.read_text("utf-8"))
        # The version stands in the source and not in pyproject.toml, where the tool looks for it.
        about = content["metadata"]["component"]
        about |= {"version": version, "purl": f"pkg:pypi/{about['name']}@{version}"}
        bom.write_text(json.dumps(content, indent=2) + "\n", "utf-8")


def table(licences: Mapping[str, Mapping[str, str]]) -> Iterator[str]:
    """Yield the lines of a table: each package, its licence, and what brings it."""
    packages: dict[str, str] = {}
    for each in licences.values():
        packages.update(each)
    core = licences["core"]
    yield "| package | licence | brought by |"
    yield "|---|---|---|"
    for package in sorted(packages, key=str.lower):
        by = [name for name, each in licences.items() if package in each]
        brought = "core" if package in core else ", ".join(by)
        yield f"| {package} | {packages[package]} | {brought} |"


def checksum(file: Path) -> str:
    """Give a line as `sha256sum` writes it."""
    return f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n"
