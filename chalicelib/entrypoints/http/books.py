"""The ledger and the MRR: sums over the journal, kept by business month."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import TypeVar

from chalice.app import Blueprint
from pydantic import Field

from chalicelib.application.books import Month, Sums, read_books
from chalicelib.domain.journal import LedgerAccount, MovementKind
from chalicelib.entrypoints.http.kit import Call, Schema, Scope, View, endpoint

bp = Blueprint(__name__)
K = TypeVar("K", bound=StrEnum)
_LATE = "Sums are folded in as journal entries arrive, moments after the decision."


class BooksQuery(Schema):
    currency: str | None = Field(default=None, pattern="^[A-Z]{3}$", examples=["USD"])


class LedgerMonthView(View):
    month: str = Field(examples=["2026-11"], description="Business month, UTC.")
    accounts: dict[LedgerAccount, int] = Field(description="Minor units booked in it; debit positive.")


class LedgerView(View):
    currency: str
    balances: dict[LedgerAccount, int] = Field(
        description="Minor units; debit positive, credit negative; they add up to 0."
    )
    months: list[LedgerMonthView]


class LedgersView(View):
    data: list[LedgerView] = Field(description=_LATE)


class MrrMonthView(View):
    month: str = Field(examples=["2026-11"], description="Business month, UTC.")
    movements: dict[MovementKind, int] = Field(description="Minor units per month, signed.")
    mrr: int = Field(description="At the month's end, or as of now in the present one.")


class MrrView(View):
    currency: str
    mrr: int = Field(description="Minor units per month, as of now.")
    months: list[MrrMonthView]


class MrrsView(View):
    data: list[MrrView] = Field(description=_LATE)


@endpoint(
    bp,
    "GET",
    "/v1/ledger",
    query=BooksQuery,
    answer=LedgersView,
    scope=Scope.READ,
    tag="Books",
    summary="The ledger per currency: balances, and what each month booked",
)
def ledger(call: Call[None]) -> LedgersView:
    months = read_books(call.services.ops, call.ctx.env)
    return LedgersView(
        data=[
            LedgerView(
                currency=currency,
                balances=_total(booked.values(), LedgerAccount),
                months=[
                    LedgerMonthView(month=name, accounts=_named(sums, LedgerAccount))
                    for name, sums in booked.items()
                ],
            )
            for currency, booked in _by_currency(months, lambda month: month.ledger, call.query.currency)
        ]
    )


@endpoint(
    bp,
    "GET",
    "/v1/mrr",
    query=BooksQuery,
    answer=MrrsView,
    scope=Scope.READ,
    tag="Books",
    summary="Monthly recurring revenue per currency, and how each month moved it",
)
def mrr(call: Call[None]) -> MrrsView:
    months = read_books(call.services.ops, call.ctx.env)
    found = _by_currency(months, lambda month: month.mrr, call.query.currency)
    return MrrsView(data=[_mrr(currency, booked) for currency, booked in found])


def _mrr(currency: str, booked: dict[str, dict[str, int]]) -> MrrView:
    views, standing = [], 0
    for name, sums in booked.items():
        standing += sum(sums.values())
        views.append(MrrMonthView(month=name, movements=_named(sums, MovementKind), mrr=standing))
    return MrrView(currency=currency, mrr=standing, months=views)


def _by_currency(
    months: Sequence[Month], sums_of: Callable[[Month], Sums], currency: str | None
) -> Iterator[tuple[str, dict[str, dict[str, int]]]]:
    """(currency, month → sums) in order, of the currency asked for or of each."""
    for each in sorted({name for month in months for name in sums_of(month)}):
        if currency in (None, each):
            yield each, {month.name: sums_of(month)[each] for month in months if each in sums_of(month)}


def _total(months: Iterable[dict[str, int]], names: type[K]) -> dict[K, int]:
    total: Counter[str] = Counter()
    for sums in months:
        total.update(sums)
    return _named(total, names)


def _named(sums: Mapping[str, int], names: type[K]) -> dict[K, int]:
    return {names(name): amount for name, amount in sorted(sums.items())}
