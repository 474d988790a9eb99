"""The mail service: it keeps every letter as it went out, and refuses one that is not true at that moment."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chalicelib.application import mail
from chalicelib.application.ports import Letter
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.domain.subscription import Status, Subscription
from tests.simulation.faults import Violation

if TYPE_CHECKING:
    from tests.simulation.world import World


@dataclass(frozen=True, slots=True)
class SentLetter:
    """A mail as it went out, and when."""

    id: str
    template: str
    data: Mapping[str, Any]
    at: datetime


def deliver(world: World, letter: Letter) -> None:
    """What the mail job does with one message."""
    mail.send_letter(world.ctx(), world.ops, _Service(world), lambda given, _: _plain(given), letter)


class _Service:
    def __init__(self, world: World) -> None:
        self._world = world

    def send(self, *, to: str, subject: str, html: str, text: str, reference: str) -> None:
        self._world.trap.boundary("send", subject)
        letter = SentLetter(reference, subject, json.loads(text), self._world.clock)
        self._world.sent.append(letter)
        if not _is_true(self._world, letter):
            raise Violation(f"mail {letter.template} {letter.id} is not true: {letter.data}")


def _is_true(world: World, letter: SentLetter) -> bool:
    invoice = world.found(Invoice, letter.data.get("invoice"))
    subscription = world.found(Subscription, letter.data.get("subscription"))
    match letter.template:
        case "receipt":
            amount = letter.data["amount"]
            return invoice is not None and any(payment.amount == amount for payment in invoice.payments)
        case "payment_confirm":
            attempt = invoice.attempt if invoice else None
            return (
                attempt is not None and attempt.awaits_customer and attempt.number == letter.data["attempt"]
            )
        case (
            "payment_urgent"
            | "payment_final"
            | "unpaid"
            | "grace_ended"
            | "payment_failed"
            | "payment_missing"
            | "invoice"
            | "invoice_overdue"
        ):
            return invoice is not None and invoice.status is InvoiceStatus.OPEN
        case "trial_will_end":
            return subscription is None or subscription.status is Status.TRIALING
        case "win_back":
            return subscription is not None and subscription.status is Status.CANCELED
    return True


def _plain(letter: Letter) -> mail.Rendered:
    return mail.Rendered(subject=letter.template, text=json.dumps(letter.data), html="")
