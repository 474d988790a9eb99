"""Previews that bind: what a request would do, and a token that makes it do exactly that.

A preview runs the very use case up to its first commit and shows what that would write; nothing is written, and the
processor is not asked. Committing with the token runs it again as of the same instant and under the same request
key: where it comes to something else than was shown, nothing is written and the difference is said.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from chalicelib.application.context import Context
from chalicelib.application.dry_run import dry_run, watched
from chalicelib.application.upcoming import invoice_after, once_paid
from chalicelib.domain.calendar import next_day_start
from chalicelib.domain.credentials import entropy_of
from chalicelib.domain.errors import InvalidStateError, PreviewStaleError, ValidationError
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.outcome import Outcome, difference, outcome_of
from chalicelib.domain.subscription import Subscription

T = TypeVar("T")
VALID_FOR = timedelta(minutes=15)
"""At most; local midnight ends it before."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Preview:
    """What would be written, the subscription once that is paid, and the invoice `following` it. `token` binds it
    until `expires_at` (business time).
    """

    outcome: Outcome
    after: Subscription | None
    following: Invoice | None
    token: str
    expires_at: datetime


def preview(ctx: Context, operation: str, use_case: Callable[[Context], object]) -> Preview:
    """What the use case would do now. `operation` names it with everything that was asked for.

    Whatever refuses the request refuses its preview. InvalidStateError where nothing would be written.
    """
    key = secrets.token_hex(16)
    records = dry_run(replace(ctx, request_key=key), use_case)
    if not records:
        raise InvalidStateError("nothing would change")
    outcome, settled = outcome_of(records), once_paid(records, ctx.now)
    zone = outcome.subscription.zone if outcome.subscription is not None else "UTC"
    expires_at = min(ctx.now + VALID_FOR, next_day_start(ctx.now, zone))
    claims = {
        "key": key,
        "now": ctx.now.isoformat(),
        "until": expires_at.isoformat(),
        "machine_until": (ctx.machine_now + VALID_FOR).isoformat(),
        "sums": outcome.sums(),
        "print": outcome.print(),
        "opens": [invoice.id for invoice in outcome.invoices if not invoice.version],
    }
    return Preview(
        outcome=outcome,
        after=outcome_of(settled).subscription,
        following=invoice_after(ctx, settled),
        token=_signed(ctx, operation, claims),
        expires_at=expires_at,
    )


def commit_previewed(ctx: Context, operation: str, token: str, use_case: Callable[[Context], T]) -> T:
    """Run the use case as it was previewed. ValidationError for a token that is not of this request, or expired;
    PreviewStaleError where it would come to something else now.

    May run twice: the token's own key names the request, so a second run finds the first one's work.
    """
    claims = _claims(ctx, operation, token)
    bound = replace(ctx, request_key=claims["key"], now=datetime.fromisoformat(claims["now"]))
    return use_case(watched(bound, _Guard(claims).check))


class _Guard:
    """Lets the first commit pass if it writes what was shown, and every other one after it.

    So does a run that goes on with what another began: its invoice is there, as it was shown.
    """

    def __init__(self, claims: dict[str, Any]) -> None:
        self._claims = claims
        self._passed = False

    def check(self, records: tuple[Any, ...]) -> None:
        outcome = outcome_of(records)
        opened = [invoice.id for invoice in outcome.invoices if invoice.version]
        if self._passed or not set(opened).isdisjoint(self._claims["opens"]):
            return
        if outcome.print() != self._claims["print"]:
            raise PreviewStaleError(
                "this is not what the preview showed any more",
                fix="preview it again",
                **difference(self._claims["sums"], outcome.sums()),
            )
        self._passed = True


def _signed(ctx: Context, operation: str, claims: dict[str, Any]) -> str:
    body = base64.urlsafe_b64encode(json.dumps(claims, separators=(",", ":")).encode()).decode()
    return f"{body}.{_signature(ctx, operation, body)}"


def _claims(ctx: Context, operation: str, token: str) -> dict[str, Any]:
    body, _, signature = token.partition(".")
    if not hmac.compare_digest(signature.encode(), _signature(ctx, operation, body).encode()):
        raise ValidationError(
            "this token is not of a preview of this request", field="preview_token", fix="preview it first"
        )
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(body))
    late = ctx.now >= datetime.fromisoformat(claims["until"])
    if late or ctx.machine_now >= datetime.fromisoformat(claims["machine_until"]):
        raise ValidationError("this preview has expired", field="preview_token", fix="preview it again")
    return claims


def _signature(ctx: Context, operation: str, body: str) -> str:
    digest = hashlib.sha256(operation.encode()).hexdigest()
    return entropy_of(ctx.services.pepper, "preview", ctx.env, digest, body).hex()
