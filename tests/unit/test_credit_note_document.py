"""What a credit note says on paper: sums that add up, tax per rate, and where the money goes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.domain.credit_note import CreditNote, NoteLine
from chalicelib.domain.credit_note_document import document_of_note
from chalicelib.domain.document import DocumentKind, Standing, SumKind
from chalicelib.entrypoints.printing import sheet_of
from tests.documents import BUYER, NOW, SELLER, line, opened

PARTS = {SumKind.APPLIED, SumKind.TO_ACCOUNT, SumKind.TO_PAYER}


def note(*lines, **parts):
    total = sum(each.total for each in lines)
    parts = parts or {"credited": total}
    return CreditNote(
        id="crn_1",
        customer_id="cus_1",
        subscription_id="sub_1",
        invoice_id="inv_1",
        number="ABC-CN-0001",
        sequence=1,
        currency="USD",
        at=NOW,
        lines=lines,
        total=total,
        tax=sum(each.tax for each in lines),
        **parts,
    )


def given(total, tax=0, rate="0", **changes):
    return NoteLine(line_id="Pro 2900", description="Pro", total=total, tax=tax, tax_rate=rate, **changes)


def sums(document):
    return [(part.kind, part.amount, part.percent, part.base) for part in document.sums]


def test_tax_on_top_is_added_per_rate_in_order():
    found = document_of_note(
        note(given(1200, 200, "20"), given(1055, 55, "5.5"), given(600, 100, "20")), opened()
    )
    assert [entry.amount for entry in found.entries] == [1000, 1000, 500]
    assert sums(found) == [
        (SumKind.SUBTOTAL, 2500, None, 0),
        (SumKind.TAX, 55, "5.5", 1000),
        (SumKind.TAX, 300, "20", 1500),
        (SumKind.CREDITED_TOTAL, 2855, None, 0),
        (SumKind.TO_ACCOUNT, 2855, None, 0),
    ]


def test_tax_that_is_included_counts_nothing():
    found = document_of_note(note(given(1200, 200, "20", tax_inclusive=True)), opened())
    assert [entry.amount for entry in found.entries] == [1200]
    assert sums(found) == [
        (SumKind.CREDITED_TOTAL, 1200, None, 0),
        (SumKind.TAX_INCLUDED, 200, "20", 1000),
        (SumKind.TO_ACCOUNT, 1200, None, 0),
    ]


def test_where_it_goes_comes_to_the_total():
    found = document_of_note(note(given(1000), applied=500, credited=300, refunded=200), opened())
    assert sum(part.amount for part in found.sums if part.kind in PARTS) == found.amount == 1000
    assert found.entries[0].tax_rate is None


def test_it_is_about_its_invoice_and_between_the_same_parties():
    found = document_of_note(note(given(1000)), opened(number="PER-0001"))
    assert (found.kind, found.standing) == (DocumentKind.CREDIT_NOTE, Standing.CREDITED)
    assert (found.seller, found.buyer) == (SELLER, BUYER)
    sheet = sheet_of(found, "en")
    assert (sheet.title, sheet.headline) == ("Credit note", "$10.00 credited on March 1, 2026")
    assert sheet.facts[:2] == (("Number", "ABC-CN-0001"), ("Of invoice", "PER-0001"))
    assert "Due date" not in dict(sheet.facts)
    assert sheet.columns[1:3] == ("", "")


@pytest.mark.parametrize("credited", ["Pro 2900", "another"])
def test_why_no_tax_was_due_is_said_of_what_is_credited(credited):
    invoice = opened(line())
    invoice = replace(invoice, lines=(replace(invoice.lines[0], tax_note="reverse_charge"),))
    found = document_of_note(note(replace(given(1000), line_id=credited)), invoice)
    assert found.tax_notes == (("reverse_charge",) if credited == "Pro 2900" else ())


def test_what_was_not_used_says_when():
    found = document_of_note(note(given(1000, period=line().period, numerator=11, denominator=31)), opened())
    (row,) = sheet_of(found, "en").rows
    assert " ".join(row.detail.split()) == "Mar 1 – Apr 1, 2026"
