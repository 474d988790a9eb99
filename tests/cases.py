"""The worked cases of `cases.yaml`: numbers from other engines' public tests and from published rules, as data."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_name("cases.yaml")


@cache
def _cases() -> dict[str, dict[str, Any]]:
    document = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return {case["id"]: case for case in document["cases"]}


def case_ids() -> tuple[str, ...]:
    return tuple(_cases())


def given(case_id: str) -> Any:
    return _cases()[case_id]["given"]


def expected(case_id: str) -> Any:
    return _cases()[case_id]["expect"]
