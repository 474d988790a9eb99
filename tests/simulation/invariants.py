"""What must be true of an installation once it is quiet, whatever it went through.

Every check counts for itself, from records, journal, processor and mail; what a formula of the domain says is
recomputed here by other means where that is possible. A check yields sentences; none means that it holds.
"""

from __future__ import annotations

from calendar import monthrange
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from chalicelib.application import books, entitlements, feed
from chalicelib.application.letters import letter_of
from chalicelib.application.ports import ProcessorNotice
from chalicelib.application.records import account_key
from chalicelib.domain.calendar import Interval, Period
from chalicelib.domain.checkout import CheckoutSession
from chalicelib.domain.customer import Account, CollectionMethod
from chalicelib.domain.environment import LIVE
from chalicelib.domain.invoice import CauseKind, Invoice, InvoiceStatus
from chalicelib.domain.journal import JournalEntry, LedgerAccount
from chalicelib.domain.payment import AttemptStatus, Outcome, Payment
from chalicelib.domain.schedule import next_due
from chalicelib.domain.subscription import Billing, Status, Subscription
from tests.simulation.world import World

KEPT = timedelta(days=29)
_NEVER = (InvoiceStatus.VOID,)


def check(world: World) -> list[str]:
    """Every sentence of every check."""
    return [f"{each.__name__[1:]}: {text}" for each in CHECKS for text in each(world)]


def _one_cycle_invoice(world: World) -> Iterator[str]:
    seen = Counter(
        (invoice.subscription_id, invoice.period.start)
        for invoice in world.records(Invoice)
        if invoice.cause.kind is CauseKind.CYCLE and invoice.period and invoice.status not in _NEVER
    )
    for (subscription, start), times in seen.items():
        if times > 1:
            yield f"{subscription} has {times} invoices for the period from {start}"


def _money(world: World) -> Iterator[str]:
    """Processor, payments, ledger and invoices, per currency."""
    invoices, accounts = world.records(Invoice), world.records(Account)
    ledger: dict[str, Counter[LedgerAccount]] = defaultdict(Counter)
    for entry in world.journal():
        for posting in entry.postings:
            ledger[posting.currency][posting.account] += posting.amount
    manual = world.records(Payment)
    for currency in sorted({invoice.currency for invoice in invoices} | set(ledger)):
        of = [invoice for invoice in invoices if invoice.currency == currency]
        by_hand = sum(p.amount for p in manual if p.currency == currency)
        taken = world.processor.totals(currency) - world.processor.refunded(currency)
        collected = sum(p.amount - p.refunded for i in of for p in i.payments if p.reference is not None)
        open_ = sum(invoice.amount_remaining for invoice in of if invoice.status is InvoiceStatus.OPEN)
        bad = sum(invoice.amount_remaining for invoice in of if invoice.status is InvoiceStatus.UNCOLLECTIBLE)
        revenue = sum(i.total - i.tax - i.credited for i in of if i.status not in _NEVER)
        credit = sum(c.amount for a in accounts for c in a.credits if c.currency == currency)
        booked = ledger[currency]
        for what, left, right in (
            ("the ledger does not balance", sum(booked.values()), 0),
            ("the processor's money and the payments differ", taken, collected),
            ("cash and the money received differ", booked[LedgerAccount.CASH], taken + by_hand),
            ("receivable and what is open differ", booked[LedgerAccount.RECEIVABLE], open_),
            ("bad debt and what is uncollectible differ", booked[LedgerAccount.BAD_DEBT], bad),
            ("revenue and the invoices differ", -booked[LedgerAccount.REVENUE], revenue),
            ("customer credit and the accounts differ", -booked[LedgerAccount.CUSTOMER_CREDIT], credit),
        ):
            if left != right:
                yield f"{what}: {left} ≠ {right} {currency}"


