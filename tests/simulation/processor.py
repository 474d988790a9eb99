"""The processor's door: what goes through it may fail on either side, and its keys live for a day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from chalicelib.adapters.memory.gateway import MemoryGateway
from chalicelib.adapters.stripe.throttle import Rates, Throttle
from chalicelib.application.ops import Ops
from chalicelib.application.ports import ChargeRequest, Confirmation, RefundRequest
from chalicelib.application.records import child_key
from chalicelib.domain.errors import GatewayUnavailableError
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.payment import AttemptStatus, ChargeResult, Outcome
from chalicelib.domain.refund import Refund, RefundResult, RefundStatus
from tests.simulation.engines import SimStore
from tests.simulation.faults import Trap, Violation

FORGOTTEN_AFTER = timedelta(hours=24)
"""How long the processor knows an idempotency key, by the machine's clock."""
_TAKES = (Outcome.SUCCEEDED, Outcome.PROCESSING)
_OVER = (AttemptStatus.SUCCEEDED, AttemptStatus.DECLINED)
"""One that we called off must be called off at the processor too."""
_WINDOW = timedelta(days=30)
_ASKS_NOBODY = ("minimum", "locate", "movable")


LIMIT = 15
"""How often a card is tried in vain within thirty days, unless the plan of steps says otherwise."""


class SimGateway:
    """A charge that was not written down before, with exactly this key, is a violation whatever comes of it.

    With `rate`, jobs ask for leave to call: so many calls a second, in all, and the rest are refused.
    """

    def __init__(
        self,
        inner: MemoryGateway,
        store: SimStore,
        trap: Trap,
        now: Callable[[], datetime],
        leave: Leave | None,
    ) -> None:
        self.inner = inner
        self.in_background = False
        self._store = store
        self._trap = trap
        self._now = now
        self._leave = leave
        self._used: dict[str, datetime] = {}
        self._tries: list[tuple[datetime, str, str, str]] = []
        self.limit = LIMIT

    def __getattr__(self, name: str) -> Any:
        act = getattr(self.inner, name)
        if name in _ASKS_NOBODY:
            return act

        def call(*args: Any, **kwargs: Any) -> Any:
            self._trap.boundary("before_call", name)
            if self._leave is not None and self.in_background:
                self._leave.ask(name)
            self.housekeeping()
            if name == "charge":
                self._require_claim(*args)
                self._require_alone(*args)
                self._require_room(*args)
            if name == "refund":
                self._require_refund(*args)
            answer = act(*args, **kwargs)
            self._stamp()
            if self._trap.boundary("after_call", name) == "lost":
                return _no_answer(name, *args)
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
        invoice = self._store.stored(child_key(Invoice, request.env, request.invoice_id))
        known = invoice.attempts if invoice is not None else ()
        asked = request.attempt
        if _what(asked) not in map(_what, known):
            raise Violation(
                f"charged without a claim: {request.invoice_id} attempt {asked.number} {asked.key}"
            )

    def _require_room(self, request: ChargeRequest) -> None:
        """No card is tried beyond its limit without success, over all invoices of a customer."""
        method = self.inner.methods.get(request.attempt.method)
        now = self._now()
        if method is None or method.method.kind != "card":
            return
        self._tries = [each for each in self._tries if each[0] > now - _WINDOW]
        in_vain = 0
        for _, customer, fingerprint, key in self._tries:
            payment = self._begun(request.env, key)
            declined = payment is not None and payment.result.outcome is Outcome.DECLINED
            in_vain += (customer, fingerprint) == (
                request.customer_id,
                method.method.fingerprint,
            ) and declined
            if key == request.attempt.key:
                return
        if in_vain >= self.limit:
            raise Violation(f"{request.customer_id}'s card is tried again after {in_vain} declines")
        self._tries.append((now, request.customer_id, method.method.fingerprint, request.attempt.key))

    def _begun(self, env: str, key: str) -> Any:
        """The payment that was begun under a key; what was cancelled was no decline."""
        for payment in self.inner.payments.values():
            known = payment.request
            if isinstance(known, ChargeRequest) and (known.env, known.attempt.key) == (env, key):
                return None if payment.result.is_canceled else payment
        return None

    def _require_refund(self, request: RefundRequest) -> None:
        refund = self._store.stored(child_key(Refund, request.env, request.refund_id))
        asked = (request.key, request.amount, request.reference)
        if refund is None or (refund.key, refund.amount, refund.payment_reference) != asked:
            raise Violation(f"given back without being written down: {request.refund_id} {asked}")

    def _require_alone(self, request: ChargeRequest) -> None:
        """Nothing else may still take the invoice's money, or have taken it: what waits for its customer is
        cancelled first.
        """
        invoice = self._store.stored(child_key(Invoice, request.env, request.invoice_id))
        settled = {attempt.number for attempt in invoice.attempts if attempt.status in _OVER}
        for payment in self.inner.payments.values():
            known = payment.request
            if not isinstance(known, ChargeRequest) or known.invoice_id != request.invoice_id:
                continue
            if known.attempt.number == request.attempt.number:
                continue
            waits = payment.asked is not None or known.attempt.number not in settled
            if payment.result.outcome in _TAKES or (
                waits and payment.result.outcome is Outcome.REQUIRES_ACTION
            ):
                raise Violation(f"{request.invoice_id} is charged while {payment.reference} may be paid too")


class Leave:
    """The real throttle over the installation's operations table. Asking takes time, waiting takes more of it."""

    def __init__(self, ops: Ops, calls_a_second: int, now: Callable[[], datetime]) -> None:
        rates = Rates(in_all=calls_a_second, per_endpoint=calls_a_second, reserve_percent=0, lease=2)
        self._now = now
        self._waited = 0.0
        self._throttle = Throttle(ops, rates, clock=self._clock, sleep=self._sleep)

    def ask(self, call: str) -> None:
        self._waited += 0.1
        self._throttle.admit(call, patience=1.0)

    def _clock(self) -> float:
        return self._now().timestamp() + self._waited

    def _sleep(self, seconds: float) -> None:
        self._waited += seconds


def _no_answer(call: str, request: Any = None, *_: Any) -> Any:
    """What the adapter makes of a connection that broke after the request was sent."""
    unknown = ChargeResult(outcome=Outcome.UNKNOWN)
    match call:
        case "charge":
            return unknown
        case "confirm_charge":
            return Confirmation(result=replace(unknown, reference=request.attempt.reference))
        case "refund":
            return RefundResult(status=RefundStatus.IN_FLIGHT)
    raise GatewayUnavailableError("the payment provider did not answer")


def _what(attempt: Any) -> tuple[Any, ...]:
    return (attempt.number, attempt.key, attempt.amount, attempt.method)
