"""What is had once, is over for good, or is derived: trials, erased people, rows of the due index."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta

from chalicelib.application.records import due_entry, key_of
from chalicelib.domain.contact import mailbox
from chalicelib.domain.customer import Account, Customer
from chalicelib.domain.environment import LIVE, shard_count
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.journal import JournalEntry
from chalicelib.domain.subscription import Subscription
from tests.simulation.world import World

FAR = timedelta(days=20_000)


def trials(world: World) -> Iterator[str]:
    """One per customer, mailbox and card, as they were when it began."""
    had: Counter[str] = Counter()
    cards: dict[str, str] = {}
    mailboxes: dict[str, str] = {}
    for _, record in world.store.committed:
        match record:
            case Customer(email=email) if email:
                mailboxes[record.id] = mailbox(email)
            case Account(payment_method=method) if method is not None:
                cards[record.customer_id] = method.fingerprint
            case Account():
                cards.pop(record.customer_id, None)
            case JournalEntry(facts=facts) if any(f.type == "subscription.trial_started" for f in facts):
                owner = record.customer_id
                had.update(filter(None, {owner, mailboxes.get(owner), cards.get(owner)}))
    yield from (f"{times} trials of {whose}" for whose, times in had.items() if times > 1)


def erased(world: World) -> Iterator[str]:
    """Nothing runs or is collected for who was erased, and no letter reaches them."""
    gone = {customer.id for customer in world.records(Customer) if customer.erased_at is not None}
    for subscription in world.records(Subscription):
        if subscription.customer_id in gone and subscription.is_running:
            yield f"{subscription.id} is {subscription.status} for a customer who was erased"
    for invoice in world.records(Invoice):
        if invoice.customer_id in gone and invoice.status is InvoiceStatus.OPEN:
            yield f"{invoice.id} is open for a customer who was erased"


def index(world: World) -> Iterator[str]:
    """Every row of the due index follows from its record, and every record that wants something has its row."""
    wanted = set()
    for record in world.everything():
        entry = due_entry(LIVE, record)
        if entry is not None:
            key = key_of(LIVE, record)
            wanted.add((entry[1], key.pk, key.sk))
    far = world.clock + FAR
    rows = [
        row
        for shard in range(shard_count(LIVE))
        for row in world.tables.billing.due(LIVE, shard, far, 10_000)
    ]
    found = {(f"{row.at.isoformat(timespec='microseconds')}#{row.kind}", row.pk, row.sk) for row in rows}
    yield from (f"no row for {each}" for each in sorted(wanted - found))
    yield from (f"a row for nothing: {each}" for each in sorted(found - wanted))
