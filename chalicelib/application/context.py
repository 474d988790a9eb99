"""What every use case is handed: whose world it acts in, when it is, who asks, and the ports."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from chalicelib.application.ports import Catalogs, Gateway, Queues, Store, UsageLog, VersionConflict
from chalicelib.application.records import key_of
from chalicelib.domain.customer import PaymentMethod
from chalicelib.domain.errors import ConflictError, IdempotencyMismatchError
from chalicelib.domain.journal import CLOCK, Actor

T = TypeVar("T")
ATTEMPTS = 5
"""How often a decision is taken anew after somebody else wrote first."""


class Services(Protocol):
    """The ports, bound by the composition root. Each is made on first use: what never charges never loads the
    processor's SDK."""

    @property
    def store(self) -> Store: ...

    @property
    def gateway(self) -> Gateway: ...

    @property
    def queues(self) -> Queues: ...

    @property
    def catalogs(self) -> Catalogs: ...

    @property
    def usage_log(self) -> UsageLog: ...

    @property
    def public_url(self) -> str:
        """Where this installation answers, without a trailing slash."""
        ...

    @property
    def pepper(self) -> bytes:
        """The secret that tokens of ours derive from."""
        ...

    @property
    def allowed_origins(self) -> tuple[str, ...]:
        """Where customers may be sent back to after a checkout, this installation included."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Context:
    """`now` is business time (the environment's clock), `machine_now` the real one: leases, key ages, limits.

    `request_key` names the request (derived from the caller's Idempotency-Key, or random without one): ids of
    what it creates derive from it. `request_print` is the fingerprint of its content.
    """

    env: str
    now: datetime
    machine_now: datetime
    services: Services
    actor: Actor = CLOCK
    channel: str = "self_serve"
    request_key: str = ""
    request_print: str = ""
    tally: Counter[str] | None = None
    """Counts the facts committed in this context, by type, where somebody wants to know."""
    admit_method: Callable[[PaymentMethod], None] | None = None
    """Asked about a payment method that was just attached, before anything is charged to it; refuses by raising."""
    unknown: list[timedelta] | None = None
    """Collects the ages of attempts that were asked about and still have no outcome, where somebody wants to know."""

    @property
    def store(self) -> Store:
        return self.services.store

    @property
    def gateway(self) -> Gateway:
        return self.services.gateway

    @property
    def queues(self) -> Queues:
        return self.services.queues

    @property
    def catalogs(self) -> Catalogs:
        return self.services.catalogs

    def at(self, now: datetime) -> Context:
        """The same world at another business time: a job runs at the instant it was due."""
        return replace(self, now=now)


def deciding(decide: Callable[[], T], *, attempts: int = ATTEMPTS) -> T:
    """Run load → decide → commit again while somebody else wins the race, at most `attempts` times.

    Raises ConflictError after that. `decide` must load everything it uses anew.
    """
    for _ in range(attempts):
        try:
            return decide()
        except VersionConflict as lost:
            conflict = lost
    raise ConflictError("changed by somebody else at the same time", fix="repeat the request") from conflict


def create_once(ctx: Context, record: T, *also: object) -> T:
    """Store a new record (with whatever else belongs to its creation) or answer the one that this same request
    had created before. May run twice: the id derives from the request, the fingerprint tells another content.
    """
    try:
        ctx.store.commit(ctx.env, record, *also)
    except VersionConflict:
        existing = ctx.store.get(key_of(ctx.env, record))
        if existing is None:
            raise
        if existing.request != record.request:  # type: ignore[attr-defined]
            raise IdempotencyMismatchError(
                "this Idempotency-Key was used with another request",
                field="Idempotency-Key",
                fix="use a new key",
            ) from None
        return existing  # type: ignore[no-any-return]
    return ctx.store.get(key_of(ctx.env, record)) or record
