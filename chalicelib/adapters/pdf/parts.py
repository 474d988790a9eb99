"""The parts of a sheet below its head: entries, sums and notes, measured and ready to be drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from reportlab.pdfgen.canvas import Canvas

from chalicelib.adapters.pdf.flow import Part
from chalicelib.adapters.pdf.text import BOLD, REGULAR, draw, draw_right, width_of, wrap
from chalicelib.application.documents import Row, Sheet, Total

INK: Final = (0.12, 0.14, 0.19)
GREY: Final = (0.38, 0.41, 0.47)
RULE: Final = (0.87, 0.88, 0.9)
TITLE, DETAIL, NOTE = 9.5, 8.0, 8.5
LEADING: Final = 1.3
_PAD: Final = 5.0
_GAP: Final = 14.0
_SUMS: Final = 0.56
"""How much of the width the sums take."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawn:
    """Draws itself below `top`; `running` is the subtotal after it, None below the entries."""

    draw: Callable[[Canvas, float], None]
    running: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Columns:
    """Where the columns of a sheet end, from the left; one that is not there is where the next one is."""

    left: float
    title: float
    quantity: float
    rate: float
    amount: float

    @classmethod
    def of(cls, sheet: Sheet, left: float, right: float) -> Columns:
        """As wide as what is in them; the titles have the rest."""
        texts = zip(*((row.quantity, row.rate, row.amount) for row in sheet.rows), strict=True)
        found = list(texts) or [(), (), ()]
        widths = [
            max((width_of(text, REGULAR, TITLE) for text in (heading, *column)), default=0.0) + _GAP
            if heading
            else 0.0
            for heading, column in zip(sheet.columns[1:], found, strict=True)
        ]
        quantity, rate, amount = widths
        return cls(
            left=left,
            title=right - amount - rate - quantity - _GAP,
            quantity=right - amount - rate,
            rate=right - amount,
            amount=right,
        )


def parts_of(sheet: Sheet, columns: Columns, page: float) -> Iterator[Part[Drawn]]:
    """In order. The sums stay with the last entry and the notes with the sums; an entry that is higher than a `page`
    is a part per line.
    """
    for row in sheet.rows:
        yield from _row_parts(row, columns, page)
    for index, total in enumerate(sheet.totals):
        yield _total_part(total, columns, first=index == 0)
    for index, note in enumerate(sheet.notes):
        yield _note_part(note, columns, first=index == 0)


def colour(canvas: Canvas, rgb: tuple[float, float, float]) -> None:
    canvas.setFillColorRGB(*rgb)


def rule(canvas: Canvas, left: float, right: float, y: float) -> None:
    canvas.setStrokeColorRGB(*RULE)
    canvas.setLineWidth(0.6)
    canvas.line(left, y, right, y)


def _row_parts(row: Row, columns: Columns, page: float) -> Iterator[Part[Drawn]]:
    width = columns.title - columns.left
    lines = [(text, TITLE, INK) for text in wrap(row.title, REGULAR, TITLE, width)]
    lines += [(text, DETAIL, GREY) for text in wrap(row.detail, REGULAR, DETAIL, width) if text]
    height = sum(size * LEADING for _, size, _ in lines) + 2 * _PAD
    chunks = [lines] if height <= page else [[line] for line in lines]
    for index, chunk in enumerate(chunks):
        height = sum(size * LEADING for _, size, _ in chunk)
        padded = height + (_PAD if index == 0 else 0) + (_PAD if index == len(chunks) - 1 else 0)
        yield Part(_row(row, chunk, columns, first=index == 0), padded)


def _row(
    row: Row, lines: list[tuple[str, float, tuple[float, float, float]]], columns: Columns, *, first: bool
) -> Drawn:
    def drawn(canvas: Canvas, top: float) -> None:
        y = top
        if first:
            rule(canvas, columns.left, columns.amount, top)
            y -= _PAD
        line_y = y
        for text, size, rgb in lines:
            colour(canvas, rgb)
            draw(canvas, columns.left, line_y - size, text, font=REGULAR, size=size)
            line_y -= size * LEADING
        if first:
            colour(canvas, INK)
            cells = ((row.quantity, columns.quantity), (row.rate, columns.rate), (row.amount, columns.amount))
            for text, right in cells:
                draw_right(canvas, right, y - TITLE, text, font=REGULAR, size=TITLE)

    return Drawn(draw=drawn, running=row.running)


def _total_part(total: Total, columns: Columns, *, first: bool) -> Part[Drawn]:
    font, size = (BOLD, 11.0) if total.strong else (REGULAR, DETAIL if total.aside else TITLE)
    left = columns.amount - (columns.amount - columns.left) * _SUMS
    room = columns.amount - left - width_of(total.value, font, size) - _GAP
    lines = wrap(total.label, font, size, room)
    height = len(lines) * size * LEADING + 6.0
    above = 8.0 if first else 0.0

    def drawn(canvas: Canvas, top: float) -> None:
        if first:
            rule(canvas, columns.left, columns.amount, top)
        elif total.strong:
            rule(canvas, left, columns.amount, top)
        y = top - above - 3.0
        colour(canvas, GREY if total.aside else INK)
        for index, line in enumerate(lines):
            draw(canvas, left, y - size - index * size * LEADING, line, font=font, size=size)
        draw_right(canvas, columns.amount, y - size, total.value, font=font, size=size)

    return Part(Drawn(draw=drawn), height + above, joined=True)


def _note_part(note: str, columns: Columns, *, first: bool) -> Part[Drawn]:
    lines = wrap(note, REGULAR, NOTE, columns.amount - columns.left)
    above = 18.0 if first else 4.0

    def drawn(canvas: Canvas, top: float) -> None:
        y = top - above
        colour(canvas, GREY)
        for line in lines:
            draw(canvas, columns.left, y - NOTE, line, font=REGULAR, size=NOTE)
            y -= NOTE * LEADING

    return Part(Drawn(draw=drawn), above + len(lines) * NOTE * LEADING, joined=True)
