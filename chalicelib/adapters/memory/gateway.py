"""A payment processor in memory that keeps the `Gateway` contract, with scripted outcomes and faults.

Methods answer as their name says (`pm_card_visa` pays, `pm_card_lost` is refused for good, …; `BEHAVIOURS`),
`behave` changes one at run time, `script` decides about the next calls:

    gateway = MemoryGateway()
    card = gateway.attach_method(gateway.ensure_customer("live", customer), "pm_card_visa")
    gateway.behave(card.id, "insufficient_funds")       # from now on
    gateway.script(["lost_after_charge", "unavailable"])  # the next two charges
    gateway.script(["unavailable"], on="refund")
    gateway.refund_in_dashboard("pi_mem_1", 500)        # somebody else's refund
    gateway.settle_refund("re_mem_1", "failed")         # the bank's last word
"""

from __future__ import annotations

import re
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from chalicelib.adapters.stripe import currencies
from chalicelib.adapters.stripe.declines import METHOD_MISSING, decline
from chalicelib.adapters.stripe.errors import CustomerGoneError, GatewayMisuseError, KeyReusedError
from chalicelib.application.ports import (
    ChargeRequest,
    CheckoutPage,
    CheckoutRequest,
    CheckoutState,
    Confirmation,
    ProcessorNotice,
    RefundRequest,
    ReportedRefund,
)
from chalicelib.domain.customer import Customer, PaymentMethod
from chalicelib.domain.dispute import Dispute, DisputeState, DisputeStatus
from chalicelib.domain.errors import GatewayUnavailableError, PaymentDeclinedError, ValidationError
from chalicelib.domain.payment import CANCELED, ChargeResult, DeclineKind, Outcome
from chalicelib.domain.refund import RefundResult, RefundStatus

BEHAVIOURS = {
    "pm_card_visa": "ok",
    "pm_card_mastercard": "ok",
    "pm_card_amex": "ok",
    "pm_card_chargeCustomerFail": "generic_decline",
    "pm_card_insufficient_funds": "insufficient_funds",
    "pm_card_lost": "lost_card",
    "pm_card_authenticationRequired": "authentication_required",
    "pm_debit_processing": "processing",
    "pm_sepaDebit": "processing",
    "pm_card_refundFail": "ok",
    "pm_card_pendingRefund": "ok",
}
"""Method name → `ok`, `processing`, or a decline code. Any other name that starts with `pm_` pays."""

REFUSED_AT_ATTACH = {
    "pm_card_chargeDeclined": "generic_decline",
    "pm_card_chargeDeclinedExpiredCard": "expired_card",
}
"""Cards that the bank refuses as soon as they are to be saved."""

REFUNDED_PENDING = "pm_card_pendingRefund"
"""Its refunds are pending until `settle_refund`. Those of pm_card_refundFail succeed, and are expected to fail."""

_METHOD = re.compile(r"pm_[A-Za-z0-9_]+")
_ALIASES = {"decline": "generic_decline", "needs_customer": "authentication_required", "hard": "lost_card"}
_FAULTS = {"unavailable", "lost_after_charge", "lost_before_charge"}
_PAGE = 100
DISPUTE_FEE = 1500


@dataclass(slots=True)
class Charged:
    """A payment as the processor holds it; `amount` is what it really moves, in our minor units."""

    reference: str
    request: ChargeRequest | CheckoutRequest
    customer: str
    currency: str
    amount: int
    result: ChargeResult
    refunded: int = 0
    asked: str | None = None
    """Where the bank asks its customer, and they come back to: after `confirm_charge`, until `settle`."""
    disputes: dict[str, DisputeState] = field(default_factory=dict)


@dataclass(slots=True)
class Refunded:
    """A refund as the processor holds it; `request` None: made in its dashboard."""

    reference: str
    payment: Charged
    amount: int
    result: RefundResult
    request: RefundRequest | None = None


@dataclass(slots=True)
class HostedPage:
    request: CheckoutRequest
    page: CheckoutPage
    state: CheckoutState
    payment: Charged | None = None


@dataclass(slots=True)
class _Answered:
    params: Any
    answer: Any


@dataclass(slots=True)
class _Method:
    owner: str
    method: PaymentMethod
    behaviour: str


