"""The hosted sign-up: one short form, then payment, a welcome, or a talk with sales.

Works without scripts. There is no session cookie and nothing that a browser sends by itself, so a form posted
from a foreign page can do no more than anybody could by visiting: there is nothing to forge a request with.
Each form carries a random token that names its sign-up: sent twice, it is one sign-up.
"""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from chalice.app import Blueprint
from pydantic import BaseModel

from chalicelib.application import signup, signup_completion
from chalicelib.application.catalog import current_catalog
from chalicelib.application.context import Context
from chalicelib.domain import ids
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.checkout import SignupSession, SignupStatus
from chalicelib.domain.errors import (
    CaptchaRequiredError,
    CaptchaUnavailableError,
    ConflictError,
    GatewayUnavailableError,
    InvalidDocumentError,
    InvalidStateError,
    NotFoundError,
    RateLimitedError,
    UnauthenticatedError,
    ValidationError,
)
from chalicelib.domain.signup_rules import sales_reason
from chalicelib.entrypoints.http.card_numbers import refuse_card_numbers
from chalicelib.entrypoints.http.kit import Call, Reply, endpoint
from chalicelib.entrypoints.http.limiting import attempt, count_code
from chalicelib.entrypoints.http.problems import CardNumberError
from chalicelib.entrypoints.pages import page
from chalicelib.entrypoints.pages.checkout import gone
from chalicelib.entrypoints.pages.signup_form import (
    FIELDS,
    changes_of,
    earlier_values,
    order_so_far,
    plan_of,
    read_form,
    read_solution,
)
from chalicelib.entrypoints.pages.signup_view import (
    Form,
    form_view,
)
from chalicelib.entrypoints.pages.visitor import enter_by_key, enter_by_link, guessed_country, page_language
from chalicelib.entrypoints.pages.welcome_view import welcome_view
from chalicelib.entrypoints.tax_words import tax_shown

bp = Blueprint(__name__)

SHEETS = ("base.css", "signup.css")
_SHORTEST_TOKEN = 22
_TOO_OFTEN = "This form was sent too often. Nothing was charged: please wait a while, then send it once more."
_UNSOLVED = "Please show that you are a person, in the box above the button. Nothing was charged."


class SignupQuery(BaseModel):
    """Addresses of pages collect parameters of all sorts on their way: unknown ones are not ours to refuse."""

    plan: str | None = None
    interval: str | None = None
    interval_count: str | None = None
    currency: str | None = None
    coupon: str | None = None
    language: str | None = None
    key: str | None = None
    session: str | None = None


class WelcomeQuery(BaseModel):
    env: str = ""
    signup: str = ""
    language: str | None = None


@endpoint(
    bp,
    "GET",
    "/signup",
    query=SignupQuery,
    public=True,
    cors=False,
    hidden=True,
    tag="Pages",
    summary="The sign-up form",
)
def show_form(call: Call[None]) -> Reply:
    try:
        ctx = enter_by_key(call, call.query.key)
        catalog = current_catalog(ctx)
    except (UnauthenticatedError, NotFoundError):
        return _closed()
    values = {name: text for name in FIELDS if (text := getattr(call.query, name, None))}
    if call.query.interval and call.query.interval_count:
        values["interval"] = f"{call.query.interval}:{call.query.interval_count}"
    values.setdefault("country", guessed_country(call.headers.get("accept-language", "")))
    values |= earlier_values(ctx, call.query.session)
    return _form(call, ctx, catalog, {**values, "token": secrets.token_urlsafe(24)}, {})


@endpoint(
    bp,
    "POST",
    "/signup",
    query=SignupQuery,
    public=True,
    raw=True,
    content_types=["application/x-www-form-urlencoded"],
    hidden=True,
    tag="Pages",
    summary="The sign-up form, sent",
)
def send_form(call: Call[None]) -> Reply:
    try:
        ctx = enter_by_key(call, call.query.key)
        catalog = current_catalog(ctx)
    except (UnauthenticatedError, NotFoundError):
        return _closed()
    values = read_form(call.raw)
    if values.get("action") == "update":
        return _form(call, ctx, catalog, values, {})
    try:
        refuse_card_numbers({name: text for name, text in values.items() if name != "token"})
        with attempt(call, ctx, visitor=True, solution=_solution(call)):
            completed = _complete(call, ctx, catalog, values)
    except InvalidDocumentError as error:
        return _form(call, ctx, catalog, values, {each.field: each.message for each in error.problems})
    except (ValidationError, CardNumberError, InvalidStateError) as error:
        return _form(call, ctx, catalog, values, {error.field or "": error.message})
    except RateLimitedError as error:
        return _later(_form(call, ctx, catalog, values, {"": _TOO_OFTEN}, status=429), error)
    except CaptchaRequiredError:
        return _form(call, ctx, catalog, values, {"": _UNSOLVED}, status=403)
    except (GatewayUnavailableError, CaptchaUnavailableError, ConflictError):
        trouble = "Something is slow on our side. Nothing was charged: please send the form once more."
        return _form(call, ctx, catalog, values, {"": trouble}, status=503)
    return Reply(status=303, headers={"Location": completed})


@endpoint(
    bp,
    "GET",
    "/welcome",
    query=WelcomeQuery,
    public=True,
    cors=False,
    hidden=True,
    tag="Pages",
    summary="What somebody has after signing up",
)
def welcome(call: Call[None]) -> Reply:
    try:
        ctx = enter_by_link(call, call.query.env)
        completion = signup_completion.read_completion(ctx, call.query.signup)
        view = welcome_view(current_catalog(ctx), completion, page_language(call.query.language))
    except (NotFoundError, ValidationError):
        return gone()
    if view["pay"]:
        view["pay"] += f"&env={ctx.env}"
    return page("welcome.html", sheets=SHEETS, **view)


