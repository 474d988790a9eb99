"""The doctor: each fault planted is found, and put right only where the records prove how."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from chalicelib.application import books, metrics_report, metrics_rows
from chalicelib.application.clock import start_advance
from chalicelib.application.credit_notes import issue_credit_note
from chalicelib.application.feed import read_events
from chalicelib.application.records import LAYOUTS, key_of
from chalicelib.application.refunds import get_refund, refund_payment
from chalicelib.domain import ids
from chalicelib.domain.crediting import Wanted
from chalicelib.domain.customer import Claim, Customer
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.journal import JournalEntry
from chalicelib.domain.payment import AttemptStatus
from chalicelib.domain.refund import Refund
from chalicelib.domain.schedule import next_due
from chalicelib.domain.subscription import Subscription
from infra.ops.chart import Patient, scheduled
from infra.ops.doctor import environments, examine, repair
from infra.ops.processor import Received
from tests.infra.job_world import Jobs
from tests.scenario.world import World


class MemoryProcessor:
    """The gateway in memory, as the doctor sees Stripe."""

    def __init__(self, gateway: Any) -> None:
        self._gateway = gateway

    def received(self, since: datetime) -> Iterator[Received]:
        for payment in self._gateway.charges():
            yield Received(
                reference=payment.reference, env=payment.request.env, invoice_id=payment.request.invoice_id,
                currency=payment.currency, amount=payment.amount, refunded=payment.refunded,
            )  # fmt: skip


class Ward:
    """A world that has lived three months, projected; `findings` is what the doctor says of it, by check."""

    def __init__(self) -> None:
        self.world: Any = World()
        self.jobs = Jobs(self.world)
        self.subscription = self.world.subscribe(
            self.world.customer("pm_card_visa"), "pro", trial_days=0, quantity=2
        )
        self.world.subscribe(self.world.customer("pm_card_visa"), "starter", currency="EUR")
        declined = self.world.customer("pm_card_visa")
        self.world.subscribe(declined, "pro", trial_days=0)
        self.world.card(declined, "pm_card_chargeCustomerFail")
        self.world.advance(days=75)
        self.jobs.project()
        self.pauses = 0

    def look(self) -> Patient:
        parts = self.world.parts
        return Patient(
            env=self.world.env, store=parts.store, ops=parts.ops, queues=parts.queues,
            processor=MemoryProcessor(parts.gateway), now=self.world.now, machine_now=self.world.machine,
            since=self.world.machine - timedelta(days=30),
            claims=lambda: iter(parts.store.records(Claim)),
        )  # fmt: skip

    def examine(self) -> Any:
        def pause() -> None:
            self.pauses += 1

        return examine(self.look, pause)

    def findings(self) -> dict[str, list[str]]:
        return {each.name: [f.text for f in each.findings] for each in self.examine() if each.findings}

    def repair(self) -> list[tuple[str, bool]]:
        return [(said, done) for _, said, done in repair(self.examine())]

    def invoice(self, status: str = "paid") -> Invoice:
        found: list[Invoice] = self.world.parts.store.records(Invoice)
        return next(invoice for invoice in found if invoice.status == status)


@pytest.fixture
def ward() -> Ward:
    return Ward()


def unindexed(ward: Ward, record: Any) -> None:
    """As if the index had lost the row."""
    store, key = ward.world.parts.store, key_of(ward.world.env, record)
    store._due.drop((key.pk, key.sk))


def test_a_well_installation(ward: Ward) -> None:
    reports = ward.examine()
    assert [report.name for report in reports] == [
        "records", "feed", "ledger", "metrics", "invoices", "processor", "schedule", "stuck", "claims",
        "usage",
    ]  # fmt: skip
    assert ward.findings() == {}
    assert ward.pauses == 0
    said = {report.name: report.said for report in reports}
    assert said["records"].startswith("3 ")
    assert int(said["ledger"].split()[0]) >= 10
    assert int(said["processor"].split()[0]) == len(ward.world.parts.gateway.charges()) >= 4
    assert int(said["schedule"].split()[0]) >= 2


def test_what_passes_by_itself_is_no_finding(ward: Ward) -> None:
    """Between the two looks the projector catches up."""
    ward.world.advance(days=30)
    reports = examine(ward.look, ward.jobs.project)
    assert not [finding for report in reports for finding in report.findings]


def test_a_missing_row_of_the_due_index_is_written_again(ward: Ward) -> None:
    subscription = ward.world.reload(ward.subscription)
    unindexed(ward, subscription)
    ((check, texts),) = ward.findings().items()
    assert check == "schedule"
    assert subscription.id in texts[0]
    assert "has no row" in texts[0]
    assert ward.repair() == [(f"wrote {subscription.id} unchanged, and its row in the due index", True)]
    after = ward.world.reload(ward.subscription)
    assert after == replace(subscription, version=subscription.version + 1)
    assert ward.findings() == {}
    ward.world.advance(days=30)
    assert ward.world.reload(ward.subscription).cycle == subscription.cycle + 1


def test_a_record_that_is_written_meanwhile_is_left_alone(ward: Ward) -> None:
    subscription = ward.world.reload(ward.subscription)
    unindexed(ward, subscription)
    reports = ward.examine()
    ward.world.edit(subscription)
    ((_, said, _),) = repair(reports)
    assert "meanwhile" in said
    assert ward.findings() == {}


def test_what_nobody_did_in_time_is_enqueued(ward: Ward) -> None:
    overdue = ward.world.reload(ward.subscription)
    later = ward.world.now + timedelta(days=40)

    def look() -> Patient:
        return replace(Ward.look(ward), now=later)

    reports = examine(look, lambda: None)
    (schedule,) = [report for report in reports if report.findings]
    assert schedule.name == "schedule"
    assert any(f"{overdue.id} has wanted renewal since" in each.text for each in schedule.findings)
    done = list(repair(reports))
    assert len(ward.world.parts.queues.due_rows) == len(done) == len(schedule.findings)


def test_lost_stream_records_are_published_with_their_mail(ward: Ward) -> None:
    before = len(read_events(ward.world.parts.ops, ward.world.env, limit=1000).events)
    ward.world.advance(days=30)
    ward.world.parts.queues.letters.clear()
    lost = len(ward.world.journal()) - ward.jobs.projected
    assert lost >= 2
    found = ward.findings()
    assert len(found["feed"]) == lost
    assert found["ledger"] == ["the books are not the sum of the journal"]
    done = ward.repair()
    assert all(repaired for _, repaired in done)
    assert ward.findings() == {}
    assert len(read_events(ward.world.parts.ops, ward.world.env, limit=1000).events) > before
    assert [letter.template for letter in ward.world.parts.queues.letters]


def test_books_that_drifted_are_counted_anew(ward: Ward) -> None:
    ops, env = ward.world.parts.ops, ward.world.env
    month = books.read_books(ops, env)[0].name
    ops.put(books.books_key(env), month, {"ledger": {"USD": {"cash": 1}}, "mrr": {}})
    assert ward.findings() == {"ledger": ["the books are not the sum of the journal"]}
    assert ward.repair() == [(f"counted {month} anew", True)]
    assert ward.findings() == {}


def test_metrics_that_drifted_or_lost_a_row_are_made_anew(ward: Ward) -> None:
    ops, env = ward.world.parts.ops, ward.world.env
    (month, *_) = metrics_report.read_months(ops, env, until="9999-12")
    ops.put(metrics_report.metrics_key(env), month.name, {"rows": []})
    assert ward.findings() == {"metrics": ["the metrics are not the sum of the journal"]}
    assert ward.repair() == [(f"made the metrics anew: {month.name}", True)]
    assert ward.findings() == {}
    (row, *_) = ops.query(metrics_rows.rows_key(env))
    ops.delete(row.pk, row.sk)
    ((said,),) = ward.findings().values()
    assert "not listed" in said
    assert ward.repair() == [("made the metrics anew: rows", True)]
    assert ward.findings() == {}


def test_books_are_not_counted_while_something_is_unpublished(ward: Ward, monkeypatch: Any) -> None:
    ops, env = ward.world.parts.ops, ward.world.env
    month = books.read_books(ops, env)[0].name
    ops.put(books.books_key(env), month, {"ledger": {}, "mrr": {}})
    reports = ward.examine()
    ward.world.advance(days=30)
    ((_, said, done),) = repair(reports)
    assert (done, "not everything is published" in said) == (False, True)


def test_books_that_move_meanwhile_are_left_alone(ward: Ward, monkeypatch: Any) -> None:
    ops, env = ward.world.parts.ops, ward.world.env
    month = books.read_books(ops, env)[0].name
    wrong = {"ledger": {"USD": {"cash": 1}}, "mrr": {}}
    ops.put(books.books_key(env), month, wrong)
    reports = ward.examine()
    replace_ = ops.replace
    monkeypatch.setattr(ops, "replace", lambda document, data: replace_(replace(document, version=99), data))
    ((_, said, done),) = repair(reports)
    assert (done, "being written" in said) == (False, True)
    assert ops.get(books.books_key(env), month).data == wrong


def test_a_payment_that_the_processor_does_not_have_is_told_and_left(ward: Ward) -> None:
    gateway = ward.world.parts.gateway
    payment = gateway.charges()[0]
    del gateway.payments[payment.reference]
    ((check, (text,)),) = ward.findings().items()
    assert check == "processor"
    assert payment.reference in text
    assert "has not received" in text
    assert ward.repair() == []


def test_money_of_the_processors_that_we_do_not_note(ward: Ward) -> None:
    payment = ward.world.parts.gateway.charges()[0]
    twin = replace(payment, reference="pi_twin")
    ward.world.parts.gateway.payments["pi_twin"] = twin
    ((check, (text,)),) = ward.findings().items()
    assert check == "processor"
    assert text.startswith(f"{payment.request.invoice_id} does not note pi_twin")
    assert ward.repair() == []


def test_a_cent_that_differs(ward: Ward) -> None:
    payment = ward.world.parts.gateway.charges()[0]
    payment.amount += 1
    ((check, (text,)),) = ward.findings().items()
    assert check == "processor"
    assert f"notes {payment.amount - 1} less 0" in text
    assert ward.repair() == []


def test_refunds_pending_failed_and_of_late_money_are_no_finding(ward: Ward) -> None:
    world = ward.world
    slow = world.subscribe(world.customer("pm_card_pendingRefund"), "pro", trial_days=0)
    refund_payment(world.ctx(), world.invoices(slow)[0].payments[0].id, amount=500)
    late = world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
    world.parts.gateway.behave(world.account(late.customer_id).payment_method.id, "generic_decline")
    world.advance(days=31)
    world.parts.gateway.settle(world.invoices(late)[-1].attempts[0].reference)
    ward.jobs.apply_notices(world.parts.gateway.notices)
    returned = next(iter(world.parts.gateway.refunds.values()))
    world.parts.gateway.settle_refund(list(world.parts.gateway.refunds)[-1], "failed")
    ward.jobs.apply_notices(world.parts.gateway.notices)
    assert returned.result.status == "pending"
    assert world.account(late.customer_id).credits
    ward.jobs.project()
    assert ward.findings() == {}


def test_a_credit_note_whose_refund_is_pending_is_no_finding_and_a_gap_is(ward: Ward) -> None:
    world = ward.world
    slow = world.subscribe(world.customer("pm_card_pendingRefund"), "pro", trial_days=0)
    invoice = world.invoices(slow)[0].id
    note = issue_credit_note(world.ctx(), invoice, Wanted(amount=500, refund=300))
    assert get_refund(world.ctx(), note.refunds[0]).is_open
    ward.jobs.project()
    assert ward.findings() == {}
    world.edit(note, sequence=7)
    ((check, (text,)),) = ward.findings().items()
    assert (check, text) == ("invoices", f"{slow.customer_id}: credit notes are numbered [7]")


def test_a_refund_on_its_way_is_none_that_differs(ward: Ward) -> None:
    """The processor counts it from its first day, we from its last."""
    charge = ward.world.parts.gateway.charges()[0]
    charge.refunded = 57
    ((check, (text,)),) = ward.findings().items()
    assert check == "processor"
    assert text.endswith(f"the processor {charge.amount} less 57 {charge.currency} as {charge.reference}")
    invoice = next(
        each for each in ward.world.parts.store.records(Invoice) if each.id == charge.request.invoice_id
    )
    ward.world.edit(invoice, payments=(replace(invoice.payments[0], refunding=57),))
    assert ward.findings() == {}


def test_a_refund_without_an_answer(ward: Ward) -> None:
    invoice, written = ward.invoice(), ward.world.machine - timedelta(hours=3)
    refund = Refund(
        id=ids.child_id("ref", invoice.customer_id, "r1"), customer_id=invoice.customer_id,
        payment_id=invoice.payments[0].id, amount=1, currency=invoice.currency, at=ward.world.now,
        written_at=written, look_at=ward.world.now + timedelta(hours=1),
    )  # fmt: skip
    ward.world.parts.store.commit(ward.world.env, refund)
    (text,) = ward.findings()["stuck"]
    assert text == f"{refund.id} of {refund.payment_id} has no outcome since {written.isoformat()}"
    assert ward.repair() == []


def test_an_invoice_that_says_more_than_its_payments(ward: Ward) -> None:
    invoice = ward.invoice()
    ward.world.edit(invoice, amount_paid=invoice.amount_paid - 100)
    found = ward.findings()
    assert found["invoices"] == [
        f"{invoice.id} says that {invoice.amount_paid - 100} was paid, its payments say {invoice.amount_paid}",
        f"{invoice.id} is paid with 100 {invoice.currency} remaining",
    ]
    assert ward.repair() == []


def test_a_payment_without_its_posting(ward: Ward) -> None:
    invoice = ward.invoice()
    payment = replace(invoice.payments[0], amount=invoice.payments[0].amount + 7)
    ward.world.edit(invoice, payments=(payment,))
    found = ward.findings()
    assert f"{invoice.customer_id}: cash booked and money received" in found["ledger"][0]
    assert "processor" in found
    assert ward.repair() == []


def test_invoice_numbers_with_a_gap(ward: Ward) -> None:
    invoice = ward.invoice()
    ward.world.edit(invoice, sequence=77)
    (text,) = ward.findings()["invoices"]
    assert invoice.customer_id in text
    assert "77" in text


def test_an_attempt_that_nobody_will_look_up(ward: Ward) -> None:
    invoice = ward.invoice()
    hanging = replace(
        invoice.attempts[-1],
        status=AttemptStatus.IN_FLIGHT,
        written_at=ward.world.machine - timedelta(days=2),
    )
    ward.world.edit(
        invoice, status=InvoiceStatus.OPEN, attempts=(*invoice.attempts[:-1], hanging), collect_at=None
    )
    (text,) = ward.findings()["stuck"]
    assert text.startswith(f"{invoice.id} attempt 1 has no outcome since")
    assert text.endswith("nothing will look it up")
    assert (f"enqueued collect of {invoice.id}", True) in ward.repair()
    assert [row.kind for row in ward.world.parts.queues.due_rows] == ["collect"]


def test_an_advance_that_nobody_drives(ward: Ward) -> None:
    advance = start_advance(ward.world.ctx(), ward.world.parts.ops, ward.world.now + timedelta(days=1))
    ward.world.machine += timedelta(days=1)
    assert ward.findings()["stuck"] == [f"{advance.id} is driven by nobody"]
    assert ward.repair() == [(f"woke {advance.id}", True)]
    assert ward.world.parts.queues.advances == [(ward.world.env, advance.id)]


def test_a_customer_that_cannot_be_read_does_not_hide_the_others(ward: Ward, monkeypatch: Any) -> None:
    store = ward.world.parts.store
    children = store.children

    def broken(type_: Any, env: str, customer: str, **how: Any) -> Any:
        if customer == ward.subscription.customer_id and type_ is Invoice:
            raise ValueError("canary")
        return children(type_, env, customer, **how)

    monkeypatch.setattr(store, "children", broken)
    found = ward.findings()
    assert found["records"] == [f"{ward.subscription.customer_id} cannot be read: ValueError"]
    assert not [text for texts in found.values() for text in texts if "canary" in text]


def test_an_event_that_no_journal_knows_and_one_that_lost_its_mark(ward: Ward) -> None:
    ops, env = ward.world.parts.ops, ward.world.env
    entry: JournalEntry = ward.world.journal()[0]
    ops.delete(f"seen#{env}#{entry.id}")
    assert ward.findings() == {"feed": [f"{entry.id} has only one of its mark and its events in the feed"]}
    assert ward.repair() == []


def test_a_claim_whose_owner_is_gone_is_told_and_left(ward: Ward) -> None:
    store, env = ward.world.parts.store, ward.world.env
    store.commit(env, Claim(kind="trial_card", value="canary", owner="cus_gone", at=ward.world.now))
    store.commit(env, Claim(kind="usage", value="evt", owner="evt_elsewhere", at=ward.world.now))
    (text,) = ward.findings()["claims"]
    assert text == "a claim of kind trial_card belongs to cus_gone, who is not there"
    assert ward.repair() == []


def test_an_external_id_that_lost_its_claim(ward: Ward) -> None:
    store = ward.world.parts.store
    first, second = store.records(Customer)[:2]
    ward.world.edit(first, external_id="crm-1")
    assert ward.findings() == {"claims": [f"{first.id} has not claimed its external id"]}
    assert ward.repair() == [(f"claimed the external id of {first.id}", True)]
    assert ward.findings() == {}
    ward.world.edit(second, external_id="crm-1")
    assert ward.findings() == {"claims": [f"{second.id} has not claimed its external id"]}
    ((said, done),) = ward.repair()
    assert (done, "another customer has claimed" in said) == (False, True)


def test_everything_with_an_instant_is_looked_at() -> None:
    """A new record that falls due is checked without anybody thinking of the doctor."""
    assert set(scheduled()) == {type_ for type_ in LAYOUTS if type_ in next_due.registry}
    assert Subscription in scheduled()


def test_live_and_every_sandbox() -> None:
    ward = Ward()
    parts = ward.world.parts
    assert [each.id for each in environments(parts.store, parts.ops)] == []
    parts.ops.create("environments", ward.world.env, {})
    assert [each.id for each in environments(parts.store, parts.ops)] == [ward.world.env]
