"""On paper as in the books: for any invoice the printed sums lead from its entries to what is due."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.adjustments import credit_line
from chalicelib.domain.customer import Credit
from chalicelib.domain.discount import Coupon, Redemption
from chalicelib.domain.document import SumKind
from chalicelib.domain.invoice_document import document_of
from chalicelib.domain.proration import Parts
from chalicelib.domain.tax import TaxTerms
from chalicelib.domain.tax_rates import TaxRule
from chalicelib.entrypoints.printing import sheet_of
from tests.documents import NOW, line, opened, paid

LINES = st.lists(
    st.tuples(st.integers(0, 200_000), st.integers(0, 50), st.integers(1, 31)), min_size=1, max_size=6
).map(
    lambda drawn: [
        line(str(amount), quantity, f"Line {index}", numerator=days, denominator=31)
        for index, (amount, quantity, days) in enumerate(drawn)
    ]
)
COUPONS = st.lists(
    st.one_of(
        st.sampled_from(["5", "12.5", "33.33", "100"]).map(lambda percent: {"percent": percent}),
        st.integers(1, 100_000).map(lambda amount: {"amount": amount, "currency": "USD"}),
    ),
    max_size=3,
).map(
    lambda terms: tuple(
        Redemption(coupon=Coupon(id=f"c{index}", **each), at=NOW) for index, each in enumerate(terms)
    )
)
TAXES = st.one_of(
    st.just(TaxTerms()),
    st.builds(
        lambda rate, inclusive: TaxTerms(rules=(TaxRule(country="FR", rate=rate, inclusive=inclusive),)),
        st.sampled_from(["0", "5.5", "20"]),
        st.booleans(),
    ),
)
COUNTED = {
    SumKind.DISCOUNT,
    SumKind.TAX,
    SumKind.CREDIT_GRANTED,
    SumKind.CREDIT_APPLIED,
    SumKind.CARRIED_IN,
    SumKind.CARRIED_OUT,
}


@given(LINES, COUPONS, TAXES, st.integers(0, 50_000), st.integers(0, 200_000), st.booleans())
def test_the_printed_sums_come_to_what_is_due(lines, coupons, tax, credit, returned, settled):
    if returned:
        billed = line(str(returned), 1, "Billed before")
        lines.append(
            credit_line(billed, Parts(7, 31), id_="back", invoice_id="inv_1", description="Given back")
        )
    credits = (Credit(credit, "USD", NOW, "gift"),) if credit else ()
    invoice = opened(*lines, redemptions=coupons, tax=tax, credits=credits)
    invoice = paid(invoice) if settled and invoice.amount_due else invoice
    document = document_of(invoice)
    amounts = {part.kind: part.amount for part in document.sums}
    entries = sum(entry.amount for entry in document.entries)
    counted = sum(part.amount for part in document.sums if part.kind in COUNTED)
    assert amounts.get(SumKind.SUBTOTAL, entries) == entries
    assert entries + counted == amounts[SumKind.DUE] == invoice.amount_due
    assert amounts[SumKind.TOTAL] == invoice.total
    if SumKind.PAYMENT in amounts:
        assert amounts[SumKind.DUE] + amounts[SumKind.PAYMENT] == amounts[SumKind.REMAINING] == 0
    sheet = sheet_of(document, "de")
    assert len(sheet.rows) == len(invoice.lines)
    assert sheet.rows[-1].running == sheet.totals[0].value or SumKind.SUBTOTAL not in amounts
