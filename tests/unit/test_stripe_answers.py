"""Stripe's objects in our terms."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.adapters.stripe.answers import (
    best_of,
    charge_result,
    checkout_state,
    payment_method,
    refused_charge,
)
from chalicelib.domain.customer import PaymentMethod
from chalicelib.domain.payment import DeclineKind, Outcome

DETAILS = {
    "type": "card",
    "card": {"brand": "visa", "last4": "4242", "exp_month": 12, "exp_year": 2034, "fingerprint": "F1"},
}
VISA = PaymentMethod(
    id="pm_1", kind="card", brand="visa", last4="4242", exp_month=12, exp_year=2034, fingerprint="F1"
)


def intent(status: str = "succeeded", **changes: Any) -> dict[str, Any]:
    return {
        "id": "pi_1",
        "status": status,
        "currency": "usd",
        "amount": 2900,
        "amount_received": 2900 if status == "succeeded" else 0,
        "latest_charge": {"id": "ch_1", "payment_method_details": DETAILS},
        "payment_method": "pm_1",
        "last_payment_error": None,
        **changes,
    }


def test_a_success() -> None:
    result = charge_result(intent())
    assert (result.outcome, result.reference, result.charge, result.charged) == (
        Outcome.SUCCEEDED, "pi_1", "ch_1", 2900,
    )  # fmt: skip
    assert result.method == VISA


def test_what_was_charged_is_told_in_our_units() -> None:
    assert charge_result(intent(currency="isk", amount_received=490000)).charged == 4900
    assert charge_result(intent(currency="kwd", amount_received=5120)).charged == 5120


@pytest.mark.parametrize(
    ("status", "outcome", "kind"),
    [
        ("processing", Outcome.PROCESSING, None),
        ("requires_action", Outcome.REQUIRES_ACTION, DeclineKind.NEEDS_CUSTOMER),
        ("canceled", Outcome.DECLINED, DeclineKind.SOFT),
        ("requires_payment_method", Outcome.UNKNOWN, None),
        ("requires_confirmation", Outcome.UNKNOWN, None),
        ("requires_capture", Outcome.UNKNOWN, None),
        ("a_status_of_next_year", Outcome.UNKNOWN, None),
    ],
)
def test_other_states(status: str, outcome: Outcome, kind: DeclineKind | None) -> None:
    result = charge_result(intent(status))
    assert (result.outcome, result.charged) == (outcome, 0)
    assert (result.decline.kind if result.decline else None) is kind


def test_a_failed_intent_tells_why() -> None:
    failed = intent(
        "requires_payment_method", last_payment_error={"code": "card_declined", "decline_code": "stolen_card"}
    )
    result = charge_result(failed)
    assert result.outcome is Outcome.DECLINED
    assert result.decline is not None
    assert (result.decline.code, result.decline.kind) == ("stolen_card", DeclineKind.HARD)


def test_a_402_with_its_intent() -> None:
    result = refused_charge(
        {
            "type": "card_error",
            "code": "card_declined",
            "decline_code": "insufficient_funds",
            "charge": "ch_1",
            "payment_intent": intent("requires_payment_method", latest_charge="ch_1"),
            "payment_method": {"id": "pm_1", **DETAILS},
        }
    )
    assert (result.outcome, result.reference, result.charge, result.charged) == (
        Outcome.DECLINED, "pi_1", "ch_1", 0,
    )  # fmt: skip
    assert result.method == VISA
    assert result.decline is not None
    assert result.decline.code == "insufficient_funds"


def test_a_402_without_anything() -> None:
    result = refused_charge({"type": "card_error", "code": "card_declined"})
    assert (result.outcome, result.reference, result.method) == (Outcome.DECLINED, None, None)


def test_the_intent_that_moved_money_counts() -> None:
    declined = intent("canceled", id="pi_2")
    assert best_of([]) is None
    for order in ([declined, intent()], [intent(), declined]):
        best = best_of(list(order))
        assert best is not None
        assert best.reference == "pi_1"


def test_methods_of_every_kind() -> None:
    assert payment_method({"id": "pm_1", **DETAILS}) == VISA
    debit = {"id": "pm_2", "type": "sepa_debit", "sepa_debit": {"last4": "3201", "fingerprint": "F2"}}
    assert payment_method(debit) == PaymentMethod(
        id="pm_2", kind="sepa_debit", last4="3201", fingerprint="F2"
    )
    assert payment_method({"id": "pm_3", "type": "link", "link": {"email": "a@b.example"}}) == PaymentMethod(
        id="pm_3", kind="link"
    )


def session(status: str, **changes: Any) -> dict[str, Any]:
    return {"id": "cs_1", "status": status, "payment_intent": None, "setup_intent": None, **changes}


def test_pages() -> None:
    untouched = checkout_state(session("open"))
    assert (untouched.complete, untouched.payable, untouched.charge) == (False, True, None)
    gone = checkout_state(session("expired"))
    assert (gone.complete, gone.payable, gone.charge) == (False, False, None)
    paid = checkout_state(session("complete", payment_intent=intent()))
    assert (paid.complete, paid.payable, paid.method) == (True, False, VISA)
    assert paid.charge == charge_result(intent())


def test_a_page_with_a_debit_under_way_is_still_payable() -> None:
    state = checkout_state(session("complete", payment_intent=intent("processing")))
    assert (state.complete, state.payable) == (True, True)
    failed = intent("requires_payment_method", last_payment_error={"code": "account_closed"})
    state = checkout_state(session("complete", payment_intent=failed))
    assert (state.complete, state.payable) == (True, False)
    assert state.charge is not None
    assert state.charge.outcome is Outcome.DECLINED


def test_a_decline_on_an_open_page_is_no_charge_yet() -> None:
    failed = intent("requires_payment_method", last_payment_error={"code": "card_declined"})
    state = checkout_state(session("open", payment_intent=failed))
    assert (state.complete, state.payable, state.charge, state.method) == (False, True, None, None)
    expired = checkout_state(session("expired", payment_intent=intent("canceled")))
    assert (expired.payable, expired.charge) == (False, None)


def test_a_page_that_saved_a_method() -> None:
    saved = {"id": "seti_1", "payment_method": {"id": "pm_1", **DETAILS}}
    state = checkout_state(session("complete", setup_intent=saved))
    assert (state.complete, state.payable, state.charge, state.method) == (True, False, None, VISA)
    waiting = checkout_state(session("open", setup_intent={**saved, "payment_method": None}))
    assert (waiting.complete, waiting.payable, waiting.method) == (False, True, None)
