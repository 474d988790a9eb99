"""How often one card is tried without success in thirty days, over all of a customer's invoices.

The networks charge for more, and take it for card testing: Visa for each reattempt of a declined payment after the
15th in 30 days (the 20th since May 2025), Mastercard after the 35th. Fifteen tries in all keep both.

A try is reserved on the customer's account in the transaction that writes its attempt down, before the processor is
asked: whoever decides on an older account loses the race, so no redelivery and no race takes a card over its limit.
One that succeeded is dropped when somebody next needs the room (`outcomes` says so): a payment that goes through
writes nothing for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from chalicelib.domain.customer import Account, CardTry, PaymentMethod
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.payment import Attempt, AttemptStatus, Decline, DeclineKind

WINDOW: Final = timedelta(days=30)
LIMIT_REACHED: Final = Decline(
    kind=DeclineKind.HARD,
    code="card_attempt_limit",
    message="This card was declined too often. Please use another one.",
)


def admitted(invoice: Invoice, account: Account, limit: int, now: datetime) -> tuple[Invoice, Account]:
    """The invoice whose attempt was just written down, and the account with that try reserved. Over the limit the
    attempt is marked instead: it ends as a hard decline, and the processor is not asked.
    """
    attempt, method = invoice.attempt, account.payment_method
    if attempt is None or not attempt.is_open or method is None or method.kind != "card":
        return invoice, account
    if len(tries_on(method, account, now)) >= limit:
        held = replace(attempt, over_limit=True)
        return replace(invoice, attempts=(*invoice.attempts[:-1], held)), account
    reserved = CardTry(card=card_of(method), invoice=invoice.id, attempt=attempt.number, at=now)
    return invoice, replace(account, tries=(*_recent(account, now), reserved))


def tries_on(method: PaymentMethod, account: Account, now: datetime) -> tuple[CardTry, ...]:
    """What counts against this card now. The same card under another id is the same card."""
    return tuple(each for each in _recent(account, now) if each.card == card_of(method))


def without_successes(account: Account, invoices: Mapping[str, Invoice], now: datetime) -> Account:
    """The account without the tries that these invoices show to have been no setback."""
    return replace(
        account, tries=tuple(each for each in _recent(account, now) if not _went_well(each, invoices))
    )


def card_of(method: PaymentMethod) -> str:
    return method.fingerprint or method.id


def _recent(account: Account, now: datetime) -> tuple[CardTry, ...]:
    return tuple(each for each in account.tries if each.at > now - WINDOW)


def _went_well(tried: CardTry, invoices: Mapping[str, Invoice]) -> bool:
    invoice = invoices.get(tried.invoice)
    if invoice is None:
        return False
    return any(each.number == tried.attempt and _is_no_setback(each) for each in invoice.attempts)


def _is_no_setback(attempt: Attempt) -> bool:
    """It was paid, or never reached the processor. One that waited for its customer in vain was refused by the bank."""
    never_sent = attempt.status is AttemptStatus.CANCELED and attempt.reference is None
    return attempt.status is AttemptStatus.SUCCEEDED or never_sent
