"""Our requests as Stripe's parameters."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.adapters.stripe.currencies import to_stripe
from chalicelib.adapters.stripe.params import (
    charge_params,
    checkout_params,
    confirm_params,
    customer_params,
    fingerprint,
    refund_params,
)
from chalicelib.application.ports import ChargeRequest, CheckoutItem, CheckoutRequest, RefundRequest
from chalicelib.domain.customer import Address, Customer
from chalicelib.domain.payment import Attempt

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
CHECKOUT = CheckoutRequest(
    key="chk_1",
    env="live",
    customer_id="cus_1",
    processor_customer="cus_S",
    subscription_id="sub_1",
    checkout_id="chk_1",
    invoice_id="inv_1",
    currency="USD",
    amount=3900,
    items=(CheckoutItem(name="Starter", amount=2900), CheckoutItem(name="Seats", amount=1000)),
    return_url="https://shop.example/ok",
    cancel_url="https://shop.example/no",
    expires_at=NOW,
)


def lines(request: CheckoutRequest) -> list[tuple[str, int]]:
    sent: Any = checkout_params(request)["line_items"]
    assert all(line["quantity"] == 1 for line in sent)
    return [(line["price_data"]["product_data"]["name"], line["price_data"]["unit_amount"]) for line in sent]


def test_a_page_that_takes_a_payment() -> None:
    params: Any = checkout_params(CHECKOUT)
    ids = {
        "env": "live",
        "customer": "cus_1",
        "subscription": "sub_1",
        "invoice": "inv_1",
        "checkout": "chk_1",
    }
    assert params["mode"] == "payment"
    assert params["metadata"] == ids
    assert params["payment_intent_data"] == {"setup_future_usage": "off_session", "metadata": ids}
    assert params["client_reference_id"] == "chk_1"
    assert params["expires_at"] == int(NOW.timestamp())
    assert "setup_intent_data" not in params
    assert lines(CHECKOUT) == [("Starter", 2900), ("Seats", 1000)]


def test_a_page_that_saves_a_method() -> None:
    params: Any = checkout_params(replace(CHECKOUT, amount=0, items=(), invoice_id=None))
    assert params["mode"] == "setup"
    assert params["currency"] == "usd"
    assert params["setup_intent_data"]["metadata"] == params["metadata"]
    assert "invoice" not in params["metadata"]
    assert "line_items" not in params
    assert "payment_intent_data" not in params


def test_a_negative_line_cannot_be_shown() -> None:
    items = (CheckoutItem(name="Pro", amount=5000), CheckoutItem(name="Unused time", amount=-1100))
    assert lines(replace(CHECKOUT, items=items)) == [("Pro", 3900)]


def test_too_many_lines_are_shown_as_one() -> None:
    items = tuple(CheckoutItem(name=f"Line {n}", amount=10) for n in range(101))
    assert lines(replace(CHECKOUT, items=items, amount=1010)) == [("Line 0", 1010)]
    assert len(lines(replace(CHECKOUT, items=items[:100], amount=1000))) == 100


def test_a_line_of_nothing_is_left_out_and_a_long_name_is_cut() -> None:
    items = (CheckoutItem(name="Free", amount=0), CheckoutItem(name="x" * 300, amount=3900))
    assert lines(replace(CHECKOUT, items=items)) == [("x" * 250, 3900)]


@pytest.mark.parametrize(("currency", "amounts"), [("KWD", (5004, 5004, 5004)), ("MGA", (149, 149, 2049))])
def test_rounded_lines_add_up_to_the_rounded_whole(currency: str, amounts: tuple[int, ...]) -> None:
    items = tuple(CheckoutItem(name=str(n), amount=amount) for n, amount in enumerate(amounts))
    request = replace(CHECKOUT, items=items, amount=sum(amounts), currency=currency)
    sent = [amount for _, amount in lines(request)]
    assert sum(sent) == to_stripe(sum(amounts), currency)
    assert min(sent) > 0


@pytest.mark.parametrize(
    ("language", "locale"), [("de", "de"), ("pt-BR", "pt-BR"), ("tlh", "auto"), ("", "auto")]
)
def test_languages(language: str, locale: str) -> None:
    assert checkout_params(replace(CHECKOUT, language=language))["locale"] == locale


def test_a_charge_says_the_same_every_time() -> None:
    attempt = Attempt(
        number=2, key="inv_1:2", amount=490, at=NOW, written_at=NOW, processor_customer="cus_S", method="pm_1"
    )
    request = ChargeRequest(
        env="live",
        customer_id="cus_1",
        subscription_id="sub_1",
        invoice_id="inv_1",
        currency="ISK",
        description="Starter",
        attempt=attempt,
    )
    params = charge_params(request, "https://billing.example/")
    assert (params["amount"], params["currency"]) == (49000, "isk")
    assert (params["confirm"], params["off_session"]) == (True, True)
    later = replace(attempt, tries=4, not_before=NOW, reference="pi_1")
    assert charge_params(replace(request, attempt=later), "https://billing.example/") == params


def test_a_confirmation_names_the_card_again_and_where_the_customer_comes_back() -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    attempt = Attempt(
        number=1, key="k", amount=1, at=now, written_at=now, processor_customer="cus_S", method="pm_1"
    )
    request = ChargeRequest(
        env="live", customer_id="c", subscription_id="s", invoice_id="i", currency="USD",
        description="d", attempt=attempt,
    )  # fmt: skip
    sent = confirm_params(request, "https://billing.example/back")
    assert (sent["payment_method"], sent["return_url"]) == ("pm_1", "https://billing.example/back")
    assert sent["setup_future_usage"] == "off_session"
    assert "off_session" not in sent


def test_a_refund_carries_our_ids() -> None:
    request = RefundRequest(
        key="refund:pay_1:1", env="live", customer_id="cus_1", payment_id="pay_1", refund_id="ref_1",
        reference="pi_1", amount=5124, currency="KWD",
    )  # fmt: skip
    assert refund_params(request) == {
        "payment_intent": "pi_1",
        "amount": 5120,
        "metadata": {"env": "live", "customer": "cus_1", "payment": "pay_1", "refund": "ref_1"},
    }


def test_a_customer_is_told_by_name_and_mail_alone() -> None:
    customer = Customer(
        id="cus_1",
        created_at=NOW,
        email="ana@home.example",
        name="Ana",
        legal_name="Costa Lda",
        billing_email="books@costa.example",
        address=Address(line1="Rua 1", country="PT"),
        tax_ids=("PT123",),
        external_id="ext-1",
    )
    params = customer_params("live", customer)
    assert params == {
        "email": "books@costa.example",
        "name": "Costa Lda",
        "metadata": {"env": "live", "customer": "cus_1"},
    }
    assert fingerprint(params) == fingerprint(dict(reversed(params.items())))
    assert fingerprint(params) != fingerprint({**params, "name": "Costa SA"})
