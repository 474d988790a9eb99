"""Refunds of the processor in memory: asked for by us, made in its dashboard, decided by the bank."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.adapters.memory.processor.records import Charged, Refunded
from chalicelib.adapters.memory.processor.state import Processor
from chalicelib.adapters.stripe.errors import GatewayMisuseError
from chalicelib.application.ports import RefundRequest, ReportedRefund
from chalicelib.domain.dispute import Dispute
from chalicelib.domain.payment import Outcome
from chalicelib.domain.refund import RefundResult, RefundStatus

REFUNDED_PENDING = "pm_card_pendingRefund"
"""Its refunds are pending until `settle_refund`. Those of pm_card_refundFail succeed, and are expected to fail."""


class Refunds(Processor):
    """What goes back of payments, never more than is left of one."""

    __slots__ = ()

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

    def refunded(self, currency: str) -> int:
        """What went back, in minor units, pending refunds not counted."""
        return sum(
            refund.amount
            for refund in self.refunds.values()
            if refund.payment.currency == currency and refund.result.status is RefundStatus.SUCCEEDED
        )

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

    def _notify_of_refund(self, kind: str, refund: Refunded) -> None:
        """It leads to its payment, by the payment's metadata where it has none of its own."""
        self._notify(kind, refund.payment.reference, refund.payment.request)
        if refund.request is not None:
            self.notices[-1] = replace(self.notices[-1], refund_id=refund.request.refund_id)
