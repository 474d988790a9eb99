"""A simulated installation: the real use cases and jobs over engines that fail, one actor at a time.

`perform` runs one step of a plan; whatever the application raises that it should not, and every invariant that
can be seen at once (a charge without a claim, a mail that is wrong as it goes out) is a `Violation`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from chalicelib.adapters.catalogs import CachedCatalogs
from chalicelib.adapters.memory.gateway import MemoryGateway
from chalicelib.adapters.stripe.errors import GatewayMisuseError
from chalicelib.application import catalog, coupon_offers
from chalicelib.application.context import Context
from chalicelib.application.ports import VersionConflict
from chalicelib.application.records import account_key, child_key, key_of
from chalicelib.domain.customer import Customer
from chalicelib.domain.environment import LIVE, Environment
from chalicelib.domain.errors import ConflictError, DomainError, GatewayUnavailableError, PaymentPendingError
from chalicelib.domain.journal import CLOCK, Actor, ActorKind, JournalEntry
from tests.simulation import machinery, outside, requests, shop, watch
from tests.simulation.engines import SimOps, SimQueues, SimStore
from tests.simulation.faults import Killed, Throttled, Trap, Violation
from tests.simulation.machinery import Message
from tests.simulation.mailbox import SentLetter
from tests.simulation.processor import LIMIT, Leave, SimGateway
from tests.simulation.steps import DEFAULT, Plan, Step
from tests.simulation.tables import Tables

API = Actor(ActorKind.API, "key_simulated")


@dataclass
class Services:
    """The ports, as the use cases want them."""

    store: Any
    gateway: Any
    queues: Any
    catalogs: Any
    public_url: str = "https://pay.example"
    pepper: bytes = b"p" * 32
    allowed_origins: tuple[str, ...] = ("https://pay.example", "https://shop.example")


@dataclass
class World:
    """One installation in one seed. `trace` says in lines what happened."""

    plan: Plan
    tables: Tables = field(default_factory=Tables)
    trace: list[str] = field(default_factory=list)
    healing: bool = False

    def __post_init__(self) -> None:
        self.clock = self.plan.start
        self.trap = Trap(self.note)
        self.store = SimStore(self.trap, self.tables.billing)
        self.ops: Any = SimOps(self.trap, self.tables.ops)
        self.queues = SimQueues(self.trap)
        self.processor = MemoryGateway(now=lambda: self.clock)
        rate = self.plan.calls_a_second
        leave = Leave(self.ops, rate, lambda: self.clock) if rate else None
        random.seed(self.plan.seed)  # the throttle spreads its waits
        self.gateway = SimGateway(self.processor, self.store, self.trap, lambda: self.clock, leave)
        self.gateway.limit = self.plan.policies.get(DEFAULT, {}).get("attempts_per_card", LIMIT)
        self.services = Services(self.store, self.gateway, self.queues, CachedCatalogs(self.store))
        self.sent: list[SentLetter] = []
        self.dead_letters: list[str] = []
        self.customers: list[str] = []
        self.reconciled: list[datetime] = []
        self.swept = self.clock
        self.due: list[Message] = []
        self.hooks: list[Message] = []
        self.mail: list[Message] = []
        self.told = 0
        self.projected = 0
        self.running: Callable[[], object] | None = None
        self._journal: list[JournalEntry] = []
        self._scanned = 0
        self._shown = 0
        self.disputed: dict[str, datetime] = {}
        self.step_began = self.clock
        self.trap.interfere = self._interfere
        self.store.written = lambda before, record: watch.written(self, before, record)
        self.store.commit(LIVE, Environment(id=LIVE, name="live", created_at=self.clock))
        catalog.publish_catalog(
            self.ctx("catalog"), shop.catalog_with(self.plan.policies or shop.POLICIES), expected=None
        )
        for coupon in shop.COUPONS:
            coupon_offers.create_coupon(self.ctx(f"coupon {coupon.id}"), coupon)

    # What can be asked

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
        return self.store.records(type_)

    def everything(self) -> list[Any]:
        """The latest of every record that was ever written."""
        latest = {key_of(env, record): record for env, record in self.store.committed}
        stored = ((key, self.store.stored(key)) for key in latest)
        return [record for _, record in stored if record is not None]

    def found(self, type_: type, id_: str | None) -> Any:
        return self.store.stored(child_key(type_, LIVE, id_)) if id_ else None

    def account(self, customer: str) -> Any:
        return self.store.stored(account_key(LIVE, customer))

    def quiet(self) -> bool:
        return not (self.due or self.hooks or self.mail or self.told < len(self.processor.notices))

    # Running

    def perform(self, step: Step) -> None:
        self.note(f"{self.clock:%Y-%m-%d %H:%M} {step}")
        told = len(self.trace)
        self.step_began = self.clock
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
        if step.kind in machinery.JOBS:
            before, self.gateway.in_background = self.gateway.in_background, True
            try:
                machinery.JOBS[step.kind](self, step)
            finally:
                self.gateway.in_background = before
        elif step.kind in outside.EVENTS:
            outside.EVENTS[step.kind](self, **step.args)
        else:
            self._request(step)

    def _request(self, step: Step) -> None:
        """A request of the API and its repetitions with the same key, as a client that wants an answer sends it."""
        ask = requests.REQUESTS[step.kind](self, **step.args)
        if ask is None:
            self.note("    nothing there")
            return
        act = self.running = lambda: ask(self.ctx(f"request-{step.number}", actor=API))
        before, self.gateway.in_background = self.gateway.in_background, False
        try:
            for _ in range(step.repeats + 1):
                if self._answered(act):
                    return
                self.clock += timedelta(minutes=1)
        finally:
            self.gateway.in_background = before

    def _answered(self, act: Callable[[], object]) -> bool:
        try:
            with self.process():
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
    def process(self) -> Iterator[None]:
        """One process's life: a death ends with it, and what it raises is judged."""
        try:
            yield
        except (Killed, Throttled, DomainError, Violation):
            raise
        except VersionConflict as escaped:
            raise Violation("a version conflict reached the edge") from escaped
        except GatewayMisuseError as error:
            if not any(each.erased_at and each.id in str(error) for each in self.records(Customer)):
                raise Violation(f"GatewayMisuseError: {error}") from error
            raise Throttled from error  # who works for somebody that is erased meanwhile fails, and finds out next time
        except Exception as error:
            raise Violation(f"{type(error).__name__}: {error}") from error
        finally:
            self.trap.dead = False

    def quietly(self, act: Callable[[], object]) -> bool:
        """A job without a message: what stops it today comes again with the next one."""
        try:
            with self.process():
                act()
        except (Killed, Throttled, DomainError) as error:
            self.note(f"    {type(error).__name__}")
            return False
        return True

    def _interfere(self, actor: Step) -> None:
        """Somebody else's whole work in the middle of this one's."""
        interrupted = self.running
        self.clock += timedelta(seconds=3)
        if actor.kind != "same":
            self._act(actor)
        elif interrupted is not None:
            try:
                with self.process():
                    interrupted()
            except DomainError as refused:
                self.note(f"    (the other) {type(refused).__name__}")
        self.running = interrupted
