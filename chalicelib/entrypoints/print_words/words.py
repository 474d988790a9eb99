"""What there is to say on printed documents."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """Texts in braces are filled in."""

    invoice: str
    credit_note: str
    draft: str
    test: str
    void: str
    number: str
    about: str
    issued: str
    due: str
    period: str
    customer: str
    bill_to: str
    tax_id: str
    headline_draft: str
    headline_open: str
    headline_paid: str
    headline_void: str
    headline_settled: str
    headline_credited: str
    description: str
    quantity: str
    tax_rate: str
    amount: str
    subtotal: str
    coupon: str
    tax: str
    tax_included: str
    credit_granted: str
    total: str
    credit_applied: str
    carried_in: str
    carried_out: str
    amount_due: str
    paid: str
    ending: str
    refunded: str
    taken_back: str
    returned: str
    given_up: str
    remaining: str
    credited_total: str
    applied: str
    to_account: str
    to_payer: str
    carried: str
    brought: str
    page: str
    draft_note: str
    test_note: str
    tax_notes: dict[str, str]
    methods: dict[str, str]
