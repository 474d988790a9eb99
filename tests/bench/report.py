"""The table that `make bench` prints: a row per budget, for the terminal or for the README."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True)
class Row:
    """`ok` None: not measured here, and `note` says why, or what the number holds."""

    what: str
    budget: str
    measured: str
    ok: bool | None
    note: str = ""

    @property
    def verdict(self) -> str:
        return {True: "ok", False: "MISSED", None: "–"}[self.ok]


def within(what: str, value: float, limit: float, *, unit: str = "", digits: int = 2, note: str = "") -> Row:
    """A row whose measured value must not exceed its limit."""
    return Row(
        what, f"≤ {_number(limit, digits)}{unit}", f"{_number(value, digits)}{unit}", value <= limit, note
    )


def show(rows: Iterable[Row]) -> None:
    table = Table("What", "Budget", "Measured", "", "Note", title="Perennial, measured")
    for row in rows:
        style = "red" if row.ok is False else ""
        table.add_row(row.what, row.budget, row.measured, row.verdict, row.note, style=style)
    console = Console()
    console.width = max(console.width, 150)
    console.print(table)


def markdown(rows: Iterable[Row]) -> str:
    lines = ["| What | Budget | Measured | |", "|---|---|---|---|"]
    lines += [
        f"| {row.what}{f' ({row.note})' if row.note else ''} | {row.budget} | {row.measured} | {row.verdict} |"
        for row in rows
    ]
    return "\n".join(lines)


def _number(value: float, digits: int) -> str:
    text = f"{value:,.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