def _charges(world: World) -> Iterator[str]:
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
    invoices = {invoice.id: invoice for invoice in world.records(Invoice)}
    for invoice_id, paid in by_invoice.items():
        invoice = invoices.get(invoice_id or "")
        if invoice is None:
            yield f"the processor knows an invoice that we do not: {invoice_id}"
            continue
        money = [p for p in paid if p.result.outcome is Outcome.SUCCEEDED]
        net = sum(p.amount - p.refunded for p in money)
        most = 0 if invoice.status is InvoiceStatus.VOID else invoice.amount_due
        if net > most + invoice.amount_due // 100:  # a processor may count in coarser units
            yield f"{invoice_id} took {net} of {most} {invoice.currency}"
        ours = sorted(p.reference for p in invoice.payments if p.reference and p.refunded < p.amount)
        theirs = sorted(p.reference for p in money if p.refunded < p.amount)
        if ours != theirs:
            yield f"{invoice_id} notes {ours}, the processor has {theirs}"


def _invoices(world: World) -> Iterator[str]:
    """Each invoice adds up, recomputed from its lines; numbers have no gaps; statuses say what was paid."""
    numbers: dict[str, list[int]] = defaultdict(list)
    for invoice in world.records(Invoice):
        numbers[invoice.customer_id].append(invoice.sequence)
        for line in invoice.lines:
            rated = sum((_step(step) for step in line.steps), Fraction(0))
            if line.amount != _rounded(rated * line.numerator / line.denominator):
                yield f"{invoice.id} line {line.id}: {line.amount} does not follow from its inputs"
        yield from _amounts(invoice)
        yield from _attempts(invoice)
    for customer, sequences in numbers.items():
        account = world.store.get(account_key(LIVE, customer))
        if sorted(sequences) != list(range(1, len(sequences) + 1)) or account.invoices != len(sequences):
            yield f"{customer}'s invoice numbers: {sorted(sequences)}, counter {account.invoices}"


def _amounts(invoice: Invoice) -> Iterator[str]:
    if invoice.total != sum(line.total for line in invoice.lines):
        yield f"{invoice.id}: the total is not the sum of its lines"
    if invoice.amount_paid != sum(a.amount for p in invoice.payments for a in p.allocations):
        yield f"{invoice.id}: amount_paid {invoice.amount_paid} is not what its payments say"
    if not invoice.amount_remaining >= 0:
        yield f"{invoice.id}: {invoice.amount_remaining} remains"
    settled = invoice.status is InvoiceStatus.PAID or bool(invoice.credited)
    if invoice.status not in _NEVER and not settled and invoice.amount_remaining == 0:
        yield f"{invoice.id} is {invoice.status} with nothing remaining"
    if invoice.status is InvoiceStatus.PAID and invoice.amount_remaining:
        yield f"{invoice.id} is {invoice.status} with {invoice.amount_remaining} remaining"


def _attempts(invoice: Invoice) -> Iterator[str]:
    if [attempt.number for attempt in invoice.attempts] != list(range(1, len(invoice.attempts) + 1)):
        yield f"{invoice.id}: attempts {[attempt.number for attempt in invoice.attempts]}"
    if len({attempt.key for attempt in invoice.attempts}) < len(invoice.attempts):
        yield f"{invoice.id}: one key for two attempts"
    if sum(attempt.status is AttemptStatus.SUCCEEDED for attempt in invoice.attempts) > 1:
        yield f"{invoice.id}: two attempts succeeded"
    if any(attempt.is_open for attempt in invoice.attempts[:-1]):
        yield f"{invoice.id}: an attempt was begun while another was open"


