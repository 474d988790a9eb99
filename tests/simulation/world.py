"""A simulated installation: the real use cases and jobs over engines that fail, one actor at a time.

`perform` runs one step of a plan; whatever the application raises that it should not, and every invariant that
can be seen at once (a charge without a claim, a mail that is wrong as it goes out) is a `Violation`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from chalicelib.adapters.catalogs import CachedCatalogs
from chalicelib.adapters.memory.gateway import MemoryGateway
from chalicelib.application import (
    catalog,
    checkout,
    checkout_opening,
    customers,
    dunning,
    invoices,
    mail,
    notices,
    payment_methods,
    payments,
    projection,
    reconcile,
    signup,
    signup_completion,
    subscriptions,
    sweep,
    work,
)
from chalicelib.application.context import Context
from chalicelib.application.ports import DueRow, Letter, ProcessorNotice, VersionConflict
from chalicelib.application.records import account_key, child_key
from chalicelib.domain.calendar import Interval
from chalicelib.domain.checkout import CheckoutSession, CheckoutStatus, SignupSession
from chalicelib.domain.environment import LIVE, Environment
from chalicelib.domain.errors import ConflictError, DomainError, GatewayUnavailableError, PaymentPendingError
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.journal import CLOCK, PROCESSOR, Actor, ActorKind, JournalEntry
from chalicelib.domain.lifecycle import Order
from chalicelib.domain.payment import Allocation, Outcome
from chalicelib.domain.subscription import Billing, Status, Subscription
from chalicelib.entrypoints.jobs.due import LATER
from tests.simulation.engines import (
    Killed,
    SimGateway,
    SimOps,
    SimQueues,
    SimStore,
    Throttled,
    Trap,
    Violation,
)
from tests.simulation.plan import Plan, Step

API = Actor(ActorKind.API, "key_simulated")
MOST_ATTEMPTS = 40
"""Far beyond the dunning days and what impatient customers add to them."""
RECEIVES = 5
"""How often a message may fail before it is a dead letter."""
VISIBILITY = timedelta(minutes=6)
"""For how long nobody sees a message that somebody has taken."""
SHOP = "https://shop.example/back"


@dataclass(frozen=True, slots=True)
class SentLetter:
    """A mail as it went out, and when."""

    id: str
    template: str
    data: Mapping[str, Any]
    at: datetime


@dataclass(slots=True)
class Message:
    """Something on a queue, how often it failed, and from when on it is seen (again)."""

    body: Any
    failures: int = 0
    visible_at: datetime | None = None


@dataclass
class Services:
    """The ports, as the use cases want them."""

    store: Any
    gateway: Any
    queues: Any
    catalogs: Any
    public_url: str = "https://pay.example"
    allowed_origins: tuple[str, ...] = ("https://pay.example", "https://shop.example")


@dataclass
class World:
    """One installation in one seed. `trace` says in lines what happened."""

    plan: Plan
    trace: list[str] = field(default_factory=list)
    healing: bool = False

    def __post_init__(self) -> None:
        self.clock = self.plan.start
        self.trap = Trap(self.note)
        self.store = SimStore(self.trap)
        self.ops = SimOps(self.trap)
        self.queues = SimQueues(self.trap)
        self.processor = MemoryGateway(now=lambda: self.clock)
        self.gateway = SimGateway(self.processor, self.store, self.trap, lambda: self.clock)
        self.services = Services(self.store, self.gateway, self.queues, CachedCatalogs(self.store))
        self.sent: list[SentLetter] = []
        self.dead_letters: list[str] = []
        self.customers: list[str] = []
        self.reconciled: list[datetime] = []
        self.swept = self.clock
        self._due: list[Message] = []
        self._hooks: list[Message] = []
        self._mail: list[Message] = []
        self._told = 0
        self._projected = 0
        self._journal: list[JournalEntry] = []
        self._scanned = 0
        self._shown = 0
        self.trap.interfere = self._interfere
        self.store.written = self._watch
        self._running: Callable[[], object] | None = None
        self.store.commit(LIVE, Environment(id=LIVE, name="live", created_at=self.clock))
        catalog.publish_catalog(self.ctx("catalog"), _catalog(), expected=None)

    # What a step is told in

    def note(self, line: str) -> None:
        self.trace.append(line)

    def ctx(self, request: str = "", *, actor: Actor = CLOCK) -> Context:
        return Context(
            env=LIVE, now=self.clock, machine_now=self.clock, services=self.services, actor=actor,
            request_key=request, request_print=request,
        )  # fmt: skip

    def journal(self) -> list[JournalEntry]:
        """Every entry, in the order of the commits."""
        fresh = self.store.committed[self._scanned :]
        self._scanned = len(self.store.committed)
        self._journal += [record for _, record in fresh if isinstance(record, JournalEntry)]
        return self._journal

    def records(self, type_: type) -> list[Any]:
        found: list[Any] = self.store.records(type_)
        return found

    # Running

    def perform(self, step: Step) -> None:
        self.note(f"{self.clock:%Y-%m-%d %H:%M} {step}")
        told = len(self.trace)
        self.trap.arm(step.faults)
        self.gateway.housekeeping()
        try:
            self._act(step)
        finally:
            self.trap.disarm()
            self.trap.dead = False
        self.clock += timedelta(seconds=7)
        self._show()
        if self.healing and len(self.trace) == told:
            self.trace.pop()  # nothing happened

    def _show(self) -> None:
        entries = self.journal()
        for entry in entries[self._shown :]:
            self.note(f"    {entry.cause[:60]}: {', '.join(fact.type for fact in entry.facts)}")
        self._shown = len(entries)

    def _act(self, step: Step) -> None:
        if step.kind in _MACHINERY:
            _MACHINERY[step.kind](self, step)
        elif step.kind in _OUTSIDE:
            _OUTSIDE[step.kind](self, **step.args)
        else:
            self._request(step)

    def _request(self, step: Step) -> None:
        """A request of the API and its repetitions with the same key, as a client that wants an answer sends it."""
        ask = _REQUESTS[step.kind](self, **step.args)
        if ask is None:
            self.note("    nothing there")
            return
        act = self._running = lambda: ask(self.ctx(f"request-{step.number}", actor=API))
        for _ in range(step.repeats + 1):
            if self._answered(act):
                return
            self.clock += timedelta(minutes=1)

    def _answered(self, act: Callable[[], object]) -> bool:
        try:
            with self._process():
                act()
        except (Killed, Throttled):
            return False
        except (GatewayUnavailableError, PaymentPendingError, ConflictError) as later:
            self.note(f"    {type(later).__name__}")
            return False
        except DomainError as refused:
            self.note(f"    {type(refused).__name__}: {refused}")
        return True

    @contextmanager
    def _process(self) -> Iterator[None]:
        """One process's life: a death ends with it, and what it raises is judged."""
        try:
            yield
        except (Killed, Throttled, DomainError, Violation):
            raise
        except VersionConflict as escaped:
            raise Violation("a version conflict reached the edge") from escaped
        except Exception as error:
            raise Violation(f"{type(error).__name__}: {error}") from error
        finally:
            self.trap.dead = False

    def _interfere(self, actor: Step) -> None:
        """Somebody else's whole work in the middle of this one's."""
        interrupted = self._running
        self.clock += timedelta(seconds=3)
        if actor.kind != "same":
            self._act(actor)
        elif interrupted is not None:
            try:
                with self._process():
                    interrupted()
            except DomainError as refused:
                self.note(f"    (the other) {type(refused).__name__}")
        self._running = interrupted

    # Queues

    def _drain(self, queue: list[Message], step: Step, handle: Callable[[Any], object]) -> None:
        """Messages in any order; lost, delivered twice or left for later as the step says."""
        random, loss, twice = _fate(step)
        waiting, queue[:] = list(queue), []
        random.shuffle(waiting)
        for message in waiting:
            if message.visible_at is not None and message.visible_at > self.clock:
                queue.append(message)
                continue
            if loss and random.random() < loss:
                self.note(f"    lost: {_brief(message.body)}")
                continue
            for _ in range(2 if random.random() < twice else 1):
                self._deliver(queue, message, handle)

    def _deliver(self, queue: list[Message], message: Message, handle: Callable[[Any], object]) -> None:
        def act() -> object:
            return handle(message.body)

        self._running = act
        try:
            with self._process():
                act()
        except (Killed, Throttled, DomainError) as error:
            self.note(f"    {_brief(message.body)}: {type(error).__name__} {error}")
            if isinstance(message.body, DueRow) and isinstance(error, LATER):
                return  # the due row brings it back
            message.visible_at = self.clock + VISIBILITY
            message.failures += not isinstance(error, Killed | Throttled)  # that is our own doing
            if message.failures < RECEIVES:
                queue.append(message)
            else:
                self.dead_letters.append(f"{_brief(message.body)}: {type(error).__name__}: {error}")

    def quiet(self) -> bool:
        return not (self._due or self._hooks or self._mail or self._told < len(self.processor.notices))

    # The machinery's jobs

    def tick(self, step: Step) -> None:
        self.store.lag = (_fate(step)[0], step.args.get("lag", 0.0))
        act = self._running = lambda: sweep.tick(self.ctx(), self.ops)
        started = self.clock
        if self._quietly(act):
            self.swept = started
        self.store.lag = None
        self._due += [Message(row) for row in self.queues.due_rows]
        self.queues.due_rows.clear()

    def work(self, step: Step) -> None:
        self._drain(self._due, step, lambda row: work.perform(self.ctx(), row))

    def hooks(self, step: Step) -> None:
        fresh = self.processor.notices[self._told :]
        self._told = len(self.processor.notices)
        self._hooks += [Message(notice) for notice in fresh]
        self._drain(self._hooks, step, lambda note: notices.apply_notice(self.ctx(actor=PROCESSOR), note))

    def reconcile(self, step: Step) -> None:
        def trouble(notice: ProcessorNotice, error: Exception) -> None:
            if isinstance(error, ConflictError | Throttled):
                self.note(f"    {_brief(notice)}: {type(error).__name__}")
            else:
                raise Violation(f"the reconciler: {type(error).__name__}: {error}") from error

        def run() -> object:
            reconcile.enqueue_left_over(lambda env: self.ctx(actor=PROCESSOR), self.store, self.ops)
            return reconcile.apply_missed(
                lambda env: self.ctx(actor=PROCESSOR), self.gateway, self.ops,
                machine_now=self.clock, time_left=lambda: 60.0, trouble=trouble,
            )  # fmt: skip

        self._running, started = run, self.clock
        if self._quietly(run):
            self.reconciled.append(started)

    def project(self, step: Step) -> None:
        """The stream in batches; a batch that failed, or that Lambda likes twice, comes again."""
        random, _, twice = _fate(step)
        entries = self.journal()
        while self._projected < len(entries):
            start = (
                max(0, self._projected - random.randint(1, 5)) if random.random() < twice else self._projected
            )
            end = min(self._projected + random.randint(1, 40), len(entries))
            batch = [(LIVE, entry) for entry in _shuffled(random, entries[start:end])]
            act = self._running = lambda batch=batch: projection.project(self.ops, self.queues, batch)
            done = self._quietly(act)
            self._mail += [Message(letter) for letter in self.queues.letters]
            self.queues.letters.clear()
            if not done:
                return
            self._projected = end

    def mail(self, step: Step) -> None:
        self._drain(self._mail, step, self._send)

    def _send(self, letter: Letter) -> None:
        mail.send_letter(self.ctx(), self.ops, self, lambda given, _: _plain(given), letter)

    def send(self, *, to: str, subject: str, html: str, text: str, reference: str) -> None:
        """The mailer: notes the mail, and refuses one that is not true at this moment."""
        self.trap.boundary("send", subject)
        letter = SentLetter(reference, subject, json.loads(text), self.clock)
        self.sent.append(letter)
        self._require_true(letter)

    def _require_true(self, letter: SentLetter) -> None:
        invoice = self._found(Invoice, letter.data.get("invoice"))
        subscription = self._found(Subscription, letter.data.get("subscription"))
        wrong = False
        match letter.template:
            case "receipt":
                wrong = invoice is None or not any(
                    p.amount == letter.data["amount"] for p in invoice.payments
                )
            case "payment_failed" | "payment_missing" | "invoice" | "invoice_overdue":
                wrong = invoice is None or invoice.status is not InvoiceStatus.OPEN
            case "trial_will_end":
                wrong = subscription is None or subscription.status is not Status.TRIALING
        if wrong:
            raise Violation(f"mail {letter.template} {letter.id} is not true: {letter.data}")

    def _watch(self, before: Any, record: Any) -> None:
        """What may not be written even for a moment."""
        match record:
            case CheckoutSession(status=CheckoutStatus.EXPIRED, reference=str(reference)):
                was_open = before is not None and before.status is CheckoutStatus.OPEN
                if was_open and self.processor.pages[reference].state.payable:
                    raise Violation(f"{record.id} was given up while its page could still be paid")
            case Invoice(attempts=attempts) if len(attempts) > MOST_ATTEMPTS:
                raise Violation(f"{record.id} is tried again and again")

    def _found(self, type_: type, id_: str | None) -> Any:
        return self.store.get(child_key(type_, LIVE, id_)) if id_ else None

    def _quietly(self, act: Callable[[], object]) -> bool:
        """A job without a message: what stops it today comes again with the next one."""
        try:
            with self._process():
                act()
        except (Killed, Throttled, DomainError) as error:
            self.note(f"    {type(error).__name__}")
            return False
        return True

    # What lies outside: time, banks, customers at the processor's page

    def wait(self, hours: float) -> None:
        self.clock += timedelta(hours=hours)
        self.gateway.housekeeping()

    def behave(self, who: int, how: str) -> None:
        method = self._card(who)
        if method is not None and method in self.processor.methods:
            self.processor.behave(method, how)

    def detach(self, who: int) -> None:
        method = self._card(who)
        if method is not None and method in self.processor.methods:
            self.processor.detach(method)

    def bank(self, how: str) -> None:
        """Every debit under way comes through, or comes back."""
        for payment in list(self.processor.payments.values()):
            if payment.result.outcome is Outcome.PROCESSING:
                self.processor.settle(payment.reference, how)

    def page_pay(self, which: int, card: str) -> None:
        told = {session.reference for session in self.records(CheckoutSession)}
        pages = [
            page
            for page in self.processor.pages.values()
            if page.state.payable and not page.state.complete and page.page.reference in told
        ]  # who was never told the address cannot pay there
        if pages:
            page = pages[which % len(pages)]
            under_way = page.payment is not None and page.payment.result.outcome is Outcome.PROCESSING
            if not under_way:
                self.processor.pay_checkout(page.page.reference, card)

    def _card(self, who: int) -> str | None:
        if not self.customers:
            return None
        account = self.store.get(account_key(LIVE, self.customers[who % len(self.customers)]))
        return account.payment_method.id if account and account.payment_method else None

    # Requests: each answers what to call in a context, or None where there is nothing to ask for

    def customer(self, *, zone: str, currency: str, card: str | None, net_days: int | None) -> Any:
        email = f"ada{len(self.customers)}@example.com"  # a trial is had once per mailbox
        profile: dict[str, Any] = {"email": email, "time_zone": zone, "currency": currency}
        if net_days is not None:
            profile["terms"] = {"method": "send_invoice", "net_days": net_days}

        def act(ctx: Context) -> None:
            made = customers.create_customer(ctx, profile)
            if made.id not in self.customers:
                self.customers.append(made.id)
            if card is not None:
                payment_methods.attach(ctx, made.id, card)

        return act

    def subscribe(self, *, who: int, **order: Any) -> Any:
        if not self.customers:
            return None
        customer = self.customers[who % len(self.customers)]
        return lambda ctx: subscriptions.create_subscription(ctx, customer, self._order(ctx, customer, order))

    def checkout(self, *, who: int, **order: Any) -> Any:
        if not self.customers:
            return None
        customer = self.customers[who % len(self.customers)]

        def act(ctx: Context) -> object:
            purchase = checkout_opening.Purchase(
                order=self._order(ctx, customer, order),
                success_url=SHOP,
                cancel_url=SHOP,
                customer_id=customer,
            )
            return checkout_opening.open_checkout(ctx, purchase)

        return act

    def signup(self, *, zone: str, currency: str, trial_days: int | None = None, **cart: Any) -> Any:
        changes = {
            **cart, "time_zone": zone, "currency": currency, "email": "grace@example.com",
            "success_url": SHOP, "cancel_url": SHOP, "trial": None if trial_days is None else False,
        }  # fmt: skip
        changes["interval"] = _interval(cart["interval"])
        return lambda ctx: signup.create_signup(ctx, changes)

    def complete(self, *, which: int) -> Any:
        session = self._pick(SignupSession, which)

        def act(ctx: Context) -> None:
            signup_completion.complete_signup(ctx, session.id)
            if session.customer_id not in self.customers and self.store.get(
                account_key(LIVE, session.customer_id)
            ):
                self.customers.append(session.customer_id)

        return act if session else None

    def attach(self, *, who: int, card: str) -> Any:
        if not self.customers:
            return None
        return lambda ctx: payment_methods.attach(ctx, self.customers[who % len(self.customers)], card)

    def cancel(self, *, which: int, at_end: bool) -> Any:
        sub = self._pick(Subscription, which)
        return sub and (
            lambda ctx: subscriptions.cancel_subscription(ctx, sub.id, at_period_end=at_end, reason="")
        )

    def undo(self, *, which: int) -> Any:
        sub = self._pick(Subscription, which)
        return sub and (lambda ctx: subscriptions.undo_cancellation(ctx, sub.id))

    def reactivate(self, *, which: int) -> Any:
        sub = self._pick(Subscription, which, lambda each: each.status is Status.CANCELED)
        return sub and (lambda ctx: subscriptions.reactivate_subscription(ctx, sub.id))

    def pay(self, *, which: int, card: str | None) -> Any:
        invoice = self._pick(Invoice, which, lambda each: each.status is InvoiceStatus.OPEN)
        return invoice and (lambda ctx: invoices.pay_invoice(ctx, invoice.id, payment_method=card))

    def retry(self, *, which: int) -> Any:
        sub = self._pick(Subscription, which, lambda each: each.dunning is not None)
        return sub and (lambda ctx: dunning.retry_now(ctx, sub.id))

    def write_off(self, *, which: int) -> Any:
        invoice = self._pick(Invoice, which, lambda each: each.status is InvoiceStatus.OPEN)
        return invoice and (lambda ctx: dunning.mark_uncollectible(ctx, invoice.id))

    def grace(self, *, which: int, days: int) -> Any:
        sub = self._pick(Subscription, which, lambda each: each.dunning is not None)
        return sub and (lambda ctx: dunning.extend_grace(ctx, sub.id, days))

    def record(self, *, which: int, percent: int) -> Any:
        invoice = self._pick(Invoice, which, lambda each: each.status is InvoiceStatus.OPEN)
        if invoice is None:
            return None
        amount = max(1, invoice.amount_remaining * percent // 100)
        share = (Allocation(invoice.id, min(amount, invoice.amount_remaining)),)
        return lambda ctx: payments.record_payment(
            ctx, invoice.customer_id, amount=amount, currency=invoice.currency, kind="bank_transfer",
            reference=None, allocations=share,
        )  # fmt: skip

    def page_return(self, *, which: int) -> Any:
        session = self._pick(CheckoutSession, which)
        return session and (lambda ctx: checkout.complete_checkout(ctx, session.id))

    def page_expire(self, *, which: int) -> Any:
        session = self._pick(CheckoutSession, which)
        return session and (lambda ctx: checkout.expire_checkout(ctx, session.id))

    def profile(self, *, who: int, zone: str) -> Any:
        if not self.customers:
            return None
        customer = self.customers[who % len(self.customers)]
        return lambda ctx: customers.update_customer(ctx, customer, {"time_zone": zone})

    def _pick(self, type_: type, which: int, where: Callable[[Any], bool] = lambda each: True) -> Any:
        found = sorted((each for each in self.records(type_) if where(each)), key=_age)
        return found[which % len(found)] if found else None

    def _order(self, ctx: Context, customer: str, order: Mapping[str, Any]) -> Order:
        values = dict(order)
        values["interval"] = _interval(values["interval"])
        values["billing"] = Billing(values.get("billing", "anniversary"))
        channel = "sales" if values["plan"] == "business" else "self_serve"
        return Order(currency=subscriptions.default_currency(ctx, customer), channel=channel, **values)


_MACHINERY: dict[str, Callable[[World, Step], None]] = {
    "tick": World.tick, "work": World.work, "hooks": World.hooks, "reconcile": World.reconcile,
    "project": World.project, "mail": World.mail,
}  # fmt: skip
_OUTSIDE: dict[str, Callable[..., None]] = {
    "wait": World.wait, "behave": World.behave, "detach": World.detach, "bank": World.bank,
    "page_pay": World.page_pay,
}  # fmt: skip
_REQUESTS: dict[str, Callable[..., Any]] = {
    name: getattr(World, name)
    for name in ("customer", "subscribe", "checkout", "signup", "complete", "attach", "cancel", "undo",
                 "reactivate", "pay", "retry", "write_off", "grace", "record", "page_return", "page_expire", "profile")
}  # fmt: skip


def _fate(step: Step) -> tuple[Random, float, float]:
    """What the step draws as it runs depends on its number alone: leaving other steps out changes nothing."""
    return Random(step.number), step.args.get("loss", 0.0), step.args.get("twice", 0.0)


def _shuffled(random: Random, entries: list[JournalEntry]) -> list[JournalEntry]:
    """Customers in any order, each one's entries in order: what a sharded stream keeps."""
    places = [entry.customer_id for entry in entries]
    random.shuffle(places)
    by_customer = {customer: [e for e in entries if e.customer_id == customer] for customer in places}
    return [by_customer[customer].pop(0) for customer in places]


def _age(record: Any) -> tuple[datetime, str]:
    return getattr(record, "created_at", None) or record.issued_at, record.id


def _interval(name: str) -> Interval:
    return {"quarter": Interval.of("month", 3), "ten days": Interval.of("day", 10)}.get(name) or Interval.of(
        name
    )


def _plain(letter: Letter) -> mail.Rendered:
    return mail.Rendered(subject=letter.template, text=json.dumps(letter.data), html="")


def _brief(body: Any) -> str:
    match body:
        case DueRow():
            return f"{body.kind} {body.sk}"
        case ProcessorNotice():
            return f"{body.kind} {body.reference}"
        case Letter():
            return f"letter {body.template}"
    return str(body)


def _catalog() -> Any:
    """The shipped catalog and some awkward plans: tiny, in parts of a cent, every ten days, quarterly."""
    document = json.loads(json.dumps(catalog.default_document()))
    for plan in document["plans"]:
        base = {price["currency"]: price for price in plan.get("prices", []) if price["interval"] == "month"}
        for interval in ("month", "year") if base else ():
            for currency in ("KWD", "ISK"):
                plan["prices"].append({**base["USD"], "interval": interval, "currency": currency,
                                       "unit_amount": "4505" if currency == "KWD" else "2500"})  # fmt: skip
    for add_on in document["add_ons"]:
        for interval in ("month", "year"):
            for currency in ("KWD", "ISK"):
                add_on["prices"].append({"interval": interval, "currency": currency, "model": "flat",
                                         "unit_amount": "1515" if currency == "KWD" else "700"})  # fmt: skip
    policies = {
        "starter": {"end": "free_plan", "free_plan": "free"},
        "pro": {"end": "unpaid", "grace_days": 3, "days": [0, 1, 4]},
        "business": {"hard_decline": "end", "quiet_from": 22, "quiet_until": 7},
    }
    for plan in document["plans"]:
        if plan["id"] in policies:
            plan["dunning"] = policies[plan["id"]]
    extra: dict[str, list[dict[str, Any]]] = {
        "tiny": [{"interval": each, "model": "flat", "unit_amount": "19"} for each in ("month", "year")],
        "weekly": [{"interval": "week", "model": "per_unit", "unit_amount": "166.6667"}],
        "decade": [{"interval": "day", "interval_count": 10, "model": "flat", "unit_amount": "190"}],
        "quarterly": [{"interval": "month", "interval_count": 3, "model": "flat", "unit_amount": "5001"}],
    }
    for rank, (name, prices) in enumerate(extra.items()):
        document["plans"].append({
            "id": name, "name": name.title(), "rank": 50 + rank, "features": [], "quotas": {},
            **({"per_seat": True} if name == "weekly" else {}),
            **({"trial": {"days": 5, "card_required": False, "on_end": "invoice"}} if name == "quarterly" else {}),
            "prices": [{**price, "currency": currency}
                       for price in prices for currency in ("USD", "EUR", "JPY", "KWD", "ISK", "GBP")],
        })  # fmt: skip
    return document
