"""Hundreds of small specs of what the generator accepts: generated, imported, tried, compared."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import yaml
from hypothesis import HealthCheck, Phase, given, settings

from tests.specs.project import ROOT
from tests.specs.random_specs import documents
from tools.generate.render import Sources, render

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

FEW = settings(
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],  # the error names the place; shrinking takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


def generated(document: dict[str, Any], folder: Path) -> dict[Any, bytes]:
    """Generate from a document, and prove what was written."""
    spec = folder / "openapi.yaml"
    spec.write_text(
        yaml.safe_dump(dict(document), allow_unicode=True, sort_keys=False), encoding="utf-8"
    )
    sources = Sources(spec, ROOT / "generator-config.yml", ROOT / "generator-templates")
    return dict(render(sources, proven=True))


@settings(FEW, max_examples=12)
@given(documents(25))
def test_every_accepted_spec_is_generated_and_proven(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]
) -> None:
    """It is imported, its examples are read and written back, its operations make requests."""
    files = generated(document, tmp_path_factory.mktemp("spec"))
    assert len([path for path in files if path.match("api/*/operation_*.py")]) == 25


@settings(FEW, max_examples=2)
@given(documents(25))
def test_accepted_specs_are_type_checked(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]
) -> None:
    """A strict type checker finds nothing in what is generated."""
    folder = tmp_path_factory.mktemp("spec")
    for path, content in generated(document, folder).items():
        target = folder / "package" / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--cache-dir=cache"]
    done = subprocess.run(
        [*mypy, "package"], cwd=folder, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout


@settings(FEW, max_examples=3)
@given(documents(3))
def test_accepted_specs_are_compared(
    tmp_path_factory: pytest.TempPathFactory, document: dict[str, Any]
) -> None:
    """A spec is the same as itself, and another value of an enum breaks importers."""
    folder = tmp_path_factory.mktemp("spec")
    old = yaml.safe_dump(dict(document), allow_unicode=True, sort_keys=False)
    new = old.replace("- alpha\n", "- gamma\n")
    assert old != new
    for name, text in (("old", old), ("same", old), ("new", new)):
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    for name, status in (("same", 0), ("new", 1)):
        done = subprocess.run(
            [sys.executable, "-m", "tools.specdiff", "--view", "importer",
             str(folder / "old.yaml"), str(folder / f"{name}.yaml")],
            cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == status, done.stdout + done.stderr