def _periods(world: World) -> Iterator[str]:
    """Within one run of a subscription: gapless, and each boundary where the calendar has it."""
    runs: list[tuple[Subscription, list[Period]]] = []
    current: dict[str, list[Period]] = {}
    latest: dict[str, Subscription] = {}
    for record in (record for _, record in world.store.committed):
        if isinstance(record, Subscription):
            latest[record.id] = record
            if record.cycle < 0:  # paid after it had been unpaid: its time goes on from then
                current.pop(record.id, None)
        facts = {fact.type: fact for fact in record.facts} if isinstance(record, JournalEntry) else {}
        opened = facts.get("invoice.opened")
        if opened is None:
            continue
        id_ = str(opened.data["subscription"])
        start, end = (datetime.fromisoformat(str(opened.data[key])) for key in ("period_start", "period_end"))
        if "subscription.renewed" not in facts or id_ not in current:
            current[id_] = []
            runs.append((latest[id_], current[id_]))
        current[id_].append(Period(start, end))
    for subscription, periods in runs:
        for before, after in pairwise(periods):
            if before.end != after.start:
                yield f"{subscription.id}: a period ends {before.end}, the next begins {after.start}"
        yield from _on_the_calendar(subscription, periods)


def _on_the_calendar(subscription: Subscription, periods: list[Period]) -> Iterator[str]:
    zone = ZoneInfo(subscription.zone)
    first = periods[0].start.astimezone(zone).date()
    if subscription.billing is Billing.CALENDAR:
        if subscription.interval != Interval.of("month"):
            return
        first = first.replace(day=1)
    for k, period in enumerate(periods, start=1):
        wanted = _later(first, subscription.interval, k)
        found = period.end.astimezone(zone).date()
        if wanted is not None and found != wanted:
            yield f"{subscription.id}: boundary {k} of {first} is {found}, not {wanted}"


def _later(first: date, interval: Any, k: int) -> date | None:
    """`first` + k intervals of months, on the same day or the month's last; None for days and weeks."""
    if interval.months is None:
        return None
    year, month = divmod(first.month - 1 + k * interval.months, 12)
    year, month = first.year + year, month + 1
    return date(year, month, min(first.day, monthrange(year, month)[1]))


def _mrr(world: World) -> Iterator[str]:
    moved: Counter[str] = Counter()
    for entry in world.journal():
        for movement in entry.movements:
            moved[movement.subscription_id] += movement.amount
    for subscription in world.records(Subscription):
        counted = subscription.status in (Status.ACTIVE, Status.PAST_DUE)
        wanted = _monthly(subscription) if counted else 0
        if not moved[subscription.id] == subscription.mrr == wanted:
            yield (
                f"{subscription.id} ({subscription.status}): moved {moved[subscription.id]}, "
                f"says {subscription.mrr}, should be {wanted}"
            )


def _monthly(subscription: Subscription) -> int:
    total = Fraction(0)
    for item in subscription.items:
        if item.price is not None:
            interval = item.price.interval
            months = {"month": 1, "year": 12}.get(interval.unit)
            per_year = {"day": 365, "week": 52}.get(interval.unit, 0)
            share = (
                Fraction(1, months * interval.count) if months else Fraction(per_year, 12 * interval.count)
            )
            total += _rated(item.price.rate, item.quantity) * share
    return _rounded(total)


def _rated(rate: Any, quantity: int) -> Fraction:
    if rate.model == "flat":
        return Fraction(rate.unit_amount)
    if rate.model == "per_unit":
        return quantity * Fraction(rate.unit_amount)
    raise AssertionError(f"no plan here is {rate.model}")


def _published(world: World) -> Iterator[str]:
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


def _mails(world: World) -> Iterator[str]:
    """What went out, once each; every receipt that is owed; nothing that the final state denies."""
    entries = {entry.id: entry for entry in world.journal()}
    gone = Counter(letter.id for letter in world.sent)
    yield from (f"letter {id_} went out {times} times" for id_, times in gone.items() if times > 1)
    yield from (f"letter {id_} is about nothing that happened" for id_ in gone if id_ not in entries)
    receipts = Counter(letter.data["invoice"] for letter in world.sent if letter.template == "receipt")
    yield from (f"{id_} has {times} receipts" for id_, times in receipts.items() if times > 1)
    for entry in entries.values():
        owed = letter_of(LIVE, entry)
        if owed is not None and owed.template == "receipt" and owed.id not in gone:
            yield f"no receipt went out for {owed.data['invoice']}"
    invoices = {invoice.id: invoice for invoice in world.records(Invoice)}
    for letter in world.sent:
        if letter.template in ("payment_failed", "payment_missing"):
            attempt = invoices[letter.data["invoice"]].attempts[letter.data["attempt"] - 1]
            if attempt.status is not AttemptStatus.DECLINED:
                yield f"mail says attempt {attempt.number} of {letter.data['invoice']} failed: {attempt.status}"


