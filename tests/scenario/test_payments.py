"""Diaries of money that comes by other ways: transfers and cheques, whole, in parts, and too much."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from chalicelib.adapters.memory.gateway import MemoryGateway
from chalicelib.application import invoices, payments
from chalicelib.application.context import Context
from chalicelib.domain.customer import CollectionMethod, Terms
from chalicelib.domain.errors import (
    ConflictError,
    CurrencyMismatchError,
    DomainError,
    IdempotencyMismatchError,
    InvalidStateError,
    NotFoundError,
    PaymentDeclinedError,
    PaymentPendingError,
    ValidationError,
)
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import LedgerAccount
from chalicelib.domain.payment import Allocation, Payment
from chalicelib.domain.subscription import Status, Subscription
from tests.scenario.world import World, assert_books

NET_30 = Terms(method=CollectionMethod.SEND_INVOICE, net_days=30)
STARTER, PRO = 1900, 2900


def pay(
    world: World,
    customer: str,
    amount: int,
    allocations: Sequence[tuple[Invoice, int]] = (),
    *,
    currency: str = "USD",
    request: str = "",
) -> Payment:
    found = payments.record_payment(
        world.ctx(request),
        customer,
        amount=amount,
        currency=currency,
        kind="transfer",
        reference="RE 4711",
        allocations=[Allocation(invoice.id, part) for invoice, part in allocations],
    )
    assert_books(world)
    return found


def on_invoice(world: World, customer: str, plan: str = "starter", quantity: int = 1) -> Subscription:
    return world.subscribe(customer, plan, trial_days=0, terms=NET_30, quantity=quantity)


def failing(world: World) -> tuple[str, Subscription]:
    """A customer whose card stopped working before the renewal, which has just been declined."""
    customer = world.customer("pm_card_visa")
    sub = world.subscribe(customer, "starter", trial_days=0)
    for method in list(world.parts.gateway.methods):
        world.parts.gateway.behave(method, "generic_decline")
    world.advance(days=31)
    world.facts()
    return customer, world.reload(sub)


def test_an_invoice_on_account_paid_by_transfer() -> None:
    world = World(start="2026-03-10T09:00:00+00:00")
    customer = world.customer()
    sub = on_invoice(world, customer)
    world.expect("subscription.created", "invoice.opened", "subscription.activated")
    (invoice,) = world.invoices(sub)
    assert world.ledger() == {LedgerAccount.RECEIVABLE: STARTER, LedgerAccount.REVENUE: -STARTER}
    world.advance(days=12, expect=[])
    payment = pay(world, customer, STARTER, [(invoice, STARTER)])
    world.expect("payment.recorded", "invoice.paid")
    (invoice,) = world.invoices(sub)
    assert (invoice.status, invoice.amount_paid, invoice.paid_at) == ("paid", STARTER, world.now)
    assert [share.id for share in invoice.payments] == [payment.id]
    assert payment.credited == 0
    assert world.ledger() == {LedgerAccount.CASH: STARTER, LedgerAccount.REVENUE: -STARTER}
    world.advance(days=19, expect=["subscription.renewed", "invoice.opened"])


def test_a_part_leaves_the_invoice_open_and_overdue_in_time() -> None:
    world = World(start="2026-03-10T09:00:00+00:00")
    customer = world.customer()
    sub = on_invoice(world, customer)
    (invoice,) = world.invoices(sub)
    world.facts()
    pay(world, customer, 700, [(invoice, 700)])
    world.expect("payment.recorded")
    (invoice,) = world.invoices(sub)
    assert (invoice.status, invoice.amount_paid, invoice.amount_remaining) == ("open", 700, 1200)
    world.advance(
        to="2026-04-10T00:00:00+00:00", expect=["invoice.overdue"]
    )  # due on 9 April, overdue from the day after
    pay(world, customer, 1200, [(world.invoices(sub)[0], 1200)])
    world.expect("payment.recorded", "invoice.paid")
    (invoice,) = world.invoices(sub)
    assert [share.amount for share in invoice.payments] == [700, 1200]
    assert world.ledger() == {LedgerAccount.CASH: STARTER, LedgerAccount.REVENUE: -STARTER}


def test_one_transfer_for_several_invoices_and_the_rest_is_credit_for_the_next() -> None:
    world = World(start="2026-03-10T09:00:00+00:00")
    customer = world.customer()
    sub = on_invoice(world, customer)
    world.advance(days=31)
    world.advance(days=30)
    first, second, third = world.invoices(sub)
    world.facts()
    payment = pay(world, customer, 5000, [(first, STARTER), (second, STARTER), (third, 700)])
    world.expect("payment.recorded", "invoice.paid", "invoice.paid")
    assert payment.credited == 500
    assert [(credit.amount, credit.source) for credit in world.account(customer).credits] == [
        (500, payment.id)
    ]
    assert world.ledger()[LedgerAccount.CUSTOMER_CREDIT] == -500
    world.advance(days=31, expect=["invoice.overdue", "subscription.renewed", "invoice.opened"])
    fourth = world.invoices(sub)[-1]
    assert (fourth.credit_applied, fourth.amount_due) == (500, STARTER - 500)
    pay(world, customer, 2600, [(world.invoices(sub)[2], 1200), (fourth, 1400)])
    assert {invoice.status for invoice in world.invoices(sub)} == {"paid"}
    assert world.ledger() == {LedgerAccount.CASH: 4 * STARTER, LedgerAccount.REVENUE: -4 * STARTER}


def test_money_without_an_invoice_is_credit_in_its_own_currency() -> None:
    world = World(start="2026-03-10T09:00:00+00:00")
    customer = world.customer("pm_card_visa")
    pay(world, customer, 1000)
    pay(world, customer, 5000, currency="EUR")
    world.facts()
    sub = world.subscribe(customer, "starter", trial_days=0)
    (invoice,) = world.invoices(sub)
    assert (invoice.credit_applied, invoice.amount_due, invoice.amount_paid) == (1000, 900, 900)
    assert [credit.currency for credit in world.account(customer).credits] == ["EUR"]
    assert world.parts.gateway.totals("USD") == 900


def test_a_transfer_recovers_a_subscription_in_dunning() -> None:
    world = World(start="2026-03-10T09:00:00+00:00")
    customer, sub = failing(world)
    assert sub.status is Status.PAST_DUE
    invoice = world.invoices(sub)[-1]
    pay(world, customer, STARTER, [(invoice, STARTER)])
    world.expect("payment.recorded", "invoice.paid", "subscription.recovered")
    sub = world.reload(sub)
    assert (sub.status, sub.dunning) == (Status.ACTIVE, None)
    world.advance(days=20, expect=[])


def test_after_a_part_the_card_is_asked_for_what_remains() -> None:
    world = World(start="2026-03-10T09:00:00+00:00")
    customer, sub = failing(world)
    pay(world, customer, 1000, [(world.invoices(sub)[-1], 1000)])
    for method in list(world.parts.gateway.methods):
        world.parts.gateway.behave(method, "ok")
    world.facts()
    world.advance(days=2, expect=["payment.succeeded", "invoice.paid", "subscription.recovered"])
    invoice = world.invoices(sub)[-1]
    assert [attempt.amount for attempt in invoice.attempts] == [STARTER, 900]
    assert [share.amount for share in invoice.payments] == [1000, 900]
    assert world.parts.gateway.totals("USD") == STARTER + 900


def test_what_is_left_at_the_end_of_dunning_is_bad_debt() -> None:
    world = World(start="2026-03-10T09:00:00+00:00")
    customer, sub = failing(world)
    pay(world, customer, 1000, [(world.invoices(sub)[-1], 1000)])
    world.advance(days=21)
    assert world.reload(sub).status is Status.CANCELED
    # 22 of 30 days were served, 13.93 of 19.00, and 10.00 of them were paid.
    assert world.ledger()[LedgerAccount.BAD_DEBT] == 1393 - 1000
    assert world.ledger()[LedgerAccount.CASH] == STARTER + 1000


def test_a_transfer_activates_what_the_card_did_not_pay() -> None:
    world = World()
    customer = world.customer("pm_card_chargeCustomerFail")
    with pytest.raises(PaymentDeclinedError) as refused:
        world.subscribe(customer, "starter", trial_days=0)
    (invoice,) = world.invoices(customer)
    world.facts()
    with pytest.raises(ValidationError, match="as a whole"):
        pay(world, customer, 1000, [(invoice, 1000)])
    pay(world, customer, STARTER, [(invoice, STARTER)])
    world.expect("payment.recorded", "invoice.paid", "subscription.activated")
    assert world.mrr() == STARTER
    sub = world.parts.store.records(Subscription)[0]
    assert (sub.id, sub.status) == (refused.value.ids["subscription"], Status.ACTIVE)
    world.advance(hours=30, expect=[])


def test_an_invoice_with_an_attempt_in_the_air_takes_no_other_money() -> None:
    """It may be paid by the attempt at any moment: what is allocated now could be taken twice."""
    world = World(start="2026-03-10T09:00:00+00:00")
    customer = world.customer("pm_debit_processing")
    with suppress(PaymentPendingError):
        world.subscribe(customer, "starter", trial_days=0)
    (invoice,) = world.invoices(customer)
    world.facts()
    with pytest.raises(ConflictError) as refused:
        pay(world, customer, STARTER, [(invoice, STARTER)], request="transfer")
    assert refused.value.ids["invoice"] == invoice.id
    world.expect()
    (reference,) = world.parts.gateway.payments
    world.parts.gateway.settle(reference, "ok")
    invoices.pay_invoice(world.ctx(), invoice.id, payment_method=None)
    world.expect("payment.succeeded", "invoice.paid", "subscription.activated")
    with pytest.raises(InvalidStateError):
        pay(world, customer, STARTER, [(invoice, STARTER)], request="transfer")
    assert pay(world, customer, STARTER, request="as credit").credited == STARTER


def test_once_the_attempt_is_settled_the_same_request_goes_through() -> None:
    world = World(start="2026-03-10T09:00:00+00:00")
    customer = world.customer("pm_card_visa")
    sub = world.subscribe(customer, "starter", trial_days=0)
    world.parts.gateway.script(["unavailable"] * 4)
    world.advance(days=31)
    invoice = world.invoices(sub)[-1]
    assert invoice.attempt is not None
    assert invoice.attempt.is_open
    with pytest.raises(ConflictError):
        pay(world, customer, STARTER, [(invoice, STARTER)], request="transfer")
    for method in list(world.parts.gateway.methods):
        world.parts.gateway.behave(method, "generic_decline")
    world.advance(minutes=1)
    pay(world, customer, STARTER, [(invoice, STARTER)], request="transfer")
    assert world.invoices(sub)[-1].status == "paid"
    assert world.reload(sub).status is Status.ACTIVE


@pytest.mark.parametrize(
    ("amount", "parts", "error", "field"),
    [
        (STARTER, [(0, STARTER), (0, 1)], ValidationError, "allocations[1].invoice"),
        (1000, [(0, STARTER)], ValidationError, "allocations"),
        (STARTER + 1, [(0, STARTER + 1)], ValidationError, "allocations[0].amount"),
        (5000, [(1, 100), (2, 100)], InvalidStateError, "allocations[1].invoice"),
        (STARTER, [(3, 100)], CurrencyMismatchError, "allocations[0].invoice"),
    ],
)
def test_what_does_not_add_up_is_refused_whole(
    amount: int, parts: list[tuple[int, int]], error: type[DomainError], field: str
) -> None:
    world = World(start="2026-03-10T09:00:00+00:00")
    customer = world.customer("pm_card_visa")
    on_invoice(world, customer)
    on_invoice(world, customer, "pro")
    world.subscribe(customer, "starter", trial_days=0)
    world.subscribe(customer, "starter", currency="EUR", trial_days=0, terms=NET_30)
    found = world.invoices(customer)
    before, ledger = world.journal(), world.ledger()
    with pytest.raises(error) as refused:
        pay(world, customer, amount, [(found[index], part) for index, part in parts])
    assert refused.value.field == field
    assert (world.journal(), world.ledger()) == (before, ledger)
    assert world.parts.store.records(Payment) == []


def test_another_customers_invoice_is_not_found() -> None:
    world = World()
    mine, theirs = world.customer(), world.customer()
    on_invoice(world, theirs)
    with pytest.raises(NotFoundError):
        pay(world, mine, STARTER, [(world.invoices(theirs)[0], STARTER)])


def test_what_would_remain_for_the_card_is_never_too_small_to_charge() -> None:
    world = World(start="2026-03-10T09:00:00+00:00")
    customer, sub = failing(world)
    invoice = world.invoices(sub)[-1]
    smallest = world.parts.gateway.minimum("USD")
    with pytest.raises(ValidationError) as refused:
        pay(world, customer, STARTER, [(invoice, STARTER - smallest + 1)])
    assert refused.value.field == "allocations[0].amount"
    pay(world, customer, STARTER, [(invoice, STARTER - smallest)])


def test_the_same_request_records_once() -> None:
    world = World()
    customer = world.customer()
    sub = on_invoice(world, customer)
    (invoice,) = world.invoices(sub)
    world.facts()
    first = pay(world, customer, 2000, [(invoice, STARTER)], request="once")
    assert pay(world, customer, 2000, [(invoice, STARTER)], request="once") == first
    world.expect("payment.recorded", "invoice.paid")
    assert sum(credit.amount for credit in world.account(customer).credits) == 100
    other = world.ctx("once")
    object.__setattr__(other, "request_print", "another content")
    with pytest.raises(IdempotencyMismatchError):
        payments.record_payment(
            other, customer, amount=1, currency="USD", kind="cheque", reference=None, allocations=[]
        )


@pytest.mark.parametrize("moment", ["before_commit", "after_commit"])
def test_killed_at_its_commit_and_repeated_it_is_recorded_once(moment: str) -> None:
    world = World()
    customer = world.customer()
    sub = on_invoice(world, customer)
    (invoice,) = world.invoices(sub)
    world.facts()

    def die(env: str, records: object) -> None:
        setattr(world.parts.store, moment, None)
        raise KeyboardInterrupt

    setattr(world.parts.store, moment, die)
    with pytest.raises(KeyboardInterrupt):
        pay(world, customer, 2000, [(invoice, STARTER)], request="once")
    pay(world, customer, 2000, [(invoice, STARTER)], request="once")
    world.expect("payment.recorded", "invoice.paid")
    assert len(world.parts.store.records(Payment)) == 1


def test_of_two_transfers_at_once_for_one_invoice_one_is_refused() -> None:
    world = World()
    customer = world.customer()
    sub = on_invoice(world, customer)
    (invoice,) = world.invoices(sub)
    world.facts()
    contexts = [world.ctx() for _ in range(6)]

    def record(ctx: Context) -> str:
        try:
            payments.record_payment(
                ctx,
                customer,
                amount=STARTER,
                currency="USD",
                kind="transfer",
                reference=None,
                allocations=[Allocation(invoice.id, STARTER)],
            )
        except (InvalidStateError, ConflictError):
            return "refused"
        return "recorded"

    with ThreadPoolExecutor(6) as pool:
        outcomes = sorted(pool.map(record, contexts))
    assert outcomes == ["recorded"] + ["refused"] * 5
    world.expect("payment.recorded", "invoice.paid")
    assert_books(world)


def test_payments_of_both_kinds_are_found_and_listed() -> None:
    world = World(start="2026-03-10T09:00:00+00:00")
    customer = world.customer("pm_card_visa")
    sub = world.subscribe(customer, "starter", trial_days=0)
    world.advance(days=5)
    by_hand = pay(world, customer, 500)
    world.advance(days=26)
    found = payments.list_payments(world.ctx(), customer, limit=10, cursor=None).records
    assert [(payment.kind, payment.amount) for payment in found] == [
        ("card", STARTER - 500),
        ("transfer", 500),
        ("card", STARTER),
    ]
    assert [payments.get_payment(world.ctx(), payment.id) for payment in found] == list(found)
    assert found[1] == by_hand
    assert found[2].allocations == (Allocation(world.invoices(sub)[0].id, STARTER),)
    pages, cursor = [], None
    while True:
        page = payments.list_payments(world.ctx(), customer, limit=2, cursor=cursor)
        pages += page.records
        cursor = page.cursor
        if cursor is None:
            break
    assert pages == list(found)
    with pytest.raises(ValidationError):
        payments.list_payments(world.ctx(), customer, limit=2, cursor="nonsense")


def test_yen_and_dinar_count_in_their_own_units() -> None:
    world = World()
    customer = world.customer()
    assert isinstance(world.parts.gateway, MemoryGateway)
    yen = world.subscribe(customer, "starter", currency="JPY", trial_days=0, terms=NET_30)
    (invoice,) = world.invoices(yen)
    payment = pay(world, customer, 3000, [(invoice, 2900)], currency="JPY")
    assert (payment.credited, world.invoices(yen)[0].status) == (100, "paid")
    pay(world, customer, 1234, currency="KWD")
    assert world.ledger("KWD") == {LedgerAccount.CASH: 1234, LedgerAccount.CUSTOMER_CREDIT: -1234}
    with pytest.raises(ValidationError):
        pay(world, customer, 1, currency="XXX")
