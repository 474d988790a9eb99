"""Our requests as parameters of Stripe's API. Pure functions: the same request always gives the same body,
because an idempotency key may never be sent with two different ones.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any, Final

from chalicelib.adapters.stripe.currencies import to_stripe
from chalicelib.application.ports import ChargeRequest, CheckoutItem, CheckoutRequest, RefundRequest
from chalicelib.domain.customer import Customer

if TYPE_CHECKING:
    from stripe.params import (
        CustomerCreateParams,
        PaymentIntentConfirmParams,
        PaymentIntentCreateParams,
        RefundCreateParams,
    )
    from stripe.params.checkout import SessionCreateParams, SessionCreateParamsLineItem

LOCALES: Final = frozenset(
    "bg cs da de el en en-GB es es-419 et fi fil fr fr-CA hr hu id it ja ko lt lv ms mt nb nl pl pt pt-BR ro ru "
    "sk sl sv th tr vi zh zh-HK zh-TW".split()
)
MOST_LINES: Final = 100
LONGEST_NAME: Final = 250


def labels(**ids: str | int | None) -> dict[str, str]:
    """Metadata: our ids, so that any object or event of Stripe's leads home."""
    return {name: str(value) for name, value in ids.items() if value is not None}


def customer_params(env: str, customer: Customer) -> CustomerCreateParams:
    """Name and e-mail, for the receipts and the dashboard; nothing else of the profile leaves us."""
    params: CustomerCreateParams = {"metadata": labels(env=env, customer=customer.id)}
    if customer.billing_email or customer.email:
        params["email"] = customer.billing_email or customer.email
    if customer.legal_name or customer.name:
        params["name"] = (customer.legal_name or customer.name)[:LONGEST_NAME]
    return params


def charge_params(request: ChargeRequest, return_url: str) -> PaymentIntentCreateParams:
    """Create and confirm at once, without the customer. Stripe insists on a return address where a method
    could redirect, even though nobody is there to be redirected.
    """
    attempt = request.attempt
    return {
        "amount": to_stripe(attempt.amount, request.currency),
        "currency": request.currency.lower(),
        "customer": attempt.processor_customer,
        "payment_method": attempt.method,
        "confirm": True,
        "off_session": True,
        "return_url": return_url,
        "description": request.description,
        "metadata": labels(
            env=request.env,
            customer=request.customer_id,
            subscription=request.subscription_id,
            invoice=request.invoice_id,
            attempt=attempt.number,
        ),
        "expand": ["latest_charge"],
    }


def confirm_params(request: ChargeRequest, return_url: str) -> PaymentIntentConfirmParams:
    """Once more with the same card, the customer being there: the refusal had taken it off the intent. Their bank is
    told that more payments follow without them, so that it need not ask each time.
    """
    return {
        "payment_method": request.attempt.method,
        "return_url": return_url,
        "setup_future_usage": "off_session",
        "expand": ["latest_charge"],
    }


def refund_params(request: RefundRequest) -> RefundCreateParams:
    return {
        "payment_intent": request.reference,
        "amount": to_stripe(request.amount, request.currency),
        "metadata": labels(
            env=request.env,
            customer=request.customer_id,
            payment=request.payment_id,
            refund=request.refund_id,
        ),
    }


def checkout_params(request: CheckoutRequest) -> SessionCreateParams:
    """A page that takes the payment and saves the method, or, with amount 0, only saves it."""
    ids = labels(
        env=request.env,
        customer=request.customer_id,
        subscription=request.subscription_id,
        invoice=request.invoice_id,
        checkout=request.checkout_id,
    )
    params: SessionCreateParams = {
        "customer": request.processor_customer,
        "client_reference_id": request.checkout_id,
        "currency": request.currency.lower(),
        "success_url": request.return_url,
        "cancel_url": request.cancel_url,
        "expires_at": int(request.expires_at.timestamp()),
        "metadata": ids,
    }
    params["locale"] = request.language if request.language in LOCALES else "auto"
    if not request.amount:
        params["mode"] = "setup"
        params["setup_intent_data"] = {"metadata": ids}
        return params
    params["mode"] = "payment"
    params["line_items"] = _line_items(request)
    params["payment_intent_data"] = {"setup_future_usage": "off_session", "metadata": ids}
    return params


def _line_items(request: CheckoutRequest) -> list[SessionCreateParamsLineItem]:
    """One line per item. Stripe shows no negative line and at most a hundred: then they are shown as one.

    What each line loses when it is rounded to what Stripe counts in goes to the largest line, so that the page
    asks for exactly what a charge would.
    """
    items = [item for item in request.items if item.amount] or list(request.items)
    if len(items) > MOST_LINES or any(item.amount < 0 for item in items):
        items = [CheckoutItem(name=items[0].name, amount=request.amount)]
    amounts = [to_stripe(item.amount, request.currency) for item in items]
    amounts[amounts.index(max(amounts))] += to_stripe(request.amount, request.currency) - sum(amounts)
    return [_line(item.name, amount, request.currency) for item, amount in zip(items, amounts, strict=True)]


def _line(name: str, amount: int, currency: str) -> Any:
    return {
        "quantity": 1,
        "price_data": {
            "currency": currency.lower(),
            "unit_amount": amount,
            "product_data": {"name": name[:LONGEST_NAME]},
        },
    }


def fingerprint(params: object) -> str:
    """A short digest that is the same for the same parameters."""
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()[:16]