def _form(
    call: Call[None],
    ctx: Context,
    catalog: Catalog,
    values: dict[str, str],
    errors: dict[str, str],
    *,
    status: int | None = None,
) -> Reply:
    """The form with everything that was typed, and what is wrong beside each field."""
    plan = plan_of(catalog, values.get("plan", ""))
    if plan is None:
        return Reply(status=303, headers={"Location": _pricing(call)})
    values, tried = _admitted(call, ctx, values)
    session, more = order_so_far(ctx, catalog, plan, values)
    errors = {**more, **tried, **errors}
    form = Form(
        session=session, plan=plan, values=values, errors=errors, language=page_language(call.query.language)
    )
    view = form_view(ctx, catalog, form)
    captcha = call.services.captcha
    return page(
        "signup.html",
        sheets=SHEETS,
        sources=captcha.sources if captcha else (),
        captcha=captcha,
        status=status or (422 if errors else 200),
        pricing=_pricing(call),
        post=_address(call),
        **view,
    )


def _admitted(
    call: Call[None], ctx: Context, values: dict[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """The form without its coupon, and why, where this address has tried too many codes."""
    if values.get("coupon"):
        try:
            count_code(call, ctx.env)
        except RateLimitedError:
            return {**values, "coupon": ""}, {"coupon": "Too many codes were tried. Please wait a while."}
    return values, {}


def _solution(call: Call[None]) -> str:
    captcha = call.services.captcha
    return read_solution(call.raw, captcha.field) if captcha else ""


def _later(reply: Reply, error: RateLimitedError) -> Reply:
    return replace(reply, headers={**reply.headers, "Retry-After": error.ids["retry_after"]})


def _complete(call: Call[None], ctx: Context, catalog: Catalog, values: dict[str, str]) -> str:
    """Where the completed sign-up leads on to."""
    ctx = _named(ctx, values)
    try:
        session = signup.save_signup(ctx, _changes(call, ctx, catalog, values))
    except InvalidStateError:  # sent again with other content, after going back: another sign-up
        ctx = _named(ctx, {**values, "token": secrets.token_urlsafe(24)})
        session = signup.save_signup(ctx, _changes(call, ctx, catalog, values))
    _require_shown_tax(ctx, catalog, session, values)
    if values.get("offer") == "trial" and values.get("action") != "skip":
        _require_trial(ctx, session)
    completion = signup_completion.complete_signup(ctx, session.id)
    if completion.checkout is not None:
        return f"checkout/pay?{urlencode({'env': ctx.env, 'session': completion.checkout.id})}"
    return f"welcome?{urlencode({'env': ctx.env, 'signup': session.id})}"


def _require_shown_tax(
    ctx: Context, catalog: Catalog, session: SignupSession, values: dict[str, str]
) -> None:
    """Nobody is led to pay with another tax than the one whose sum they saw."""
    if "taxed" not in values or session.outcome:
        return
    terms = signup.tax_terms_of(ctx, session, catalog)
    if values["taxed"] != tax_shown(terms, session.country):
        message = "The tax is another one where you are. Below is what the plan costs with it."
        raise ValidationError(message, field="country")


def _require_trial(ctx: Context, session: SignupSession) -> None:
    """Nobody who pressed "free" is led to pay: the form shows the other sum first."""
    if session.status is SignupStatus.OPEN and not session.outcome and _has_lost_trial(ctx, session):
        raise ValidationError(
            "This e-mail address has had its free trial. Below is what the plan costs from today.",
            field="email",
        )


def _has_lost_trial(ctx: Context, session: SignupSession) -> bool:
    plan = plan_of(current_catalog(ctx), session.plan or "")
    if plan is None or plan.trial is None or sales_reason(session, plan) is not None:
        return False
    return signup.price_of(ctx, session).trial_end is None


def _changes(call: Call[None], ctx: Context, catalog: Catalog, values: dict[str, str]) -> dict[str, Any]:
    base, signup_id = call.services.public_url, signup.signup_id_of(ctx)
    return changes_of(
        ctx,
        catalog,
        values,
        success_url=f"{base}/welcome?{urlencode({'env': ctx.env, 'signup': signup_id})}",
        cancel_url=f"{base}/{_address(call)}&{urlencode({'session': signup_id})}",
    )


def _named(ctx: Context, values: dict[str, str]) -> Context:
    token = values.get("token", "")
    if len(token) < _SHORTEST_TOKEN:
        token = secrets.token_urlsafe(24)
    return replace(ctx, request_key=ids.token("signup form", ctx.env, token), request_print="form")


def _address(call: Call[None]) -> str:
    """The form's own address with what it must keep: the key and the language, and the plan for a reload."""
    kept = {"plan": call.query.plan, "key": call.query.key, "language": call.query.language}
    return f"signup?{urlencode({name: value for name, value in kept.items() if value})}"


def _pricing(call: Call[None]) -> str:
    kept = {"key": call.query.key, "currency": call.query.currency, "language": call.query.language}
    query = urlencode({name: value for name, value in kept.items() if value})
    return f"pricing?{query}" if query else "pricing"


def _closed() -> Reply:
    return page(
        "unavailable.html",
        status=404,
        heading="Signing up is not possible here",
        message="The link that led you here names a key that does not open it, or nothing is sold yet.",
    )
