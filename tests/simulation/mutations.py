"""Planted bugs: what the field is known to get wrong, put into the application by name while it runs.

Each is a context manager. `python -m tests.simulation --mutation NAME` shows what the simulator makes of one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

from chalicelib.adapters.memory.store import MemoryStore
from chalicelib.application import (
    checkout,
    collection,
    feed,
    mail,
    notices,
    payment_notices,
    reconcile,
    refunds,
    trials,
)
from chalicelib.application.ops import Document
from chalicelib.application.records import account_key
from chalicelib.domain import (
    billing,
    calendar,
    card_limit,
    disputing,
    dunning,
    dunning_policy,
    erasure,
    holding,
    lifecycle,
    payment,
    renewal,
)
from chalicelib.domain import collection as collection_rules
from chalicelib.domain.calendar import Period
from chalicelib.domain.customer import Claim
from chalicelib.domain.invoice import InvoiceStatus
from chalicelib.domain.payment import AttemptStatus, ChargeResult, Outcome
from chalicelib.domain.refund import Refund, RefundStatus

Mutation = Callable[[], Any]
MUTATIONS: dict[str, Mutation] = {}


def _mutation(plant: Callable[[], Iterator[None]]) -> Mutation:
    MUTATIONS[plant.__name__] = contextmanager(plant)
    return MUTATIONS[plant.__name__]


@_mutation
def charge_without_claim() -> Iterator[None]:
    """The attempt is not written down before the processor is asked."""

    def begin_and_collect(ctx: Any, invoice_id: str, *, automatic: bool = False) -> Any:
        invoice, subscription = collection.load(ctx, invoice_id)
        account = ctx.store.get(account_key(ctx.env, invoice.customer_id))
        begun = collection_rules.begin_attempt(invoice, account, collection.instants(ctx))
        return collection.collect(ctx, begun, subscription)

    with patch.object(collection, "begin_and_collect", begin_and_collect):
        yield


@_mutation
def key_with_a_timestamp() -> Iterator[None]:
    """Every repetition of a charge has a key of its own."""
    real = collection.charge_request

    def charge_request(ctx: Any, invoice: Any, attempt: Any) -> Any:
        stamped = replace(attempt, key=f"{attempt.key}:{ctx.machine_now.timestamp()}")
        return real(ctx, invoice, stamped)

    with patch.object(collection, "charge_request", charge_request):
        yield


@_mutation
def old_keys_are_replayed() -> Iterator[None]:
    """An attempt is repeated however old its key is; the processor has forgotten it after a day."""
    with patch.object(payment.Attempt, "key_expired", lambda self, machine_now: False):
        yield


@_mutation
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


@_mutation
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


@_mutation
def webhook_marked_first() -> Iterator[None]:
    """An event counts as handled before its effect is there."""
    real, handled = notices.apply_notice, set()

    def apply_notice(ctx: Any, notice: Any) -> None:
        mark = (id(ctx.services), notice.id)
        if mark not in handled:
            handled.add(mark)
            real(ctx, notice)

    with (
        patch.object(notices, "apply_notice", apply_notice),
        patch.object(reconcile, "apply_notice", apply_notice),
    ):
        yield


@_mutation
def boundary_from_the_previous_one() -> Iterator[None]:
    """The next period is one interval after the last, not k intervals after the anchor."""
    real = lifecycle.full_period

    def full_period(subscription: Any, cycle: int) -> Period:
        if cycle == 0 or subscription.period is None:
            return real(subscription, cycle)
        if subscription.cycle == cycle:
            return subscription.period
        start = subscription.period.end
        return Period(start, calendar.boundary(start, subscription.zone, subscription.interval, 1))

    with patch.object(renewal, "full_period", full_period):
        yield


@_mutation
def released_with_the_page_open() -> Iterator[None]:
    """A checkout is given up without telling the processor."""

    def release(ctx: Any, session: Any) -> Any:
        return checkout._give_up(ctx, session)

    with patch.object(checkout, "_release", release):
        yield


@_mutation
def attempt_number_stands_still() -> Iterator[None]:
    """The second attempt has the first one's key."""
    with patch.object(collection_rules, "attempt_key", lambda invoice, number: f"charge:{invoice}:1"):
        yield


