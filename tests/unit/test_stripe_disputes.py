"""Stripe's disputes in our terms."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.adapters.stripe.answers import dispute_state
from chalicelib.domain.dispute import Dispute, DisputeStatus

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def moved(amount: int, fee: int = 0, currency: str = "eur") -> dict[str, Any]:
    return {"id": "txn_1", "amount": amount, "currency": currency, "fee": fee, "net": amount - fee}


def a_dispute(status: str = "needs_response", **changes: Any) -> dict[str, Any]:
    return {
        "id": "du_1",
        "object": "dispute",
        "amount": 2900,
        "balance_transactions": [moved(-2650, 1500)],
        "currency": "usd",
        "evidence_details": {"due_by": 1_772_323_200},
        "payment_intent": "pi_1",
        "reason": "fraudulent",
        "status": status,
        **changes,
    }


def test_the_amount_is_the_customers_and_the_fee_the_accounts() -> None:
    state = dispute_state(a_dispute())
    assert (state.amount, state.withdrawn, state.currency) == (2900, 2900, "USD")
    assert (state.fee, state.fee_currency) == (1500, "EUR")
    assert state.evidence_due_at == NOW


@pytest.mark.parametrize(
    ("moves", "withdrawn"),
    [([], 0), ([moved(-2650)], 2900), ([moved(-2650), moved(2590)], 0), ([moved(2590), moved(-2650)], 0)],
)
def test_what_is_withdrawn_is_what_has_not_come_back(moves: list[dict[str, Any]], withdrawn: int) -> None:
    """At another rate of exchange it comes back as another amount."""
    assert dispute_state(a_dispute(balance_transactions=moves)).withdrawn == withdrawn


def test_a_fee_that_was_given_back_is_none() -> None:
    moves = [moved(-2650, 1500), moved(2650, -1500)]
    assert dispute_state(a_dispute("won", balance_transactions=moves)).fee == 0


def test_yen_are_not_cents() -> None:
    state = dispute_state(a_dispute(amount=2900, currency="jpy", balance_transactions=[moved(-9, 7, "jpy")]))
    assert (state.amount, state.fee) == (2900, 7)


@pytest.mark.parametrize(
    ("status", "expected", "holds"),
    [
        ("warning_needs_response", DisputeStatus.INQUIRY, False),
        ("warning_under_review", DisputeStatus.INQUIRY, False),
        ("warning_closed", DisputeStatus.INQUIRY_CLOSED, False),
        ("needs_response", DisputeStatus.NEEDS_RESPONSE, True),
        ("under_review", DisputeStatus.UNDER_REVIEW, True),
        ("won", DisputeStatus.WON, False),
        ("lost", DisputeStatus.LOST, False),
        ("appeal_needs_response", DisputeStatus.LOST, False),
        ("appeal_under_review", DisputeStatus.LOST, False),
        ("prevented", DisputeStatus.PREVENTED, False),
    ],
)
def test_every_status(status: str, expected: DisputeStatus, holds: bool) -> None:
    dispute = Dispute(state=dispute_state(a_dispute(status)), opened_at=NOW)
    assert (dispute.state.status, dispute.is_open) == (expected, holds)
    assert bool(dispute.contested) is (holds or expected is DisputeStatus.LOST)


def test_an_unknown_status_fails_loudly() -> None:
    with pytest.raises(KeyError):
        dispute_state(a_dispute("arbitrated"))


@pytest.mark.parametrize(
    "path",
    [
        *((name,) for name in a_dispute() if name not in ("object", "payment_intent")),
        ("evidence_details", "due_by"),
        *(("balance_transactions", 0, name) for name in ("amount", "fee", "currency")),
    ],
)
def test_a_lost_field_fails_loudly(path: tuple[Any, ...]) -> None:
    broken: Any = copy.deepcopy(a_dispute())
    holder = broken
    for step in path[:-1]:
        holder = holder[step]
    del holder[path[-1]]
    with pytest.raises(KeyError):
        dispute_state(broken)
