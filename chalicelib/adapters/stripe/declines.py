"""What each of Stripe's decline codes asks for. A code that is not here is soft: it is tried again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chalicelib.domain.payment import CANCELED, Decline, DeclineKind

GENERIC: Final = "generic_decline"
METHOD_MISSING: Final = "payment_method_missing"
"""Ours: the method is detached, deleted or somebody else's."""

_SOFT = """
    approve_with_id call_issuer card_already_activated card_decline_rate_limit_exceeded card_declined
    card_velocity_exceeded do_not_honor duplicate_transaction generic_could_not_process generic_decline
    insufficient_funds invalid_amount invalid_business_account invalid_customer_account issuer_not_available
    no_action_taken partner_duplicate_transaction partner_generic_decline partner_insufficient_funds
    partner_invalid_amount partner_payment_not_found partner_processing_error
    payment_intent_payment_attempt_expired payment_intent_payment_attempt_failed payment_limit_exceeded
    payment_method_customer_decline payment_method_provider_decline payment_method_provider_timeout
    processing_error reenter_transaction refer_to_customer service_not_allowed try_again_later
    withdrawal_count_limit_exceeded canceled
"""
_HARD = """
    account_closed bank_account_restricted card_not_supported compliance_violation currency_not_supported
    debit_not_authorized do_not_try_again expired_card expired_payment_information fraudulent
    highest_risk_level incorrect_address incorrect_cvc incorrect_number incorrect_pin incorrect_zip
    invalid_account invalid_account_number invalid_authorization invalid_billing_agreement invalid_cvc
    invalid_expiry_month invalid_expiry_year invalid_number invalid_payment_information invalid_pin
    invalid_track_data live_mode_test_card lost_card lost_or_stolen_card merchant_blacklist
    new_account_information_available no_account not_permitted offline_pin_required
    online_or_offline_pin_required partner_action_not_supported partner_expired_card
    partner_high_risk_customer partner_invalid_currency payment_disputed payment_intent_mandate_invalid
    pickup_card pin_try_exceeded previously_declined_do_not_retry recurring_not_supported_by_bank
    restricted_card revocation_of_all_authorizations revocation_of_authorization security_violation
    stolen_card stop_payment_order testmode_decline transaction_not_allowed payment_method_missing
"""
_NEEDS_CUSTOMER = """
    authentication_not_handled authentication_required mobile_device_authentication_required
    payment_intent_authentication_failure
"""

KINDS: Final[dict[str, DeclineKind]] = {
    **dict.fromkeys(_SOFT.split(), DeclineKind.SOFT),
    **dict.fromkeys(_HARD.split(), DeclineKind.HARD),
    **dict.fromkeys(_NEEDS_CUSTOMER.split(), DeclineKind.NEEDS_CUSTOMER),
}
"""Card, wallet and bank debit codes of the documentation, and what bank debits report as error codes."""

_MESSAGES: Final = {
    DeclineKind.SOFT: "The payment was declined. Please check with your bank or use another payment method.",
    DeclineKind.HARD: "The payment was declined. Please use another payment method.",
    DeclineKind.NEEDS_CUSTOMER: "Your bank asks you to confirm this payment.",
}
_PLAIN: Final = {
    "insufficient_funds": "The payment was declined because the account has insufficient funds.",
    "expired_card": "The card has expired. Please use another payment method.",
    CANCELED: "The payment was cancelled.",
}


def decline(code: str) -> Decline:
    """The decline that a code stands for. The message is fit for the customer: it never says lost, stolen or
    fraud.
    """
    kind = KINDS.get(code, DeclineKind.SOFT)
    return Decline(kind=kind, code=code, message=_PLAIN.get(code, _MESSAGES[kind]))


def decline_of(error: Mapping[str, Any]) -> Decline:
    """The decline inside Stripe's error object (of a 402, or an intent's last payment error)."""
    code = error.get("code")
    if isinstance(code, str) and KINDS.get(code) is DeclineKind.NEEDS_CUSTOMER:
        return decline(code)
    return decline(error.get("decline_code") or code or GENERIC)
