"""Printed documents as bytes: what can be read in them, on how many pages, and always the same."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pypdf import PdfReader

from chalicelib.adapters.pdf.flow import Part, paginate
from chalicelib.adapters.pdf.press import PdfPress
from chalicelib.adapters.pdf.text import BOLD, REGULAR, fit, runs, width_of, wrap
from chalicelib.application.documents import Row, Sheet, Total
from chalicelib.domain.catalog import Party
from chalicelib.domain.invoice import InvoiceStatus
from chalicelib.domain.invoice_document import document_of
from chalicelib.entrypoints.printing import sheet_of
from tests.documents import BUYER, line, opened, paid

EDITION = ("1", "b9690243ba91fb4a")
SHEET = Sheet(
    title="Invoice", stamp="Draft", language="en", paper="a4", number="1", seller=("Seller", "Street"),
    buyer_label="Bill to", buyer=("Buyer", "Road"), facts=(("Number", "1"),), headline="€1 due",
    columns=("Description", "Quantity", "Tax", "Amount"),
    rows=tuple(
        Row(title=f"Row {index}", detail="1 × €1", quantity="1", rate="20%", amount="€1", running=f"€{index}")
        for index in range(40)
    ),
    totals=(Total(label="Total", value="€40"), Total(label="Tax", value="€8", aside=True),
            Total(label="Due", value="€40", strong=True)),
    notes=("Reverse charge",), carried="Carried", brought="Brought", foot="Seller", page="{page} of {pages}",
    file_name="1.pdf",
)  # fmt: skip
PAPERS = {"DE": (595, 842), "US": (612, 792)}


def printed(invoice, language="en"):
    return PdfPress().draw(sheet_of(document_of(invoice), language))


def read(invoice, language="en"):
    """The text of each page, with plain spaces."""
    pages = PdfReader(BytesIO(printed(invoice, language))).pages
    return [re.sub("[\xa0\u202f\u2009]", " ", page.extract_text()).strip() for page in pages]


def test_an_invoice_as_it_is_read():
    (text,) = read(paid(opened(line("2900", 2), number="PER-0001")))
    assert text.split("\n") == [
        "Perennial Software GmbH", "Torstraße 140", "10119 Berlin", "Germany", "billing@perennial.test",
        "Tax ID: DE123456789", "Invoice", "Number", "PER-0001", "Date of issue", "March 1, 2026", "Due date",
        "March 1, 2026", "Period", "Mar 1 – Apr 1, 2026", "Bill to", "Ada Lovelace Ltd", "12 Analytical Row",
        "N1 7AA London", "United Kingdom", "ada@example.com", "Tax ID: GB123456789",
        "$58.00 paid on March 1, 2026", "Description", "Quantity", "Amount", "Pro",
        "Mar 1 – Apr 1: 2 × $29.00", "2", "$58.00", "Total", "$58.00", "Amount due", "$58.00",
        "Paid on March 1, 2026, Visa ending in 4242", "-$58.00", "Left to pay", "$0.00",
        "Perennial Software GmbH · billing@perennial.test", "Page 1 of 1",
    ]  # fmt: skip


@pytest.mark.parametrize("lines", [1, 5, 8])
@pytest.mark.parametrize("country", sorted(PAPERS))
def test_a_short_invoice_is_one_page(lines, country):
    invoice = opened(*(line(str(100 + index)) for index in range(lines)))
    seller = replace(invoice.seller, country=country)
    (page,) = PdfReader(BytesIO(printed(replace(invoice, seller=seller)))).pages
    assert (round(page.mediabox.width), round(page.mediabox.height)) == PAPERS[country]


def test_two_hundred_lines_carry_their_subtotal_from_page_to_page():
    invoice = opened(*(line("100", 1, f"Seat {index:03}") for index in range(200)))
    pages = read(invoice)
    assert 9 <= len(pages) <= 13
    seen = 0
    for number, text in enumerate(pages, 1):
        lines = text.split("\n")
        assert f"Page {number} of {len(pages)}" in lines
        assert "Description" in lines
        if number > 1:
            assert lines[lines.index("Brought forward") + 1] == f"${seen}.00"
        seen += sum(each.startswith("Seat ") for each in lines)
        assert ("Carried forward" in lines) == (number < len(pages))
        if number < len(pages):
            assert lines[lines.index("Carried forward") + 1] == f"${seen}.00"
    assert seen == 200
    assert "Seat 199" in pages[-1]
    assert "Amount due" in pages[-1]
    assert all("Amount due" not in text for text in pages[:-1])


@pytest.mark.parametrize("lines", range(9, 17))
def test_the_sums_stay_together_and_with_the_last_line(lines):
    """Where the page ends between any two of them."""
    invoice = paid(opened(*(line("100", 1, f"Seat {index:03}") for index in range(lines)), credited=100))
    *others, last = read(invoice)
    for label in ("Total", "Amount due", "Paid on", "Credited", "Left to pay", f"Seat {lines - 1:03}"):
        assert label in last
        assert not any(label in text for text in others)


@pytest.mark.parametrize("status", [InvoiceStatus.DRAFT, InvoiceStatus.VOID])
def test_what_is_no_invoice_says_so_on_every_page(status):
    invoice = opened(*(line("100") for _ in range(40)), status=status)
    pages = read(invoice)
    assert len(pages) > 1
    assert all(status in text.lower() for text in pages)


def test_german_and_every_alphabet_we_promise():
    names = "Ελληνική Εταιρεία, Общество Ґанок, Žluťoučký kůň, Ğış, Đặng Văn, € £ ¥ ₹ ₴ zł"
    (text,) = read(opened(line("290000", 1, names)), "de")
    assert names in text
    assert "2.900,00 $ fällig am 1. März 2026" in text


def test_yen_and_dinars():
    assert "¥2,900 due" in read(opened(currency="JPY"))[0]
    assert "KWD 2.900 due" in read(opened(currency="KWD"))[0]
    assert "¥2,900" in read(opened(currency="JPY"), "ja")[0]


def test_names_in_other_scripts_neither_fail_nor_vanish():
    name = "株式会社 ソフトウェア 日本 한국어 شركة עברית ไทย 🦆"
    (text,) = read(opened(buyer=replace(BUYER, name=name)), "zh-Hant")
    assert "\ufffd" * 4 in text
    assert "ada@example.com" in text
    assert [font for font, _ in runs("Ltd 株式会社ソフト", BOLD)] == [BOLD, "HeiseiKakuGo-W5"]
    assert [font for font, _ in runs("公司 한국", BOLD)] == ["HYGothic-Medium", BOLD, "HYGothic-Medium"]
    assert [font for font, _ in runs("公司", BOLD)] == ["STSong-Light"]
    assert runs("￥1\u2003a\tb", REGULAR) == [(REGULAR, "¥1\u2003a b")]


def test_a_line_longer_than_a_page_flows():
    pages = read(opened(line("100", 1, "word " * 3000), line("200", 1, "after")))
    assert len(pages) > 2
    assert sum(text.count("word") for text in pages) == 3000
    assert "after" in pages[-1]


def test_nobody_and_nothing():
    (text,) = read(opened(seller=Party(), buyer=Party(), number=""))
    assert "Amount due" in text


def test_the_same_invoice_is_the_same_bytes():
    invoice = paid(opened(line("2900", 2)))
    assert printed(invoice, "de") == printed(invoice, "de")
    assert printed(invoice, "de") != printed(invoice, "en")


def test_how_it_is_drawn_has_an_edition():
    """If the drawing changes, what is kept under the old name is stale: raise `PdfPress.edition` with the digest."""
    reader = PdfReader(BytesIO(PdfPress().draw(SHEET)))
    drawn = b"".join(page.get_contents().get_data() for page in reader.pages)
    assert (PdfPress.edition, hashlib.sha256(drawn).hexdigest()[:16]) == EDITION


def test_it_names_its_language_and_subject():
    reader = PdfReader(BytesIO(printed(opened(number="PER-0001"), "de")))
    assert reader.trailer["/Root"]["/Lang"] == "de"
    assert (reader.metadata.title, reader.metadata.author) == ("Rechnung PER-0001", "Perennial Software GmbH")


@given(st.text(max_size=60), st.floats(min_value=30, max_value=300))
def test_lines_fit_and_lose_no_letter(text, width):
    lines = wrap(text, REGULAR, 9, width)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")
    assert all(width_of(each, REGULAR, 9) <= width or len(each) == 1 for each in lines)
    assert width_of(fit(text, REGULAR, 9, width), REGULAR, 9) <= width + 9


PARTS = st.lists(
    st.tuples(st.floats(min_value=1, max_value=150), st.booleans()), min_size=1, max_size=40
).map(lambda drawn: [Part(index, height, joined) for index, (height, joined) in enumerate(drawn)])


@given(PARTS)
def test_pages_hold_every_part_once_in_order_and_none_is_too_full(parts):
    pages = paginate(parts, first=60, later=100)
    assert [part for page in pages for part in page] == parts
    for index, page in enumerate(pages):
        assert page or index == 0
        room = 60 if index == 0 else 100
        assert sum(part.height for part in page) <= room + 1e-6 or len(page) == 1
