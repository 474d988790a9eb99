"""The MRR report, and the rows behind each of its figures."""

from __future__ import annotations

from chalice.app import Blueprint

from chalicelib.application import metrics_figures
from chalicelib.application.context import Context
from chalicelib.application.metrics_figures import Figures, figures, how_many
from chalicelib.application.metrics_report import MetricsMonth, read_months
from chalicelib.application.metrics_rows import MovementRow, TrialRow, read_movements, read_trials
from chalicelib.application.records import child_key
from chalicelib.domain.counted import TrialOutcome
from chalicelib.domain.errors import ValidationError
from chalicelib.domain.journal import MovementKind
from chalicelib.domain.subscription import Subscription
from chalicelib.entrypoints.http.kit import Call, Scope, endpoint
from chalicelib.entrypoints.http.schemas.metrics import (
    CurrencyMetricsView,
    FreeView,
    MonthView,
    MotionView,
    MovementRowPage,
    MovementRowView,
    MovementsQuery,
    MrrReportQuery,
    MrrReportView,
    ReasonView,
    SubscriptionsView,
    TrialRowPage,
    TrialRowView,
    TrialsQuery,
    TrialsView,
)

bp = Blueprint(__name__)
LONGEST = 60
"""Months in one report."""
USUAL = 12


@endpoint(
    bp,
    "GET",
    "/v1/reports/mrr",
    query=MrrReportQuery,
    answer=MrrReportView,
    scope=Scope.READ,
    tag="Reports",
    summary="MRR, its movements and retention, churn by reason, trials and free plans, per month",
    errors=(ValidationError,),
)
def mrr_report(call: Call[None]) -> MrrReportView:
    query = call.query
    first, last = _span(call.ctx, query.start, query.to)
    months = read_months(call.services.ops, call.ctx.env, until=last)
    wanted = [each for each in metrics_figures.currencies(months) if query.currency in (None, each)]
    data = [_currency(months, first, last, each, query.motion) for each in wanted]
    return MrrReportView(start=first, to=last, data=data)


@endpoint(
    bp,
    "GET",
    "/v1/reports/mrr/movements",
    query=MovementsQuery,
    answer=MovementRowPage,
    scope=Scope.READ,
    tag="Reports",
    summary="The movements of MRR that a month's figures are made of",
)
def mrr_movements(call: Call[None]) -> MovementRowPage:
    query = call.query

    def wanted(row: MovementRow) -> bool:
        asked = (query.currency, query.motion, query.kind, query.reason)
        return _matches(asked, (row.currency, row.motion, row.kind, row.reason))

    rows, cursor = read_movements(
        call.services.ops,
        call.ctx.env,
        query.month,
        wanted=wanted,
        limit=query.limit,
        after=query.cursor,
    )
    return MovementRowPage(data=[_movement(row) for row in rows], next_cursor=cursor)


@endpoint(
    bp,
    "GET",
    "/v1/reports/mrr/trials",
    query=TrialsQuery,
    answer=TrialRowPage,
    scope=Scope.READ,
    tag="Reports",
    summary="The trials whose end fell in a month, and what became of them",
)
def mrr_trials(call: Call[None]) -> TrialRowPage:
    query = call.query
    rows, cursor = read_trials(
        call.services.ops,
        call.ctx.env,
        query.month,
        wanted=lambda row: _matches((query.currency, query.motion), (row.currency, row.motion)),
        limit=query.limit,
        after=query.cursor,
    )
    keys = [child_key(Subscription, call.ctx.env, row.subscription_id) for row in rows]
    found = call.ctx.store.get_many(keys) if keys else []
    views = [_trial(row, each) for row, each in zip(rows, found, strict=True) if each is not None]
    kept = [view for view in views if query.outcome in (None, view.outcome)]
    return TrialRowPage(data=kept, next_cursor=cursor)