def _nothing_left(world: World) -> Iterator[str]:
    """Nothing due in the past, nothing that waits for nobody, nothing on a dead-letter queue."""
    subscriptions = {each.id: each for each in world.records(Subscription)}
    invoices = world.records(Invoice)
    left_behind = _left_behind(world)
    for thing in [*subscriptions.values(), *invoices, *world.records(CheckoutSession)]:
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
            if credit.amount < 0 and not _is_carried(credit.source, invoices):
                yield f"{account.customer_id} has a debit of {credit.amount} from {credit.source}"


def _left_behind(world: World) -> set[str]:
    """Invoices that were open when their subscription was cancelled: they stay so, and are paid by hand or not."""
    left: set[str] = set()
    opened: dict[str, set[str]] = defaultdict(set)
    for entry in world.journal():
        for fact in entry.facts:
            if fact.type == "invoice.opened":
                opened[str(fact.data["subscription"])].add(fact.subject)
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


def _reported(world: World) -> Iterator[str]:
    """What the processor reported has arrived, once, as long as it could be read back: it keeps a month."""
    facts = Counter(
        fact.data["reference"]
        for entry in world.journal()
        for fact in entry.facts
        if fact.type == "refund.reported"
    )
    refunds = Counter(n.reference for n in world.processor.notices if n.kind == "charge.refunded")
    reported = [notice for notice in world.processor.notices if _readable(world, notice)]
    detached = {notice.reference for notice in reported if notice.kind == "payment_method.detached"}
    if any(facts[reference] > times for reference, times in refunds.items()):
        yield f"refunds {refunds}, reported {facts}"
    for notice in reported:
        if notice.kind == "charge.refunded" and not facts[notice.reference]:
            yield f"the refund of {notice.reference} was never noted"
    for account in world.records(Account):
        if account.payment_method is not None and account.payment_method.id in detached:
            yield f"{account.customer_id} still has the card {account.payment_method.id}, which is gone"


def _readable(world: World, notice: ProcessorNotice) -> bool:
    return any(notice.created < at <= notice.created + KEPT for at in world.reconciled)


def _access(world: World) -> Iterator[str]:
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
        current = [i for i in own if i.period == subscription.period and i.status not in _NEVER]
        if not current:
            yield f"{subscription.id} is active without an invoice for {subscription.period}"
    if subscription.status is Status.ACTIVE and subscription.dunning is None:
        for invoice in own:
            declined = invoice.attempt is not None and not invoice.attempt.is_open
            automatic = invoice.terms.method is CollectionMethod.CHARGE_AUTOMATICALLY
            if invoice.status is InvoiceStatus.OPEN and automatic and declined:
                yield f"{subscription.id} is active although {invoice.id} was declined"
    if (subscription.status in (Status.PAST_DUE, Status.UNPAID)) != (subscription.dunning is not None):
        yield f"{subscription.id} is {subscription.status} with dunning {subscription.dunning}"


def _step(step: Any) -> Fraction:
    return step.quantity * Fraction(step.unit_amount) / step.per + Fraction(step.flat_amount)


def _rounded(exact: Fraction) -> int:
    """Half away from zero."""
    whole, rest = divmod(abs(exact.numerator), exact.denominator)
    size = whole + (2 * rest >= exact.denominator)
    return size if exact >= 0 else -size


CHECKS: tuple[Callable[[World], Iterator[str]], ...] = (
    _one_cycle_invoice, _money, _charges, _invoices, _periods, _mrr, _published, _mails, _nothing_left,
    _reported, _access,
)  # fmt: skip
