"""Money that came when there was nothing left to pay: noted, and given back through its refund."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from chalicelib.application import decisions, refunds
from chalicelib.application.context import Context
from chalicelib.application.records import child_key
from chalicelib.domain import late_money
from chalicelib.domain.decision import Decision
from chalicelib.domain.errors import GatewayUnavailableError
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.payment import ChargeResult, Instants, Payment


def return_late(ctx: Context, invoice: Invoice, result: ChargeResult, *also: Any) -> None:
    """Note money that came when there was nothing left to pay, and give it back; `also` is committed with the note.

    May run twice: the money is one payment, by the processor's reference, and its refund begins with it. Raises
    VersionConflict for the caller, who decides anew. An outage is not raised: the refund's due row makes it.
    """
    assert result.reference is not None
    payment_id = late_money.late_payment_id(invoice.customer_id, result.reference)
    decision = Decision(cause="", also=also)
    if ctx.store.get(child_key(Payment, ctx.env, payment_id)) is None:
        decision = late_money.received(invoice, result, Instants(ctx.now, ctx.machine_now), *also)
    decisions.commit(ctx, invoice.customer_id, decision)
    with suppress(GatewayUnavailableError):
        refunds.finish_refund(ctx, late_money.late_refund_id(payment_id))
