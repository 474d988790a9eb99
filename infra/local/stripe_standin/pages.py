"""The hosted pages: paying or saving a card, confirming (3-D Secure), and what is shown afterwards."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlencode, urlsplit

from . import checkout, checkout_payment, new_payment_methods
from .api import Answer, Request
from .authentication import authenticate
from .context import Call, Standin
from .currencies import exponent
from .errors import ApiError, declined
from .store import Record

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
EXPIRY = re.compile(r"\s*(\d{1,2})\s*/?\s*(\d{2}|\d{4})\s*")


def answer(standin: Standin, request: Request) -> Answer:
    """The answer to a request under /c. Forms answer with a redirect, so that reloading repeats nothing."""
    steps = request.path.split("/")[2:]
    with standin.store.lock:
        match request.method, steps:
            case "GET", ["pay", id]:
                return with_session(standin, id, show_session)
            case "POST", ["pay", id]:
                return with_session(standin, id, lambda call, session: submit(call, session, form(request)))
            case "POST", ["pay", id, "authenticate"]:
                return with_session(standin, id, lambda call, session: confirm(call, session, form(request)))
            case "GET", ["auth", id]:
                return with_intent(standin, id, request, show_intent)
            case "POST", ["auth", id]:
                return with_intent(
                    standin, id, request, lambda call, i: confirm_intent(call, i, form(request))
                )
    return page("message.html", 404, title="Page not found", text="There is nothing at this address.")


# --- Checkout ----------------------------------------------------------------------------------------------


def with_session(standin: Standin, id: str, act: Callable[[Call, Record], Answer]) -> Answer:
    session = standin.store.get("checkout.session", id)
    if session is None:
        return page("message.html", 404, title="Page not found", text="This checkout link is not valid.")
    call = Call(standin, livemode=session.data["livemode"])
    return act(call, checkout.lapsed(call, session))


def show_session(call: Call, session: Record) -> Answer:
    data = session.data
    if data["status"] == "expired":
        text = "This checkout session has timed out. Go back to start again."
        return page(
            "message.html",
            410,
            title="This page has expired",
            text=text,
            back=data["cancel_url"],
            label="Go back",
        )
    if data["status"] == "complete":
        text = "Your details were received. You can close this page."
        return page(
            "message.html", 200, title="You're all done here", text=text, back=success_url(session), done=True
        )
    if awaiting(call, session):
        action = f"/c/pay/{session.id}/authenticate"
        return page("confirm.html", 200, **{**summary(session), "action": action})
    return page("pay.html", 200, **summary(session), **entered(call, session))


def submit(call: Call, session: Record, given: dict[str, str]) -> Answer:
    if session.data["status"] != "open" or awaiting(call, session):
        return onwards(call, session)
    email = session_email(call, session) or given.get("email") or None
    session.hidden["error"] = None
    session.hidden["payer"] = {"email": email, "name": given.get("billingName")}
    try:
        method = method_from(call, given)
        checkout_payment.pay(call, session, method, email=email, name=given.get("billingName") or None)
    except ApiError as error:
        session.hidden["error"] = str(error)
    call.store.save(session)
    return onwards(call, session)


def confirm(call: Call, session: Record, given: dict[str, str]) -> Answer:
    intent = awaiting(call, session)
    if intent:
        session.hidden["error"] = None
        try:
            authenticate(call, intent, passed=given.get("outcome") == "complete")
        except ApiError as error:
            session.hidden["error"] = str(error)
        call.store.save(session)
    return onwards(call, session)


def onwards(call: Call, session: Record) -> Answer:
    """To the merchant once the session is complete, else to the session's page."""
    if session.data["status"] == "complete":
        return redirect(success_url(session))
    return redirect(f"/c/pay/{session.id}")


def awaiting(call: Call, session: Record) -> Record | None:
    """The session's intent, if the customer has to confirm it now."""
    for kind in ("payment_intent", "setup_intent"):
        if session.data[kind]:
            intent = call.store.get(kind, session.data[kind])
            if intent and intent.data["status"] == "requires_action":
                return intent
    return None


def method_from(call: Call, given: dict[str, str]) -> Record:
    """A payment method from what was typed; a mistyped card is refused as its issuer would."""
    if given.get("method") == "sepa_debit":
        return new_payment_methods.from_iban(call, given.get("iban", ""))
    expiry = EXPIRY.fullmatch(given.get("cardExpiry", ""))
    if expiry is None:
        raise declined("invalid_expiry_month", None, "Your card's expiration date is incomplete.")
    if not given.get("cardCvc"):
        raise declined("invalid_cvc", None, "Your card's security code is incomplete.")
    month, year = int(expiry[1]), int(expiry[2])
    card = {
        "number": given.get("cardNumber", ""),
        "exp_month": month,
        "exp_year": year,
        "cvc": given["cardCvc"],
    }
    return new_payment_methods.from_card(call, card)


