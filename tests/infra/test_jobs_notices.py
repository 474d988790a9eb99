"""Webhooks that come twice, late, in any order or never: the state in the end is the same."""

from __future__ import annotations

import hashlib
import hmac
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import permutations

import pytest

from chalicelib.adapters.codec import dumps, encode
from chalicelib.adapters.memory.fakes import MemoryQueues
from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.adapters.memory.store import MemoryStore
from chalicelib.adapters.stripe.errors import MalformedNoticeError
from chalicelib.adapters.stripe.webhook import notice_of
from chalicelib.application import reconcile, refunds
from chalicelib.application.notices import apply_notice
from chalicelib.application.ports import ProcessorNotice
from chalicelib.application.records import child_key, environment_key
from chalicelib.domain.errors import ForbiddenError, GatewayUnavailableError
from chalicelib.domain.journal import PROCESSOR, Actor
from chalicelib.domain.subscription import Subscription
from tests.infra.job_world import Jobs
from tests.scenario.world import Parts, World, assert_books


@pytest.fixture
def world():
    made = World(start="2026-01-31")
    made.parts.ops.create("environments", made.env, {"name": "world"})
    made.parts.gateway.now = lambda: made.machine
    return made


@pytest.fixture
def jobs(world):
    return Jobs(world)


def left_in_the_air(world: World):
    """A renewal that was charged while its answer and its look-up were lost."""
    sub = world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
    world.parts.gateway.script(["lost_after_charge"] * 4)
    world.parts.gateway.script(["unavailable"] * 4, on="find_charge")
    world.advance(days=28)
    world.facts()
    invoice = world.invoices(sub)[-1]
    assert invoice.attempt.status == "in_flight"
    return sub, invoice


def processor(ctx):
    return replace(ctx, actor=PROCESSOR)


def test_a_lost_answer_is_settled_by_the_webhook_once_however_often_it_comes(world, jobs):
    sub, invoice = left_in_the_air(world)
    notices = [notice for notice in world.parts.gateway.notices if notice.invoice_id == invoice.id]
    assert jobs.apply_notices(notices * 3) == []
    assert jobs.apply_notices(notices) == []
    world.expect("payment.succeeded", "invoice.paid")
    assert world.invoices(sub)[-1].status == "paid"
    assert len(world.parts.gateway.charges(invoice.id)) == 1
    assert world.journal()[-1].actor == Actor(PROCESSOR.kind, notices[0].id)
    assert_books(world)


class Counting:
    """Counts the reads of a store."""

    def __init__(self, store) -> None:
        self._store, self.reads = store, Counter()

    def __getattr__(self, name):
        if name in ("get", "get_many", "children", "due", "listing"):
            self.reads[name] += 1
        return getattr(self._store, name)


def test_a_webhook_for_what_is_settled_costs_one_read_and_no_call(world):
    sub = world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
    world.advance(days=40)
    calls = Counter(world.parts.gateway.calls)
    settled = [notice for notice in world.parts.gateway.notices if notice.invoice_id]
    assert {notice.invoice_id for notice in settled} == {invoice.id for invoice in world.invoices(sub)}
    ctx = processor(world.ctx())
    world.parts.store = Counting(world.parts.store)
    for notice in settled:
        apply_notice(ctx, notice)
    assert world.parts.store.reads == {"get_many": len(settled)}
    assert world.parts.gateway.calls == calls


def test_every_order_of_a_payments_webhooks_ends_the_same(world):
    sub = world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
    method = world.account(sub.customer_id).payment_method.id
    for turn, order in enumerate(permutations(range(2))):
        world.parts.gateway.behave(method, "processing")
        world.advance(to=f"2026-{turn + 3:02d}-01T00:00:00+00:00")
        invoice = world.invoices(sub)[-1]
        assert invoice.attempt.status == "processing"
        world.parts.gateway.settle(invoice.attempt.reference)
        world.facts()
        both = [notice for notice in world.parts.gateway.notices if notice.invoice_id == invoice.id]
        assert [notice.kind.partition(".")[2] for notice in both] == ["processing", "succeeded"]
        for index in order:
            apply_notice(processor(world.ctx()), both[index])
        world.expect("payment.succeeded", "invoice.paid")
    assert_books(world)


def test_all_webhooks_dropped_the_reconciler_converges_and_a_second_run_changes_nothing(world, jobs):
    sub, invoice = left_in_the_air(world)
    jobs.reconcile()
    world.expect("payment.succeeded", "invoice.paid")
    assert world.invoices(sub)[-1].status == "paid"
    state, charges = world.parts.store.committed[:], world.parts.gateway.charges()
    world.machine += timedelta(minutes=5)
    jobs.reconcile()
    jobs.work()
    assert world.parts.store.committed == state
    assert world.parts.gateway.charges() == charges
    assert_books(world)
    assert invoice.id


