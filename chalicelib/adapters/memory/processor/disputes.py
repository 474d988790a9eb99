"""Disputes at the processor in memory: a bank asks or claims a payment back, and decides."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from chalicelib.adapters.memory.processor.records import Charged
from chalicelib.adapters.memory.processor.state import Processor
from chalicelib.domain.dispute import DisputeState, DisputeStatus
from chalicelib.domain.payment import Outcome

DISPUTE_FEE = 1500


class Disputes(Processor):
    """What customers' banks claim back."""

    __slots__ = ()

    def disputes(self, payment: str) -> list[DisputeState]:
        with self._lock:
            self._begin("disputes")
            return list(self.payments[payment].disputes.values())

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
