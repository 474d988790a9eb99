"""Reports: what dunning brings in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, timedelta
from enum import StrEnum
from typing import Annotated, Any

from chalice.app import Blueprint
from pydantic import Field

from chalicelib.application.context import Context
from chalicelib.application.dunning_report import LONGEST, Case, Day, Tally, read_cases, read_days
from chalicelib.application.records import child_key
from chalicelib.domain.errors import ValidationError
from chalicelib.domain.invoice import Invoice, InvoiceStatus
from chalicelib.entrypoints.http.kit import Call, Schema, Scope, View, endpoint

bp = Blueprint(__name__)
USUAL = timedelta(days=90)
Start = Annotated[
    date | None, Field(alias="from", description="First day (UTC); 90 days before `to` if left out.")
]
End = Annotated[date | None, Field(description="The day after the last; tomorrow if left out.")]


class DunningQuery(Schema):
    start: Start = None
    to: End = None
    currency: str | None = Field(default=None, pattern="^[A-Z]{3}$", examples=["USD"])


class CasesQuery(Schema):
    start: Start = None
    to: End = None
    policy: str | None = Field(default=None, max_length=80, examples=["default"])
    decline_code: str | None = Field(default=None, max_length=80, examples=["insufficient_funds"])
    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=120)


class TallyView(View):
    """Invoices that fell behind in the span, and what has become of them. Amounts in minor units."""

    opened: int = Field(description="Invoices that fell behind.")
    opened_amount: int = Field(description="What was open of them then.")
    attempts: int = Field(description="Attempts on them that came to an end, the first failure included.")
    declines: int
    recovered: int = Field(description="Invoices that were paid after all, in whatever way.")
    recovered_amount: int = Field(description="Money that came since they fell behind.")
    lost: int = Field(description="Invoices that were given up.")
    lost_amount: int = Field(
        description="What was owed and is bad debt; credit for time not served is neither."
    )
    undecided: int = Field(description="Invoices still open: not in the rate.")
    undecided_amount: int
    recovery_rate: int | None = Field(
        description="Basis points: recovered_amount ÷ (recovered_amount + lost_amount), rounded down."
        " null while nothing is decided.",
        examples=[7250],
    )


class PolicyView(TallyView):
    policy: str = Field(examples=["default"], description="`default`, `plan:<id>` or `segment:<name>`.")


class CodeView(TallyView):
    decline_code: str = Field(
        examples=["insufficient_funds"],
        description="Of the first failure; `queued` for what opened while older invoices were behind.",
    )


class CurrencyView(View):
    currency: str
    total: TallyView
    policies: list[PolicyView]
    decline_codes: list[CodeView]


class DunningReportView(View):
    start: date = Field(serialization_alias="from")
    to: date
    data: list[CurrencyView]


class CaseState(StrEnum):
    UNDECIDED = "undecided"
    RECOVERED = "recovered"
    LOST = "lost"
    VOIDED = "voided"


_STATES = {
    InvoiceStatus.PAID: CaseState.RECOVERED,
    InvoiceStatus.UNCOLLECTIBLE: CaseState.LOST,
    InvoiceStatus.VOID: CaseState.VOIDED,
}


class CaseView(View):
    invoice: str
    number: str
    customer: str
    subscription: str
    day: date = Field(description="On which it fell behind (UTC).")
    policy: str
    decline_code: str
    currency: str
    amount: int = Field(description="What was open then.")
    amount_remaining: int = Field(description="What is open now.")
    state: CaseState
    attempts: int


class CasePage(View):
    data: list[CaseView]
    next_cursor: str | None


@endpoint(
    bp,
    "GET",
    "/v1/reports/dunning",
    query=DunningQuery,
    answer=DunningReportView,
    scope=Scope.READ,
    tag="Reports",
    summary="What dunning recovers and loses, per policy and per decline code",
    errors=(ValidationError,),
)
def dunning_report(call: Call[None]) -> DunningReportView:
    start, end = _span(call.ctx, call.query.start, call.query.to)
    days = read_days(call.services.ops, call.ctx.env, start, end)
    found = {cell[0] for day in days for cell in day.cells}
    wanted = sorted(each for each in found if call.query.currency in (None, each))
    return DunningReportView(start=start, to=end, data=[_currency(each, days) for each in wanted])


@endpoint(
    bp,
    "GET",
    "/v1/reports/dunning/invoices",
    query=CasesQuery,
    answer=CasePage,
    scope=Scope.READ,
    tag="Reports",
    summary="The invoices that the dunning report counts, oldest first",
    errors=(ValidationError,),
)
def dunning_cases(call: Call[None]) -> CasePage:
    query = call.query
    start, end = _span(call.ctx, query.start, query.to)
    cases, cursor = read_cases(
        call.services.ops,
        call.ctx.env,
        start,
        end,
        policy=query.policy,
        code=query.decline_code,
        limit=query.limit,
        after=query.cursor,
    )
    keys = [child_key(Invoice, call.ctx.env, case.invoice_id) for case in cases]
    invoices = call.ctx.store.get_many(keys) if keys else []
    views = [_case(case, each) for case, each in zip(cases, invoices, strict=True) if each is not None]
    return CasePage(data=views, next_cursor=cursor)


def _span(ctx: Context, start: date | None, end: date | None) -> tuple[date, date]:
    end = end or ctx.now.date() + timedelta(days=1)
    start = start or end - USUAL
    if not timedelta() < end - start <= LONGEST:
        raise ValidationError(
            f"a report covers 1 to {LONGEST.days} days, not {(end - start).days}",
            field="from",
            fix="let from be a day before to, at most a year",
        )
    return start, end


def _currency(currency: str, days: Iterable[Day]) -> CurrencyView:
    policies: dict[str, Tally] = {}
    codes: dict[str, Tally] = {}
    total = Tally()
    for day in days:
        for (each, policy, code), tally in day.cells.items():
            if each == currency:
                policies[policy] = policies.get(policy, Tally()) + tally
                codes[code] = codes.get(code, Tally()) + tally
                total += tally
    return CurrencyView(
        currency=currency,
        total=TallyView(**_figures(total)),
        policies=[PolicyView(policy=name, **_figures(each)) for name, each in sorted(policies.items())],
        decline_codes=[CodeView(decline_code=name, **_figures(each)) for name, each in sorted(codes.items())],
    )


def _figures(tally: Tally) -> dict[str, Any]:
    return {name: getattr(tally, name) for name in TallyView.model_fields}


def _case(case: Case, invoice: Invoice) -> CaseView:
    return CaseView(
        invoice=invoice.id,
        number=invoice.number,
        customer=invoice.customer_id,
        subscription=invoice.subscription_id,
        day=date.fromisoformat(case.day),
        policy=case.policy,
        decline_code=case.code,
        currency=case.currency,
        amount=case.amount,
        amount_remaining=invoice.amount_remaining if invoice.status is InvoiceStatus.OPEN else 0,
        state=_STATES.get(invoice.status, CaseState.UNDECIDED),
        attempts=len(invoice.attempts),
    )
