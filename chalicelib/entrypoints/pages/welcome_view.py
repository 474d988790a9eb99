"""What the welcome page says: what one has now, until when, and what comes next."""

from __future__ import annotations

from typing import Any

from chalicelib.application.signup_completion import Completion
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.checkout import SignupSession
from chalicelib.domain.signup_rules import Outcome, Reason, sales_reason
from chalicelib.domain.subscription import Status, Subscription
from chalicelib.entrypoints.formatting import format_number
from chalicelib.entrypoints.pages.signup_view import format_day

_STATUSES = {
    Status.TRIALING: "Free trial",
    Status.ACTIVE: "Active",
    Status.PAST_DUE: "Payment due",
    Status.UNPAID: "Unpaid",
    Status.PAUSED: "Paused",
}


def welcome_view(catalog: Catalog, completion: Completion, language: str) -> dict[str, Any]:
    """What `welcome.html` shows: what one has now, until when, and what comes next."""
    session, subscription = completion.session, completion.subscription
    plan = catalog.plan(session.plan or "")
    base = {"seller": catalog.seller, "plan": plan.name, "name": session.name.partition(" ")[0], "pay": None}
    if session.outcome == Outcome.SALES:
        text = _sales_text(session, sales_reason(session, plan))
        return {**base, "kind": "sales", "heading": _thanks(session), "text": text, "rows": []}
    if subscription is None or subscription.status in (Status.INCOMPLETE, Status.INCOMPLETE_EXPIRED):
        return {**base, **_unfinished(completion), "rows": []}
    rows = [("Plan", subscription.plan.name)]
    if subscription.plan.quantity > 1:
        rows.append(("Seats", format_number(subscription.plan.quantity, language)))
    rows += _standing(subscription, catalog, language)
    return {**base, "kind": "done", "heading": _heading(session, subscription),
            "text": _text(subscription), "rows": rows}  # fmt: skip


def _thanks(session: SignupSession) -> str:
    first = session.name.partition(" ")[0]
    return f"Thank you, {first}." if first else "Thank you."


def _sales_text(session: SignupSession, reason: Reason | None) -> str:
    because: dict[Reason | None, str] = {
        Reason.LARGE_COMPANY: "For a company of your size somebody looks after you in person. ",
        Reason.DEMO_REQUESTED: "We will show you around in person. ",
    }
    why = because.get(reason, "")
    return f"{why}We will write to {session.email} within one working day. Nothing is charged."


def _unfinished(completion: Completion) -> dict[str, Any]:
    page = completion.checkout
    if page is not None and page.status == "open":
        return {
            "kind": "open",
            "heading": "One step is left",
            "text": "Your order waits for its payment page to be completed. Nothing has been charged.",
            "pay": f"checkout/pay?session={page.id}",
        }
    if page is not None and page.status == "complete":  # a card was saved for a trial that somebody has had
        return {
            "kind": "open",
            "heading": "Your trial could not start",
            "text": "One was had before with this payment method or e-mail address. Nothing has been charged. "
            "You are welcome to start again without a trial.",
        }
    return {
        "kind": "open",
        "heading": "This order was not completed",
        "text": "Its time ran out and nothing was charged. You are welcome to start again.",
    }


def _heading(session: SignupSession, subscription: Subscription) -> str:
    first = session.name.partition(" ")[0]
    welcome = f"Welcome, {first}." if first else "Welcome."
    if subscription.status is Status.TRIALING:
        return f"{welcome} Your trial has begun."
    return f"{welcome} You’re all set."


def _text(subscription: Subscription) -> str:
    if subscription.status is Status.TRIALING:
        return "Everything in your plan is open to you from now on. We will remind you before the trial ends."
    if subscription.plan.price is None:
        return "Your account is open, for as long as you like."
    return "Your payment came through and your plan is active. A receipt is on its way to your inbox."


def _standing(subscription: Subscription, catalog: Catalog, language: str) -> list[tuple[str, str]]:
    zone = subscription.zone
    rows = [("Status", _STATUSES.get(subscription.status, "Ended"))]
    if subscription.status is Status.TRIALING and subscription.trial is not None:
        rows.append(("Free until", format_day(subscription.trial.ends_at, zone, language)))
    elif subscription.period is not None:
        rows.append(("Paid until", format_day(subscription.period.end, zone, language)))
    else:
        rows.append(("Until", "No end date"))
    return rows