def test_the_reconciler_reads_on_from_where_it_was(world, jobs):
    sub = world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
    jobs.reconcile()
    seen = []
    original = type(world.parts.gateway).notices_since

    def listening(since, cursor):
        seen.append((since, cursor))
        return original(world.parts.gateway, since, cursor)

    world.machine += timedelta(hours=5)
    first = world.machine
    spy(world, listening, jobs.reconcile)
    assert [since for since, _ in seen] == [first - timedelta(hours=6)]
    world.machine += timedelta(hours=1)
    seen.clear()
    spy(world, listening, jobs.reconcile)
    assert [since for since, _ in seen] == [first - timedelta(hours=1)]
    assert sub


def spy(world, listening, act):
    class Spied:
        def __getattr__(self, name):
            return listening if name == "notices_since" else getattr(gateway, name)

    gateway, world.parts.gateway = world.parts.gateway, Spied()
    try:
        act()
    finally:
        world.parts.gateway = gateway


def test_a_sweep_out_of_time_goes_on_at_its_page(world):
    """Pages are kept, and the next sweep counts from the start of the one that was broken off."""
    world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
    notice = world.parts.gateway.notices[0]
    world.parts.gateway.notices[:] = [replace(notice, id=f"evt_{n}") for n in range(130)]
    applied = []
    ticks = iter([1.0, 0.0])
    ctx = processor(world.ctx())

    def enter(env):
        applied.append(env)
        return ctx

    def sweep(time_left):
        return reconcile.apply_missed(
            enter, world.parts.gateway, world.parts.ops, machine_now=world.machine, time_left=time_left,
            trouble=lambda notice, error: pytest.fail(str(error)),
        )  # fmt: skip

    assert sweep(lambda: next(ticks)) == 100
    assert sweep(lambda: 1.0) == 30
    assert len(applied) == 130
    assert world.parts.ops.get("reconciler").data == {"done": world.machine.isoformat()}


def test_an_outage_stops_the_sweep_and_moves_no_cursor(world, jobs):
    sub, _ = left_in_the_air(world)
    world.parts.gateway.script(["unavailable"], on="find_charge")
    with pytest.raises(GatewayUnavailableError):
        jobs.reconcile()
    assert world.parts.ops.get("reconciler") is None
    jobs.reconcile()
    assert world.invoices(sub)[-1].status == "paid"


def test_a_notice_that_cannot_be_applied_does_not_hide_the_others(world, jobs):
    sub, invoice = left_in_the_air(world)
    world.parts.gateway.notices.insert(
        0, replace(world.parts.gateway.notices[-1], id="evt_odd", env="sbx_gone")
    )
    jobs.reconcile()
    assert world.invoices(sub)[-1].status == "paid"
    assert invoice.id


def test_a_notice_of_another_environment_is_refused(world, jobs):
    _, invoice = left_in_the_air(world)
    notice = replace(world.parts.gateway.notices[-1], env="live")
    with pytest.raises(ForbiddenError):
        apply_notice(world.ctx(), notice)
    assert jobs.apply_notices([notice]) == [dumps(encode(notice))]  # there is no such invoice in live
    world.expect()
    assert invoice.id


def test_unknown_types_are_ignored_and_what_leads_nowhere_fails(world, jobs):
    notice = replace(a_notice(world, "customer.created"), customer_id=None)
    assert jobs.apply_notices([notice]) == []
    lost = ProcessorNotice(id="evt_9", kind="charge.dispute.created", created=world.machine, reference="")

    class Locating:
        def __getattr__(self, name):
            return getattr(gateway, name)

        def locate(self, notice):
            raise MalformedNoticeError("it leads nowhere")

    gateway, world.parts.gateway = world.parts.gateway, Locating()
    assert jobs.apply_notices([lost]) == [dumps(encode(lost))]
    world.expect()


def a_notice(world, kind: str, **fields) -> ProcessorNotice:
    known = {"env": world.env, **fields}
    return ProcessorNotice(id=f"evt_{kind}", kind=kind, created=world.machine, reference="pi_1", **known)


