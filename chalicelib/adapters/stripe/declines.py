"""What each of Stripe's decline codes asks for. A code that is not here is soft: it is tried again."""

from __future__ import annotations

from typing import Final

from chalicelib.domain.payment import Decline, DeclineKind

_SOFT = """
    approve_with_id call_issuer card_decline_rate_limit_exceeded card_declined card_velocity_exceeded
    do_not_honor do_not_try_again duplicate_transaction generic_decline insufficient_funds invalid_amount
    issuer_not_available no_action_taken not_permitted processing_error reenter_transaction
    service_not_allowed transaction_not_allowed try_again_later withdrawal_count_limit_exceeded
"""
_HARD = """lost_card stolen_card fraudulent pickup_card payment_method_missing"""
_NEEDS = """authentication_required"""

KINDS: Final[dict[str, DeclineKind]] = {
    **dict.fromkeys(_SOFT.split(), DeclineKind.SOFT),
    **dict.fromkeys(_HARD.split(), DeclineKind.HARD),
    **dict.fromkeys(_NEEDS.split(), DeclineKind.NEEDS_CUSTOMER),
}

_MESSAGES: Final = {
    DeclineKind.SOFT: "The payment was declined. Please check with your bank or use another payment method.",
    DeclineKind.HARD: "The payment was declined. Please use another payment method.",
    DeclineKind.NEEDS_CUSTOMER: "Your bank asks you to confirm this payment.",
}


def decline(code: str) -> Decline:
    """The decline that a code stands for, with a message that gives nothing away (fraud codes among them)."""
    kind = KINDS.get(code, DeclineKind.SOFT)
    return Decline(kind=kind, code=code, message=_MESSAGES[kind])
