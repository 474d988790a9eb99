"""Money: what the processor took is what payments, ledger and invoices say, to the cent."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from chalicelib.domain.customer import Account
from chalicelib.domain.dispute import DisputeStatus
from chalicelib.domain.invoice import CauseKind, Invoice, InvoiceStatus
from chalicelib.domain.journal import LedgerAccount
from chalicelib.domain.payment import Outcome, Payment
from chalicelib.domain.refund import Refund, RefundStatus
from tests.simulation.invariants.arithmetic import rounded
from tests.simulation.invariants.published import readable, refund_statuses
from tests.simulation.world import World

_OPEN = (DisputeStatus.NEEDS_RESPONSE, DisputeStatus.UNDER_REVIEW)


def one_cycle_invoice(world: World) -> Iterator[str]:
    seen = Counter(
        (invoice.subscription_id, invoice.period.start)
        for invoice in world.records(Invoice)
        if invoice.cause.kind is CauseKind.CYCLE
        and invoice.period
        and invoice.status is not InvoiceStatus.VOID
    )
    for (subscription, start), times in seen.items():
        if times > 1:
            yield f"{subscription} has {times} invoices for the period from {start}"


def money(world: World) -> Iterator[str]:
    """Processor, payments, ledger and invoices, per currency."""
    ledger: dict[str, Counter[LedgerAccount]] = defaultdict(Counter)
    for entry in world.journal():
        for posting in entry.postings:
            ledger[posting.currency][posting.account] += posting.amount
    for currency in sorted({invoice.currency for invoice in world.records(Invoice)} | set(ledger)):
        invoices = [each for each in world.records(Invoice) if each.currency == currency]
        for what, left, right in _sums(world, currency, invoices, ledger[currency]):
            if left != right:
                yield f"{what}: {left} ≠ {right} {currency}"


def _sums(
    world: World, currency: str, invoices: list[Invoice], booked: Counter[LedgerAccount]
) -> Iterator[tuple[str, int, int]]:
    own = [payment for payment in world.records(Payment) if payment.currency == currency]
    by_hand = sum(p.amount - p.refunded for p in own if p.charge is None)
    late = sum(p.amount - p.refunded for p in own if p.charge is not None)
    collected = sum(p.amount - p.refunded for i in invoices for p in i.payments if p.charge is not None)
    taken, (withdrawn, lost, fees) = _taken(world, currency), _disputed(world.records(Invoice), currency)
    open_ = sum(i.amount_remaining for i in invoices if i.status is InvoiceStatus.OPEN)
    bad = sum(i.amount_remaining for i in invoices if i.status is InvoiceStatus.UNCOLLECTIBLE)
    revenue, credit = sum(map(_earned, invoices)), _credit(world, currency)
    yield "the ledger does not balance", sum(booked.values()), 0
    yield "the processor's money and the payments differ", taken, collected + late
    cash = taken + by_hand - withdrawn - fees
    yield "cash and the money received differ", booked[LedgerAccount.CASH], cash
    owed = open_ + withdrawn - lost
    yield "receivable and what is open differ", booked[LedgerAccount.RECEIVABLE], owed
    yield "bad debt and what is uncollectible differ", booked[LedgerAccount.BAD_DEBT], bad
    yield "fees and the disputes' differ", booked[LedgerAccount.PROCESSOR_FEES], fees
    yield "revenue and the invoices differ", -booked[LedgerAccount.REVENUE], revenue
    yield "tax and the invoices differ", -booked[LedgerAccount.TAX], sum(map(_tax_owed, invoices))
    yield "customer credit and the accounts differ", -booked[LedgerAccount.CUSTOMER_CREDIT], credit


def _taken(world: World, currency: str) -> int:
    """What the processor has of ours, as far as it could be known."""
    payments, untold = world.processor.payments, _unheard(world)
    back = sum(sum_ for name, sum_ in _given_back(world).items() if payments[name].currency == currency)
    return world.processor.totals(currency) - back - sum(p.amount for p in untold if p.currency == currency)


def _earned(invoice: Invoice) -> int:
    if invoice.status is InvoiceStatus.VOID:
        return 0
    gross = invoice.total - invoice.credit_granted - _given_up(invoice) - _back(invoice)
    return gross - sum(each.total for each in invoice.line_credits) - _tax_owed(invoice)


def _given_up(invoice: Invoice) -> int:
    """What was credited for time that was not served, beside credit notes."""
    return invoice.credited - (sum(each.total for each in invoice.line_credits) - invoice.returned)


def _tax_owed(invoice: Invoice) -> int:
    """What is left of its tax: what was credited and what was refunded took its share with it."""
    noted = sum(each.tax for each in invoice.line_credits)
    if invoice.status is InvoiceStatus.VOID or not invoice.total:
        return 0 if invoice.status is InvoiceStatus.VOID else invoice.tax - noted
    shares = (_given_up(invoice), min(_back(invoice), invoice.total))
    return (
        invoice.tax - noted - sum(rounded(Fraction(invoice.tax * share, invoice.total)) for share in shares)
    )


def _credit(world: World, currency: str) -> int:
    """What accounts have, and what refunds under way keep from them."""
    had = sum(c.amount for a in world.records(Account) for c in a.credits if c.currency == currency)
    had += sum(g.deferred for a in world.records(Account) for g in a.grants if g.currency == currency)
    return had + sum(r.amount for r in world.records(Refund) if r.currency == currency and _holds_credit(r))


def _disputed(invoices: list[Invoice], currency: str) -> tuple[int, int, int]:
    """What banks hold of ours, how much of it for good, and what that cost, as our payments have it noted."""
    noted = [each for invoice in invoices for payment in invoice.payments for each in payment.disputes]
    own = [each.state for each in noted if each.state.currency == currency]
    lost = sum(state.withdrawn for state in own if state.status is DisputeStatus.LOST)
    fees = sum(each.state.fee for each in noted if each.state.fee_currency == currency)
    return sum(state.withdrawn for state in own), lost, fees


def disputes(world: World) -> Iterator[str]:
    """Each of the processor's disputes stands with us as it stands there, and while one is open the account says so."""
    noted = {
        each.state.reference: each.state
        for invoice in world.records(Invoice)
        for payment in invoice.payments
        for each in payment.disputes
    }
    last = {notice.reference: notice for notice in world.processor.notices if "dispute" in notice.kind}
    late = {
        payment.reference for payment in world.records(Payment)
    }  # no invoice was paid with it: only reported
    for payment in world.processor.payments.values():
        for reference, state in payment.disputes.items() if payment.reference not in late else ():
            if readable(world, last[payment.reference]) and noted.get(reference) != state:
                yield f"{reference} is {state}, noted is {noted.get(reference)}"
    open_ = {each for each, state in noted.items() if state.status in _OPEN}
    held = {each for account in world.records(Account) for each in account.disputes}
    if held != open_:
        yield f"open are {open_}, accounts say {held}"


