"""Every change of the corpus is judged as it should be, and nothing else is found."""

from __future__ import annotations

import pytest

from tests.specdiff.cases import Change, changes, judged, report_of


@pytest.mark.parametrize("change", changes(), ids=lambda change: change.name)
def test_change_is_judged(change: Change) -> None:
    """A change is found both ways by the rules that it is a case of, once each, and by no other."""
    for way in change.ways:
        report = report_of(way.old, way.new)
        assert dict(judged(report)) == dict.fromkeys(way.expected, 1), way.name
        assert (report.python == "refused") == (change.refused and report.findings != ())