def _span(ctx: Context, first: str | None, last: str | None) -> tuple[str, str]:
    """Both included, and nothing after the present month."""
    present = ctx.now.strftime("%Y-%m")
    last = min(last or present, present)
    if first is None:
        first = metrics_figures.month_before(last, USUAL - 1)
    if not 1 <= how_many(first, last) <= LONGEST:
        raise ValidationError(
            f"a report covers 1 to {LONGEST} months, not {how_many(first, last)}",
            field="from",
            fix=f"let from be a month up to {last}, at most {LONGEST - 1} before it",
        )
    return first, last


def _matches(asked: tuple[str | None, ...], row: tuple[str, ...]) -> bool:
    return all(want is None or want == have for want, have in zip(asked, row, strict=True))


def _currency(
    months: list[MetricsMonth], first: str, last: str, currency: str, motion: str | None
) -> CurrencyMetricsView:
    found = [each for each in metrics_figures.motions(months, currency) if motion is None or each == motion]

    def of(motion: str | None) -> list[MonthView]:
        return [_month(each) for each in figures(months, first, last, currency=currency, motion=motion)]

    views = [MotionView(motion=each, months=of(each)) for each in found]
    return CurrencyMetricsView(currency=currency, months=of(motion), motions=views)


def _month(figure: Figures) -> MonthView:
    flow = figure.flow
    return MonthView(
        month=figure.month,
        opening=flow.opening,
        movements=dict(flow.movements),
        net_new=flow.net_new,
        closing=flow.closing,
        net_revenue_retention=flow.net_revenue_retention,
        gross_revenue_retention=flow.gross_revenue_retention,
        subscriptions=_subscriptions(figure),
        churn_reasons=[
            ReasonView(reason=reason, amount=amount, subscriptions=count)
            for (kind, reason), (amount, count) in sorted(figure.reasons.items())
            if kind == MovementKind.CHURN
        ],
        trials=_trials(figure),
        free=_free(figure),
    )


def _subscriptions(figure: Figures) -> SubscriptionsView:
    return SubscriptionsView(
        opening=figure.opening.subscriptions,
        new=figure.of(MovementKind.NEW)[1],
        reactivated=figure.of(MovementKind.REACTIVATION)[1],
        churned=figure.of(MovementKind.CHURN)[1],
        closing=figure.closing.subscriptions,
    )


def _trials(figure: Figures) -> TrialsView:
    counts = {outcome: figure.ended(outcome) for outcome in TrialOutcome}
    return TrialsView(
        mrr=figure.closing.trial_mrr,
        running=figure.closing.trials,
        ended=sum(counts.values()),
        paid=counts[TrialOutcome.PAID],
        lost=counts[TrialOutcome.LOST],
        undecided=counts[TrialOutcome.UNDECIDED],
        trial_to_paid=figure.trial_to_paid,
    )


def _free(figure: Figures) -> FreeView:
    return FreeView(
        opening=figure.opening.free,
        started=figure.free("started"),
        paid=figure.free("paid"),
        ended=figure.free("ended"),
        closing=figure.closing.free,
        free_to_paid=figure.free_to_paid,
    )


def _movement(row: MovementRow) -> MovementRowView:
    return MovementRowView(
        entry=row.entry_id,
        at=row.at,
        customer=row.customer_id,
        subscription=row.subscription_id,
        kind=MovementKind(row.kind),
        amount=row.amount,
        currency=row.currency,
        motion=row.motion,
        reason=row.reason,
        cause=row.cause,
    )


def _trial(row: TrialRow, subscription: Subscription) -> TrialRowView:
    return TrialRowView(
        customer=row.customer_id,
        subscription=row.subscription_id,
        plan=subscription.plan.product,
        ended_at=row.ended_at,
        currency=row.currency,
        motion=row.motion,
        outcome=subscription.counted.trial or TrialOutcome.UNDECIDED,
        mrr=subscription.mrr,
    )