def _unheard(world: World) -> list[Any]:
    """Confirmed by their customers, who did not come back, while nobody listened for a month: their invoices wait."""
    waiting = {i.attempt.reference for i in world.records(Invoice) if i.attempt and i.attempt.awaits_customer}
    last = {notice.reference: notice for notice in world.processor.notices}
    return [
        p
        for p in world.processor.charges()
        if p.reference in waiting and not readable(world, last[p.reference])
    ]


def _holds_credit(refund: Refund) -> bool:
    """Under way, out of what was paid over or for a credit note: it cannot be spent, and is not gone yet."""
    return refund.is_open and (not refund.allocations or bool(refund.credit_note))


def _given_back(world: World) -> Counter[str]:
    """Per payment of the processor's, what refunds that must be known have returned."""
    back: Counter[str] = Counter()
    for refund, status in refund_statuses(world):
        if status is RefundStatus.SUCCEEDED:
            back[refund.payment.reference] += refund.amount
    return back


def _back(invoice: Invoice) -> int:
    """What was refunded beside credit notes; where the processor counts coarser, of what it had been paid for."""
    return sum(
        rounded(Fraction(part.amount * (share.refunded - share.noted), share.amount))
        for share in invoice.payments
        for part in share.allocations
        if share.amount
    )


def charges(world: World) -> Iterator[str]:
    """Per invoice: no more taken than due, each payment of the processor noted once, one charge per attempt."""
    by_invoice: dict[str | None, list[Any]] = defaultdict(list)
    begun: Counter[tuple[Any, ...]] = Counter()
    for payment in world.processor.payments.values():
        by_invoice[payment.request.invoice_id].append(payment)
        attempt = getattr(payment.request, "attempt", None)
        if attempt is not None:
            begun[payment.request.invoice_id, attempt.number] += 1
    for (invoice_id, number), times in begun.items():
        if times > 1:
            yield f"{invoice_id} attempt {number} was begun {times} times at the processor"
    unheard = _unheard(world)
    own = {payment.reference for payment in world.records(Payment)}  # came late, and goes back or is credit
    invoices, returned = {invoice.id: invoice for invoice in world.records(Invoice)}, _given_back(world)
    for invoice_id, paid in by_invoice.items():
        invoice = invoices.get(invoice_id or "")
        if invoice is None:
            yield f"the processor knows an invoice that we do not: {invoice_id}"
            continue
        money = [p for p in paid if p.result.outcome is Outcome.SUCCEEDED and p.reference not in own]
        money = [p for p in money if p not in unheard]
        net = sum(p.amount - returned[p.reference] for p in money)
        most = 0 if invoice.status is InvoiceStatus.VOID else invoice.amount_due
        if net > most + invoice.amount_due // 100:  # a processor may count in coarser units
            yield f"{invoice_id} took {net} of {most} {invoice.currency}"
        ours = sorted(p.reference for p in invoice.payments if p.reference and p.refunded < p.amount)
        theirs = sorted(p.reference for p in money if returned[p.reference] < p.amount)
        if ours != theirs:
            yield f"{invoice_id} notes {ours}, the processor has {theirs}"


def expected(world: World) -> Iterator[str]:
    """Whatever may still bring money is what its invoice waits for."""
    invoices = {invoice.id: invoice for invoice in world.records(Invoice)}
    for payment in world.processor.payments.values():
        invoice = invoices[payment.request.invoice_id or ""]
        may_come = payment.asked is not None or payment.result.outcome is Outcome.PROCESSING
        if may_come and not _is_waited_for(invoice, payment.reference):
            yield f"{payment.reference} ({payment.result.outcome}) may come for {invoice.id}, which is {invoice.status}"


def _is_waited_for(invoice: Invoice, reference: str) -> bool:
    attempt = invoice.attempt
    return (
        invoice.status is InvoiceStatus.OPEN
        and attempt is not None
        and attempt.is_open
        and attempt.reference == reference
    )
