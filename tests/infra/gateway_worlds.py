"""The processors that the gateway contract runs against: memory, the local stand-in, Stripe's test mode."""

from __future__ import annotations

import itertools
import json
import os
import urllib.request
from datetime import UTC, datetime
from typing import Any, Protocol

from chalicelib.adapters.memory.gateway import MemoryGateway
from chalicelib.adapters.stripe.gateway import StripeGateway
from chalicelib.application.ports import ChargeRequest, CheckoutItem, CheckoutRequest, Gateway
from chalicelib.domain.customer import Customer
from chalicelib.domain.payment import Attempt
from infra.local.stripe_standin.context import Settings
from infra.local.stripe_standin.server import Server

RETURN_URL = "https://billing.example/"
NUMBERS = {
    "ok": "4242424242424242",
    "generic_decline": "4000000000000341",
    "insufficient_funds": "4000000000009995",
    "lost_card": "4000000000009987",
    "expired_card": "4000000000000069",
    "authentication_required": "4000002760003184",
    "asks_once": "4000002500003155",
}
REFUND_CARDS = {"refund_pending": "pm_card_pendingRefund", "refund_fails": "pm_card_refundFail"}
_run = f"{os.getpid()}{int(datetime.now(UTC).timestamp())}"
_counter = itertools.count(1)


def unique(prefix: str) -> str:
    """An id that no earlier run used: at Stripe everything is kept."""
    return f"{prefix}_{_run}x{next(_counter)}"


class World(Protocol):
    """A processor that a test can disturb. What one cannot do it says with `can`."""

    gateway: Gateway
    can: frozenset[str]

    def card(self, customer: str, behaviour: str) -> str: ...
    def fault(self, kind: str, on: str = "charge") -> None: ...
    def charged(self, currency: str) -> int: ...
    def settle(self, reference: str, *, succeeded: bool) -> None: ...
    def confirm(self, reference: str) -> None: ...
    def authenticate(self, reference: str, *, passed: bool) -> None: ...
    def settle_refund(self, reference: str, *, succeeded: bool) -> None: ...
    def refund_elsewhere(self, reference: str, amount: int) -> None: ...
    def pay_page(self, reference: str, card: str) -> None: ...
    def detach(self, method: str) -> None: ...
    def expire_keys(self) -> None: ...
    def close(self) -> None: ...


class MemoryWorld:
    can = frozenset({"cards", "faults", "debits", "pages", "keys", "refunds"})

    def __init__(self) -> None:
        self.gateway = MemoryGateway()

    def card(self, customer: str, behaviour: str) -> str:
        if behaviour in REFUND_CARDS:
            return self.gateway.attach_method(customer, REFUND_CARDS[behaviour]).id
        method = self.gateway.attach_method(customer, "pm_card_visa").id
        self.gateway.behave(method, behaviour)
        return method

    def fault(self, kind: str, on: str = "charge") -> None:
        self.gateway.script([{"429": "unavailable", "503": "lost_before_charge"}.get(kind, kind)], on=on)

    def charged(self, currency: str) -> int:
        return self.gateway.totals(currency)

    def settle(self, reference: str, *, succeeded: bool) -> None:
        self.gateway.settle(reference, "ok" if succeeded else "decline")

    def confirm(self, reference: str) -> None:
        self.gateway.settle(reference, "ok")

    def authenticate(self, reference: str, *, passed: bool) -> None:
        self.gateway.authenticate(reference, passed=passed)

    def settle_refund(self, reference: str, *, succeeded: bool) -> None:
        self.gateway.settle_refund(reference, "succeeded" if succeeded else "failed")

    def refund_elsewhere(self, reference: str, amount: int) -> None:
        self.gateway.refund_in_dashboard(reference, amount)

    def pay_page(self, reference: str, card: str) -> None:
        self.gateway.pay_checkout(reference, {"ok": "pm_card_visa", "debit": "pm_sepaDebit"}.get(card, card))

    def detach(self, method: str) -> None:
        self.gateway.detach(method)

    def expire_keys(self) -> None:
        self.gateway.expire_keys()

    def close(self) -> None:
        pass


