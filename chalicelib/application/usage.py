"""Usage as products report it: each event is taken in once and folded into its subscription's windows.

In the live environment an event costs one conditional insert into a table of its own, spread over many partitions;
that table's stream brings it to `fold`. A sandbox, whose clock may be turned the next moment, folds an event in
the transaction that takes it in. What an event comes to is decided by the same rules in both.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from chalicelib.application import decisions
from chalicelib.application.context import Context, deciding
from chalicelib.application.records import CustomerStanding, account_key, claim_key, key_of
from chalicelib.domain import ids
from chalicelib.domain.customer import Claim
from chalicelib.domain.decision import Decision
from chalicelib.domain.environment import LIVE
from chalicelib.domain.errors import NotFoundError, ValidationError
from chalicelib.domain.meter import UsageEvent
from chalicelib.domain.usage import EARLIEST, LATEST, Usage
from chalicelib.domain.usage_fold import Take, folded, takes_of

T = TypeVar("T")
MOST = 100
"""Events in one request."""
ATTEMPTS = 40
"""How often one customer's events are folded anew while other requests fold theirs."""
_TOGETHER = 30
"""Events per transaction, which takes 100 writes: each event itself, a claim on each value that is new, the usage on
each meter, and the journal.
"""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an event. A `duplicate` has the id of one that was taken in before, and counts nothing."""

    id: str
    duplicate: bool


def record_usage(ctx: Context, events: Sequence[UsageEvent]) -> list[Receipt]:
    """Take in up to MOST events; a receipt for each, in order.

    Nothing is taken in where one of them is refused: ValidationError, NotFoundError name it. Safe to run twice,
    and at once: an event's id is taken once per customer.
    """
    _require_valid(ctx, events)
    by_customer: dict[str, dict[str, UsageEvent]] = defaultdict(dict)
    for event in events:
        by_customer[event.customer_id].setdefault(event.id, event)
    new = _inserted(ctx, by_customer) if ctx.env == LIVE else _taken_in(ctx, by_customer)
    receipts = []
    for event in events:
        identity = (event.customer_id, event.id)
        receipts.append(Receipt(event.id, identity not in new))
        new.discard(identity)
    return receipts


def fold(ctx: Context, customer_id: str, lane: int, arrived: Sequence[tuple[str, UsageEvent]]) -> None:
    """Fold events that are stored already, as (position, event) in the order in which a lane of their table's stream
    brings them.

    Safe to run twice: what the lane brought before lies at or before the position that each usage notes.
    """
    for part in _parts(arrived):

        def decide(part: Sequence[tuple[str, UsageEvent]] = part) -> None:
            standing = ctx.store.standing(ctx.env, customer_id)
            takes = _takes(ctx, standing, part)
            _commit(ctx, customer_id, standing, takes, lane=lane, cause=f"lane {lane}:{part[-1][0]}")

        deciding(decide, attempts=ATTEMPTS)


def usage_of(ctx: Context, subscription_id: str) -> list[Usage]:
    """A subscription's usage, by meter; NotFoundError."""
    ids.require("sub", subscription_id)
    standing = ctx.store.standing(ctx.env, ids.customer_of(subscription_id))
    if subscription_id not in {subscription.id for subscription in standing.subscriptions}:
        raise NotFoundError("no such subscription", id=subscription_id)
    return [usage for usage in standing.usage if usage.subscription_id == subscription_id]


def _inserted(ctx: Context, by_customer: Mapping[str, Mapping[str, UsageEvent]]) -> set[tuple[str, str]]:
    """The live way: stored here, folded by the stream."""
    events = [event for own in by_customer.values() for event in own.values()]
    return ctx.services.usage_log.insert(ctx.env, events)


def _taken_in(ctx: Context, by_customer: Mapping[str, Mapping[str, UsageEvent]]) -> set[tuple[str, str]]:
    """A sandbox's way: stored and folded at once."""
    new: set[tuple[str, str]] = set()
    for customer_id, own in by_customer.items():
        for part in _parts(list(own.values())):
            new |= {(customer_id, id_) for id_ in _take_in(ctx, customer_id, part)}
    return new


