"""A small world to tell billing stories in: the real use cases over engines in memory and a driven clock.

    world = World(start="2026-01-31")
    sub = world.subscribe(world.customer(card="pm_card_visa"), "pro", quantity=3)
    world.advance(days=28, expect=["subscription.renewed", "invoice.opened", "payment.succeeded", "invoice.paid"])

`advance` and `expect` compare the exact list of facts: a missing or an unexpected one fails.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from chalicelib.adapters.catalogs import CachedCatalogs
from chalicelib.adapters.memory.fakes import MemoryQueues
from chalicelib.adapters.memory.gateway import MemoryGateway
from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.adapters.memory.store import MemoryStore
from chalicelib.application import payment_methods, subscriptions
from chalicelib.application.catalog import publish_default
from chalicelib.application.clock import Advance, Drive, drive_advance, start_advance
from chalicelib.application.context import Context
from chalicelib.application.records import account_key, child_key, customer_key, environment_key
from chalicelib.application.subscription_records import get_subscription
from chalicelib.domain import ids
from chalicelib.domain.calendar import Interval
from chalicelib.domain.customer import Account, Customer
from chalicelib.domain.environment import Environment
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import Actor, ActorKind, JournalEntry, LedgerAccount
from chalicelib.domain.ordering import Order
from chalicelib.domain.payment import Payment
from chalicelib.domain.subscription import Subscription

ENV = "sbx_world"
API = Actor(ActorKind.API, "key_test")


@dataclass
class Parts:
    """The ports of the world."""

    store: Any
    gateway: Any
    queues: MemoryQueues
    ops: Any
    catalogs: Any = None
    public_url: str = "http://127.0.0.1:8787"
    pepper: bytes = b"p" * 32
    allowed_origins: tuple[str, ...] = ("http://127.0.0.1:8787", "https://shop.example")


@dataclass
class World:
    """Everything is reachable: `world.parts.gateway.behave(…)`, `world.facts`, `world.ledger()`."""

    start: str = "2026-01-01T09:00:00+00:00"
    parts: Parts = field(
        default_factory=lambda: Parts(MemoryStore(), MemoryGateway(), MemoryQueues(), MemoryOps())
    )
    machine: datetime = datetime(2026, 11, 20, 12, tzinfo=UTC)
    env: str = ENV

    def __post_init__(self) -> None:
        start = datetime.fromisoformat(self.start)
        start = start if start.tzinfo else start.replace(tzinfo=UTC)
        self._names = count(1)
        self._people = 0
        self._seen = 0
        self.parts.catalogs = self.parts.catalogs or CachedCatalogs(self.parts.store)
        self.parts.store.commit(
            self.env, Environment(id=self.env, name="world", created_at=self.machine, clock=start)
        )
        publish_default(self.ctx())

    @property
    def now(self) -> datetime:
        environment = self.parts.store.get(environment_key(self.env))
        assert environment is not None
        assert environment.clock is not None
        return environment.clock

    def ctx(self, request: str = "", now: datetime | None = None) -> Context:
        name = request or f"request-{next(self._names)}"
        return Context(
            env=self.env,
            now=now or (self.now if self.parts.store.get(environment_key(self.env)) else self.machine),
            machine_now=self.machine,
            services=self.parts,
            actor=API,
            request_key=name,
            request_print="print",
        )

    def customer(self, card: str | None = None, **fields: Any) -> str:
        customer_id = ids.customer_id(self.env, f"customer-{next(self._names)}")
        self._people += 1
        email = fields.pop("email", None) or f"ada{self._people if self._people > 1 else ''}@example.com"
        profile = Customer(id=customer_id, created_at=self.now, email=email, **fields)
        self.parts.store.commit(self.env, profile, Account(customer_id=customer_id))
        if card is not None:
            self.card(customer_id, card)
        return customer_id

    def card(self, customer_id: str, card: str) -> None:
        payment_methods.attach(self.ctx(), customer_id, card)

    def subscribe(
        self, customer_id: str, plan: str, *, interval: str = "month", currency: str = "USD", **order: Any
    ) -> Subscription:
        request = order.pop("request", "")
        wanted = Order(plan=plan, currency=currency, interval=Interval.of(interval), **order)
        return subscriptions.create_subscription(self.ctx(request), customer_id, wanted)

    def advance(self, *, expect: Sequence[str] | None = None, to: str | None = None, **by: float) -> Advance:
        """Move the clock; `expect` is the exact list of facts that this brings, in order of commits."""
        target = datetime.fromisoformat(to) if to else self.now + timedelta(**by)
        ctx = self.ctx()
        advance = start_advance(ctx, self.parts.ops, target)
        drive = Drive(time_left=lambda: 60.0, machine_now=lambda: self.machine)
        advance = drive_advance(ctx, self.parts.ops, advance.id, drive)
        if expect is not None:
            self.expect(*expect)
        assert_books(self)
        return advance

    def expect(self, *types: str) -> None:
        """Exactly these facts since the last look."""
        assert self.facts() == list(types)

    def facts(self) -> list[str]:
        """Types of the facts committed since the last look."""
        entries = self.journal()
        fresh, self._seen = entries[self._seen :], len(entries)
        return [fact.type for entry in fresh for fact in entry.facts]

    def journal(self) -> list[JournalEntry]:
        """In the order of the commits; on a real engine customer by customer, by business time."""
        if hasattr(self.parts.store, "journal"):
            return list(self.parts.store.journal(self.env))
        return self.everything(JournalEntry)

    def everything(self, type_: type[Any]) -> list[Any]:
        """All records of one type that customers own."""
        store = self.parts.store
        if hasattr(store, "records"):
            return list(store.records(type_))
        people = store.listing(Customer, self.env, limit=90).records
        return [record for each in people for record in store.children(type_, self.env, each.id)]

    def ledger(self, currency: str = "USD") -> dict[LedgerAccount, int]:
        totals: Counter[LedgerAccount] = Counter()
        for entry in self.journal():
            for posting in entry.postings:
                if posting.currency == currency:
                    totals[posting.account] += posting.amount
        return {account: amount for account, amount in totals.items() if amount}

    def mrr(self) -> int:
        return sum(movement.amount for entry in self.journal() for movement in entry.movements)

    def reload(self, subscription: Subscription) -> Subscription:
        return get_subscription(self.ctx(), subscription.id)

    def invoices(self, owner: Subscription | str) -> list[Invoice]:
        """A subscription's (or customer's) invoices by number."""
        customer_id = owner if isinstance(owner, str) else owner.customer_id
        found: list[Invoice] = self.parts.store.children(Invoice, self.env, customer_id)
        return sorted(
            (i for i in found if isinstance(owner, str) or i.subscription_id == owner.id),
            key=lambda invoice: invoice.sequence,
        )

    def account(self, customer_id: str) -> Account:
        account: Account | None = self.parts.store.get(account_key(self.env, customer_id))
        assert account is not None
        return account

    def edit(self, record: Any, **changes: Any) -> None:
        """Write a record with changes, as another process would have."""
        self.parts.store.commit(self.env, replace(record, **changes))


def assert_books(world: World) -> None:
    """The ledger balances and equals invoices and processor, per currency; numbers are gapless per customer."""
    invoices = world.everything(Invoice)
    recorded = {payment.id: payment for payment in world.everything(Payment)}
    for currency in {invoice.currency for invoice in invoices}:
        ledger = world.ledger(currency)
        assert sum(ledger.values()) == 0
        of = [invoice for invoice in invoices if invoice.currency == currency]
        collected = [p for i in of for p in i.payments if p.id not in recorded]
        recorded_in = [payment for payment in recorded.values() if payment.currency == currency]
        disputes = [dispute for p in collected for dispute in p.disputes]
        taken = sum(each.state.withdrawn for each in disputes)
        lost = sum(each.lost for each in disputes)
        fees = sum(each.state.fee for each in disputes if each.state.fee_currency == currency)
        cash = sum(p.amount - p.refunded for p in (*collected, *recorded_in)) - taken - fees
        assert ledger.get(LedgerAccount.CASH, 0) == cash
        assert ledger.get(LedgerAccount.PROCESSOR_FEES, 0) == fees
        assert all(
            i.amount_paid == sum(a.amount for p in i.payments for a in p.allocations) - _lost(i) for i in of
        )
        open_amount = sum(i.amount_remaining for i in of if i.status == "open")
        assert ledger.get(LedgerAccount.RECEIVABLE, 0) == open_amount + taken - lost
    for customer_id in {invoice.customer_id for invoice in invoices}:
        numbers = sorted(i.sequence for i in invoices if i.customer_id == customer_id)
        assert numbers == list(range(1, len(numbers) + 1))


def _lost(invoice: Invoice) -> int:
    return sum(dispute.lost for payment in invoice.payments for dispute in payment.disputes)


__all__ = ["API", "ENV", "Parts", "World", "assert_books", "child_key", "customer_key"]
