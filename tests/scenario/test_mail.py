"""Which letters a customer gets over a subscription's life, each once and none against the facts."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from html import escape

import pytest

from chalicelib.application import document_links
from chalicelib.application.mail import LEASE, send_letter
from chalicelib.application.records import environment_key
from chalicelib.domain.customer import CollectionMethod, Terms
from chalicelib.domain.environment import LIVE
from chalicelib.domain.errors import ConflictError
from tests.infra.job_world import Jobs
from tests.scenario.world import World


@pytest.fixture
def world():
    return World(start="2026-01-31T10:00")


@pytest.fixture
def jobs(world):
    return Jobs(world)


def letters(jobs: Jobs) -> list[str]:
    """Subjects of what went out since the last look, after projecting the journal and working the queue."""
    jobs.project()
    assert jobs.mail() == []
    subjects = [sent.subject for sent in jobs.mailer.sent]
    jobs.mailer.sent.clear()
    return subjects


def number(world, owner, index: int = -1) -> str:
    return world.invoices(owner)[index].number


def test_a_paid_life(world, jobs):
    sub = world.subscribe(world.customer("pm_card_visa", name="Ada"), "pro", trial_days=0)
    assert letters(jobs) == [f"Welcome to Pro: your receipt {number(world, sub)}"]
    world.advance(days=28)
    assert letters(jobs) == [f"Your receipt {number(world, sub)}"]
    from chalicelib.application import subscriptions

    subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=True, reason="")
    assert letters(jobs) == ["Pro ends on March 31, 2026"]
    subscriptions.undo_cancellation(world.ctx(), sub.id)
    assert letters(jobs) == ["Pro goes on"]
    subscriptions.cancel_subscription(world.ctx(), sub.id, at_period_end=True, reason="")
    world.advance(days=60)
    assert letters(jobs) == [
        "Pro ends on March 31, 2026",
        "Pro has ended",
        "Pro is here when you want it back",
    ]


def test_a_receipt_and_an_invoice_lead_to_the_document(world, jobs):
    charged = world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
    sent = world.subscribe(
        world.customer(terms=Terms(method=CollectionMethod.SEND_INVOICE, net_days=14)), "pro", trial_days=0
    )
    jobs.project()
    assert jobs.mail() == []
    wanted = [document_links.link_to(world.ctx(), world.invoices(each)[-1].id) for each in (charged, sent)]
    mails = sorted(jobs.mailer.sent, key=lambda mail: "receipt" not in mail.subject)
    for link, mail in zip(wanted, mails, strict=True):
        assert f"Download the invoice as PDF: {link}\n" in mail.text
        assert f'href="{escape(link)}"' in mail.html


def test_a_failed_payment_and_what_follows(world, jobs):
    customer = world.customer("pm_card_visa")
    sub = world.subscribe(customer, "pro", trial_days=0)
    letters(jobs)
    world.parts.gateway.behave(world.account(customer).payment_method.id, "insufficient_funds")
    world.advance(days=28)
    jobs.project()
    jobs.mail()
    (failed,) = jobs.mailer.sent
    assert failed.subject == "We could not collect $29.00 for Pro"
    assert "We will try again on March 2, 2026." in failed.text
    jobs.mailer.sent.clear()
    world.parts.gateway.behave(world.account(customer).payment_method.id, "ok")
    world.advance(days=3)
    assert letters(jobs) == [f"Your receipt {number(world, sub)}"]


def test_a_dunning_run_to_its_end_says_each_step_and_the_end_once(world, jobs):
    customer = world.customer("pm_card_visa")
    world.subscribe(customer, "pro", trial_days=0)
    letters(jobs)
    world.parts.gateway.behave(world.account(customer).payment_method.id, "insufficient_funds")
    world.advance(days=60)
    ended = ["Pro has ended", "Pro is here when you want it back"]
    assert letters(jobs) == ["We could not collect $29.00 for Pro"] * 4 + ended


def test_a_hard_decline_asks_for_another_card(world, jobs):
    customer = world.customer("pm_card_visa")
    world.subscribe(customer, "pro", trial_days=0)
    letters(jobs)
    world.parts.gateway.behave(world.account(customer).payment_method.id, "hard")
    world.advance(days=28)
    jobs.project()
    jobs.mail()
    (failed,) = jobs.mailer.sent
    assert "another payment method" in failed.text
    assert "when we try for the last time" in failed.text


def test_a_first_payment_that_fails_is_not_written_about(world, jobs):
    from chalicelib.domain.errors import PaymentDeclinedError

    with pytest.raises(PaymentDeclinedError):
        world.subscribe(world.customer("pm_card_chargeCustomerFail"), "pro", trial_days=0)
    assert "payment.failed" in world.facts()
    assert letters(jobs) == []
    world.advance(days=2)
    assert letters(jobs) == []


def test_a_trial_with_a_card_and_one_without(world, jobs):
    world.subscribe(world.customer("pm_card_visa"), "pro")
    assert letters(jobs) == ["Your trial of Pro has begun"]
    world.advance(days=20)
    subjects = letters(jobs)
    assert subjects[:3] == [
        "Your trial of Pro ends on February 14, 2026",
        "Your trial of Pro ends tomorrow",
        "Your trial of Pro ends today",
    ]
    assert [subject.partition(" receipt")[0] for subject in subjects[3:]] == ["Your"]


def test_a_free_plan_and_one_on_invoice(world, jobs):
    world.subscribe(world.customer(), "free")
    assert letters(jobs) == ["Welcome to Free"]
    terms = Terms(method=CollectionMethod.SEND_INVOICE, net_days=14)
    sub = world.subscribe(world.customer(), "pro", trial_days=0, terms=terms)
    assert letters(jobs) == [f"Invoice {number(world, sub)}: $29.00 due February 14, 2026"]
    world.advance(days=16)
    assert letters(jobs) == [f"Invoice {number(world, sub)} is overdue"]


def test_one_letter_per_decision_however_often_anything_is_delivered(world, jobs):
    for _ in range(4):
        world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
    world.advance(days=65)
    jobs.project()
    jobs.deliver(world.journal())
    jobs.deliver(world.journal())
    queued = list(world.parts.queues.letters)
    assert len(queued) == 36
    jobs.mail()
    world.parts.queues.letters.extend(queued)
    jobs.mail()
    assert Counter(sent.reference for sent in jobs.mailer.sent) == Counter({letter.id for letter in queued})
    assert len(jobs.mailer.sent) == 12


class Dying:
    """A mail service that fails, and one that takes the mail while the process dies."""

    def __init__(self, error: BaseException) -> None:
        self.error: BaseException | None = error
        self.sent: list[str] = []

    def send(self, *, reference: str, **mail: str) -> None:
        if self.error is not None:
            error, self.error = self.error, None
            raise error
        self.sent.append(reference)


def test_a_failed_delivery_is_tried_again_at_once(world, jobs):
    world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
    jobs.project()
    (letter,) = world.parts.queues.letters
    jobs.mailer = Dying(ConnectionError())
    assert len(jobs.mail()) == 1
    world.parts.queues.letters.append(letter)
    assert jobs.mail() == []
    assert jobs.mailer.sent == [letter.id]


def test_a_letter_claimed_by_a_dead_process_goes_out_when_its_lease_has_run_out(world, jobs):
    world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
    jobs.project()
    (letter,) = world.parts.queues.letters
    pk = f"mail#{letter.env}#{letter.id}"
    world.parts.ops.create(pk, "0", {"lease": (world.machine + LEASE).isoformat()})
    with pytest.raises(ConflictError):
        send(world, jobs, letter)
    world.machine += LEASE + timedelta(seconds=1)
    assert send(world, jobs, letter)
    assert not send(world, jobs, letter)
    assert len(jobs.mailer.sent) == 1


def send(world, jobs, letter) -> bool:
    from chalicelib.adapters.mail.render import render

    return send_letter(world.ctx(), world.parts.ops, jobs.mailer, render, letter)


def test_in_live_a_letter_that_things_have_moved_past_is_not_sent():
    world = World(env=LIVE, start="2026-11-20T12:00")
    jobs = Jobs(world)
    world.machine = datetime(2026, 11, 20, 12, tzinfo=UTC)
    customer = world.customer("pm_card_visa")
    world.subscribe(customer, "pro", trial_days=0)
    letters(jobs)
    world.parts.gateway.behave(world.account(customer).payment_method.id, "insufficient_funds")
    world.advance(days=30)
    world.parts.gateway.behave(world.account(customer).payment_method.id, "ok")
    world.advance(days=3)
    subjects = letters(jobs)
    assert [subject[:12] for subject in subjects] == ["Your receipt"]
    assert world.parts.store.get(environment_key(LIVE))


def test_money_and_dates_as_the_customer_writes_them(world, jobs):
    for language, currency, zone, amount, day in [
        ("de", "EUR", "Europe/Berlin", "27,00\xa0€", "31. Januar 2026"),
        ("ja", "JPY", "Asia/Tokyo", "￥4,300", "2026年1月31日"),
        ("xx", "GBP", "Pacific/Auckland", "£24.00", "January 31, 2026"),
    ]:
        customer = world.customer("pm_card_visa", language=language, zone=zone)
        world.subscribe(customer, "pro", currency=currency, trial_days=0)
        jobs.project()
        jobs.mail()
        sent = jobs.mailer.sent.pop()
        assert day in sent.text, sent.text
        assert amount in sent.text, sent.text


def test_what_a_customer_wrote_cannot_become_markup(world, jobs):
    world.subscribe(world.customer("pm_card_visa", name="<script>{{ 7*7 }}</script>"), "pro", trial_days=0)
    jobs.project()
    jobs.mail()
    (sent,) = jobs.mailer.sent
    assert "<script>" not in sent.html
    assert "&lt;script&gt;{{ 7*7 }}" in sent.html
    assert "This is a test" in sent.html


def test_billing_mail_goes_to_the_billing_address(world, jobs):
    customer = world.customer("pm_card_visa", billing_email="books@example.com")
    world.subscribe(customer, "pro", trial_days=0)
    jobs.project()
    jobs.mail()
    assert [sent.to for sent in jobs.mailer.sent] == ["books@example.com"]


def test_a_projector_that_dies_loses_no_letter(world, jobs, monkeypatch):
    world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)

    def die(writes):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(world.parts.ops, "transact", die)
        with pytest.raises(KeyboardInterrupt):
            jobs.deliver(world.journal())
    assert len(letters(jobs)) == 1
