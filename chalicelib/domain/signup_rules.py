"""The cart before a subscription: what each step may set, who is sent to sales, and what completing it makes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, Final

from chalicelib.domain import ids
from chalicelib.domain.calendar import Interval
from chalicelib.domain.catalog import Catalog, Plan, SoldBy
from chalicelib.domain.checkout import SignupSession, SignupStatus
from chalicelib.domain.coupon import read_code
from chalicelib.domain.customer import Customer, Lead
from chalicelib.domain.errors import (
    InvalidDocumentError,
    InvalidStateError,
    NotFoundError,
    Problem,
    ValidationError,
)
from chalicelib.domain.ordering import Order
from chalicelib.domain.profile import plain_text, revised
from chalicelib.domain.signup_tax import place_of, tax_id_problems

IDLE: Final = timedelta(hours=24)
"""How long (business time) nothing may happen to a sign-up before it counts as abandoned."""
LARGE_COMPANY: Final = 100
"""Above so many people a company is served by sales."""
MOST_SEATS: Final = 100_000
LONGEST_NOTE: Final = 1_000


class Outcome(StrEnum):
    """What completing a sign-up led to. CHECKOUT: a hosted page waits to be paid, or to save a card."""

    ACTIVE = "active"
    TRIALING = "trialing"
    CHECKOUT = "checkout"
    SALES = "sales"


class Reason(StrEnum):
    """Why a sign-up goes to sales."""

    DEMO_REQUESTED = "demo_requested"
    QUOTE_ONLY_PLAN = "quote_only_plan"
    SALES_ASSISTED_PLAN = "sales_assisted_plan"
    LARGE_COMPANY = "large_company"


def merged(
    session: SignupSession, changes: Mapping[str, Any], catalog: Catalog, now: datetime
) -> SignupSession:
    """The session with one more step's `changes` (public field names, plain values); None clears a field.

    An abandoned one is open again. InvalidDocumentError holds every field that is wrong; InvalidStateError when
    the session is complete.
    """
    require_unfinished(session)
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, value in changes.items():
        attribute, read = _FIELDS[name]
        try:
            values[attribute] = _default(attribute) if value in (None, "") else read(value, catalog)
        except ValidationError as error:
            problems.append(Problem(error.field or name, error.message, error.fix))
    if "tax_id" in changes or "country" in changes:
        problems += tax_id_problems(replace(session, **values))
    if problems:
        raise InvalidDocumentError(problems[0].message, tuple(problems))
    return replace(session, **values, status=SignupStatus.OPEN, updated_at=now, abandon_at=now + IDLE)


def require_unfinished(session: SignupSession) -> None:
    """InvalidStateError once it led to something: what was agreed to is not changed behind it."""
    if session.status in (SignupStatus.COMPLETE, SignupStatus.ROUTED_TO_SALES):
        raise InvalidStateError(
            "this sign-up is complete", fix="start a new one with POST /v1/signup_sessions", signup=session.id
        )


def require_plan(session: SignupSession, catalog: Catalog) -> Plan:
    """The plan chosen; ValidationError before one is."""
    if session.plan is None:
        raise ValidationError("no plan is chosen yet", field="plan", fix="send plan")
    return _public_plan(catalog, session.plan)


def order_of(session: SignupSession, plan: Plan, catalog: Catalog) -> Order:
    """What the session subscribes to. Seats count only where the plan is sold per seat."""
    return Order(
        plan=plan.id,
        currency=session.currency or catalog.default_currency,
        interval=session.interval,
        quantity=session.quantity if plan.per_seat else 1,
        add_ons=session.add_ons,
        trial_days=0 if session.trial is False else None,
        coupon=session.coupon or None,
    )


def profile_of(session: SignupSession) -> dict[str, Any]:
    """The new customer's profile, as `profile.revised` takes it. ValidationError without an e-mail address."""
    if not session.email:
        raise ValidationError("an e-mail address is needed", field="email", fix="send email")
    profile: dict[str, Any] = {
        "email": session.email,
        "name": session.name,
        "legal_name": session.company,
        "company_size": session.company_size,
        "language": session.language,
        "time_zone": session.zone,
        "currency": session.currency,
        **place_of(session),
    }
    return profile


def sales_reason(session: SignupSession, plan: Plan) -> Reason | None:
    """Why this sign-up goes to sales; None when it is self-serve."""
    if session.wants_demo:
        return Reason.DEMO_REQUESTED
    if plan.sold_by is SoldBy.QUOTE_ONLY:
        return Reason.QUOTE_ONLY_PLAN
    if plan.sold_by is SoldBy.SALES_ASSISTED:
        return Reason.SALES_ASSISTED_PLAN
    if session.company_size is not None and session.company_size > LARGE_COMPANY:
        return Reason.LARGE_COMPANY
    return None


