"""The ports of a simulated installation: engines in memory that fail, lag and interleave where a fault says so.

Every place where a process can die, lose an answer or meet somebody else is a boundary: before and after each
commit, processor call, feed write and queue send. Boundaries are numbered within a step; a fault waits for the
first boundary from its number on where its kind can happen (`FITS`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Any

from chalicelib.adapters.memory.fakes import MemoryQueues
from chalicelib.adapters.memory.gateway import MemoryGateway
from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.adapters.memory.store import MemoryStore
from chalicelib.application.ops import Write
from chalicelib.application.ports import ChargeRequest, DueRow, Letter, VersionConflict
from chalicelib.application.records import child_key, key_of
from chalicelib.domain.errors import GatewayUnavailableError
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.payment import ChargeResult, Outcome

FORGOTTEN_AFTER = timedelta(hours=24)
"""How long the processor knows an idempotency key, by the machine's clock."""


class Killed(BaseException):
    """The process died here. Nothing catches it on the way, and whatever it tries after that does not happen."""


class Throttled(Exception):
    """The table refused the write for now."""


class Violation(Exception):
    """The system did something that it must never do."""


@dataclass(frozen=True, slots=True)
class Fault:
    """`kind` strikes at boundary `at` of its step, or the first after it where it can; `actor` interferes."""

    at: int
    kind: str
    actor: Any = None

    def __str__(self) -> str:
        return f"{self.kind}@{self.at}" + (f"({self.actor})" if self.actor is not None else "")


FITS = {
    "kill": (
        "before_commit",
        "after_commit",
        "before_call",
        "after_call",
        "before_feed",
        "after_feed",
        "send",
    ),
    "conflict": ("before_commit",),
    "throttle": ("before_commit",),
    "unavailable": ("before_call",),
    "lost": ("after_call",),
    "interfere": ("before_commit", "before_call", "after_call"),
    "stale": ("lazy_read",),
}


class Trap:
    """Where the faults of the running step strike. Others' work inside an interference is left unharmed."""

    def __init__(self, note: Callable[[str], None]) -> None:
        self.dead = False
        self._note = note
        self._armed: list[Fault] = []
        self._passed = 0
        self._sheltered = 0
        self.interfere: Callable[[Any], None] = lambda actor: None

    def arm(self, faults: Sequence[Fault]) -> None:
        self._armed, self._passed = sorted(faults, key=lambda fault: fault.at), 0

    def disarm(self) -> None:
        self._armed = []

    def alive(self) -> None:
        if self.dead:
            raise Killed

    def boundary(self, place: str, what: str) -> str | None:
        """Pass, or be struck; answers the kind of a fault that the caller must act out itself."""
        self.alive()
        if self._sheltered or not self._armed:
            return None
        self._passed += 1
        for fault in self._armed:
            if fault.at <= self._passed and place in FITS[fault.kind]:
                self._armed.remove(fault)
                self._note(f"    ⚡ {fault} {place} {what}")
                return self._strike(fault)
        return None

    def _strike(self, fault: Fault) -> str | None:
        match fault.kind:
            case "kill":
                self.dead = True
                raise Killed
            case "conflict":
                raise VersionConflict
            case "throttle":
                raise Throttled
            case "unavailable":
                raise GatewayUnavailableError("the payment provider cannot be reached")
            case "interfere":
                self._sheltered += 1
                try:
                    self.interfere(fault.actor)
                finally:
                    self._sheltered -= 1
                return None
        return fault.kind


