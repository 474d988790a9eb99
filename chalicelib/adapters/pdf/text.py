"""Text in fonts that can show it: how wide it is, where its lines break, and drawing it.

Latin, Greek and Cyrillic are in the fonts beside this module, which are embedded. Chinese, Japanese and Korean are
named, not embedded: the reader's own fonts show them. Whatever else there is becomes a replacement character.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import Final

from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas

REGULAR: Final = "Roboto-Regular"
BOLD: Final = "Roboto-Bold"
_FONTS: Final = Path(__file__).parent / "fonts"
_UNKNOWN: Final = "\N{REPLACEMENT CHARACTER}"
_JAPANESE, _CHINESE, _KOREAN = "HeiseiKakuGo-W5", "STSong-Light", "HYGothic-Medium"
_SAME: Final = str.maketrans("￥￡￠￦", "¥£¢₩")
"""Wide forms of signs that the embedded fonts have."""
Run = tuple[str, str]
"""A font's name and text that it can show."""


def load_fonts() -> None:
    """Before anything is drawn: a page begins with one of them."""
    for font in (REGULAR, BOLD):
        _covered(font)


@lru_cache(maxsize=2048)
def width_of(text: str, font: str, size: float) -> float:
    return float(sum(pdfmetrics.stringWidth(piece, name, size) for name, piece in runs(text, font)))


def draw(canvas: Canvas, x: float, y: float, text: str, *, font: str, size: float) -> None:
    for name, piece in runs(text, font):
        canvas.setFont(name, size)
        canvas.drawString(x, y, piece)
        x += pdfmetrics.stringWidth(piece, name, size)


def draw_right(canvas: Canvas, x: float, y: float, text: str, *, font: str, size: float) -> None:
    """Ending at `x`."""
    draw(canvas, x - width_of(text, font, size), y, text, font=font, size=size)


def wrap(text: str, font: str, size: float, width: float) -> list[str]:
    """Lines no wider than `width`: broken at spaces, inside a word where it is wider by itself."""
    lines: list[str] = []
    line = ""
    for word in text.split(" "):
        joined = f"{line} {word}" if line else word
        if width_of(joined, font, size) <= width:
            line = joined
            continue
        if line:
            lines.append(line)
        *whole, line = _broken(word, font, size, width)
        lines += whole
    return [*lines, line]


def fit(text: str, font: str, size: float, width: float) -> str:
    """One line: its end is left out where it is too wide."""
    first, *more = wrap(text, font, size, width)
    return first if not more else next(iter(_broken(text, font, size, width - size))) + "…"


def runs(text: str, font: str) -> list[Run]:
    """The text in pieces of one font each."""
    text = unicodedata.normalize("NFC", text).translate(_SAME)
    covered, shared = _covered(font), _font_of_shared_signs(text)
    found: list[Run] = []
    for char in text:
        name, shown = _shown(char, font, covered, shared)
        if found and found[-1][0] == name:
            found[-1] = (name, found[-1][1] + shown)
        else:
            found.append((name, shown))
    return found


def _broken(word: str, font: str, size: float, width: float) -> Iterator[str]:
    """At least one piece; each but the last fills the line."""
    piece = ""
    for char in word:
        if piece and width_of(piece + char, font, size) > width:
            yield piece
            piece = ""
        piece += char
    yield piece


def _shown(char: str, font: str, covered: frozenset[int], shared: str) -> Run:
    if ord(char) in covered:
        return font, char
    if char.isspace():
        return font, " "
    asian = _asian_font(char, shared)
    if asian is None:
        return font, _UNKNOWN
    _register_asian(asian)
    return asian, char


def _asian_font(char: str, shared: str) -> str | None:
    if "\u3040" <= char <= "\u30ff":
        return _JAPANESE
    if "\uac00" <= char <= "\ud7a3":
        return _KOREAN
    is_shared = "\u3000" <= char <= "\u9fff" or "\uff01" <= char <= "\uff60"
    return shared if is_shared else None


def _font_of_shared_signs(text: str) -> str:
    """By the letters beside them that only one language has; Chinese where there are none."""
    fonts = (_asian_font(char, "") for char in text)
    return next((font for font in fonts if font), _CHINESE)


@cache
def _covered(font: str) -> frozenset[int]:
    """Loads the font: the code points that it has."""
    loaded = TTFont(font, str(_FONTS / f"{font}.ttf"))
    pdfmetrics.registerFont(loaded)
    return frozenset(loaded.face.charToGlyph)


@cache
def _register_asian(name: str) -> None:
    pdfmetrics.registerFont(UnicodeCIDFont(name))
