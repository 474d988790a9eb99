"""Each invoice by itself: it adds up, its attempts are in order, its number has no gap before it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from fractions import Fraction

from chalicelib.application.records import account_key
from chalicelib.domain import explanation
from chalicelib.domain.dispute import DisputeStatus
from chalicelib.domain.environment import LIVE
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.payment import AttemptStatus, Payment
from tests.simulation.invariants.arithmetic import rounded, step_amount
from tests.simulation.world import World


def invoices(world: World) -> Iterator[str]:
    """Each invoice adds up, recomputed from its lines; numbers have no gaps; statuses say what was paid."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for invoice in world.records(Invoice):
        numbers[invoice.customer_id].append(invoice.sequence)
        for line in invoice.lines:
            rated = sum((step_amount(step) for step in line.steps), Fraction(0))
            if line.reversal is None and line.amount != rounded(rated * line.numerator / line.denominator):
                yield f"{invoice.id} line {line.id}: {line.amount} does not follow from its inputs"
        yield from (f"{invoice.id}: {text}" for text in explanation.check(invoice))
        yield from _amounts(invoice)
        yield from _attempts(invoice)
    for customer, sequences in numbers.items():
        account = world.store.get(account_key(LIVE, customer))
        if sorted(sequences) != list(range(1, len(sequences) + 1)) or account.invoices != len(sequences):
            yield f"{customer}'s invoice numbers: {sorted(sequences)}, counter {account.invoices}"


def _amounts(invoice: Invoice) -> Iterator[str]:
    if invoice.total != sum(line.total for line in invoice.lines) + invoice.credit_granted:
        yield f"{invoice.id}: the total is not the sum of its lines"
    if invoice.amount_paid != sum(_kept(payment) for payment in invoice.payments):
        yield f"{invoice.id}: amount_paid {invoice.amount_paid} is not what its payments say"
    if not invoice.amount_remaining >= 0:
        yield f"{invoice.id}: {invoice.amount_remaining} remains"
    settled = invoice.status is InvoiceStatus.PAID or bool(invoice.credited)
    if invoice.status is not InvoiceStatus.VOID and not settled and invoice.amount_remaining == 0:
        yield f"{invoice.id} is {invoice.status} with nothing remaining"
    if invoice.status is InvoiceStatus.PAID and invoice.amount_remaining:
        yield f"{invoice.id} is {invoice.status} with {invoice.amount_remaining} remaining"


def _kept(payment: Payment) -> int:
    """What pays the invoice still: all of it but what a bank has taken back for good."""
    allocated = sum(allocation.amount for allocation in payment.allocations)
    lost = sum(d.state.withdrawn for d in payment.disputes if d.state.status is DisputeStatus.LOST)
    return allocated - min(allocated, lost)


def _attempts(invoice: Invoice) -> Iterator[str]:
    if [attempt.number for attempt in invoice.attempts] != list(range(1, len(invoice.attempts) + 1)):
        yield f"{invoice.id}: attempts {[attempt.number for attempt in invoice.attempts]}"
    if len({attempt.key for attempt in invoice.attempts}) < len(invoice.attempts):
        yield f"{invoice.id}: one key for two attempts"
    if sum(attempt.status is AttemptStatus.SUCCEEDED for attempt in invoice.attempts) > 1:
        yield f"{invoice.id}: two attempts succeeded"
    if any(attempt.is_open for attempt in invoice.attempts[:-1]):
        yield f"{invoice.id}: an attempt was begun while another was open"
