"""Where customers stand: nothing forgotten, access as the status says, who is active is paid up or being asked."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime

from chalicelib.application import entitlements
from chalicelib.domain.checkout import CheckoutSession
from chalicelib.domain.customer import Account, CollectionMethod
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.payment import AttemptStatus
from chalicelib.domain.refund import Refund
from chalicelib.domain.schedule import next_due
from chalicelib.domain.subscription import Status, Subscription
from tests.simulation.world import World


def nothing_left(world: World) -> Iterator[str]:
    """Nothing due in the past, nothing that waits for nobody, nothing on a dead-letter queue."""
    subscriptions = {each.id: each for each in world.records(Subscription)}
    invoices = world.records(Invoice)
    left_behind = _left_behind(world)
    for thing in [
        *subscriptions.values(),
        *invoices,
        *world.records(CheckoutSession),
        *world.records(Refund),
    ]:
        due = next_due(thing)
        if due is not None and due.at <= world.swept:
            yield f"{thing.id} still wants {due.kind} since {due.at}"
    for invoice in invoices:
        if invoice.id in left_behind or invoice.status is not InvoiceStatus.OPEN:
            continue
        if _is_forgotten(invoice, subscriptions[invoice.subscription_id]):
            yield f"{invoice.id} is open and nobody collects it ({subscriptions[invoice.subscription_id].status})"
    yield from (f"dead letter: {each}" for each in world.dead_letters)
    for account in world.records(Account):
        for credit in account.credits:
            given_back = credit.source.startswith("ref_")  # at the processor, after it had become credit
            if credit.amount < 0 and not given_back and not _is_carried(credit.source, invoices):
                yield f"{account.customer_id} has a debit of {credit.amount} from {credit.source}"


def _left_behind(world: World) -> set[str]:
    """Invoices that were open when their subscription was cancelled: they stay so, and are paid by hand or not."""
    left: set[str] = set()
    opened: dict[str, set[str]] = defaultdict(set)
    for entry in world.journal():
        for fact in entry.facts:
            if fact.type == "invoice.opened":
                opened[str(fact.data["subscription"])].add(fact.subject)
            elif fact.type == "invoice.paid":
                opened[str(fact.data["subscription"])].discard(fact.subject)
            elif fact.type == "subscription.canceled":
                left |= opened[fact.subject]
    return left


def _is_forgotten(invoice: Invoice, subscription: Subscription) -> bool:
    if invoice.terms.method is not CollectionMethod.CHARGE_AUTOMATICALLY or invoice.collect_at is not None:
        return False
    run = subscription.dunning
    if run is not None and invoice.id in run.invoices and run.next_at is not None:
        return False
    if subscription.status is Status.UNPAID or (run is not None and run.invoices[0] != invoice.id):
        return False  # until it is paid by request; or it waits its turn
    return subscription.release_at is None and subscription.is_running


def _is_carried(source: str, invoices: list[Invoice]) -> bool:
    return any(
        (each.id == source and each.carried_out) or (source == f"void {each.number}" and each.carried_in)
        for each in invoices
    )


def access(world: World) -> Iterator[str]:
    """Who may use what follows from the statuses; who is active has paid for now, or is being asked to."""
    by_customer: dict[str, list[Subscription]] = defaultdict(list)
    for subscription in world.records(Subscription):
        by_customer[subscription.customer_id].append(subscription)
    invoices, left_behind = world.records(Invoice), _left_behind(world)
    for customer, owned in by_customer.items():
        granted = entitlements.get_entitlements(world.ctx(), customer)
        entitled = {each.id for each in owned if _is_entitled(each, world.clock)}
        if {grant.subscription_id for grant in granted.grants} != entitled or granted.active != bool(
            entitled
        ):
            yield f"{customer} is granted {granted.grants}, entitled by {entitled}"
        for subscription in owned:
            yield from _is_paid_for(
                subscription, [i for i in invoices if i.id not in left_behind], world.swept
            )


def _is_entitled(subscription: Subscription, now: datetime) -> bool:
    if subscription.status is Status.PAST_DUE:
        grace = subscription.dunning.grace_until if subscription.dunning else None
        return grace is None or now < grace
    return subscription.status in (Status.TRIALING, Status.ACTIVE)


def _is_paid_for(subscription: Subscription, invoices: list[Invoice], now: datetime) -> Iterator[str]:
    own = [invoice for invoice in invoices if invoice.subscription_id == subscription.id]
    if subscription.status is Status.ACTIVE and subscription.period is not None:
        if subscription.period.end <= now:
            yield f"{subscription.id} is active in a period that ended {subscription.period.end}"
        current = [i for i in own if i.period == subscription.period and i.status is not InvoiceStatus.VOID]
        if not current:
            yield f"{subscription.id} is active without an invoice for {subscription.period}"
    if subscription.status is Status.ACTIVE and subscription.dunning is None:
        for invoice in own:
            declined = invoice.attempt is not None and invoice.attempt.status is AttemptStatus.DECLINED
            automatic = invoice.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
            if invoice.status is InvoiceStatus.OPEN and automatic and declined:
                yield f"{subscription.id} is active although {invoice.id} was declined"
    if (subscription.status in (Status.PAST_DUE, Status.UNPAID)) != (subscription.dunning is not None):
        yield f"{subscription.id} is {subscription.status} with dunning {subscription.dunning}"
