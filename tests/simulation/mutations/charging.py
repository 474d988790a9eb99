"""What charging gets wrong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from chalicelib.application import (
    checkout,
    collection,
    payment_notices,
    refunds,
)
from chalicelib.application.records import account_key
from chalicelib.domain import (
    card_limit,
    payment,
)
from chalicelib.domain import collection as collection_rules
from chalicelib.domain.invoice import InvoiceStatus
from chalicelib.domain.payment import AttemptStatus, ChargeResult, Outcome
from chalicelib.domain.refund import Refund, RefundStatus
from tests.simulation.mutations.registry import planted


@planted
def charge_without_claim() -> Iterator[None]:
    """The attempt is not written down before the processor is asked."""

    def begin_and_collect(ctx: Any, invoice_id: str, *, automatic: bool = False) -> Any:
        invoice, subscription = collection.load(ctx, invoice_id)
        account = ctx.store.get(account_key(ctx.env, invoice.customer_id))
        begun = collection_rules.begin_attempt(invoice, account, collection.instants(ctx))
        return collection.collect(ctx, begun, subscription)

    with patch.object(collection, "begin_and_collect", begin_and_collect):
        yield


@planted
def key_with_a_timestamp() -> Iterator[None]:
    """Every repetition of a charge has a key of its own."""
    real = collection.charge_request

    def charge_request(ctx: Any, invoice: Any, attempt: Any) -> Any:
        stamped = replace(attempt, key=f"{attempt.key}:{ctx.machine_now.timestamp()}")
        return real(ctx, invoice, stamped)

    with patch.object(collection, "charge_request", charge_request):
        yield


@planted
def old_keys_are_replayed() -> Iterator[None]:
    """An attempt is repeated however old its key is; the processor has forgotten it after a day."""
    with patch.object(payment.Attempt, "key_expired", lambda self, machine_now: False):
        yield


@planted
def unknown_counts_as_declined() -> Iterator[None]:
    """No answer is taken for a no."""
    real = collection._ask

    def ask(ctx: Any, invoice: Any, attempt: Any) -> ChargeResult | None:
        if (
            not attempt.method
            or attempt.status is AttemptStatus.PROCESSING
            or attempt.key_expired(ctx.machine_now)
        ):
            return real(ctx, invoice, attempt)
        result = ctx.gateway.charge(collection.charge_request(ctx, invoice, attempt))
        return ChargeResult(outcome=Outcome.DECLINED) if result.outcome is Outcome.UNKNOWN else result

    with patch.object(collection, "_ask", ask):
        yield


@planted
def settled_again() -> Iterator[None]:
    """Settling does not ask whether the attempt is still open."""
    real = collection_rules.settle

    def settle(invoice: Any, subscription: Any, result: Any, **more: Any) -> Any:
        if invoice.attempt is not None and not invoice.attempt.is_open:
            opened = replace(invoice.attempt, status=AttemptStatus.IN_FLIGHT)
            invoice = replace(invoice, status=InvoiceStatus.OPEN, attempts=(*invoice.attempts[:-1], opened))
        return real(invoice, subscription, result, **more)

    with patch.object(collection_rules, "settle", settle):
        yield


@planted
def released_with_the_page_open() -> Iterator[None]:
    """A checkout is given up without telling the processor."""

    def release(ctx: Any, session: Any) -> Any:
        return checkout._give_up(ctx, session)

    with patch.object(checkout, "_release", release):
        yield


@planted
def attempt_number_stands_still() -> Iterator[None]:
    """The second attempt has the first one's key."""
    with patch.object(collection_rules, "attempt_key", lambda invoice, number: f"charge:{invoice}:1"):
        yield


@planted
def second_payment_while_one_waits() -> Iterator[None]:
    """A payment that waits for its customer is given up here and not at the processor."""

    def stop_waiting(ctx: Any, invoice: Any, subscription: Any) -> Any:
        attempt = invoice.attempt
        if invoice.status is not InvoiceStatus.OPEN or attempt is None or not attempt.awaits_customer:
            return invoice
        gone = ChargeResult(
            outcome=Outcome.DECLINED,
            reference=attempt.reference,
            decline=payment.Decline(kind=payment.DeclineKind.HARD, code=payment.CANCELED),
        )
        return collection.settle(ctx, invoice, subscription, gone)

    with patch.object(collection, "stop_waiting", stop_waiting):
        yield


@planted
def cards_are_tried_without_end() -> Iterator[None]:
    """Nobody counts how often a card is tried."""
    with patch.object(card_limit, "tries_on", lambda *args: ()):
        yield


@planted
def late_money_is_kept() -> Iterator[None]:
    """What comes for an invoice that is void stays."""

    def return_late(*args: Any) -> None:
        return None

    with (
        patch.object(collection, "return_late", return_late),
        patch.object(checkout, "return_late", return_late),
        patch.object(payment_notices, "return_late", return_late),
    ):
        yield


@planted
def refund_not_written_down() -> Iterator[None]:
    """Money is given back before anything on record says that it will be."""
    real = refunds.stored

    def stored(ctx: Any, decision: Any) -> Any:
        (refund,) = (each for each in decision.also if isinstance(each, Refund))
        return refund if refund.status is RefundStatus.IN_FLIGHT else real(ctx, decision)

    with patch.object(refunds, "stored", stored):
        yield


@planted
def refund_key_with_a_timestamp() -> Iterator[None]:
    """Every repetition of a refund has a key of its own."""
    real = refunds._request

    def request(ctx: Any, refund: Any) -> Any:
        asked = real(ctx, refund)
        return replace(asked, key=f"{asked.key}:{ctx.machine_now.timestamp()}")

    with patch.object(refunds, "_request", request):
        yield
