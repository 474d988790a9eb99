"""Which decision is worth a letter to the customer: at most one each, whatever happened in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.application.ports import Letter
from chalicelib.domain.collection import NO_METHOD
from chalicelib.domain.customer import CollectionMethod
from chalicelib.domain.dunning_mail import LETTER_DUE
from chalicelib.domain.dunning_policy import StageMail
from chalicelib.domain.journal import Fact, JournalEntry

_BY_REASON = {"payment_failed": "canceled_unpaid", "trial_lapsed": "trial_lapsed"}
_ENDS_OF_DUNNING = {"subscription.unpaid": "unpaid", "subscription.fell_back": "fell_back"}
_SIMPLE = {
    "credit_note.issued": "credit_note",
    "payment.recorded": "payment_received",
    "payment.refunded": "refund",
    "refund.failed": "refund_failed",
    "invoice.overdue": "invoice_overdue",
    "subscription.cancellation_scheduled": "cancellation_scheduled",
    "subscription.cancellation_undone": "cancellation_undone",
    "subscription.win_back": "win_back",
    "subscription.trial_extended": "trial_extended",
    "subscription.trial_refused": "trial_refused",
    "subscription.trial_will_end": "trial_will_end",
    "subscription.trial_started": "trial_started",
    "subscription.trial_lapsed": "trial_fallen_back",
    "subscription.activated": "welcome",
    "subscription.grace_ended": "grace_ended",
}
"""Facts that have their own letter when nothing weightier happened in the same decision, weightiest first."""


def letter_of(env: str, entry: JournalEntry) -> Letter | None:
    """The letter that the entry calls for. Its id is the entry's, so it goes out once; it says what the facts
    say, as of the entry's time, and whoever writes it looks the customer up.
    """
    facts = {fact.type: fact for fact in map(_let_go, entry.facts)}
    if any("mail_at" in fact.data for fact in facts.values()):
        return None  # held until the end of quiet hours
    chosen = _chosen(facts)
    if chosen is None:
        return None
    template, data = chosen
    if data.get("mail") == StageMail.NONE:
        return None
    return Letter(
        id=entry.id,
        env=env,
        customer_id=entry.customer_id,
        template=template,
        data={"happened_at": entry.at.isoformat(), **data},
    )


def _let_go(fact: Fact) -> Fact:
    """What a letter that was held is about; any other fact as it is."""
    return Fact(fact.data["about"], fact.subject, fact.data) if fact.type == LETTER_DUE else fact


def _chosen(facts: Mapping[str, Fact]) -> tuple[str, Mapping[str, Any]] | None:
    paid, payment = facts.get("invoice.paid"), facts.get("payment.succeeded")
    if paid is not None and payment is not None:
        amount = {"amount": payment.data["amount"], "method": payment.data["method"]}
        return "receipt", {**paid.data, **amount, "welcome": "subscription.activated" in facts}
    canceled = facts.get("subscription.canceled")
    if canceled is not None:
        reason = str(canceled.data["reason"])
        nothing = {"unused_credited": 0, "unused_refunded": 0}
        data = {"subscription": canceled.subject, **nothing, **canceled.data}
        return _BY_REASON.get(reason, "canceled"), data
    for type_, letter in _ENDS_OF_DUNNING.items():
        if type_ in facts and "mail" in facts[type_].data:
            return letter, facts[type_].data
    failed = facts.get("payment.failed")
    if failed is not None:
        return _failed(failed)
    asked = facts.get("payment.action_required")
    if asked is not None:
        return ("payment_confirm", asked.data) if "mail" in asked.data else None  # whoever pays now sees it
    opened = facts.get("invoice.opened")
    if opened is not None and opened.data.get("collection_method") == CollectionMethod.SEND_INVOICE:
        return ("invoice", opened.data) if opened.data["status"] == "open" else None
    if "subscription.trial_converted" in facts:
        return None  # the receipt, or the failure, says it
    return next(
        ((letter, facts[type_].data) for type_, letter in _SIMPLE.items() if _speaks(facts, type_)), None
    )


def _speaks(facts: Mapping[str, Fact], type_: str) -> bool:
    """A refund that failed at once was not written about before, and is not now."""
    return type_ in facts and facts[type_].data.get("was_refunded", True) is True


def _failed(failed: Fact) -> tuple[str, Mapping[str, Any]] | None:
    """Only where it is tried again: the first payment's failure was seen by whoever made it."""
    if failed.data.get("next_attempt_at") is None:
        return None
    tone = failed.data.get("mail", StageMail.REMINDER)
    if tone in (StageMail.URGENT, StageMail.FINAL):
        return f"payment_{tone}", failed.data
    letter = "payment_missing" if failed.data["decline_code"] == NO_METHOD.code else "payment_failed"
    return letter, failed.data
