"""The spec with one of everything, and a value for each field of its largest schema."""

from __future__ import annotations

from typing import Any

import yaml

from tests.specs.project import SPECS

TEXT = (SPECS / "kitchen_sink.yaml").read_text(encoding="utf-8")
SPEC: dict[str, Any] = yaml.safe_load(TEXT)

EVERYTHING: dict[str, Any] = {
    "id": "abc-12",
    "count": 3,
    "share": 0.5,
    "done": False,
    "colour": "red",
    "level": -1,
    "day": "2024-02-29",
    "moment": "2024-02-29T23:59:58+05:30",
    "key": "6f1c9d2e-0b7a-4c55-9a3e-1d2f3a4b5c6d",
    "words": ["a", "b"],
    "days": ["2024-02-29"],
    "page": {"items": [{"id": 1, "note": None}, {"id": 2}], "more": True},
    "tree": {"name": "root", "children": [{"name": "leaf", "children": []}]},
    "remark": "lower",
    "mixed": "words",
    "item_or_words": ["x"],
    "prices": {"EUR": 1.5, "JPY": 0.0},
    "secrets": ["planted-secret"],
    "anything": {"deep": [1, None]},
    "from": "here",
    "list": "of things",
    "two words": "yes",
    'quo"te\\d': "q",
    "1st": "first",
    "unknown": {"kept": 1},
}
