"""What the outside was told: feed, letters, and what the processor told us."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from chalicelib.application import books, feed
from chalicelib.application.letters import letter_of
from chalicelib.application.ports import ProcessorNotice
from chalicelib.domain.customer import Account, Customer
from chalicelib.domain.environment import LIVE
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.payment import AttemptStatus
from chalicelib.domain.refund import Refund, RefundStatus
from tests.simulation.world import World

KEPT = timedelta(days=29)


def published(world: World) -> Iterator[str]:
    """Every fact once, nothing else, in numbers without gaps; the books are the journal's sums."""
    wanted = Counter(
        feed.event_id(entry.id, index) for entry in world.journal() for index in range(len(entry.facts))
    )
    events, cursor = [], 0
    while True:
        page = feed.read_events(world.ops, LIVE, after=cursor, limit=500)
        events += page.events
        cursor = page.cursor
        if not page.more:
            break
    found = Counter(event.id for event in events)
    for id_ in wanted - found:
        yield f"never published: {id_}"
    for id_ in found - wanted:
        yield f"published without a commit, or twice: {id_}"
    if [event.cursor for event in events] != list(range(1, len(events) + 1)):
        yield "the feed's numbers have gaps"
    if _without_zeros(books.read_books(world.ops, LIVE)) != _without_zeros(books.recount(world.store, LIVE)):
        yield "the books are not the journal's sums"


def _without_zeros(months: list[books.Month]) -> list[Any]:
    return [
        (m.name, {c: dict(sorted(v.items())) for c, v in sorted(m.ledger.items())}, m.mrr) for m in months
    ]


def mails(world: World) -> Iterator[str]:
    """What went out, once each; every receipt that is owed; nothing that the final state denies."""
    entries = {entry.id: entry for entry in world.journal()}
    gone = Counter(letter.id for letter in world.sent)
    yield from (f"letter {id_} went out {times} times" for id_, times in gone.items() if times > 1)
    yield from (f"letter {id_} is about nothing that happened" for id_ in gone if id_ not in entries)
    receipts = Counter(letter.data["invoice"] for letter in world.sent if letter.template == "receipt")
    yield from (f"{id_} has {times} receipts" for id_, times in receipts.items() if times > 1)
    erased = {customer.id for customer in world.records(Customer) if customer.erased_at is not None}
    for entry in entries.values():
        owed = letter_of(LIVE, entry)
        if owed is None or owed.template != "receipt" or entry.customer_id in erased:
            continue
        if owed.id not in gone:
            yield f"no receipt went out for {owed.data['invoice']}"
    invoices = {invoice.id: invoice for invoice in world.records(Invoice)}
    for letter in world.sent:
        if letter.template in ("payment_failed", "payment_missing"):
            attempt = invoices[letter.data["invoice"]].attempts[letter.data["attempt"] - 1]
            if attempt.status is not AttemptStatus.DECLINED:
                yield f"mail says attempt {attempt.number} of {letter.data['invoice']} failed: {attempt.status}"


def reported(world: World) -> Iterator[str]:
    """What the processor reported has arrived, once, as long as it could be read back: it keeps a month."""
    refunds = Counter(refund.reference for refund in world.records(Refund) if refund.reference)
    yield from (f"the refund {id_} was noted {times} times" for id_, times in refunds.items() if times > 1)
    reported = [notice for notice in world.processor.notices if readable(world, notice)]
    known = {refund.reference: refund.status for refund in world.records(Refund)}
    for refund, status in refund_statuses(world):
        if known.get(refund.reference) != status:
            yield f"the refund {refund.reference} is {status}, noted {known.get(refund.reference)}"
    detached = {notice.reference for notice in reported if notice.kind == "payment_method.detached"}
    for account in world.records(Account):
        if account.payment_method is not None and account.payment_method.id in detached:
            yield f"{account.customer_id} still has the card {account.payment_method.id}, which is gone"


def readable(world: World, notice: ProcessorNotice) -> bool:
    return any(notice.created < at <= notice.created + KEPT for at in world.reconciled)


def refund_statuses(world: World) -> Iterator[tuple[Any, RefundStatus | None]]:
    """The processor's refunds as they must be known: as they are, or as we have them where nobody told us more."""
    last = {n.reference: n for n in world.processor.notices if n.kind.startswith("refund.")}
    known = {refund.reference: refund.status for refund in world.records(Refund)}
    for refund in world.processor.refunds.values():
        told = readable(world, last[refund.payment.reference])
        yield refund, refund.result.status if told else known.get(refund.reference)
