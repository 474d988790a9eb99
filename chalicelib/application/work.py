"""One due row, one use case: the table that a worker and a sandbox's clock share."""

from __future__ import annotations

from collections.abc import Callable

from chalicelib.application import (
    changes,
    checkout,
    collection,
    credit_grants,
    dunning,
    dunning_letters,
    refunds,
    renewals,
    signup,
    usage_invoices,
)
from chalicelib.application.context import Context
from chalicelib.application.ports import DueRow
from chalicelib.application.records import subject_id
from chalicelib.domain.schedule import DueKind

_WORK: dict[DueKind, tuple[str, Callable[[Context, str], None]]] = {
    DueKind.RENEWAL: ("sub", renewals.renew_subscription),
    DueKind.TRIAL_END: ("sub", renewals.end_trial),
    DueKind.TRIAL_REMINDER: ("sub", renewals.remind_of_trial),
    DueKind.CANCELLATION: ("sub", renewals.end_canceled),
    DueKind.DUNNING: ("sub", dunning.run_dunning),
    DueKind.CHANGE: ("sub", changes.run_change),
    DueKind.GRACE_END: ("sub", dunning_letters.end_grace),
    DueKind.LETTER: ("sub", dunning_letters.release_letter),
    DueKind.RELEASE: ("sub", checkout.release_incomplete),
    DueKind.COLLECT: ("inv", collection.collect_due),
    DueKind.REFUND: ("ref", refunds.finish_refund),
    DueKind.OVERDUE: ("inv", renewals.note_overdue),
    DueKind.CHECKOUT: ("chk", checkout.release_checkout),
    DueKind.ABANDON: ("sus", signup.abandon_signup),
    DueKind.WIN_BACK: ("sub", renewals.win_back),
    DueKind.CREDITS: ("cus", credit_grants.settle_credits),
    DueKind.USAGE: ("use", usage_invoices.bill_usage),
}


def perform(ctx: Context, row: DueRow) -> None:
    """Do what the row's subject wants at `ctx.now`. Safe to repeat: the subject decides, the row only hints."""
    _, use_case = _WORK[row.kind]
    use_case(ctx, subject_of(row))


def subject_of(row: DueRow) -> str:
    """The id of what the row leads to."""
    prefix, _ = _WORK[row.kind]
    return subject_id(prefix, row.pk, row.sk)
