"""Payments of the processor in memory: charged, confirmed by their customer, cancelled, settled."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from chalicelib.adapters.memory.processor.customers import Customers
from chalicelib.adapters.memory.processor.records import Charged
from chalicelib.adapters.memory.processor.state import ALIASES
from chalicelib.adapters.stripe import currencies
from chalicelib.adapters.stripe.declines import METHOD_MISSING, decline
from chalicelib.adapters.stripe.errors import GatewayMisuseError
from chalicelib.application.ports import ChargeRequest, CheckoutRequest, Confirmation
from chalicelib.domain.payment import CANCELED, ChargeResult, DeclineKind, Outcome


class Charging(Customers):
    """Payments off session and on session; `settle` and `authenticate` are the bank and its customer."""

    __slots__ = ()

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

    def settle(self, reference: str, behaviour: str = "ok") -> None:
        """End a payment that is processing, or that waits for its customer's confirmation."""
        with self._lock:
            payment = self.payments[reference]
            refusal = payment.result.decline
            if payment.result.outcome is Outcome.SUCCEEDED or (refusal and refusal.code == CANCELED):
                raise ValueError(f"{reference} is at its end")
            payment.asked = None
            self._decide(payment, ALIASES.get(behaviour, behaviour))

    def authenticate(self, reference: str, *, passed: bool = True) -> str:
        """What the customer does at the bank after `confirm_charge`; answers where they come back to."""
        with self._lock:
            payment = self.payments[reference]
            if payment.asked is None:
                raise ValueError(f"nobody is asked about {reference}")
            back, payment.asked = payment.asked, None
            self._decide(payment, "ok" if passed else "payment_intent_authentication_failure")
            return back

    def totals(self, currency: str) -> int:
        """What succeeded payments took, in minor units, refunds not subtracted."""
        return sum(payment.amount for payment in self._succeeded() if payment.currency == currency)

    def charges(self, invoice_id: str | None = None) -> list[Charged]:
        """Succeeded payments, of one invoice or all."""
        return [p for p in self._succeeded() if invoice_id is None or p.request.invoice_id == invoice_id]

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

    def _payment_of(self, request: ChargeRequest) -> Charged | None:
        reference = request.attempt.reference
        if reference is not None:
            if reference not in self.payments:
                raise GatewayMisuseError(f"no such payment: {reference!r}")
            return self.payments[reference]
        return next((p for p in self.payments.values() if _same_attempt(p.request, request)), None)

    def _succeeded(self) -> list[Charged]:
        return [p for p in self.payments.values() if p.result.outcome is Outcome.SUCCEEDED]


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
