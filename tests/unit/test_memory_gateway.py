"""The gateway that other tests stand on: its scripts, its counts, and that it is as strict as the real one."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from chalicelib.adapters.memory.gateway import MemoryGateway
from chalicelib.application.ports import ChargeRequest, CheckoutItem, CheckoutRequest, Gateway
from chalicelib.domain.customer import Customer
from chalicelib.domain.errors import GatewayUnavailableError
from chalicelib.domain.payment import Attempt, DeclineKind, Outcome

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def gateway() -> MemoryGateway:
    return MemoryGateway(now=lambda: NOW)


@pytest.fixture
def customer(gateway: MemoryGateway) -> str:
    return gateway.ensure_customer("live", Customer(id="cus_1", created_at=NOW, email="a@b.example"))


def request(customer: str, method: str, number: int = 1, **changes: int) -> ChargeRequest:
    attempt = Attempt(
        number=number, key=f"inv_1:{number}", amount=changes.get("amount", 1000), at=NOW, written_at=NOW,
        processor_customer=customer, method=method,
    )  # fmt: skip
    return ChargeRequest(
        env="live", customer_id="cus_1", subscription_id="sub_1", invoice_id="inv_1", currency="USD",
        description="Starter", attempt=attempt,
    )  # fmt: skip


def test_it_is_a_gateway(gateway: MemoryGateway) -> None:
    port: Gateway = gateway
    assert port.minimum("USD") == 50


@pytest.mark.parametrize(
    ("name", "outcome", "kind"),
    [
        ("pm_card_visa", Outcome.SUCCEEDED, None),
        ("pm_card_chargeCustomerFail", Outcome.DECLINED, DeclineKind.SOFT),
        ("pm_card_insufficient_funds", Outcome.DECLINED, DeclineKind.SOFT),
        ("pm_card_lost", Outcome.DECLINED, DeclineKind.HARD),
        ("pm_card_authenticationRequired", Outcome.REQUIRES_ACTION, DeclineKind.NEEDS_CUSTOMER),
        ("pm_debit_processing", Outcome.PROCESSING, None),
    ],
)
def test_names_say_what_a_method_does(
    gateway: MemoryGateway, customer: str, name: str, outcome: Outcome, kind: DeclineKind | None
) -> None:
    method = gateway.attach_method(customer, name)
    result = gateway.charge(request(customer, method.id))
    assert result.outcome is outcome
    assert (result.decline.kind if result.decline else None) is kind


def test_behaviour_changes_at_run_time(gateway: MemoryGateway, customer: str) -> None:
    card = gateway.attach_method(customer, "pm_card_visa").id
    gateway.behave(card, "decline")
    assert gateway.charge(request(customer, card, 1)).outcome is Outcome.DECLINED
    gateway.behave(card, "ok")
    assert gateway.charge(request(customer, card, 1)).outcome is Outcome.DECLINED, "the key replays"
    assert gateway.charge(request(customer, card, 2)).outcome is Outcome.SUCCEEDED


def test_a_script_decides_about_the_next_calls(gateway: MemoryGateway, customer: str) -> None:
    card = gateway.attach_method(customer, "pm_card_visa").id
    gateway.script(["unavailable", "lost_before_charge", "ok", "lost_after_charge"])
    with pytest.raises(GatewayUnavailableError):
        gateway.charge(request(customer, card, 1))
    assert gateway.charge(request(customer, card, 1)).outcome is Outcome.UNKNOWN
    assert gateway.find_charge(request(customer, card, 1)) is None
    assert gateway.charge(request(customer, card, 1)).outcome is Outcome.SUCCEEDED
    assert gateway.charge(request(customer, card, 2)).outcome is Outcome.UNKNOWN
    assert gateway.totals("USD") == 2000
    assert gateway.calls["charge"] == 4
    assert len(gateway.charges("inv_1")) == 2


def test_other_calls_fail_on_order_too(gateway: MemoryGateway, customer: str) -> None:
    gateway.script(["unavailable"], on="attach_method")
    with pytest.raises(GatewayUnavailableError):
        gateway.attach_method(customer, "pm_card_visa")
    assert gateway.attach_method(customer, "pm_card_visa")


def test_an_unknown_step_is_refused(gateway: MemoryGateway) -> None:
    with pytest.raises(ValueError, match="lost_after"):
        gateway.script(["lost_after"])


def test_forgotten_keys_charge_again(gateway: MemoryGateway, customer: str) -> None:
    """As Stripe would: which is why an old attempt is looked up and never replayed."""
    card = gateway.attach_method(customer, "pm_card_visa").id
    gateway.charge(request(customer, card))
    gateway.expire_keys()
    gateway.charge(request(customer, card))
    assert gateway.totals("USD") == 2000


def test_many_threads_with_one_key_charge_once(gateway: MemoryGateway, customer: str) -> None:
    card = gateway.attach_method(customer, "pm_card_visa").id
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: gateway.charge(request(customer, card)), range(40)))
    assert len(set(results)) == 1
    assert len(gateway.payments) == 1
    assert gateway.calls["charge"] == 40


def test_a_page_in_setup_mode_and_its_notices(gateway: MemoryGateway, customer: str) -> None:
    asked = CheckoutRequest(
        key="chk_1", env="live", customer_id="cus_1", processor_customer=customer, subscription_id="sub_1",
        checkout_id="chk_1", invoice_id=None, currency="USD", amount=0, items=(), return_url="https://a.example",
        cancel_url="https://b.example", expires_at=NOW + timedelta(hours=1),
    )  # fmt: skip
    page = gateway.open_checkout(asked)
    gateway.pay_checkout(page.reference, "pm_card_mastercard")
    assert gateway.checkout(page.reference).complete
    with pytest.raises(ValueError, match="closed"):
        gateway.pay_checkout(page.reference)
    notices, cursor = gateway.notices_since(NOW, None)
    assert [(notice.kind, notice.checkout_id) for notice in notices] == [
        ("checkout.session.completed", "chk_1")
    ]
    assert cursor is None
    assert gateway.notices_since(NOW + timedelta(seconds=1), None) == ([], None)
    paying = replace(asked, key="chk_2", amount=900, items=(CheckoutItem(name="Starter", amount=900),))
    second = gateway.open_checkout(paying)
    gateway.pay_checkout(second.reference)
    assert gateway.totals("USD") == 900
