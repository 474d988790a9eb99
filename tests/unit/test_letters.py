"""One decision, at most one letter: the table of facts and templates, and every template as it reads."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from chalicelib.adapters.mail import render as rendering
from chalicelib.application.letters import letter_of
from chalicelib.application.mail import Addressee
from chalicelib.application.ports import Letter
from chalicelib.domain import ids, journal
from chalicelib.domain.catalog import Party
from chalicelib.domain.customer import Account, Customer, PaymentMethod
from chalicelib.domain.journal import CLOCK, Fact

AT = datetime(2026, 1, 31, 10, tzinfo=UTC)
CUSTOMER = ids.customer_id("letters")
SUBSCRIPTION = ids.child_id("sub", CUSTOMER, "1")
INVOICE = {
    "invoice": ids.child_id("inv", CUSTOMER, "1"), "number": "ABC-0001", "subscription": SUBSCRIPTION,
    "currency": "USD", "total": 2900, "amount_due": 2900, "status": "open",
    "period_start": "2026-01-31T10:00:00+00:00", "period_end": "2026-02-28T10:00:00+00:00",
}  # fmt: skip
PLAN = {"subscription": SUBSCRIPTION, "plan_name": "Pro", "period_end": "2026-02-28T10:00:00+00:00"}
PAYMENT = {"amount": 2900, "currency": "USD", "method": "4242"}


def fact(type_: str, **data) -> Fact:
    known = {
        "invoice.paid": INVOICE,
        "invoice.opened": INVOICE | {"due_at": "2026-02-14T10:00:00+00:00"},
        "invoice.overdue": INVOICE,
        "payment.failed": INVOICE | {"decline_code": "insufficient_funds", "decline_kind": "soft"},
        "payment.succeeded": PAYMENT,
        "payment.refunded": {
            "amount": 2900,
            "currency": "USD",
            "reason": "late_payment",
            "invoice": INVOICE["invoice"],
        },
        "credit_note.issued": INVOICE
        | {
            "credit_note_number": "ABC-CN-0001",
            "amount": 2900,
            "applied": 900,
            "credited": 1000,
            "refunded": 1000,
        },
        "payment.recorded": {"amount": 2900, "currency": "USD", "reference": "bank 7", "credited": 100},
    }.get(type_, PLAN)
    return Fact(type_, SUBSCRIPTION, {**known, **data})


def letter(*facts: Fact) -> Letter | None:
    entry = journal.entry(CUSTOMER, at=AT, actor=CLOCK, cause="why", facts=facts)
    found = letter_of("live", entry)
    assert found is None or found.id == entry.id
    return found


FAILED = {"decline_code": "insufficient_funds", "decline_kind": "soft", "mail": "reminder"}
ASKED = INVOICE | {"attempt": 1}
FREE = {"plan": "free", "plan_name": "Free"}
GRACE = {"grace_until": "2026-02-04T10:00:00+00:00"}
NEXT = {"next_attempt_at": "2026-02-02T10:00:00+00:00"}
SENT = {"collection_method": "send_invoice"}
CHARGED = {"collection_method": "charge_automatically"}
TABLE: list[tuple[tuple[Fact, ...], str | None]] = [
    ((fact("payment.succeeded"), fact("invoice.paid")), "receipt"),
    ((fact("payment.succeeded"), fact("invoice.paid"), fact("subscription.activated")), "receipt"),
    ((fact("payment.succeeded"), fact("invoice.paid"), fact("subscription.recovered")), "receipt"),
    ((fact("subscription.renewed"), fact("invoice.opened", **CHARGED)), None),
    ((fact("invoice.opened", status="paid", **CHARGED), fact("invoice.paid")), None),
    ((fact("subscription.renewed"), fact("invoice.opened", **SENT)), "invoice"),
    (
        (fact("subscription.created"), fact("invoice.opened", **SENT), fact("subscription.activated")),
        "invoice",
    ),
    ((fact("invoice.opened", status="paid", **SENT), fact("invoice.paid")), None),
    ((fact("invoice.overdue"),), "invoice_overdue"),
    ((fact("payment.failed", **NEXT), fact("subscription.past_due")), "payment_failed"),
    ((fact("payment.failed", **NEXT, decline_code="no_payment_method"),), "payment_missing"),
    ((fact("payment.failed"),), None),
    (
        (fact("payment.action_required", **ASKED, **NEXT, mail="confirm"), fact("subscription.past_due")),
        "payment_confirm",
    ),
    ((fact("payment.action_required", **ASKED),), None),
    ((fact("payment.canceled"),), None),
    ((fact("payment.failed", **NEXT, mail="reminder"),), "payment_failed"),
    (
        (fact("payment.failed", **NEXT, decline_kind="hard", decline_code="card_attempt_limit"),),
        "payment_failed",
    ),
    ((fact("payment.failed", **NEXT, mail="urgent"),), "payment_urgent"),
    ((fact("payment.failed", **NEXT, mail="urgent", decline_code="no_payment_method"),), "payment_urgent"),
    ((fact("payment.failed", **NEXT, mail="final", decline_kind="hard"),), "payment_final"),
    ((fact("payment.failed", **NEXT, mail="none"),), None),
    ((fact("payment.failed", **NEXT, mail="final", mail_at="2026-02-01T07:00:00+00:00"),), None),
    (
        (fact("subscription.letter_due", **INVOICE, **FAILED, **NEXT, about="payment.failed"),),
        "payment_failed",
    ),
    ((fact("payment.failed"), fact("subscription.unpaid", **INVOICE, mail="ended")), "unpaid"),
    ((fact("payment.failed"), fact("subscription.fell_back", **INVOICE, **FREE, mail="ended")), "fell_back"),
    ((fact("payment.failed"), fact("subscription.unpaid", **INVOICE, mail="none")), None),
    ((fact("subscription.canceled", reason="payment_failed", mail="none"),), None),
    (
        (fact("subscription.letter_due", reason="payment_failed", about="subscription.canceled"),),
        "canceled_unpaid",
    ),
    ((fact("subscription.grace_ended", **GRACE, mail="grace_ended"),), "grace_ended"),
    ((fact("subscription.grace_ended", **GRACE, mail="none"),), None),
    (
        (
            fact("payment.failed"),
            fact("subscription.canceled", reason="payment_failed"),
            fact("invoice.uncollectible"),
        ),
        "canceled_unpaid",
    ),
    ((fact("subscription.canceled", reason="too expensive"),), "canceled"),
    ((fact("subscription.canceled", reason="trial_lapsed"),), "trial_lapsed"),
    ((fact("subscription.trial_lapsed"), fact("subscription.activated")), "trial_fallen_back"),
    (
        (fact("subscription.cancellation_scheduled", at="2026-02-28T10:00:00+00:00"),),
        "cancellation_scheduled",
    ),
    ((fact("subscription.cancellation_undone"),), "cancellation_undone"),
    ((fact("subscription.win_back", reason="", ended_at="2026-01-24T10:00:00+00:00"),), "win_back"),
    ((fact("subscription.trial_extended", trial_end="2026-02-14T10:00:00+00:00"),), "trial_extended"),
    ((fact("subscription.trial_refused", reason="trial_email"),), "trial_refused"),
    (
        (
            fact(
                "subscription.trial_refused",
                reason="trial_card",
                amount_due=2900,
                currency="USD",
                release_at="2026-02-01T09:00:00+00:00",
            ),
            fact("invoice.opened", **CHARGED),
            fact("checkout.completed"),
        ),
        "trial_refused",
    ),
    ((fact("subscription.created"), fact("subscription.activated")), "welcome"),
    ((fact("subscription.trial_started", trial_end="2026-02-14T10:00:00+00:00"),), "trial_started"),
    (
        (fact("subscription.trial_will_end", trial_end="2026-02-14T10:00:00+00:00", days_left=3),),
        "trial_will_end",
    ),
    (
        (
            fact("subscription.trial_converted"),
            fact("subscription.activated"),
            fact("invoice.opened", **CHARGED),
        ),
        None,
    ),
    ((fact("payment.refunded"),), "refund"),
    ((fact("credit_note.issued", reason=""), fact("invoice.paid")), "credit_note"),
    ((fact("payment.refunded"), fact("credit_note.issued", reason="outage")), "credit_note"),
    (
        (
            fact("credit_note.issued"),
            fact(
                "subscription.canceled",
                reason="moving",
                currency="USD",
                unused_credited=100,
                unused_refunded=200,
            ),
        ),
        "canceled",
    ),
    ((fact("refund.failed", amount=2900, currency="USD", was_refunded=True),), "refund_failed"),
    ((fact("refund.failed", amount=2900, currency="USD", was_refunded=False),), None),
    ((fact("payment.recorded"), fact("invoice.paid")), "payment_received"),
    ((fact("subscription.expired"), fact("invoice.voided")), None),
    ((fact("payment_method.attached"),), None),
    ((fact("payment.processing"),), None),
    ((fact("something.new"),), None),
]


@pytest.mark.parametrize(("facts", "template"), TABLE)
def test_the_letter_of_a_decision(facts, template):
    found = letter(*facts)
    assert (found.template if found else None) == template


def addressee(**customer) -> Addressee:
    card = PaymentMethod(id="pm_1", last4="4242")
    return Addressee(
        customer=Customer(id=CUSTOMER, created_at=AT, email="ada@example.com", **customer),
        seller=Party(name="Perennial Demo Ltd"),
        account=Account(customer_id=CUSTOMER, payment_method=card),
        confirmation_url="https://billing.example/confirm?env=live&token=secret",
        document_url="https://billing.example/invoice?env=live&token=other",
    )


@pytest.mark.parametrize(
    "facts", [facts for facts, template in TABLE if template], ids=lambda facts: facts[-1].type
)
def test_every_letter_reads_whole(facts):
    """Subject of one line, a body, no placeholder left, and the same words in text and HTML."""
    mail = rendering.render(letter(*facts), addressee(name="Ada"))
    assert mail.subject
    assert "\n" not in mail.subject
    assert mail.text.startswith("Hello Ada,\n\n")
    assert mail.text.endswith("Perennial Demo Ltd")
    for text in (mail.subject, mail.text, mail.html):
        assert "{{" not in text
        assert "None" not in text
    body = mail.text.split("\n\n")[1]
    assert rendering._pages().from_string("{{ text }}").render(text=body) in mail.html
    assert "This is a test" not in mail.text


@pytest.mark.parametrize(
    ("facts", "page"),
    [
        ((fact("payment.succeeded"), fact("invoice.paid")), "/invoice?"),
        ((fact("invoice.opened", **SENT),), "/invoice?"),
        ((fact("invoice.overdue"),), "/invoice?"),
        ((fact("payment.action_required", **ASKED, **NEXT, mail="confirm"),), "/confirm?"),
        ((fact("payment.failed", **NEXT),), None),
    ],
    ids=lambda given: given if isinstance(given, str) else None,
)
def test_a_letter_leads_to_one_page_at_most(facts, page):
    mail = rendering.render(letter(*facts), addressee())
    for text in (mail.text, mail.html):
        assert text.count("https://billing.example") == (page is not None)
        assert page is None or f"https://billing.example{page}" in text


def test_every_template_is_some_decisions_letter():
    there = {file.stem for file in Path(rendering.__file__).parent.joinpath("templates").glob("*.txt")}
    assert there - {"letter"} == {template for _, template in TABLE if template}


def test_a_value_that_is_missing_is_an_error_and_not_a_gap():
    from jinja2 import UndefinedError

    broken = Letter(
        id="evt_1",
        env="live",
        customer_id=CUSTOMER,
        template="invoice_overdue",
        data={"happened_at": AT.isoformat()},
    )
    with pytest.raises(UndefinedError):
        rendering.render(broken, addressee())


def test_dates_are_the_customers_own():
    late = journal.entry(
        CUSTOMER,
        at=AT.replace(hour=23),
        actor=CLOCK,
        cause="x",
        facts=(fact("subscription.canceled", reason=""),),
    )
    mail = rendering.render(letter_of("live", late), addressee(zone="Pacific/Auckland", language="fr"))
    assert "1 février 2026" in mail.text