def _take_in(ctx: Context, customer_id: str, events: Sequence[UsageEvent]) -> set[str]:
    """The ids that were new; those events are stored and folded in one transaction."""

    def decide() -> set[str]:
        known = ctx.store.get_many([key_of(ctx.env, event) for event in events])
        fresh = [event for event, before in zip(events, known, strict=True) if before is None]
        if fresh:
            standing = ctx.store.standing(ctx.env, customer_id)
            takes = _takes(ctx, standing, [("", event) for event in fresh])
            _commit(ctx, customer_id, standing, takes, *fresh, cause=fresh[-1].id)
        return {event.id for event in fresh}

    return deciding(decide, attempts=ATTEMPTS)


def _takes(ctx: Context, standing: CustomerStanding, arrived: Sequence[tuple[str, UsageEvent]]) -> list[Take]:
    def catalog_of(version: int) -> Any:
        return ctx.catalogs.version(ctx.env, version)

    return [
        take
        for position, event in arrived
        for take in takes_of(event, standing.subscriptions, catalog_of, position=position)
    ]


def _commit(
    ctx: Context,
    customer_id: str,
    standing: CustomerStanding,
    takes: Sequence[Take],
    *events: UsageEvent,
    cause: str,
    lane: int | None = None,
) -> None:
    """Write the usages after these takes, with the events themselves where they are not stored yet."""
    before = {usage.id: usage for usage in standing.usage}
    is_new, claims = _first_ones(ctx, takes)
    usages, facts = folded(takes, before, ctx.now, is_new=is_new, lane=lane)
    records = (*usages, *(claims if usages else ()), *events)
    if records:
        decisions.commit(ctx, customer_id, Decision(cause=f"usage:{cause}", also=records, facts=facts))


def _first_ones(ctx: Context, takes: Sequence[Take]) -> tuple[Callable[[Take], bool], tuple[Claim, ...]]:
    """Whether a take is the first of its value, and the claims on the values that nobody had before.

    A claim names its event, so that an event that is folded again is still the first.
    """
    wanted: dict[str, Take] = {}
    for take in takes:
        if take.distinct is not None:
            wanted.setdefault(take.distinct, take)
    found: Mapping[str, Claim | None] = {}
    if wanted:
        keys = [claim_key(ctx.env, "usage", value) for value in wanted]
        found = dict(zip(wanted, ctx.store.get_many(keys), strict=True))

    def owner(take: Take) -> str | None:
        assert take.distinct is not None
        claim = found[take.distinct]
        return claim.owner if claim is not None else wanted[take.distinct].event.id

    def is_new(take: Take) -> bool:
        return take.distinct is None or owner(take) == take.event.id

    claims = tuple(
        Claim(kind="usage", value=value, owner=take.event.id, at=ctx.now)
        for value, take in wanted.items()
        if found[value] is None
    )
    return is_new, claims


def _require_valid(ctx: Context, events: Sequence[UsageEvent]) -> None:
    if len(events) > MOST:
        raise ValidationError(f"at most {MOST} events at once", field="events", fix="send several requests")
    for index, event in enumerate(events):
        if not ctx.now - LATEST <= event.at <= ctx.now + EARLIEST:
            raise ValidationError(
                f"events are reported within {LATEST.days} days, and not before they happen",
                field=f"events[{index}].at",
                fix="send the instant at which it happened",
            )
    customers = list(dict.fromkeys(event.customer_id for event in events))
    accounts = ctx.store.get_many([account_key(ctx.env, ids.require("cus", id_)) for id_ in customers])
    for id_, account in zip(customers, accounts, strict=True):
        if account is None:
            raise NotFoundError("no such customer", id=id_)


def _parts(things: Sequence[T]) -> list[Sequence[T]]:
    return [things[start : start + _TOGETHER] for start in range(0, len(things), _TOGETHER)]
