"""The head of a document's first page: who sells, what it is, who buys, and what is to be paid."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from reportlab.pdfgen.canvas import Canvas

from chalicelib.adapters.pdf.parts import GREY, INK, LEADING, colour
from chalicelib.adapters.pdf.text import BOLD, REGULAR, draw, draw_right, width_of, wrap
from chalicelib.application.documents import Sheet

_NAME, _TITLE, _SMALL, _HEADLINE = 12.0, 22.0, 9.0, 15.0
_LINE: Final = _SMALL * LEADING
_SPLIT: Final = 0.52
"""The seller has this much of the width, what the document is the rest."""
_GUTTER: Final = 20.0
_GAP: Final = 26.0
_STAMP: Final = (0.72, 0.11, 0.11)
Line = tuple[str, str, float]
"""Text, font, size."""


def height_of_head(sheet: Sheet, width: float) -> float:
    top = max(_high(_seller(sheet, width)), _title_height() + len(_facts(sheet, width)) * _LINE)
    return top + _GAP + _LINE + _high(_buyer(sheet, width)) + _GAP + _high(_headline(sheet, width)) + _GAP


def draw_head(canvas: Canvas, sheet: Sheet, left: float, right: float, top: float) -> float:
    """From `top` down; answers where the head ends."""
    width = right - left
    seller_end = _draw(canvas, _seller(sheet, width), left, top)
    facts_end = _draw_title(canvas, sheet, left + width * _SPLIT + _GUTTER, right, top)
    y = min(seller_end, facts_end) - _GAP
    colour(canvas, GREY)
    draw(canvas, left, y - _SMALL, sheet.buyer_label, font=REGULAR, size=_SMALL)
    y = _draw(canvas, _buyer(sheet, width), left, y - _LINE) - _GAP
    return _draw(canvas, _headline(sheet, width), left, y) - _GAP


def _seller(sheet: Sheet, width: float) -> list[Line]:
    return list(_party(sheet.seller, width * _SPLIT))


def _buyer(sheet: Sheet, width: float) -> list[Line]:
    return list(_party(sheet.buyer, width * 0.75))


def _party(lines: Sequence[str], width: float) -> Iterator[Line]:
    name, *others = lines
    if name:
        yield from ((text, BOLD, _NAME) for text in wrap(name, BOLD, _NAME, width))
    for line in others:
        yield from ((text, REGULAR, _SMALL) for text in wrap(line, REGULAR, _SMALL, width))


def _headline(sheet: Sheet, width: float) -> list[Line]:
    return [(text, BOLD, _HEADLINE) for text in wrap(sheet.headline, BOLD, _HEADLINE, width)]


def _high(lines: Sequence[Line]) -> float:
    return sum(size * LEADING for _, _, size in lines)


def _draw(canvas: Canvas, lines: Sequence[Line], left: float, top: float) -> float:
    for text, font, size in lines:
        colour(canvas, INK)
        draw(canvas, left, top - size, text, font=font, size=size)
        top -= size * LEADING
    return top


def _title_height() -> float:
    return _TITLE * LEADING + 6.0


def _facts(sheet: Sheet, width: float) -> list[tuple[str, str]]:
    """Label and value; a value too wide for its line goes on below."""
    room = width * (1 - _SPLIT) - _GUTTER
    lines: list[tuple[str, str]] = []
    for label, value in sheet.facts:
        first, *others = wrap(value, REGULAR, _SMALL, room - width_of(label, REGULAR, _SMALL) - 10.0)
        lines += [(label, first), *(("", text) for text in others)]
    return lines


def _draw_title(canvas: Canvas, sheet: Sheet, left: float, right: float, top: float) -> float:
    colour(canvas, INK)
    draw(canvas, left, top - _TITLE, sheet.title, font=BOLD, size=_TITLE)
    if sheet.stamp:
        _draw_stamp(canvas, sheet.stamp, right, top)
    y = top - _title_height()
    for label, value in _facts(sheet, (right - left + _GUTTER) / (1 - _SPLIT)):
        colour(canvas, GREY)
        draw(canvas, left, y - _SMALL, label, font=REGULAR, size=_SMALL)
        colour(canvas, INK)
        draw_right(canvas, right, y - _SMALL, value, font=REGULAR, size=_SMALL)
        y -= _LINE
    return y


def _draw_stamp(canvas: Canvas, text: str, right: float, top: float) -> None:
    text = text.upper()
    wide = width_of(text, BOLD, 11.0) + 14.0
    canvas.setStrokeColorRGB(*_STAMP)
    canvas.setLineWidth(1.2)
    canvas.roundRect(right - wide, top - 20.5, wide, 18.0, 3, stroke=1, fill=0)
    colour(canvas, _STAMP)
    draw(canvas, right - wide + 7.0, top - 15.5, text, font=BOLD, size=11.0)
