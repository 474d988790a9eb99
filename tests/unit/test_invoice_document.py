"""What an invoice says on paper, and in whose words."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.domain.adjustments import credit_line
from chalicelib.domain.catalog import Party
from chalicelib.domain.customer import Credit
from chalicelib.domain.discount import Coupon, Redemption
from chalicelib.domain.document import DocumentKind, Standing, Sum, SumKind
from chalicelib.domain.invoice import InvoiceStatus
from chalicelib.domain.invoice_document import document_of
from chalicelib.domain.proration import Parts
from chalicelib.domain.tax import TaxTerms
from chalicelib.domain.tax_rates import TaxRule
from chalicelib.entrypoints.print_words import Words, words_of
from chalicelib.entrypoints.printing import sheet_of
from tests.documents import NOW, VAT, line, opened, paid

COUPONS = tuple(
    Redemption(coupon=Coupon(id=f"c{index}", **terms), at=NOW)
    for index, terms in enumerate(({"percent": "12.5"}, {"amount": 1000, "currency": "USD"}))
)
COUNTED = {
    SumKind.DISCOUNT,
    SumKind.TAX,
    SumKind.CREDIT_GRANTED,
    SumKind.CREDIT_APPLIED,
    SumKind.CARRIED_IN,
    SumKind.CARRIED_OUT,
}


def rich():
    """Two coupons, tax, a stub, a line that gives back, account credit."""
    billed = line("4900", 3, tax_rate="20", tax=2940)
    back = credit_line(billed, Parts(11, 31), id_="back", invoice_id="inv_1", description="Unused Pro")
    stub = line("5900", 7, "Team, 11 of 31 days", numerator=11, denominator=31)
    credits = (Credit(500, "USD", NOW, "gift"),)
    return opened(back, stub, line("0.37", 333, "Calls"), tax=VAT, redemptions=COUPONS, credits=credits)


def amounts(document):
    return {part.kind: part.amount for part in document.sums}


def test_the_sums_lead_from_the_entries_to_what_is_due():
    invoice = rich()
    document = document_of(invoice)
    kinds = [part.kind for part in document.sums]
    assert kinds == [
        SumKind.SUBTOTAL, SumKind.DISCOUNT, SumKind.DISCOUNT, SumKind.TAX, SumKind.TOTAL,
        SumKind.CREDIT_APPLIED, SumKind.DUE,
    ]  # fmt: skip
    found = amounts(document)
    assert found[SumKind.SUBTOTAL] == sum(entry.amount for entry in document.entries)
    counted = sum(part.amount for part in document.sums if part.kind in COUNTED)
    assert found[SumKind.SUBTOTAL] + counted == found[SumKind.DUE] == invoice.amount_due
    assert found[SumKind.TOTAL] == invoice.total


def test_coupons_are_named_in_the_order_in_which_they_apply():
    first, second = [part for part in document_of(rich()).sums if part.kind is SumKind.DISCOUNT]
    assert (first.name, first.order, first.percent) == ("c0", 1, "12.5")
    assert (second.name, second.order, second.percent) == ("c1", 2, None)


def test_one_line_without_tax_has_no_subtotal_and_no_column_of_taxes():
    document = document_of(opened())
    assert [part.kind for part in document.sums] == [SumKind.TOTAL, SumKind.DUE]
    assert document.entries[0].tax_rate is None
    assert (document.kind, document.standing, document.amount) == (
        DocumentKind.INVOICE,
        Standing.OPEN,
        2900,
    )


def test_tax_that_is_included_counts_nothing():
    tax = TaxTerms(rules=(TaxRule(country="FR", rate="20", inclusive=True),))
    document = document_of(opened(line("1200"), tax=tax))
    assert [part.kind for part in document.sums] == [SumKind.TOTAL, SumKind.TAX_INCLUDED, SumKind.DUE]
    assert document.sums[1] == Sum(kind=SumKind.TAX_INCLUDED, amount=200, percent="20", base=1000)
    assert document.sums[0].amount == 1200


@pytest.mark.parametrize("note", ["reverse_charge", "exempt"])
def test_why_no_tax_is_due_is_said(note):
    invoice = opened(line(tax_note=note))
    invoice = replace(invoice, lines=tuple(replace(each, tax_note=note) for each in invoice.lines))
    document = document_of(invoice)
    assert document.tax_notes == (note,)
    assert sheet_of(document, "de").notes == (words_of("de").tax_notes[note],)


def test_what_was_paid_says_when_how_and_how_much_went_back():
    document = document_of(paid(opened(), refunded=900))
    payment, refund, remaining = document.sums[-3:]
    assert (payment.amount, payment.at, payment.name, payment.last4) == (-2900, NOW, "visa", "4242")
    assert (refund.kind, refund.amount) == (SumKind.REFUND, 900)
    assert (remaining.kind, remaining.amount) == (SumKind.REMAINING, 0)
    labels = [total.label for total in sheet_of(document, "en").totals[-3:]]
    assert labels == ["Paid on March 1, 2026, Visa ending in 4242", "Refunded of it", "Left to pay"]
    assert sheet_of(document, "en").headline == "$29.00 paid on March 1, 2026"


def test_a_payment_that_was_recorded_names_its_kind():
    document = document_of(paid(opened(), method=None, kind="transfer"))
    assert sheet_of(document, "de").totals[-2].label == "Bezahlt am 1. März 2026, Überweisung"


def test_what_a_bank_took_back_is_owed_again():
    invoice = replace(paid(opened()), status=InvoiceStatus.UNCOLLECTIBLE, amount_paid=900)
    sheet = sheet_of(document_of(invoice), "en")
    assert [(total.label, total.value) for total in sheet.totals[-2:]] == [
        ("Taken back by your bank", "$20.00"),
        ("Left to pay", "$20.00"),
    ]
    assert sheet.headline == "$20.00 due on March 1, 2026"


def test_part_of_it_given_up_leaves_the_rest_due():
    invoice = replace(opened(), credited=900)
    sheet = sheet_of(document_of(invoice), "en")
    assert sheet.headline == "$20.00 due on March 1, 2026"
    assert [(total.label, total.value) for total in sheet.totals[-2:]] == [
        ("Credited", "-$9.00"),
        ("Left to pay", "$20.00"),
    ]


@pytest.mark.parametrize(
    ("status", "stamp", "headline"),
    [
        (InvoiceStatus.DRAFT, "Draft", "$29.00, to be billed on March 1, 2026"),
        (InvoiceStatus.VOID, "Void", "This document is void"),
        (InvoiceStatus.UNCOLLECTIBLE, "", "$29.00 due on March 1, 2026"),
    ],
)
def test_how_it_stands(status, stamp, headline):
    sheet = sheet_of(document_of(replace(opened(), status=status)), "en")
    assert (sheet.stamp, sheet.headline) == (stamp, headline)
    assert ("Due date" in dict(sheet.facts)) == (status is not InvoiceStatus.DRAFT)
    assert any("not an invoice" in note for note in sheet.notes) == (status is InvoiceStatus.DRAFT)
    assert ("Amount due" in {total.label for total in sheet.totals}) == (status is not InvoiceStatus.VOID)


@pytest.mark.parametrize(
    ("status", "stamp"), [(InvoiceStatus.OPEN, "Test"), (InvoiceStatus.VOID, "Test · Storniert")]
)
def test_what_is_of_a_sandbox_is_marked(status, stamp):
    sheet = sheet_of(replace(document_of(replace(opened(), status=status)), is_test=True), "de")
    assert (sheet.stamp, sheet.notes[-1]) == (stamp, words_of("de").test_note)


def test_nothing_to_pay_is_said():
    invoice = opened(credits=(Credit(9900, "USD", NOW, "gift"),))
    sheet = sheet_of(document_of(invoice), "en")
    assert sheet.headline == "Nothing to pay"
    assert ("Account credit used", "-$29.00") in {(each.label, each.value) for each in sheet.totals}


def test_each_entry_has_its_sentence_and_the_subtotal_so_far():
    rows = sheet_of(document_of(rich()), "en").rows
    assert [row.title for row in rows] == ["Unused Pro", "Team, 11 of 31 days", "Calls"]
    assert rows[0].detail == "−11 ÷ 31 × $147.00"
    assert rows[1].detail.endswith("11 ÷ 31 × 7 × $59.00")
    assert [(row.quantity, row.rate, row.amount, row.running) for row in rows] == [
        ("", "20%", "-$52.16", "-$52.16"),
        ("7", "20%", "$146.55", "$94.39"),
        ("333", "20%", "$1.23", "$95.62"),
    ]


def test_parties_are_written_with_their_countries_names():
    sheet = sheet_of(document_of(opened()), "de")
    assert sheet.buyer == (
        "Ada Lovelace Ltd", "12 Analytical Row", "N1 7AA London", "Vereinigtes Königreich", "ada@example.com",
        "Steuer-ID: GB123456789",
    )  # fmt: skip
    english = sheet_of(document_of(opened()), "en")
    assert english.seller.count("Germany") == 1


def test_a_buyer_without_a_name_is_known_by_their_id():
    invoice = opened(buyer=Party())
    sheet = sheet_of(document_of(invoice), "en")
    assert sheet.buyer == ("",)
    assert dict(sheet.facts)["Customer"] == invoice.customer_id


@pytest.mark.parametrize(("country", "paper"), [("DE", "a4"), ("US", "letter"), ("", "a4")])
def test_the_sellers_country_decides_the_paper(country, paper):
    seller = Party(name="S", country=country)
    assert sheet_of(document_of(opened(seller=seller)), "en").paper == paper


def test_a_number_is_fit_for_a_files_name():
    assert sheet_of(document_of(opened(number="PER/2026 #1")), "en").file_name == "PER-2026-1.pdf"
    assert sheet_of(document_of(opened(number="")), "en").file_name == "draft.pdf"


@pytest.mark.parametrize(
    ("language", "due", "amount"),
    [
        ("en", "Amount due", "$1,234.50"),
        ("de-AT", "Zu zahlen", "$ 1.234,50"),
        ("fr", "Montant à payer", "1 234,50 $US"),
        ("es", "Amount due", "1.234,50 US$"),
        ("ar", "Amount due", "$1,234.50"),
    ],
)
def test_labels_in_three_languages_dates_and_amounts_in_all_that_can_be_shown(language, due, amount):
    total = sheet_of(document_of(opened(line("123450"))), language).totals[-1]
    assert (total.label, " ".join(total.value.split())) == (due, amount)


def test_every_language_fills_in_the_same_places():
    english = words_of("en")
    for language in ("de", "fr"):
        words = words_of(language)
        assert words is not english
        for name in Words.__slots__:
            theirs, ours = getattr(words, name), getattr(english, name)
            assert theirs, name
            if isinstance(ours, dict):
                assert theirs.keys() == ours.keys()
            else:
                assert _places(theirs) == _places(ours), name


def _places(text):
    return {part.partition("}")[0] for part in text.split("{")[1:]}


def test_what_is_too_small_to_charge_is_carried():
    invoice = opened(line("40"))
    carried = replace(invoice, carried_in=30, carried_out=70)
    found = amounts(document_of(carried))
    assert (found[SumKind.CARRIED_IN], found[SumKind.CARRIED_OUT], found[SumKind.DUE]) == (30, -70, 0)