def test_refunds_and_disputes_are_recorded_once(world, jobs):
    sub = world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
    invoice = world.invoices(sub)[0]
    world.parts.gateway.refund_in_dashboard(invoice.payments[0].reference, 300)
    notice = world.parts.gateway.notices[-1]
    dispute = world.parts.gateway.dispute_opens(invoice.payments[0].reference)
    world.parts.gateway.dispute_closes(dispute, won=True)
    world.facts()
    disputed = [each for each in world.parts.gateway.notices if each.kind.startswith("charge.dispute")]
    assert jobs.apply_notices([*disputed, notice, notice, *disputed]) == []
    world.expect("dispute.opened", "dispute.closed", "payment.refunded")
    world.edit(world.parts.store.get(environment_key(world.env)), clock=world.now + timedelta(days=3))
    assert jobs.apply_notices([notice, *disputed]) == []
    world.expect()


def test_money_for_an_attempt_that_was_given_up_goes_back(world, jobs):
    """The bank declined, and the same payment came through afterwards."""
    sub = world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
    world.parts.gateway.behave(world.account(sub.customer_id).payment_method.id, "decline")
    world.advance(days=28)
    declined = world.invoices(sub)[-1].attempts[0]
    assert declined.status == "declined"
    world.parts.gateway.settle(declined.reference)
    world.facts()
    notice = world.parts.gateway.notices[-1]
    assert notice.kind == "payment_intent.succeeded"
    assert jobs.apply_notices([notice, notice]) == []
    world.expect("payment.unexpected", "payment.refunded")
    assert world.parts.gateway.refunded("USD") == 2900
    assert_books(world)


def test_a_card_updated_by_the_network_is_known_and_one_taken_off_is_forgotten(world, jobs):
    customer = world.customer("pm_card_visa")
    method = world.account(customer).payment_method
    held = world.parts.gateway.methods[method.id]
    held.method = replace(held.method, last4="1881", exp_year=2040)
    world.facts()
    news = a_notice(world, "payment_method.automatically_updated", customer_id=customer)
    other = replace(news, reference="pm_other")
    assert jobs.apply_notices([replace(news, reference=method.id), other]) == []
    assert (world.account(customer).payment_method.last4, world.account(customer).payment_method.exp_year) == (
        "1881", 2040,
    )  # fmt: skip
    world.expect("payment_method.attached")
    gone = a_notice(world, "payment_method.detached", customer_id=customer)
    assert (
        jobs.apply_notices([gone, replace(gone, reference=method.id), replace(gone, reference=method.id)])
        == []
    )
    assert world.account(customer).payment_method is None
    world.expect("payment_method.detached")


def test_an_outage_during_a_webhook_sends_the_message_back(world, jobs):
    _, invoice = left_in_the_air(world)
    notice = next(n for n in world.parts.gateway.notices if n.invoice_id == invoice.id)
    world.parts.gateway.script(["unavailable"], on="find_charge")
    assert jobs.apply_notices([notice]) == [dumps(encode(notice))]
    assert jobs.apply_notices([notice]) == []
    world.expect("payment.succeeded", "invoice.paid")


def opened_page(world: World, **order):
    from chalicelib.application.checkout_opening import Purchase, open_checkout
    from chalicelib.domain.calendar import Interval
    from chalicelib.domain.ordering import Order

    wanted = Order(plan="pro", currency="USD", interval=Interval.of("month"), **{"trial_days": 0, **order})
    address = "https://shop.example/"
    purchase = Purchase(order=wanted, customer_id=world.customer(), success_url=address, cancel_url=address)
    return open_checkout(world.ctx(), purchase)


def paid_on_its_page(world: World, **order):
    session = opened_page(world, **order)
    world.parts.gateway.pay_checkout(session.reference)
    world.facts()
    return session


@pytest.mark.parametrize("trial_days", [0, None], ids=["payment", "setup"])
def test_a_page_that_was_paid_activates_once_by_whatever_comes_first(world, jobs, trial_days):
    session = paid_on_its_page(world, trial_days=trial_days)
    jobs.reconcile()
    status = "active" if trial_days == 0 else "trialing"
    assert world.parts.store.get(child_key(Subscription, world.env, session.subscription_id)).status == status
    state = world.parts.store.committed[:]
    assert jobs.apply_notices(world.parts.gateway.notices) == []
    jobs.reconcile()
    assert world.parts.store.committed == state
    assert len(world.parts.gateway.charges()) == (1 if trial_days == 0 else 0)
    assert_books(world)


@pytest.fixture
def standin():
    from tests.infra.gateway_worlds import StandinWorld

    made = StandinWorld()
    yield made
    made.close()