def lead_of(session: SignupSession, reason: Reason, now: datetime) -> Lead:
    """The lead that this sign-up makes: one per session."""
    return Lead(
        id=ids.child_id("led", session.customer_id, session.id),
        customer_id=session.customer_id,
        at=now,
        reason=reason,
        email=session.email,
        name=session.name,
        company=session.company,
        country=session.country,
        plan=session.plan or "",
        quantity=session.quantity,
        company_size=session.company_size,
        note=session.note,
        source=session.id,
    )


def zone_of_country(country: str) -> str:
    """A likely time zone of an ISO 3166-1 country: where most of its people live; UTC when unknown."""
    return _MOST_PEOPLE.get(country) or _zones().get(country, "UTC")


# Countries whose first zone in the tz database is not where most people live.
_MOST_PEOPLE: Final = {
    "AU": "Australia/Sydney",
    "BR": "America/Sao_Paulo",
    "CA": "America/Toronto",
    "CL": "America/Santiago",
    "KZ": "Asia/Almaty",
    "PF": "Pacific/Tahiti",
    "RU": "Europe/Moscow",
    "UZ": "Asia/Tashkent",
}


@cache
def _zones() -> dict[str, str]:
    table = (files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8")
    zones: dict[str, str] = {}
    for line in table.splitlines():
        if not line.startswith("#"):
            country, _, zone, *_rest = line.split("\t")
            zones.setdefault(country, zone)
    return zones


def _public_plan(catalog: Catalog, plan_id: str) -> Plan:
    plan = catalog.plan(plan_id)
    if not plan.public:
        raise ValidationError(f"there is no plan {plan_id!r}", field="plan", fix="see GET /v1/plans")
    return plan


def _plan(value: str, catalog: Catalog) -> str:
    return _public_plan(catalog, value).id


def _add_ons(value: Any, catalog: Catalog) -> tuple[tuple[str, int], ...]:
    for index, (name, _) in enumerate(value):
        catalog.add_on(name, path=f"add_ons[{index}].id")
    return tuple((name, quantity) for name, quantity in value)


def _interval(value: str | Interval, _: Catalog) -> Interval:
    return value if isinstance(value, Interval) else Interval.of(value)


def _note(value: str, _: Catalog) -> str:
    return plain_text(" ".join(value.split()), field="note", longest=LONGEST_NOTE)


def _quantity(value: int, _: Catalog) -> int:
    if not 1 <= value <= MOST_SEATS:
        raise ValidationError(
            f"between 1 and {MOST_SEATS} can be ordered", field="quantity", fix="for more, contact sales"
        )
    return value


def _code(value: str, _: Catalog) -> str:
    return read_code(value)


def _as_given(value: Any, _: Catalog) -> Any:
    return value


def _profile(name: str, path: str = "") -> Callable[[Any, Catalog], Any]:
    """Read by the rules of a customer's profile, complaining under the sign-up's own field name."""
    field, _, part = (path or name).partition(".")

    def read(value: Any, _: Catalog) -> Any:
        blank = Customer(id="", created_at=datetime.min, email="nobody@example.com")  # noqa: DTZ901
        try:
            customer = revised(blank, {field: {part: value} if part else value})
        except InvalidDocumentError as error:
            problem = error.problems[0]
            raise ValidationError(problem.message, field=name, fix=problem.fix) from None
        found = getattr(customer, {"time_zone": "zone"}.get(field, field))
        return getattr(found, part) if part else found

    return read


_FIELDS: Final[dict[str, tuple[str, Callable[[Any, Catalog], Any]]]] = {
    "email": ("email", _profile("email")),
    "name": ("name", _profile("name")),
    "company": ("company", _profile("company", "legal_name")),
    "company_size": ("company_size", _profile("company_size")),
    "country": ("country", _profile("country", "address.country")),
    "state": ("state", _profile("state", "address.state")),
    "tax_id": ("tax_id", _as_given),
    "language": ("language", _profile("language")),
    "time_zone": ("zone", _profile("time_zone")),
    "currency": ("currency", _profile("currency")),
    "plan": ("plan", _plan),
    "interval": ("interval", _interval),
    "quantity": ("quantity", _quantity),
    "add_ons": ("add_ons", _add_ons),
    "trial": ("trial", _as_given),
    "coupon": ("coupon", _code),
    "wants_demo": ("wants_demo", _as_given),
    "note": ("note", _note),
    "success_url": ("success_url", _as_given),
    "cancel_url": ("cancel_url", _as_given),
}


def _default(attribute: str) -> Any:
    return SignupSession.__dataclass_fields__[attribute].default


def require(session: SignupSession | None, signup_id: str) -> SignupSession:
    """NotFoundError for a missing or foreign one alike."""
    if session is None:
        raise NotFoundError("no such sign-up session", id=signup_id)
    return session
