"""The template that Chalice merges into its own, out of the resources and of what Chalice cannot say."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

INFRA = Path(__file__).resolve().parents[1]
PARTS = (INFRA / "resources.json", INFRA / "sam-overrides.json")


class Overlap(Exception):
    """Two parts define the same thing in the same section."""


def merge_template(stage: str, parts: tuple[Path, ...] = PARTS) -> dict[str, Any]:
    """One document from both files, `stage` being the default of its parameter Stage. Chalice takes one file."""
    merged: dict[str, dict[str, Any]] = {}
    for part in parts:
        for section, content in json.loads(part.read_text(encoding="utf-8")).items():
            _add(merged.setdefault(section, {}), content, f"{part.name}: {section}")
    merged["Parameters"]["Stage"]["Default"] = stage
    return merged


def _add(section: dict[str, Any], content: Mapping[str, Any], where: str) -> None:
    twice = section.keys() & content.keys()
    if twice:
        raise Overlap(f"{where}: {', '.join(sorted(twice))} is defined already")
    section.update(content)