@dataclass(slots=True)
class MemoryGateway:
    """Thread-safe. `calls` counts every call by name, `payments` has every payment ever begun."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    calls: Counter[str] = field(default_factory=Counter)
    customers: dict[str, str] = field(default_factory=dict)
    methods: dict[str, _Method] = field(default_factory=dict)
    payments: dict[str, Charged] = field(default_factory=dict)
    pages: dict[str, HostedPage] = field(default_factory=dict)
    refunds: dict[str, Refunded] = field(default_factory=dict)
    notices: list[ProcessorNotice] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _envs: dict[str, str] = field(default_factory=dict)
    _deleted: set[str] = field(default_factory=set)
    _answers: dict[str, _Answered] = field(default_factory=dict)
    _scripts: dict[str, list[str]] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    # The port

    def ensure_customer(self, env: str, customer: Customer) -> str:
        with self._lock:
            self._begin("ensure_customer")
            reference = f"cus_mem_{env}_{customer.id}"
            while reference in self._deleted:
                reference += "_again"
            self.customers[reference] = customer.id
            self._envs[reference] = env
            return reference

    def forget_customer(self, processor_customer: str) -> None:
        with self._lock:
            self._begin("forget_customer")
            if self.customers.pop(processor_customer, None) is not None:
                self._deleted.add(processor_customer)
            for name in [name for name, each in self.methods.items() if each.owner == processor_customer]:
                del self.methods[name]

    def charge(self, request: ChargeRequest) -> ChargeResult:
        with self._lock:
            fault = self._begin("charge", lossy=True)
            if fault == "lost_before_charge":
                return ChargeResult(outcome=Outcome.UNKNOWN)
            key = f"charge:{request.env}:{request.attempt.key}"
            result: ChargeResult = self._once(key, _sent(request), lambda: self._pay(request))
            if fault == "lost_after_charge":
                return ChargeResult(outcome=Outcome.UNKNOWN)
            return result

    def find_charge(self, request: ChargeRequest) -> ChargeResult | None:
        with self._lock:
            self._begin("find_charge")
            payment = self._payment_of(request)
            return payment.result if payment else None

    def confirm_charge(self, request: ChargeRequest, *, return_url: str) -> Confirmation:
        with self._lock:
            fault = self._begin("confirm_charge", lossy=True)
            payment = self._payment_of(request)
            if request.attempt.reference is None or payment is None:
                raise GatewayMisuseError("an attempt without a payment to confirm")
            lost = Confirmation(result=ChargeResult(outcome=Outcome.UNKNOWN, reference=payment.reference))
            if fault == "lost_before_charge":
                return lost
            key = f"confirm:{request.env}:{request.attempt.key}:{request.attempt.tries}"
            sent = (payment.reference, request.attempt.method, return_url)
            answer: Confirmation = self._once(key, sent, lambda: self._confirm(payment, request, return_url))
            return lost if fault == "lost_after_charge" else answer

    def cancel_charge(self, request: ChargeRequest) -> ChargeResult | None:
        with self._lock:
            self._begin("cancel_charge")
            payment = self._payment_of(request)
            if payment is None:
                return None
            if payment.result.outcome in (Outcome.DECLINED, Outcome.REQUIRES_ACTION):
                payment.result = replace(payment.result, outcome=Outcome.DECLINED, decline=decline(CANCELED))
                payment.asked = None
                self._notify("payment_intent.canceled", payment.reference, payment.request)
            return payment.result

    def refund(self, request: RefundRequest) -> RefundResult:
        with self._lock:
            fault = self._begin("refund", lossy=True)
            if fault == "lost_before_charge":
                return RefundResult(status=RefundStatus.IN_FLIGHT)
            key = f"refund:{request.env}:{request.key}"
            result: RefundResult = self._once(key, request, lambda: self._give_back(request))
            if fault == "lost_after_charge":
                return RefundResult(status=RefundStatus.IN_FLIGHT)
            return result

    def refunds_of(self, reference: str) -> tuple[ReportedRefund, ...]:
        with self._lock:
            self._begin("refunds_of")
            return tuple(
                ReportedRefund(
                    reference=each.reference,
                    amount=each.amount,
                    result=each.result,
                    refund_id=each.request.refund_id if each.request else None,
                )
                for each in self.refunds.values()
                if each.payment.reference == reference
            )

    def movable(self, amount: int, currency: str) -> int:
        return currencies.from_stripe(currencies.to_stripe(amount, currency), currency)

    def disputes(self, payment: str) -> list[DisputeState]:
        with self._lock:
            self._begin("disputes")
            return list(self.payments[payment].disputes.values())

    def open_checkout(self, request: CheckoutRequest) -> CheckoutPage:
        with self._lock:
            self._begin("open_checkout")
            self._require_customer(request.processor_customer)
            if sum(item.amount for item in request.items) != request.amount:
                raise GatewayMisuseError("the page's items do not add up to its amount")
            page: CheckoutPage = self._once(f"checkout:{request.key}", request, lambda: self._open(request))
            return page

    def checkout(self, reference: str) -> CheckoutState:
        with self._lock:
            self._begin("checkout")
            return self._page(reference).state

    def close_checkout(self, reference: str) -> CheckoutState:
        with self._lock:
            self._begin("close_checkout")
            page = self._page(reference)
            if not page.state.complete:
                self._expire(page)
            return page.state

    def attach_method(self, processor_customer: str, method: str) -> PaymentMethod:
        with self._lock:
            self._begin("attach_method")
            self._require_customer(processor_customer)
            known = self.methods.get(method)
            if not _METHOD.fullmatch(method) or (known and known.owner != processor_customer):
                raise ValidationError("this payment method cannot be used", field="payment_method")
            if method in REFUSED_AT_ATTACH:
                raise PaymentDeclinedError(decline(REFUSED_AT_ATTACH[method]).message)
            return (known or self._attach(processor_customer, method)).method

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

    def minimum(self, currency: str) -> int:
        return currencies.minimum(currency)

    # What a test does and looks at

    def behave(self, method: str, behaviour: str) -> None:
        """From now on `method` (its id) answers `ok`, `processing`, `decline`, or any decline code."""
        with self._lock:
            self.methods[method].behaviour = _ALIASES.get(behaviour, behaviour)

    def script(self, faults: Iterable[str], *, on: str = "charge") -> None:
        """What happens to the next calls of `on`, one step per call; `ok` lets one through."""
        steps = list(faults)
        unknown = set(steps) - _FAULTS - {"ok"}
        if unknown:
            raise ValueError(f"no such fault: {sorted(unknown)}")
        with self._lock:
            self._scripts.setdefault(on, []).extend(steps)

    def detach(self, method: str) -> None:
        """As if the customer's bank or another system had removed the card."""
        with self._lock:
            owner = self.methods.pop(method).owner
            notice = ProcessorNotice(
                id=f"evt_mem_{len(self.notices) + 1}",
                kind="payment_method.detached",
                created=self.now(),
                reference=method,
                env=self._envs[owner],
                customer_id=self.customers[owner],
            )
            self.notices.append(notice)

    def delete_customer(self, reference: str) -> None:
        """As somebody would in the processor's dashboard: saved methods go with it."""
        with self._lock:
            for method in [name for name, held in self.methods.items() if held.owner == reference]:
                self.detach(method)
            env, customer_id = self._envs[reference], self.customers.pop(reference)
            self._deleted.add(reference)
            notice = ProcessorNotice(
                id=f"evt_mem_{len(self.notices) + 1}",
                kind="customer.deleted",
                created=self.now(),
                reference=reference,
                env=env,
                customer_id=customer_id,
            )
            self.notices.append(notice)

    def expire_keys(self) -> None:
        """Forget every idempotency key, as the processor does after a day."""
        with self._lock:
            self._answers.clear()

    def settle(self, reference: str, behaviour: str = "ok") -> None:
        """End a payment that is processing, or that waits for its customer's confirmation."""
        with self._lock:
            payment = self.payments[reference]
            refusal = payment.result.decline
            if payment.result.outcome is Outcome.SUCCEEDED or (refusal and refusal.code == CANCELED):
                raise ValueError(f"{reference} is at its end")
            payment.asked = None
            self._decide(payment, _ALIASES.get(behaviour, behaviour))

    def authenticate(self, reference: str, *, passed: bool = True) -> str:
        """What the customer does at the bank after `confirm_charge`; answers where they come back to."""
        with self._lock:
            payment = self.payments[reference]
            if payment.asked is None:
                raise ValueError(f"nobody is asked about {reference}")
            back, payment.asked = payment.asked, None
            self._decide(payment, "ok" if passed else "payment_intent_authentication_failure")
            return back

    def dispute_opens(
        self, reference: str, amount: int | None = None, *, inquiry: bool = False, fee: int = DISPUTE_FEE
    ) -> str:
        """The customer's bank claims a succeeded payment back, wholly or in part; an inquiry only asks. Answers the
        dispute's reference.
        """
        with self._lock:
            payment = self.payments[reference]
            if payment.result.outcome is not Outcome.SUCCEEDED:
                raise ValueError(f"{reference} was not paid")
            state = DisputeState(
                reference=reference.replace("pi_", f"du_{len(payment.disputes) + 1}_"),
                status=DisputeStatus.INQUIRY,
                amount=payment.amount if amount is None else amount,
                currency=payment.currency,
                reason="fraudulent",
                evidence_due_at=self.now() + timedelta(days=9),
            )
            payment.disputes[state.reference] = state
            self._notify("charge.dispute.created", reference, payment.request)
            if not inquiry:
                self.dispute_escalates(state.reference, fee=fee)
            return state.reference

    def dispute_escalates(self, dispute: str, *, fee: int = DISPUTE_FEE) -> None:
        """The money is withdrawn: an inquiry became a dispute."""
        self._dispute_moves(
            dispute, "funds_withdrawn", status=DisputeStatus.NEEDS_RESPONSE, withdrawn=True, fee=fee
        )

    def dispute_closes(self, dispute: str, *, won: bool) -> None:
        """Decided by the bank; an inquiry is closed either way. What was won is given back, its fee is not."""
        with self._lock:
            was = self.disputed(dispute).disputes[dispute].status
            if was is DisputeStatus.INQUIRY:
                self._dispute_moves(dispute, "closed", status=DisputeStatus.INQUIRY_CLOSED)
            elif won:
                self._dispute_moves(dispute, "funds_reinstated", status=DisputeStatus.WON, withdrawn=False)
                self._dispute_moves(dispute, "closed")
            else:
                self._dispute_moves(dispute, "closed", status=DisputeStatus.LOST)

    def disputed(self, dispute: str) -> Charged:
        """The payment that a dispute is about."""
        return next(payment for payment in self.payments.values() if dispute in payment.disputes)

    def refund_in_dashboard(self, reference: str, amount: int) -> str:
        """Somebody refunds a payment at the processor itself; answers its reference."""
        with self._lock:
            payment = self.payments[reference]
            if amount > payment.amount - payment.refunded:
                raise ValueError(f"{reference} has less left")
            return self._refund(payment, amount, None).reference

    def settle_refund(self, reference: str, outcome: str = "succeeded") -> None:
        """The bank's word on a refund: `succeeded`, or `failed`, which may come long after a success."""
        with self._lock:
            refund = self.refunds[reference]
            status = RefundStatus(outcome)
            failed = status is RefundStatus.FAILED
            if failed:
                refund.payment.refunded -= refund.amount
            refund.result = replace(
                refund.result, status=status, failure="expired_or_canceled_card" if failed else ""
            )
            self._notify_of_refund("refund.updated", refund)
            if failed:
                self._notify_of_refund("refund.failed", refund)

    def pay_checkout(self, reference: str, method: str = "pm_card_visa") -> CheckoutState:
        """The customer pays (or saves a card) on the hosted page; a declined card leaves the page open."""
        with self._lock:
            page = self._page(reference)
            if page.state.complete or not page.state.payable:
                raise ValueError(f"{reference} is closed")
            saved = self._attach(page.request.processor_customer, method)
            self._pay_page(page, saved)
            return page.state

    def totals(self, currency: str) -> int:
        """What succeeded payments took, in minor units, refunds not subtracted."""
        return sum(payment.amount for payment in self._succeeded() if payment.currency == currency)

    def refunded(self, currency: str) -> int:
        """What went back, in minor units, pending refunds not counted."""
        return sum(
            refund.amount
            for refund in self.refunds.values()
            if refund.payment.currency == currency and refund.result.status is RefundStatus.SUCCEEDED
        )

    def charges(self, invoice_id: str | None = None) -> list[Charged]:
        """Succeeded payments, of one invoice or all."""
        return [p for p in self._succeeded() if invoice_id is None or p.request.invoice_id == invoice_id]

    # How it works

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
            known = self._answers[key] = _Answered(params, act())
        if known.params != params:
            raise KeyReusedError("this idempotency key was used with other parameters")
        return known.answer

    def _pay(self, request: ChargeRequest) -> ChargeResult:
        attempt = request.attempt
        if attempt.processor_customer not in self._deleted:
            self._require_customer(attempt.processor_customer)
        self._require_chargeable(attempt.amount, request.currency)
        held = self.methods.get(attempt.method)
        if held is None or held.owner != attempt.processor_customer:
            return ChargeResult(outcome=Outcome.DECLINED, decline=decline(METHOD_MISSING))
        payment = self._new_payment(request, attempt.processor_customer, request.currency, attempt.amount)
        payment.result = replace(payment.result, method=held.method)
        self._decide(payment, held.behaviour)
        return payment.result

    def _confirm(self, payment: Charged, request: ChargeRequest, return_url: str) -> Confirmation:
        """The customer's own card on their own order: a bank that wanted them asks them, the others answer."""
        if payment.result.outcome in (Outcome.SUCCEEDED, Outcome.PROCESSING) or payment.result.is_canceled:
            return Confirmation(result=payment.result)
        held = self.methods.get(request.attempt.method)
        if held is None or held.owner != payment.customer:
            gone = ChargeResult(
                outcome=Outcome.DECLINED, reference=payment.reference, decline=decline(METHOD_MISSING)
            )
            return Confirmation(result=gone)
        if held.behaviour != "authentication_required":
            self._decide(payment, held.behaviour)
            return Confirmation(result=payment.result)
        payment.asked = return_url
        payment.result = replace(
            payment.result, outcome=Outcome.REQUIRES_ACTION, decline=decline(held.behaviour)
        )
        self._notify("payment_intent.requires_action", payment.reference, payment.request)
        return Confirmation(result=payment.result, url=f"https://bank.example/{payment.reference}")

    def _new_payment(
        self, request: ChargeRequest | CheckoutRequest, customer: str, currency: str, amount: int
    ) -> Charged:
        reference = f"pi_mem_{len(self.payments) + 1}"
        moved = currencies.from_stripe(currencies.to_stripe(amount, currency), currency)
        empty = ChargeResult(outcome=Outcome.UNKNOWN, reference=reference)
        payment = Charged(reference, request, customer, currency, moved, empty)
        self.payments[reference] = payment
        return payment

    def _decide(self, payment: Charged, behaviour: str) -> None:
        outcome, refusal, charge, charged = Outcome.DECLINED, None, None, 0
        if behaviour == "ok":
            outcome, charge, charged = (
                Outcome.SUCCEEDED,
                payment.reference.replace("pi_", "ch_"),
                payment.amount,
            )
        elif behaviour == "processing":
            outcome = Outcome.PROCESSING
        else:
            refusal = decline(behaviour)
            if refusal.kind is DeclineKind.NEEDS_CUSTOMER:
                outcome = Outcome.REQUIRES_ACTION
        payment.result = replace(
            payment.result, outcome=outcome, decline=refusal, charge=charge, charged=charged
        )
        kinds = {Outcome.SUCCEEDED: "succeeded", Outcome.PROCESSING: "processing"}
        self._notify(
            f"payment_intent.{kinds.get(outcome, 'payment_failed')}", payment.reference, payment.request
        )

    def _dispute_moves(
        self, dispute: str, event: str, *, withdrawn: bool | None = None, fee: int = 0, **changes: Any
    ) -> None:
        with self._lock:
            payment = self.disputed(dispute)
            state = payment.disputes[dispute]
            if withdrawn is not None:
                changes["withdrawn"] = state.amount if withdrawn else 0
            if fee:
                changes |= {"fee": state.fee + fee, "fee_currency": payment.currency}
            payment.disputes[dispute] = replace(state, **changes)
            self._notify(f"charge.dispute.{event}", payment.reference, payment.request)

    def _give_back(self, request: RefundRequest) -> RefundResult:
        payment = self.payments.get(request.reference)
        if payment is None or request.currency != payment.currency or request.amount < 1:
            raise GatewayMisuseError("there is no such payment to refund")
        if payment.result.outcome is not Outcome.SUCCEEDED:
            return RefundResult(status=RefundStatus.FAILED, failure="refused")
        contested = sum(
            Dispute(state=state, opened_at=self.now()).contested for state in payment.disputes.values()
        )
        amount = self.movable(request.amount, payment.currency)
        left = payment.amount - payment.refunded - contested
        if amount > left:
            code = "refused" if left else "charge_already_refunded"
            return RefundResult(status=RefundStatus.FAILED, failure=code)
        return self._refund(payment, amount, request).result

    def _refund(self, payment: Charged, amount: int, request: RefundRequest | None) -> Refunded:
        pending = payment.result.method is not None and payment.result.method.fingerprint.endswith(
            REFUNDED_PENDING
        )
        reference = f"re_mem_{len(self.refunds) + 1}"
        status = RefundStatus.PENDING if pending else RefundStatus.SUCCEEDED
        refund = Refunded(
            reference, payment, amount, RefundResult(status=status, reference=reference), request
        )
        payment.refunded += amount
        self.refunds[reference] = refund
        self._notify_of_refund("refund.created", refund)
        self._notify("charge.refunded", payment.reference, payment.request)
        return refund

    def _open(self, request: CheckoutRequest) -> CheckoutPage:
        if request.amount:
            self._require_chargeable(request.amount, request.currency)
        reference = f"cs_mem_{len(self.pages) + 1}"
        page = CheckoutPage(reference, f"https://pay.example/{reference}")
        self.pages[reference] = HostedPage(request, page, CheckoutState(complete=False, payable=True))
        return page

    def _pay_page(self, page: HostedPage, saved: _Method) -> None:
        request, charge = page.request, None
        if request.amount:
            if page.payment is None:
                page.payment = self._new_payment(
                    request, request.processor_customer, request.currency, request.amount
                )
            page.payment.result = replace(page.payment.result, method=saved.method)
            on_session = "ok" if saved.behaviour == "authentication_required" else saved.behaviour
            self._decide(page.payment, on_session)
            charge = page.payment.result
        if charge is not None and charge.outcome is Outcome.DECLINED:
            return
        page.state = CheckoutState(complete=True, payable=False, charge=charge, method=saved.method)
        self._page(page.page.reference)
        self._notify("checkout.session.completed", page.page.reference, request)

    def _expire(self, page: HostedPage) -> None:
        if page.state.payable:
            page.state = CheckoutState(complete=False, payable=False)
            self._notify("checkout.session.expired", page.page.reference, page.request)

    def _attach(self, owner: str, name: str) -> _Method:
        behaviour = BEHAVIOURS.get(name, "ok")
        method = PaymentMethod(
            id=f"pm_mem_{next(self._numbers)}_{name.removeprefix('pm_')}",
            kind="sepa_debit" if behaviour == "processing" else "card",
            brand="" if behaviour == "processing" else "visa",
            last4="4242",
            exp_month=12,
            exp_year=2034,
            fingerprint=f"print_{name}",
        )
        self.methods[method.id] = _Method(owner, method, behaviour)
        return self.methods[method.id]

    def _payment_of(self, request: ChargeRequest) -> Charged | None:
        reference = request.attempt.reference
        if reference is not None:
            if reference not in self.payments:
                raise GatewayMisuseError(f"no such payment: {reference!r}")
            return self.payments[reference]
        return next((p for p in self.payments.values() if _same_attempt(p.request, request)), None)

    def _page(self, reference: str) -> HostedPage:
        page = self.pages.get(reference)
        if page is None:
            raise GatewayMisuseError(f"no such checkout page: {reference!r}")
        if page.payment is not None and page.state.complete:
            under_way = page.payment.result.outcome is Outcome.PROCESSING
            page.state = replace(page.state, charge=page.payment.result, payable=under_way)
        return page

    def _require_customer(self, reference: str) -> None:
        if reference in self._deleted:
            raise CustomerGoneError("the customer was deleted")
        if reference not in self.customers:
            raise GatewayMisuseError(f"no such customer: {reference!r}")

    def _require_chargeable(self, amount: int, currency: str) -> None:
        if amount < self.minimum(currency):
            raise GatewayMisuseError("the amount is below the smallest that can be charged")

    def _succeeded(self) -> list[Charged]:
        return [p for p in self.payments.values() if p.result.outcome is Outcome.SUCCEEDED]

    def _notify_of_refund(self, kind: str, refund: Refunded) -> None:
        """It leads to its payment, by the payment's metadata where it has none of its own."""
        self._notify(kind, refund.payment.reference, refund.payment.request)
        if refund.request is not None:
            self.notices[-1] = replace(self.notices[-1], refund_id=refund.request.refund_id)

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


def _sent(request: ChargeRequest) -> Any:
    """What must not change under one key: the parameters that are sent, not the attempt's progress."""
    attempt = request.attempt
    names = (request.env, request.customer_id, request.subscription_id, request.invoice_id, attempt.number)
    money = (attempt.amount, request.currency, attempt.processor_customer, attempt.method)
    return (names, money, request.description)


def _same_attempt(known: ChargeRequest | CheckoutRequest, asked: ChargeRequest) -> bool:
    return (
        isinstance(known, ChargeRequest)
        and (known.env, known.invoice_id) == (asked.env, asked.invoice_id)
        and known.attempt.number == asked.attempt.number
    )