class SimStore(MemoryStore):
    """Lazy reads may be a version behind; the due index may leave rows out and offer rows of the past."""

    def __init__(self, trap: Trap) -> None:
        super().__init__()
        self._trap = trap
        self._before: dict[tuple[str, str], Any] = {}
        self._seen: list[DueRow] = []
        self.lag: tuple[Random, float] | None = None
        self.written: Callable[[Any, Any], None] = lambda before, record: None

    def get(self, key: Any) -> Any:
        self._trap.alive()
        return super().get(key)

    def get_many(self, keys: Sequence[Any], *, consistent: bool = True) -> list[Any | None]:
        self._trap.alive()
        found = super().get_many(keys, consistent=consistent)
        if not consistent and self._trap.boundary("lazy_read", "") == "stale":
            return [self._before.get((k.pk, k.sk), now) for k, now in zip(keys, found, strict=True)]
        return found

    def children(self, *args: Any, **kwargs: Any) -> Any:
        self._trap.alive()
        return super().children(*args, **kwargs)

    def commit(self, env: str, *records: Any, delete: Sequence[Any] = ()) -> None:
        what = "+".join(type(record).__name__ for record in records)
        self._trap.boundary("before_commit", what)
        addresses = [(key.pk, key.sk) for key in (key_of(env, record) for record in records)]
        before = [self._at(address) for address in addresses]
        super().commit(env, *records, delete=delete)
        self._before.update(zip(addresses, before, strict=True))
        for old, record in zip(before, records, strict=True):
            self.written(old, record)
        self._trap.boundary("after_commit", what)

    def due(self, env: str, shard: int, until: datetime, limit: int = 100) -> list[DueRow]:
        self._trap.alive()
        rows = super().due(env, shard, until, limit)
        if self.lag is None:
            return rows
        random, rate = self.lag
        past = [row for row in self._seen[-30:] if random.random() < rate]
        self._seen += [row for row in rows if row not in self._seen]
        return [row for row in rows if random.random() >= rate] + past


class SimOps(MemoryOps):
    def __init__(self, trap: Trap) -> None:
        super().__init__()
        self._trap = trap

    def create(self, *args: Any, **kwargs: Any) -> Any:
        self._trap.alive()
        return super().create(*args, **kwargs)

    def replace(self, *args: Any, **kwargs: Any) -> Any:
        self._trap.alive()
        return super().replace(*args, **kwargs)

    def put(self, *args: Any, **kwargs: Any) -> None:
        self._trap.alive()
        super().put(*args, **kwargs)

    def delete(self, *args: Any, **kwargs: Any) -> None:
        self._trap.alive()
        super().delete(*args, **kwargs)

    def transact(self, writes: Sequence[Write]) -> bool:
        self._trap.boundary("before_feed", "")
        done = super().transact(writes)
        self._trap.boundary("after_feed", "")
        return done


class SimQueues(MemoryQueues):
    def __init__(self, trap: Trap) -> None:
        super().__init__()
        self._trap = trap

    def due(self, rows: Sequence[DueRow]) -> None:
        self._trap.boundary("send", "due rows")
        super().due(rows)

    def mail(self, messages: Sequence[Letter]) -> None:
        self._trap.boundary("send", "letters")
        super().mail(messages)


class SimGateway:
    """The processor's door: what goes through it may fail on either side, and its keys live for a day.

    A charge that was not written down before, with exactly this key, is a violation whatever comes of it.
    """

    def __init__(
        self, inner: MemoryGateway, store: SimStore, trap: Trap, now: Callable[[], datetime]
    ) -> None:
        self.inner = inner
        self._store = store
        self._trap = trap
        self._now = now
        self._used: dict[str, datetime] = {}

    def __getattr__(self, name: str) -> Any:
        act = getattr(self.inner, name)
        if name in ("minimum", "locate"):
            return act

        def call(*args: Any, **kwargs: Any) -> Any:
            self._trap.boundary("before_call", name)
            self.housekeeping()
            if name == "charge":
                self._require_claim(*args)
            answer = act(*args, **kwargs)
            self._stamp()
            if self._trap.boundary("after_call", name) == "lost":
                if name == "charge":
                    return ChargeResult(outcome=Outcome.UNKNOWN)
                raise GatewayUnavailableError("the payment provider did not answer")
            return answer

        return call

    def housekeeping(self) -> None:
        """What time does at the processor: keys are forgotten, pages expire."""
        now = self._now()
        for key in [key for key, used in self._used.items() if now - used >= FORGOTTEN_AFTER]:
            del self._used[key], self.inner._answers[key]
        for page in self.inner.pages.values():
            if page.state.payable and not page.state.complete and page.request.expires_at <= now:
                self.inner._expire(page)

    def _stamp(self) -> None:
        for key in self.inner._answers:
            self._used.setdefault(key, self._now())

    def _require_claim(self, request: ChargeRequest) -> None:
        key = child_key(Invoice, request.env, request.invoice_id)
        invoice = self._store._at((key.pk, key.sk))
        known = invoice.attempts if invoice is not None else ()
        asked = request.attempt
        if _what(asked) not in map(_what, known):
            raise Violation(
                f"charged without a claim: {request.invoice_id} attempt {asked.number} {asked.key}"
            )


def _what(attempt: Any) -> tuple[Any, ...]:
    return (attempt.number, attempt.key, attempt.amount, attempt.method)
