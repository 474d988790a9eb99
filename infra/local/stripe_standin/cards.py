"""Stripe's documented test cards and test tokens, and what each of them does.

A card number is looked at once and never kept: what stays is its brand, last four digits, fingerprint and
behaviour.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

DECLINES: dict[str, tuple[str, str | None, str]] = {
    "generic_decline": ("card_declined", "generic_decline", "Your card was declined."),
    "insufficient_funds": ("card_declined", "insufficient_funds", "Your card has insufficient funds."),
    "lost_card": ("card_declined", "lost_card", "Your card was declined."),
    "stolen_card": ("card_declined", "stolen_card", "Your card was declined."),
    "fraudulent": ("card_declined", "fraudulent", "Your card was declined."),
    "card_velocity_exceeded": (
        "card_declined",
        "card_velocity_exceeded",
        "Your card was declined for making repeated attempts too frequently or exceeding its amount limit.",
    ),
    "expired_card": ("expired_card", "expired_card", "Your card has expired."),
    "incorrect_cvc": ("incorrect_cvc", "incorrect_cvc", "Your card's security code is incorrect."),
    "processing_error": (
        "processing_error",
        "processing_error",
        "An error occurred while processing your card. Try again in a little bit.",
    ),
    "authentication_required": (
        "authentication_required",
        "authentication_required",
        "Your card was declined. This transaction requires authentication.",
    ),
    "authentication_failure": (
        "payment_intent_authentication_failure",
        None,
        "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
    ),
    "setup_authentication_failure": (
        "setup_intent_authentication_failure",
        None,
        "We are unable to authenticate your payment method. Please choose a different payment method and try again.",
    ),
}
"""Reason to (code, decline code, message)."""


@dataclass(frozen=True)
class Card:
    """What a test card does: `charge` and `attach` name a decline; `auth` is when the customer must confirm, `refund`
    what becomes of its refunds: `fail` or `pending`."""

    brand: str = "visa"
    funding: str = "credit"
    country: str = "US"
    charge: str | None = None
    attach: str | None = None
    auth: str = "never"
    blocked: bool = False
    dispute: str | None = None
    refund: str | None = None


def refusing(reason: str, *, brand: str = "visa") -> Card:
    return Card(brand=brand, charge=reason, attach=reason)


CARDS: dict[str, Card] = {
    "4242424242424242": Card(),
    "4000056655665556": Card(funding="debit"),
    "5555555555554444": Card(brand="mastercard"),
    "2223003122003222": Card(brand="mastercard"),
    "5200828282828210": Card(brand="mastercard", funding="debit"),
    "5105105105105100": Card(brand="mastercard", funding="prepaid"),
    "378282246310005": Card(brand="amex"),
    "371449635398431": Card(brand="amex"),
    "6011111111111117": Card(brand="discover"),
    "3056930009020004": Card(brand="diners"),
    "3566002020360505": Card(brand="jcb", country="JP"),
    "6200000000000005": Card(brand="unionpay", country="CN"),
    "4000000760000002": Card(country="BR"),
    "4000002760000016": Card(country="DE"),
    "4000002500000003": Card(country="FR"),
    "4000008260000000": Card(country="GB"),
    "4000003920000003": Card(country="JP"),
    "4000000000000002": refusing("generic_decline"),
    "4000000000009995": refusing("insufficient_funds"),
    "4000000000009987": refusing("lost_card"),
    "4000000000009979": refusing("stolen_card"),
    "4000000000000069": refusing("expired_card"),
    "4000000000000127": refusing("incorrect_cvc"),
    "4000000000000119": refusing("processing_error"),
    "4000000000006975": refusing("card_velocity_exceeded"),
    "4000000000000341": Card(charge="generic_decline"),
    "4100000000000019": Card(charge="fraudulent", blocked=True),
    "4000002500003155": Card(auth="unless_set_up", country="FR"),
    "4000002760003184": Card(auth="always", country="DE"),
    "4000003800000446": Card(auth="on_session", country="IE"),
    "4000008260003178": Card(auth="unless_set_up", charge="insufficient_funds", country="GB"),
    "4000000000003220": Card(auth="unless_set_up"),
    "4000000000003063": Card(auth="unless_set_up"),
    "4000008400001629": Card(auth="unless_set_up", charge="generic_decline"),
    "4000000000003055": Card(),
    "4000000000000259": Card(dispute="fraudulent"),
    "4000000000002685": Card(dispute="product_not_received"),
    "4000000000005126": Card(refund="fail"),
    "4000000000007726": Card(refund="pending"),
}

TOKENS: dict[str, str] = {
    "visa": "4242424242424242",
    "visa_debit": "4000056655665556",
    "mastercard": "5555555555554444",
    "mastercard_debit": "5200828282828210",
    "mastercard_prepaid": "5105105105105100",
    "amex": "378282246310005",
    "discover": "6011111111111117",
    "diners": "3056930009020004",
    "jcb": "3566002020360505",
    "unionpay": "6200000000000005",
    "br": "4000000760000002",
    "de": "4000002760000016",
    "fr": "4000002500000003",
    "gb": "4000008260000000",
    "jp": "4000003920000003",
    "chargeDeclined": "4000000000000002",
    "chargeDeclinedInsufficientFunds": "4000000000009995",
    "chargeDeclinedLostCard": "4000000000009987",
    "chargeDeclinedStolenCard": "4000000000009979",
    "chargeDeclinedExpiredCard": "4000000000000069",
    "chargeDeclinedIncorrectCvc": "4000000000000127",
    "chargeDeclinedProcessingError": "4000000000000119",
    "chargeDeclinedVelocityLimitExceeded": "4000000000006975",
    "chargeDeclinedFraudulent": "4100000000000019",
    "chargeCustomerFail": "4000000000000341",
    "radarBlock": "4100000000000019",
    "authenticationRequired": "4000002760003184",
    "authenticationRequiredOnSetup": "4000002500003155",
    "authenticationRequiredSetupForOffSession": "4000003800000446",
    "authenticationRequiredChargeDeclinedInsufficientFunds": "4000008260003178",
    "threeDSecure2Required": "4000000000003220",
    "threeDSecureRequired": "4000000000003063",
    "threeDSecureRequiredChargeDeclined": "4000008400001629",
    "threeDSecureOptional": "4000000000003055",
    "createDispute": "4000000000000259",
    "createDisputeProductNotReceived": "4000000000002685",
    "refundFail": "4000000000005126",
    "pendingRefund": "4000000000007726",
}
"""Suffix of `pm_card_…` and `tok_…` to the card number that it stands for."""

DEBITS = {"pm_sepaDebit": "AT611904300234573201", "pm_sepaDebit_fail": "AT861904300235473202"}
"""This stand-in's own tokens for a SEPA bank debit (Stripe has test IBANs only)."""


def number_of(token: str) -> str | None:
    """The card number behind `pm_card_visa`, `tok_visa`, `pm_card_visa_chargeDeclined`…, or None."""
    for prefix in ("pm_card_", "tok_"):
        if token.startswith(prefix):
            suffix = token.removeprefix(prefix)
            return TOKENS.get(suffix) or TOKENS.get(suffix.removeprefix("visa_"))
    return None


def luhn_valid(number: str) -> bool:
    digits = [int(digit) for digit in reversed(number)]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return (sum(digits[::2]) + sum(doubled)) % 10 == 0


def fingerprint(number: str) -> str:
    """Sixteen letters and digits that depend on the number alone."""
    return hashlib.blake2b(number.encode(), digest_size=8, key=b"stand-in").hexdigest()
