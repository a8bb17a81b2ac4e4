"""Extras: what can't be tried alone, and what the core must not load, is told."""

from __future__ import annotations

import pytest

from tools.environments import ROOT
from tools.release import installers

PYPROJECT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_every_extra_can_be_tried() -> None:
    """The check has a program for each extra of the project, and for nothing else."""
    assert list(installers.extra_faults(installers.extras_of(PYPROJECT))) == []
    known = list(installers.PROGRAMS)
    assert list(installers.extra_faults([*known, "new"])) == [
        "the extra new is not in tools/release/installers.py"
    ]
    assert list(installers.extra_faults(known[1:])) == [
        f"the extra {known[0]} is not in pyproject.toml"
    ]


CORE = "LOADED pipedrive_oauth_client httpx sys\nTHERE httpx pipedrive_oauth_client\n"
ALL = "LOADED pipedrive_oauth_client httpx sys\nTHERE httpx pipedrive_oauth_client redis\n"


@pytest.mark.parametrize(
    ("core", "everything", "faults"),
    [
        (CORE, ALL, []),
        (
            CORE,
            ALL.replace("LOADED", "LOADED redis"),
            ["the core loads redis, which only an extra brings"],
        ),
        (CORE, CORE, ["what the extras bring, or what the core loads, was not printed"]),
        (CORE, "", ["what the extras bring, or what the core loads, was not printed"]),
    ],
)
def test_core_that_loads_an_extra_is_told(core: str, everything: str, faults: list[str]) -> None:
    """What only an extra brings, the core must not load, and silence is no proof of it."""
    assert list(installers.core_faults(core, everything)) == faults
