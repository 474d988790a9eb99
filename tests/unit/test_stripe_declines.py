"""Every documented decline code has a stated consequence, and no message betrays what the bank suspects."""

from __future__ import annotations

import pytest

from chalicelib.adapters.stripe.declines import KINDS, decline, decline_of
from chalicelib.domain.payment import DeclineKind

CARD_CODES = """
    authentication_required authentication_not_handled approve_with_id call_issuer card_not_supported
    card_velocity_exceeded currency_not_supported do_not_honor do_not_try_again duplicate_transaction
    expired_card fraudulent generic_decline incorrect_address incorrect_cvc incorrect_number incorrect_pin
    incorrect_zip insufficient_funds invalid_account invalid_amount invalid_cvc invalid_expiry_month
    invalid_expiry_year invalid_number invalid_pin issuer_not_available lost_card merchant_blacklist
    new_account_information_available no_action_taken not_permitted offline_pin_required
    online_or_offline_pin_required pickup_card pin_try_exceeded processing_error reenter_transaction
    restricted_card revocation_of_all_authorizations revocation_of_authorization security_violation
    service_not_allowed stolen_card stop_payment_order testmode_decline transaction_not_allowed
    try_again_later withdrawal_count_limit_exceeded mobile_device_authentication_required
""".split()
OTHER_METHOD_CODES = """
    partner_generic_decline invalid_customer_account payment_limit_exceeded invalid_billing_agreement
    partner_expired_card partner_processing_error partner_insufficient_funds partner_invalid_currency
    partner_invalid_amount invalid_business_account partner_high_risk_customer compliance_violation
    payment_disputed invalid_authorization invalid_payment_information partner_payment_not_found
    expired_payment_information partner_duplicate_transaction recurring_not_supported_by_bank
    partner_action_not_supported lost_or_stolen_card card_already_activated invalid_track_data
""".split()


def test_every_documented_code_is_decided() -> None:
    assert len(CARD_CODES) == 50
    assert set(CARD_CODES) | set(OTHER_METHOD_CODES) <= set(KINDS)


def test_no_code_is_decided_twice() -> None:
    from chalicelib.adapters.stripe import declines

    words = (declines._SOFT + declines._HARD + declines._NEEDS_CUSTOMER).split()
    assert len(words) == len(set(words)) == len(KINDS)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("insufficient_funds", DeclineKind.SOFT),
        ("do_not_honor", DeclineKind.SOFT),
        ("processing_error", DeclineKind.SOFT),
        ("lost_card", DeclineKind.HARD),
        ("stolen_card", DeclineKind.HARD),
        ("expired_card", DeclineKind.HARD),
        ("revocation_of_authorization", DeclineKind.HARD),
        ("do_not_try_again", DeclineKind.HARD),
        ("payment_method_missing", DeclineKind.HARD),
        ("authentication_required", DeclineKind.NEEDS_CUSTOMER),
        ("a_code_of_next_year", DeclineKind.SOFT),
    ],
)
def test_what_a_code_asks_for(code: str, kind: DeclineKind) -> None:
    assert (decline(code).kind, decline(code).code) == (kind, code)


@pytest.mark.parametrize("code", [*KINDS, "a_code_of_next_year"])
def test_messages_are_fit_for_the_customer(code: str) -> None:
    message = decline(code).message
    assert message.endswith(".")
    for word in ("lost", "stolen", "fraud", "risk", "blacklist", "stripe", code if "_" in code else "_"):
        assert word not in message.lower()


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        ({"code": "card_declined", "decline_code": "lost_card"}, "lost_card", DeclineKind.HARD),
        ({"code": "expired_card"}, "expired_card", DeclineKind.HARD),
        (
            {"code": "authentication_required", "decline_code": "generic_decline"},
            "authentication_required",
            DeclineKind.NEEDS_CUSTOMER,
        ),
        ({"code": "card_declined", "decline_code": None}, "card_declined", DeclineKind.SOFT),
        ({}, "generic_decline", DeclineKind.SOFT),
    ],
)
def test_the_decline_inside_an_error(error: dict[str, str], code: str, kind: DeclineKind) -> None:
    assert (decline_of(error).code, decline_of(error).kind) == (code, kind)
