"""What the clock brings to the letters of a dunning run: a held one is due, or the grace is over."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from chalicelib.application import decisions
from chalicelib.application.context import Context, deciding
from chalicelib.application.records import child_key
from chalicelib.domain import dunning_mail
from chalicelib.domain.decision import Decision
from chalicelib.domain.schedule import DueKind, next_due
from chalicelib.domain.subscription import Subscription


def release_letter(ctx: Context, subscription_id: str) -> None:
    """Quiet hours are over: the held letter follows from a fact. Once: the letter is cleared with it."""
    _decide_due(ctx, subscription_id, DueKind.LETTER, dunning_mail.released)


def end_grace(ctx: Context, subscription_id: str) -> None:
    """Access in arrears has ended (entitlements know it by the clock): said once, for those who listen."""
    _decide_due(ctx, subscription_id, DueKind.GRACE_END, dunning_mail.grace_over)


def _decide_due(
    ctx: Context, subscription_id: str, kind: DueKind, decide_on: Callable[[Subscription, datetime], Decision]
) -> None:
    def decide() -> None:
        subscription = ctx.store.get(child_key(Subscription, ctx.env, subscription_id))
        due = next_due(subscription) if subscription else None
        if subscription is None or due is None or due.kind is not kind or due.at > ctx.now:
            return
        decisions.commit(ctx, subscription.customer_id, decide_on(subscription, ctx.now))

    deciding(decide)