@_mutation
def dunning_never_ends() -> Iterator[None]:
    """The run stays on its day."""
    real = dunning._stepped

    def stepped(run: Any, decline: Any, zone: str) -> Any:
        return replace(real(run, decline, zone), step=run.step)

    with patch.object(dunning, "_stepped", stepped):
        yield


@_mutation
def posting_missing() -> Iterator[None]:
    """A payment is not booked."""
    with patch.object(collection_rules, "payment_postings", lambda *args: ()):
        yield


@_mutation
def number_not_taken() -> Iterator[None]:
    """The counter of invoice numbers is not written back."""
    real = billing.open_invoice

    def open_invoice(subscription: Any, account: Any, *args: Any, **more: Any) -> Any:
        opened = real(subscription, account, *args, **more)
        return replace(opened, account=replace(opened.account, invoices=account.invoices))

    with patch.object(renewal, "open_invoice", open_invoice):
        yield


@_mutation
def last_writer_wins() -> Iterator[None]:
    """Writes are not conditional on what was read."""

    def versions(self: Any, keys: Any, records: Any) -> None:
        return None

    with patch.object(MemoryStore, "_require_versions", versions):
        yield


@_mutation
def published_twice() -> Iterator[None]:
    """The feed keeps no marks."""
    real = feed._writes

    def writes(*args: Any) -> list[Any]:
        return [write for write in real(*args) if not write.pk.startswith("seen#")]

    with patch.object(feed, "_writes", writes):
        yield


@_mutation
def mailed_again() -> Iterator[None]:
    """The mailer does not remember what it has sent."""

    def claim(ops: Any, letter: Any, machine_now: Any) -> Document:
        return Document(pk=f"mail#{letter.id}", sk="0", data={}, version=1)

    with patch.object(mail, "_claim", claim):
        yield


@_mutation
def conflicts_escape() -> Iterator[None]:
    """Who loses a race gives up at once."""

    def deciding(decide: Callable[[], Any]) -> Any:
        return decide()

    with patch.object(collection, "deciding", deciding), patch.object(checkout, "deciding", deciding):
        yield


@_mutation
def refund_not_written_down() -> Iterator[None]:
    """Money is given back before anything on record says that it will be."""
    real = refunds.stored

    def stored(ctx: Any, decision: Any) -> Any:
        (refund,) = (each for each in decision.also if isinstance(each, Refund))
        return refund if refund.status is RefundStatus.IN_FLIGHT else real(ctx, decision)

    with patch.object(refunds, "stored", stored):
        yield


@_mutation
def refund_key_with_a_timestamp() -> Iterator[None]:
    """Every repetition of a refund has a key of its own."""
    real = refunds._request

    def request(ctx: Any, refund: Any) -> Any:
        asked = real(ctx, refund)
        return replace(asked, key=f"{asked.key}:{ctx.machine_now.timestamp()}")

    with patch.object(refunds, "_request", request):
        yield


@_mutation
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


@_mutation
def renewal_ignores_disputes() -> Iterator[None]:
    """The next period is charged while the customer disputes the last."""
    with patch.object(holding, "begin_automatic", collection_rules.begin_attempt):
        yield


@_mutation
def lost_dispute_stays_paid() -> Iterator[None]:
    """Nobody takes the money that the bank took off the invoice."""
    with patch.object(disputing, "_lost", lambda payment: 0):
        yield


@_mutation
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


@_mutation
def cards_are_tried_without_end() -> Iterator[None]:
    """Nobody counts how often a card is tried."""
    with patch.object(card_limit, "tries_on", lambda *args: ()):
        yield


@_mutation
def trial_claims_overlooked() -> Iterator[None]:
    """A claim that appears between the look and the commit is taken for one's own."""

    def claims_of(ctx: Any, account: Any, email: str, method: Any = None) -> Any:
        return tuple(
            Claim(kind=kind, value=value, owner=account.customer_id, at=ctx.now)
            for kind, value, claim in trials._claims(ctx, account, email, method)
            if claim is None
        )

    with patch.object(trials, "claims_of", claims_of):
        yield


@_mutation
def letters_in_quiet_hours() -> Iterator[None]:
    """No letter about arrears waits for the morning."""
    with patch.object(dunning_policy.DunningPolicy, "awake", lambda self, instant, zone: instant):
        yield


@_mutation
def erased_while_billed() -> Iterator[None]:
    """Somebody is erased although a subscription of theirs runs."""
    with patch.object(erasure, "refuse_while_billed", lambda *args: None):
        yield
