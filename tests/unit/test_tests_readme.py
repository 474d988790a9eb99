"""The table of failures names tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
README = (TESTS / "README.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w/]+\.py)::([\w:]+)`", README)))
AREAS = [
    "Card data", "Whose data", "API keys", "Writable fields", "Portal", "Unknown e-mail", "Inbound webhooks",
    "Outbound webhooks", "Abuse", "Input", "Logs", "AWS", "Erasure",
]  # fmt: skip
ROWS = re.findall(r"^\| (\d+) \| .*\|$", README, re.MULTILINE)


@cache
def named_in(path: str) -> set[str]:
    """`test_x` and `TestY::test_x` as pytest names them, without parameters."""
    tree = ast.parse((TESTS / path).read_text(encoding="utf-8"))
    named = {each.name for each in tree.body if isinstance(each, ast.FunctionDef)}
    for group in (each for each in tree.body if isinstance(each, ast.ClassDef)):
        named |= {f"{group.name}::{each.name}" for each in group.body if isinstance(each, ast.FunctionDef)}
    return {name for name in named if name.rpartition(":")[2].startswith("test_")}


@pytest.mark.parametrize(("path", "test"), NAMED, ids=map("::".join, NAMED))
def test_every_test_that_is_named_exists(path: str, test: str) -> None:
    assert test in named_in(path)


def test_every_row_names_a_test_or_says_what_is_later() -> None:
    assert [int(number) for number in ROWS] == list(range(1, 51))
    for row in re.findall(r"^\| \d+ \| .*\|$", README, re.MULTILINE):
        assert "::" in row or "Later:" in row, row


def test_every_area_of_security_names_its_proof() -> None:
    section = README.partition("## Security: what holds, and its proof")[2]
    rows = re.findall(r"^\| ([A-Z].*?) \| (.*) \| (.*) \|$", section, re.MULTILINE)[1:]
    assert [area for area, _, _ in rows] == AREAS
    for area, _, proof in rows:
        assert "::" in proof, area


def test_nothing_is_named_in_another_form() -> None:
    assert README.count("::") == len(re.findall(r"`[\w/]+\.py::[\w:]+`", README)) + sum(
        test.count("::") for path, test in re.findall(r"`([\w/]+\.py)::([\w:]+)`", README)
    )
