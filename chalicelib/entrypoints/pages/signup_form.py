"""The sign-up form as it is sent: read with care, and shown again as it was typed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs

from chalicelib.application import signup
from chalicelib.application.context import Context
from chalicelib.domain import ids
from chalicelib.domain.catalog import Catalog, Plan
from chalicelib.domain.checkout import SignupSession
from chalicelib.domain.coupon import read_code
from chalicelib.domain.currencies import is_currency
from chalicelib.domain.errors import DomainError, InvalidDocumentError, Problem, ValidationError
from chalicelib.domain.signup_rules import MOST_SEATS, merged, sales_reason, zone_of_country
from chalicelib.domain.taxation import has_regions
from chalicelib.entrypoints.pages.signup_view import interval_value, read_interval

FIELDS = ("token", "offer", "plan", "interval", "currency", "quantity", "email", "name", "company", "company_size",
           "country", "state", "tax_id", "taxed", "coupon", "note", "action")  # fmt: skip


def read_form(raw: bytes) -> dict[str, str]:
    """The form's known fields, the last of each; what is not text is nothing."""
    try:
        found = parse_qs(raw.decode(), keep_blank_values=True, max_num_fields=50)
    except ValueError:
        return {}
    return {name: found[name][-1].strip()[:2000] for name in FIELDS if name in found}


def read_solution(raw: bytes, field: str) -> str:
    """What a captcha's widget put into the form; nothing when it is not there."""
    try:
        return parse_qs(raw.decode(), max_num_fields=50).get(field, [""])[-1]
    except ValueError:
        return ""


def earlier_values(ctx: Context, session_id: str | None) -> dict[str, str]:
    """What somebody had filled in before they came back from the payment page."""
    if not session_id:
        return {}
    try:
        session = signup.get_signup(ctx, session_id)
    except DomainError:
        return {}
    found = {
        "email": session.email,
        "name": session.name,
        "company": session.company,
        "company_size": str(session.company_size or ""),
        "country": session.country,
        "state": session.state,
        "tax_id": session.tax_id,
        "quantity": str(session.quantity),
        "plan": session.plan or "",
        "currency": session.currency or "",
        "interval": interval_value(session.interval) if session.interval else "",
        "coupon": session.coupon,
        "note": session.note,
    }
    return {name: text for name, text in found.items() if text}


def plan_of(catalog: Catalog, name: str) -> Plan | None:
    return next((plan for plan in catalog.plans if plan.id == name and plan.public), None)


def order_so_far(
    ctx: Context, catalog: Catalog, plan: Plan, values: dict[str, str]
) -> tuple[SignupSession, dict[str, str]]:
    """What the form's order comes to so far, whatever else is wrong with it; and what is wrong with the seats and the
    coupon.
    """
    errors: dict[str, str] = {}
    quantity = 1
    try:
        quantity = _number(values, "quantity") or 1
        if not 1 <= quantity <= MOST_SEATS:
            raise ValidationError("Please choose between 1 and 100,000 seats.", field="quantity")
    except ValidationError as error:
        errors["quantity"], quantity = error.message, 1
    size = values.get("company_size", "")
    customer_id = ids.customer_id(ctx.env, "shown")
    session = SignupSession(
        id=ids.child_id("sus", customer_id, "shown"),
        customer_id=customer_id,
        created_at=ctx.now,
        updated_at=ctx.now,
        abandon_at=ctx.now,
        plan=plan.id,
        interval=read_interval(values.get("interval", "")),
        currency=_currency(catalog, plan, values),
        quantity=quantity,
        email=values.get("email", ""),
        company_size=int(size) if size.isdecimal() and len(size) < 9 else None,
        zone=zone_of_country(values.get("country", "")),
    )
    session = _with_place(session, catalog, values, ctx)
    session, problem = _with_coupon(ctx, session, values.get("coupon", ""))
    return session, errors | problem


def _with_place(
    session: SignupSession, catalog: Catalog, values: dict[str, str], ctx: Context
) -> SignupSession:
    """With what tax goes by, as far as it is right."""
    place = {name: values[name] for name in ("country", "state", "tax_id") if values.get(name)}
    for _ in range(len(place)):
        try:
            return merged(session, place, catalog, ctx.now)
        except InvalidDocumentError as error:
            place.pop(error.problems[0].field, None)
    return session


def changes_of(
    ctx: Context, catalog: Catalog, values: dict[str, str], *, success_url: str, cancel_url: str
) -> dict[str, Any]:
    """The sign-up's fields as the form has them. InvalidDocumentError holds all that is missing or wrong."""
    plan = plan_of(catalog, values.get("plan", ""))
    if plan is None:
        raise ValidationError("Please choose a plan.", field="plan")
    session, wrong = order_so_far(ctx, catalog, plan, values)
    if has_regions(session.country, catalog) and not session.state:
        wrong["state"] = "Please name your state or province: tax goes by it."
    wrong |= _missing(values, to_sales=sales_reason(session, plan) is not None)
    changes = {
        "plan": plan.id,
        "interval": session.interval,
        "currency": session.currency,
        "quantity": session.quantity,
        "email": values.get("email", ""),
        "name": values.get("name", ""),
        "company": values.get("company", ""),
        "company_size": session.company_size,
        "country": values.get("country", ""),
        "state": values.get("state", ""),
        "tax_id": values.get("tax_id", ""),
        "time_zone": session.zone,
        "trial": False if values.get("action") == "skip" else None,
        "coupon": session.coupon,
        "note": values.get("note", ""),
        "success_url": success_url,
        "cancel_url": cancel_url,
    }
    try:
        merged(session, changes, catalog, ctx.now)
    except InvalidDocumentError as error:
        wrong |= {each.field: each.message for each in error.problems}
    if wrong:
        problems = tuple(Problem(name, wrong[name]) for name in FIELDS if name in wrong)
        raise InvalidDocumentError(problems[0].message, problems)
    return changes


def _with_coupon(ctx: Context, session: SignupSession, text: str) -> tuple[SignupSession, dict[str, str]]:
    """The session with the coupon that was entered, where it can be redeemed; else what is wrong with it."""
    if not text:
        return session, {}
    try:
        wanted = replace(session, coupon=read_code(text))
    except ValidationError as error:
        return session, {"coupon": error.message}
    problem = signup.coupon_problem(ctx, wanted)
    return (session, {"coupon": problem}) if problem else (wanted, {})


def _missing(values: dict[str, str], *, to_sales: bool) -> dict[str, str]:
    asked = {"email": "Please enter your e-mail address.", "country": "Please choose your country."}
    if to_sales:
        asked["name"] = "Please tell us your name."
    return {name: text for name, text in asked.items() if not values.get(name)}


def _currency(catalog: Catalog, plan: Plan, values: dict[str, str]) -> str:
    wanted = values.get("currency", "").upper()
    sold = {price.currency for price in plan.prices}
    if is_currency(wanted) and (wanted in sold or not sold):
        return wanted
    return catalog.default_currency


def _number(values: dict[str, str], name: str) -> int | None:
    text = values.get(name, "").strip()
    if not text:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise ValidationError("Please enter a whole number.", field=name)
    return int(text)