def summary(session: Record) -> dict[str, Any]:
    data = session.data
    setup, currency = data["mode"] == "setup", data["currency"]
    lines = [
        {"name": item["description"], "detail": detail, "quantity": item["quantity"],
         "unit": money(item["price"]["unit_amount"], currency), "total": money(item["amount_total"], currency)}
        for item, detail in zip(session.hidden["line_items"], session.hidden["details"], strict=True)
    ]  # fmt: skip
    total = None if setup else money(data["amount_total"], currency)
    return {"setup": setup, "lines": lines, "total": total, "cancel_url": data["cancel_url"],
            "merchant": merchant(data["success_url"]), "action": f"/c/pay/{session.id}",
            "button": "Save card" if setup else f"Pay {total}"}  # fmt: skip


def entered(call: Call, session: Record) -> dict[str, Any]:
    payer = session.hidden.get("payer") or {}
    fixed = session_email(call, session)
    types = session.data["payment_method_types"]
    return {"email": fixed or payer.get("email"), "email_fixed": bool(fixed), "name": payer.get("name"),
            "error": session.hidden.get("error"), "card": "card" in types, "debit": "sepa_debit" in types}  # fmt: skip


def session_email(call: Call, session: Record) -> str | None:
    """The e-mail address that the merchant already knows; the customer cannot change it here."""
    if session.data["customer"]:
        customer = call.store.get("customer", session.data["customer"])
        return customer.data.get("email") if customer else None
    email: str | None = session.data["customer_email"]
    return email


def success_url(session: Record) -> str:
    url: str = session.data["success_url"]
    return url.replace("{CHECKOUT_SESSION_ID}", session.id)


# --- One intent --------------------------------------------------------------------------------------------


def with_intent(standin: Standin, id: str, request: Request, act: Callable[[Call, Record], Answer]) -> Answer:
    """Only for whoever holds the intent's client secret."""
    kind = "setup_intent" if id.startswith("seti_") else "payment_intent"
    intent = standin.store.get(kind, id)
    secret = parse_qs(request.query).get("client_secret", [""])[0]
    if intent is None or intent.data["client_secret"] != secret:
        return page("message.html", 404, title="Page not found", text="This link is not valid.")
    return act(Call(standin, livemode=intent.data["livemode"]), intent)


def show_intent(call: Call, intent: Record) -> Answer:
    data, back = intent.data, intent.hidden.get("return_url")
    if data["status"] != "requires_action":
        return page(
            "message.html", 200, title="Nothing to confirm", text=f"Status: {data['status']}.", back=back
        )
    setup = intent.kind == "setup_intent"
    total = None if setup else money(data["amount"], data["currency"])
    action = f"/c/auth/{intent.id}?client_secret={quote(data['client_secret'])}"
    return page("confirm.html", 200, action=action, setup=setup, total=total, merchant=merchant(back or ""))


def confirm_intent(call: Call, intent: Record, given: dict[str, str]) -> Answer:
    status = "succeeded"
    try:
        authenticate(call, intent, passed=given.get("outcome") == "complete")
    except ApiError:
        status = "failed"
    back = intent.hidden.get("return_url")
    if not back:
        return show_intent(call, intent)
    result = {intent.kind: intent.id, f"{intent.kind}_client_secret": intent.data["client_secret"],
              "redirect_status": status}  # fmt: skip
    return redirect(back + ("&" if "?" in back else "?") + urlencode(result))


# --- Making pages ------------------------------------------------------------------------------------------


def form(request: Request) -> dict[str, str]:
    fields = parse_qs(request.body.decode(errors="replace"), keep_blank_values=True, max_num_fields=50)
    return {name: values[0].strip()[:500] for name, values in fields.items()}


def redirect(url: str) -> Answer:
    return Answer(
        303, "", {**HEADERS, "Location": url.replace("\r", "").replace("\n", "")}, "text/html; charset=utf-8"
    )


def page(template: str, status: int, **values: Any) -> Answer:
    return Answer(
        status, templates().get_template(template).render(values), dict(HEADERS), "text/html; charset=utf-8"
    )


@cache
def templates() -> Any:
    from jinja2 import Environment, FileSystemLoader

    folder = Path(__file__).parent / "templates"
    return Environment(loader=FileSystemLoader(folder), autoescape=True, trim_blocks=True)


def money(amount: int, currency: str) -> str:
    """An amount in Stripe's minor units as people write it."""
    from babel.numbers import format_currency

    return str(format_currency(Decimal(amount).scaleb(-exponent(currency)), currency.upper(), locale="en_US"))


def merchant(url: str) -> str:
    """Whom the page names as the seller: the host that the customer returns to."""
    host = urlsplit(url).hostname or "the merchant"
    return "Perennial" if host in ("127.0.0.1", "localhost") else host
