"""The state of the processor in memory: its calls, scripted faults, idempotency keys and notices."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from typing import Any

from chalicelib.adapters.memory.processor.records import (
    Answered,
    Charged,
    HostedPage,
    Refunded,
    SavedMethod,
)
from chalicelib.adapters.stripe import currencies
from chalicelib.adapters.stripe.errors import CustomerGoneError, GatewayMisuseError, KeyReusedError
from chalicelib.application.ports import ChargeRequest, CheckoutRequest, ProcessorNotice
from chalicelib.domain.errors import GatewayUnavailableError

ALIASES = {"decline": "generic_decline", "needs_customer": "authentication_required", "hard": "lost_card"}
"""Short names for what a method may answer."""

_FAULTS = {"unavailable", "lost_after_charge", "lost_before_charge"}
_PAGE = 100


@dataclass(slots=True)
class Processor:
    """What every topic shares. Methods that begin with an underscore are called under the lock."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    calls: Counter[str] = field(default_factory=Counter)
    customers: dict[str, str] = field(default_factory=dict)
    methods: dict[str, SavedMethod] = field(default_factory=dict)
    payments: dict[str, Charged] = field(default_factory=dict)
    pages: dict[str, HostedPage] = field(default_factory=dict)
    refunds: dict[str, Refunded] = field(default_factory=dict)
    notices: list[ProcessorNotice] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _envs: dict[str, str] = field(default_factory=dict)
    _deleted: set[str] = field(default_factory=set)
    _answers: dict[str, Answered] = field(default_factory=dict)
    _scripts: dict[str, list[str]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def notices_since(self, since: datetime, cursor: str | None) -> tuple[list[ProcessorNotice], str | None]:
        with self._lock:
            self._begin("notices_since")
            matching = [notice for notice in self.notices if notice.created >= since]
            end = len(matching) - int(cursor or 0)
            start = max(end - _PAGE, 0)
            return matching[start:end], str(len(matching) - start) if start else None

    def locate(self, notice: ProcessorNotice) -> ProcessorNotice | None:
        """Our notices always carry our ids; see the adapter for Stripe."""
        return notice if notice.env is not None else None

    def movable(self, amount: int, currency: str) -> int:
        return currencies.from_stripe(currencies.to_stripe(amount, currency), currency)

    def minimum(self, currency: str) -> int:
        return currencies.minimum(currency)

    def script(self, faults: Iterable[str], *, on: str = "charge") -> None:
        """What happens to the next calls of `on`, one step per call; `ok` lets one through."""
        steps = list(faults)
        unknown = set(steps) - _FAULTS - {"ok"}
        if unknown:
            raise ValueError(f"no such fault: {sorted(unknown)}")
        with self._lock:
            self._scripts.setdefault(on, []).extend(steps)

    def expire_keys(self) -> None:
        """Forget every idempotency key, as the processor does after a day."""
        with self._lock:
            self._answers.clear()

    def _begin(self, call: str, *, lossy: bool = False) -> str | None:
        self.calls[call] += 1
        steps = self._scripts.get(call)
        fault = steps.pop(0) if steps else None
        if fault == "unavailable" or (fault in _FAULTS and not lossy):
            raise GatewayUnavailableError("the payment provider cannot be reached")
        return fault

    def _once(self, key: str, params: Any, act: Callable[[], Any]) -> Any:
        known = self._answers.get(key)
        if known is None:
            known = self._answers[key] = Answered(params, act())
        if known.params != params:
            raise KeyReusedError("this idempotency key was used with other parameters")
        return known.answer

    def _require_customer(self, reference: str) -> None:
        if reference in self._deleted:
            raise CustomerGoneError("the customer was deleted")
        if reference not in self.customers:
            raise GatewayMisuseError(f"no such customer: {reference!r}")

    def _require_chargeable(self, amount: int, currency: str) -> None:
        if amount < self.minimum(currency):
            raise GatewayMisuseError("the amount is below the smallest that can be charged")

    def _notify(self, kind: str, reference: str, request: ChargeRequest | CheckoutRequest) -> None:
        self.notices.append(
            ProcessorNotice(
                id=f"evt_mem_{len(self.notices) + 1}",
                kind=kind,
                created=self.now(),
                reference=reference,
                env=request.env,
                customer_id=request.customer_id,
                subscription_id=request.subscription_id,
                invoice_id=request.invoice_id,
                checkout_id=None if isinstance(request, ChargeRequest) else request.checkout_id,
                attempt=request.attempt.number if isinstance(request, ChargeRequest) else None,
            )
        )