class StandinWorld:
    can = frozenset({"cards", "faults", "debits", "pages", "keys", "refunds", "banks"})
    _faults = {"lost_after_charge": "lose_response", "lost_before_charge": "drop_before"}

    def __init__(self) -> None:
        self.server = Server(Settings(secret_keys=["sk_test_standin"], webhook_secret="whsec_standin"))
        self.server.start()
        self.gateway = StripeGateway("sk_test_standin", return_url=RETURN_URL, api_base=self.server.url)

    def order(self, path: str, body: dict[str, Any] | None = None) -> Any:
        request = urllib.request.Request(f"{self.server.url}/_control/{path}")
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def card(self, customer: str, behaviour: str) -> str:
        if behaviour == "processing":
            return self.gateway.attach_method(customer, "pm_sepaDebit").id
        if behaviour in REFUND_CARDS:
            return self.gateway.attach_method(customer, REFUND_CARDS[behaviour]).id
        method = self.gateway.attach_method(customer, "pm_card_visa").id
        self.order(f"payment_methods/{method}/auto_update", {"number": NUMBERS[behaviour]})
        return method

    def fault(self, kind: str, on: str = "charge") -> None:
        self.order("faults", {"kind": self._faults.get(kind, kind), "method": "POST"})

    def charged(self, currency: str) -> int:
        return self.order("totals")["currencies"].get(currency.lower(), {}).get("charged", 0)

    def settle(self, reference: str, *, succeeded: bool) -> None:
        outcome = "succeeded" if succeeded else "failed"
        self.order(f"payment_intents/{reference}/settle", {"outcome": outcome})

    def confirm(self, reference: str) -> None:
        """As Stripe.js would on the confirmation page: confirm on session, then pass the bank's question."""
        intent = f"{self.server.url}/v1/payment_intents/{reference}"
        method = json.load(self._as_us(intent))["last_payment_error"]["payment_method"]["id"]
        body = f"payment_method={method}&return_url={RETURN_URL}"
        self._as_us(f"{intent}/confirm", body.encode()).close()
        self.order(f"payment_intents/{reference}/authenticate", {"outcome": "succeeded"})

    def authenticate(self, reference: str, *, passed: bool) -> None:
        outcome = "succeeded" if passed else "failed"
        self.order(f"payment_intents/{reference}/authenticate", {"outcome": outcome})

    def settle_refund(self, reference: str, *, succeeded: bool) -> None:
        self.order(f"refunds/{reference}/settle", {"outcome": "succeeded" if succeeded else "failed"})

    def refund_elsewhere(self, reference: str, amount: int) -> None:
        body = f"payment_intent={reference}&amount={amount}"
        self._as_us(f"{self.server.url}/v1/refunds", body.encode()).close()

    def pay_page(self, reference: str, card: str) -> None:
        names = {"ok": "pm_card_visa", "debit": "pm_sepaDebit"}
        self.order(f"checkout_sessions/{reference}/pay", {"card": names.get(card, card)})

    def detach(self, method: str) -> None:
        self._as_us(f"{self.server.url}/v1/payment_methods/{method}/detach", b"").close()

    def events(self) -> list[dict[str, Any]]:
        """What happened, oldest first, as it is posted to an endpoint."""
        listed = json.load(self._as_us(f"{self.server.url}/v1/events?limit=100"))["data"]
        return list(reversed(listed))

    def delete(self, path: str) -> None:
        headers = {"Authorization": "Bearer sk_test_standin"}
        request = urllib.request.Request(f"{self.server.url}/v1/{path}", None, headers, method="DELETE")
        urllib.request.urlopen(request, timeout=10).close()

    def expire_keys(self) -> None:
        self.order("idempotency/expire", {})

    def close(self) -> None:
        self.server.stop()

    def _as_us(self, url: str, body: bytes | None = None) -> Any:
        headers = {"Authorization": "Bearer sk_test_standin"}
        return urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=10)


class StripeWorld:
    """Stripe's own test mode. Nothing can be broken on purpose there, and nobody can pay on a page."""

    can = frozenset[str]()
    _cards = {
        "ok": "pm_card_visa",
        "generic_decline": "pm_card_chargeCustomerFail",
        "authentication_required": "pm_card_authenticationRequired",
        **REFUND_CARDS,
    }

    def __init__(self) -> None:
        self.gateway = StripeGateway(os.environ["STRIPE_TEST_KEY"], return_url=RETURN_URL)

    def card(self, customer: str, behaviour: str) -> str:
        return self.gateway.attach_method(customer, self._cards[behaviour]).id

    def close(self) -> None:
        pass

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)


def new_customer() -> Customer:
    return Customer(
        id=unique("cus"), created_at=datetime.now(UTC), email="ana@customer.example", name="Ana Costa"
    )


def charge_request(
    customer: str, method: str, *, amount: int = 2900, currency: str = "USD", number: int = 1, **changes: Any
) -> ChargeRequest:
    """A charge of an invoice of its own, unless `invoice` names one. `written_at` is now."""
    now = datetime.now(UTC)
    invoice = changes.pop("invoice", None) or unique("inv")
    attempt = Attempt(
        number=number, key=f"{invoice}:{number}", amount=amount, at=now, written_at=now,
        processor_customer=customer, method=method, **changes,
    )  # fmt: skip
    return ChargeRequest(
        env="sbx_contract", customer_id="cus_contract", subscription_id="sub_contract", invoice_id=invoice,
        currency=currency, description="Perennial Starter", attempt=attempt,
    )  # fmt: skip


def checkout_request(customer: str, *amounts: int, currency: str = "USD") -> CheckoutRequest:
    checkout = unique("chk")
    now = datetime.now(UTC).timestamp()
    return CheckoutRequest(
        key=checkout, env="sbx_contract", customer_id="cus_contract", processor_customer=customer,
        subscription_id="sub_contract", checkout_id=checkout, invoice_id=unique("inv") if amounts else None,
        currency=currency, amount=sum(amounts),
        items=tuple(CheckoutItem(name=f"Line {n}", amount=amount) for n, amount in enumerate(amounts, 1)),
        return_url="https://shop.example/thanks", cancel_url="https://shop.example/back",
        expires_at=datetime.fromtimestamp(int(now) + 3600, UTC), language="en",
    )  # fmt: skip