def test_every_webhook_dropped_against_the_stand_in(standin):
    """The real gateway over HTTP: a debit, a page, a dispute and a replaced card, and nobody told us."""
    parts = Parts(MemoryStore(), standin.gateway, MemoryQueues(), MemoryOps())
    world = World(start="2026-01-31", parts=parts, machine=datetime.now(UTC))
    jobs = Jobs(world)
    debtor = world.customer("pm_card_visa")
    sub = world.subscribe(debtor, "pro", trial_days=0)
    world.card(debtor, "pm_sepaDebit")
    world.advance(days=28)
    debit = world.invoices(sub)[-1].attempt
    assert debit.status == "processing"
    standin.settle(debit.reference, succeeded=True)

    page = opened_page(world)
    standin.pay_page(page.reference, "ok")

    holder = world.customer("pm_card_visa")
    card = world.account(holder).payment_method.id
    standin.order(f"payment_methods/{card}/auto_update", {"number": "5555555555554444"})
    first = world.invoices(sub)[0]
    standin.order("disputes", {"charge": first.attempt.charge})
    world.facts()

    jobs.reconcile()
    found = world.facts()
    assert world.invoices(sub)[-1].status == "paid"
    assert world.parts.store.get(child_key(Subscription, world.env, page.subscription_id)).status == "active"
    assert world.account(holder).payment_method.brand == "mastercard"
    assert "dispute.opened" in found
    assert standin.charged("USD") == world.ledger()["cash"] + first.total + world.ledger()["processor_fees"]
    assert world.account(debtor).disputes
    state = world.parts.store.committed[:]
    jobs.reconcile()
    assert world.parts.store.committed == state
    assert_books(world)


def test_refunds_that_nobody_told_us_of_against_the_stand_in(standin):
    """The real gateway over HTTP: ours pending, somebody else's, and one that the bank sent back."""
    parts = Parts(MemoryStore(), standin.gateway, MemoryQueues(), MemoryOps())
    world = World(start="2026-01-31", parts=parts, machine=datetime.now(UTC))
    jobs = Jobs(world)
    cards = ("pm_card_pendingRefund", "pm_card_refundFail", "pm_card_visa")
    slow, failing, plain = (world.subscribe(world.customer(card), "pro", trial_days=0) for card in cards)
    pending, sent_back = (
        refunds.refund_payment(world.ctx(), world.invoices(sub)[0].payments[0].id, amount=1000)
        for sub in (slow, failing)
    )
    assert (pending.status, sent_back.status) == ("pending", "succeeded")
    standin.settle_refund(pending.reference, succeeded=True)
    standin.settle_refund(sent_back.reference, succeeded=False)
    standin.refund_elsewhere(world.invoices(plain)[0].payments[0].reference, 700)
    world.facts()

    jobs.reconcile()
    assert sorted(world.facts()) == ["payment.refunded", "payment.refunded", "refund.failed"]
    returned = [world.invoices(sub)[0].amount_refunded for sub in (slow, failing, plain)]
    assert returned == [1000, 0, 700]
    assert standin.order("totals")["currencies"]["usd"]["refunded"] == 1700
    state = world.parts.store.committed[:]
    jobs.reconcile()
    assert world.parts.store.committed == state
    assert_books(world)


def test_the_stand_ins_own_payloads_signed_and_queued(standin):
    """Each event as Stripe would post it: verified, reduced, located and applied, twice."""
    world = World(start="2026-01-31", parts=Parts(MemoryStore(), standin.gateway, MemoryQueues(), MemoryOps()))
    world.machine = datetime.now(UTC)
    jobs = Jobs(world)
    sub = world.subscribe(world.customer("pm_card_visa"), "pro", trial_days=0)
    reference = world.invoices(sub)[0].payments[0].reference
    made = standin.order("disputes", {"payment_intent": reference})
    standin.order(f"disputes/{made['id']}/close", {"status": "lost"})
    world.facts()
    notices = []
    for event in standin.events():
        body, signature = signed(event)
        notices.append(notice_of(body, signature, ["whsec_x"], world.machine))
    assert {notice.kind for notice in notices if notice} == {
        "payment_intent.succeeded",
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.closed",
    }
    assert jobs.apply_notices([notice for notice in [*notices, *notices] if notice]) == []
    world.expect("dispute.opened", "dispute.closed", "invoice.uncollectible")
    assert world.invoices(sub)[0].status == "uncollectible"
    assert_books(world)


def signed(event):
    """The raw bytes of a webhook, and its header."""
    raw, now = dumps(event).encode(), int(datetime.now(UTC).timestamp())
    made = hmac.new(b"whsec_x", f"{now}.".encode() + raw, hashlib.sha256).hexdigest()
    return raw, f"t={now},v1={made}"
