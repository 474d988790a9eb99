"""A sheet as a PDF: head, entries, sums and notes on as many pages as they need.

Only the first page has the whole head. Where the entries go on, a page ends with the subtotal so far and the next
one begins with it.
"""

from __future__ import annotations

from io import BytesIO
from itertools import pairwise
from typing import Final

from reportlab.lib.pagesizes import A4, LETTER
from reportlab.pdfgen.canvas import Canvas

from chalicelib.adapters.pdf.flow import Part, paginate
from chalicelib.adapters.pdf.head import draw_head, height_of_head
from chalicelib.adapters.pdf.parts import GREY, INK, Columns, Drawn, colour, parts_of, rule
from chalicelib.adapters.pdf.text import BOLD, REGULAR, draw, draw_right, fit, load_fonts
from chalicelib.application.documents import Sheet

_MARGIN: Final = 50.0
_TOP: Final = 52.0
_FOOT: Final = 64.0
_SHORT_HEAD: Final = 34.0
_HEADINGS: Final = 18.0
_CARRY: Final = 18.0
_SMALL: Final = 8.0
Page = list[Part[Drawn]]


class PdfPress:
    """Raise `edition` whenever the same sheet comes out differently: what is kept is named by it."""

    edition = "1"

    def draw(self, sheet: Sheet) -> bytes:
        """No time, no chance: the same sheet is always the same bytes."""
        return _Printed(sheet).made()


class _Printed:
    def __init__(self, sheet: Sheet) -> None:
        self._sheet = sheet
        self._width, self._height = A4 if sheet.paper == "a4" else LETTER
        self._right = self._width - _MARGIN
        self._file = BytesIO()
        load_fonts()
        self._columns = Columns.of(sheet, _MARGIN, self._right)
        self._canvas = Canvas(
            self._file,
            pagesize=(self._width, self._height),
            invariant=1,
            lang=sheet.language,
            initialFontName=REGULAR,  # type: ignore[arg-type]  # the stub takes it for a number
        )

    def made(self) -> bytes:
        sheet, canvas = self._sheet, self._canvas
        canvas.setTitle(f"{sheet.title} {sheet.number}".strip())
        canvas.setAuthor(sheet.seller[0])
        pages = self._pages()
        for index, (before, page) in enumerate(pairwise([[], *pages])):
            self._draw_page(page, before, index, len(pages))
            canvas.showPage()
        canvas.save()
        return self._file.getvalue()

    def _pages(self) -> list[Page]:
        """Every page keeps room for the lines that say what is carried."""
        room = self._height - _TOP - _FOOT - _HEADINGS - _CARRY
        first = room - height_of_head(self._sheet, self._width - 2 * _MARGIN)
        later = room - _SHORT_HEAD - _CARRY
        return paginate(list(parts_of(self._sheet, self._columns, later)), first=first, later=later)

    def _draw_page(self, page: Page, before: Page, index: int, count: int) -> None:
        y = self._head(index, self._height - _TOP)
        has_rows = bool(page) and page[0].content.running is not None
        if has_rows or index == 0:
            y = self._headings(y)
        carried = before[-1].content.running if before else None
        if has_rows and carried is not None:
            y = self._carry(y, self._sheet.brought, carried)
        for part in page:
            part.content.draw(self._canvas, y)
            y -= part.height
        running = page[-1].content.running if page else None
        if index + 1 < count and running is not None:
            self._carry(y, self._sheet.carried, running)
        self._foot(index, count)

    def _head(self, index: int, y: float) -> float:
        sheet = self._sheet
        if index == 0:
            return draw_head(self._canvas, sheet, _MARGIN, self._right, y)
        colour(self._canvas, GREY)
        about = " · ".join(part for part in (f"{sheet.title} {sheet.number}".strip(), sheet.stamp) if part)
        name = fit(sheet.seller[0], REGULAR, _SMALL, (self._right - _MARGIN) / 2)
        draw(self._canvas, _MARGIN, y - _SMALL, name, font=REGULAR, size=_SMALL)
        draw_right(self._canvas, self._right, y - _SMALL, about, font=BOLD, size=_SMALL)
        return y - _SHORT_HEAD

    def _headings(self, y: float) -> float:
        title, *others = self._sheet.columns
        columns = self._columns
        colour(self._canvas, GREY)
        draw(self._canvas, columns.left, y - _SMALL, title, font=REGULAR, size=_SMALL)
        for text, right in zip(others, (columns.quantity, columns.rate, columns.amount), strict=True):
            draw_right(self._canvas, right, y - _SMALL, text, font=REGULAR, size=_SMALL)
        return y - _HEADINGS

    def _carry(self, y: float, label: str, amount: str) -> float:
        rule(self._canvas, _MARGIN, self._right, y)
        colour(self._canvas, INK)
        draw(self._canvas, _MARGIN, y - 12.0, label, font=BOLD, size=_SMALL)
        draw_right(self._canvas, self._right, y - 12.0, amount, font=BOLD, size=_SMALL)
        return y - _CARRY

    def _foot(self, index: int, count: int) -> None:
        rule(self._canvas, _MARGIN, self._right, 46.0)
        colour(self._canvas, GREY)
        about = fit(self._sheet.foot, REGULAR, _SMALL, (self._right - _MARGIN) * 0.75)
        draw(self._canvas, _MARGIN, 32.0, about, font=REGULAR, size=_SMALL)
        number = self._sheet.page.format(page=index + 1, pages=count)
        draw_right(self._canvas, self._right, 32.0, number, font=REGULAR, size=_SMALL)
