"""What the doctor reads of Stripe: every payment of ours that succeeded, page by page, in our minor units."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.composition import Services
from chalicelib.settings import Settings
from infra.ops import processor
from tests.infra.gateway_worlds import StandinWorld, charge_request, new_customer


class Secrets:
    get = staticmethod(lambda name: "sk_test_standin")


@pytest.fixture
def standin() -> Iterator[StandinWorld]:
    world = StandinWorld()
    yield world
    world.close()


def test_payments_refunds_and_pages(standin: StandinWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "PAGE", 2)
    gateway = standin.gateway
    customer = gateway.ensure_customer("live", new_customer())
    good, bad = standin.card(customer, "ok"), standin.card(customer, "generic_decline")
    charges = [
        charge_request(customer, good),
        charge_request(customer, good, amount=1200, currency="JPY"),
        charge_request(customer, good, amount=700),
    ]
    references = [gateway.charge(request).reference for request in charges]
    gateway.charge(charge_request(customer, bad))
    other = replace(charge_request(customer, good, amount=900), env="live")
    last = gateway.charge(other).reference
    refund = f"payment_intent={references[2]}&amount=200".encode()
    standin._as_us(f"{standin.server.url}/v1/refunds", refund).close()
    body = b"amount=500&currency=usd&payment_method=pm_card_visa&confirm=true&return_url=https://x.example"
    standin._as_us(f"{standin.server.url}/v1/payment_intents", body).close()  # not ours: no metadata
    services: Any = Services(settings=Settings(stripe_api_base=standin.server.url), secrets=Secrets())
    found = list(processor.StripeProcessor(services).received(datetime.now(UTC) - timedelta(hours=1)))
    assert [(each.reference, each.env, each.currency, each.amount, each.refunded) for each in found] == [
        (last, "live", "USD", 900, 0),
        (references[2], "sbx_contract", "USD", 700, 200),
        (references[1], "sbx_contract", "JPY", 1200, 0),
        (references[0], "sbx_contract", "USD", 2900, 0),
    ]
    assert [each.invoice_id for each in found[1:]] == [request.invoice_id for request in reversed(charges)]
    later = datetime.now(UTC) + timedelta(hours=1)
    assert list(processor.StripeProcessor(services).received(later)) == []
