"""Amounts are whole minor units: code that handles them neither scales by hand nor knows floats."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from chalicelib.adapters.stripe.params import charge_params, refund_params
from chalicelib.application.ports import ChargeRequest, RefundRequest
from tests.infra.gateway_worlds import charge_request
from tests.unit.test_stripe_currencies import SUPPORTED

ROOT = Path(__file__).parents[2]
MONEY_CODE = [
    path
    for folder in ("domain", "application", "adapters/stripe", "adapters/memory")
    for path in sorted((ROOT / "chalicelib" / folder).rglob("*.py"))
]
POWERS = {10, 100, 1_000, 10_000}
PER_CENT = ("(twelve - yearly.amount_for(1)) * 100 / twelve", "(100 - self.reserve_percent) // 100")
"""Shares, not amounts."""


def offences(source: str) -> Iterator[str]:
    """Multiplying or dividing by a power of ten that is written down, and `float(…)`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div | ast.FloorDiv):
            sides = {getattr(side, "value", None) for side in (node.left, node.right)}
            if sides & POWERS and not _share(ast.get_source_segment(source, node) or ""):
                yield f"{node.lineno}: scaled by hand"
        if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "float":
            yield f"{node.lineno}: float()"


def _share(text: str) -> bool:
    return any(text in share or share in text for share in PER_CENT)


@pytest.mark.parametrize("path", MONEY_CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_amount_is_scaled_by_hand_or_made_a_float(path: Path) -> None:
    assert list(offences(path.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("bad", ["amount * 100", "100 * price", "cents / 100", "float(text)", "x // 1000"])
def test_the_guard_sees_what_it_forbids(bad: str) -> None:
    assert list(offences(f"y = {bad}"))


ZERO = set("BIF CLP DJF GNF JPY KMF KRW PYG RWF VND VUV XAF XOF XPF".split())
"""Stripe's list of currencies without decimals, but for MGA, whose ISO exponent differs."""


@pytest.mark.parametrize("currency", sorted(set(SUPPORTED) - {"ISK", "UGX", "MGA"}))
def test_what_is_sent_is_the_invoices_own_integer(currency: str) -> None:
    """80 yen are sent as 80, 80 dollars as 8000: our minor units are Stripe's in all but three currencies."""
    amount = 80 if currency in ZERO else 8_000
    request: ChargeRequest = charge_request("cus_1", "pm_1")
    charged = replace(request, currency=currency, attempt=replace(request.attempt, amount=amount))
    sent = charge_params(charged, "https://billing.example")
    assert (sent["amount"], sent["currency"]) == (amount, currency.lower())
    given_back = refund_params(
        RefundRequest(
            key="refund:1", env="live", customer_id="cus_1", payment_id="pay_1", refund_id="ref_1", reference="pi_1",
            amount=amount, currency=currency,
        )
    )  # fmt: skip
    assert given_back["amount"] == amount
