"""Drawing prepaid credits down: from the lines of usage, after coupons and before tax, one grant after the other.

What was paid for credits is owed until they are drawn or expire; credits that were given cost nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction

from chalicelib.domain.credit_grant import CreditGrant, GrantUse
from chalicelib.domain.customer import Account
from chalicelib.domain.errors import InvalidStateError
from chalicelib.domain.invoice import DiscountShare, Invoice, InvoiceStatus, Line
from chalicelib.domain.journal import Fact, LedgerAccount, Posting
from chalicelib.domain.money import allocate, round_half_away

PURCHASE = "prepaid_credits"
"""The kind of the line that sells credits."""
MOST = 50
"""Grants that a customer may hold."""
LOOK_AGAIN = timedelta(days=1)
"""How often what waits for its payment is looked at, should that have gone unnoticed."""
_USAGE = ("usage", "late_usage")
_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Drawn:
    """The lines less the credits, and what was taken from which grant."""

    lines: tuple[Line, ...]
    uses: tuple[GrantUse, ...] = ()


@dataclass(frozen=True, slots=True)
class Settled:
    """An account whose grants changed, and what to say and book of it."""

    account: Account
    facts: tuple[Fact, ...] = ()
    postings: tuple[Posting, ...] = ()


def open_grants(account: Account, currency: str, now: datetime) -> tuple[CreditGrant, ...]:
    """What may be drawn now, in the order in which it is."""
    own = (grant for grant in account.grants if grant.currency == currency and grant.is_open(now))
    return tuple(sorted(own, key=lambda each: (each.priority, each.expires_at or _NEVER, each.at, each.id)))


def balance_of(account: Account, currency: str, now: datetime) -> int:
    return sum(grant.balance for grant in open_grants(account, currency, now))


def balances(account: Account, now: datetime) -> dict[str, int]:
    """What may be drawn now, by currency."""
    currencies = sorted({grant.currency for grant in account.grants})
    return {currency: balance_of(account, currency, now) for currency in currencies}


def draw(lines: tuple[Line, ...], grants: Iterable[CreditGrant]) -> Drawn:
    """The lines of usage less what the grants cover of them; each grant shows on its lines like a fixed coupon."""
    uses = []
    order = max((share.order for line in lines for share in line.discounts), default=0)
    for grant in grants:
        bases = [line.left if line.kind in _USAGE and not line.is_credit else 0 for line in lines]
        taken = min(grant.balance, sum(bases))
        if not taken:
            break
        order += 1
        share = DiscountShare(coupon=grant.id, order=order, fixed=grant.balance)
        lines = tuple(
            _less(line, replace(share, amount=amount)) if base else line
            for line, base, amount in zip(lines, bases, allocate(taken, bases), strict=True)
        )
        uses.append(GrantUse(grant.id, taken, _released(grant, taken)))
    return Drawn(lines, tuple(uses))


def after_draw(
    account: Account, uses: Sequence[GrantUse], currency: str, now: datetime
) -> tuple[Account, tuple[Fact, ...]]:
    """The account with this drawn, a top-up called for where the balance has fallen below its mark, and the fact that
    nothing is left.
    """
    if not uses:
        return account, ()
    taken = {use.grant_id: use for use in uses}
    account = replace(account, grants=tuple(_drawn(grant, taken.get(grant.id)) for grant in account.grants))
    left = balance_of(account, currency, now)
    top_up, waits = account.top_up, any(grant.waits for grant in account.grants)
    if top_up and top_up.currency == currency and left < top_up.below and not waits and not top_up.due_at:
        account = replace(account, top_up=replace(top_up, due_at=now))
    if left:
        return account, ()
    data = {"currency": currency, "drawn": sum(use.amount for use in uses)}
    return account, (Fact("credits.depleted", account.customer_id, data),)


def given_back(account: Account, invoice: Invoice, now: datetime) -> Account:
    """The account after this invoice is void: it has what was drawn again, and not what was bought."""
    grants = {grant.id: grant for grant in account.grants if grant.invoice_id != invoice.id}
    for use in invoice.credits_used:
        kept = grants.get(use.grant_id) or CreditGrant(
            id=use.grant_id, currency=invoice.currency, amount=use.amount, balance=0, at=now
        )
        grants[use.grant_id] = replace(
            kept, balance=kept.balance + use.amount, deferred=kept.deferred + use.released
        )
    return replace(account, grants=tuple(grants.values()))


def with_grant(account: Account, grant: CreditGrant) -> Account:
    """The account with one more; what is used up makes room. InvalidStateError where it holds too many."""
    held = [each for each in account.grants if each.balance or each.waits]
    if len(held) >= MOST:
        raise InvalidStateError(f"a customer holds at most {MOST} grants", customer=account.customer_id)
    kept = account.grants if len(account.grants) < MOST else tuple(held)
    return replace(account, grants=(*kept, grant))


def is_purchase(invoice: Invoice) -> bool:
    return any(line.kind == PURCHASE for line in invoice.lines)


def settled(account: Account, invoice: Invoice, now: datetime) -> Settled:
    """What becomes of the grants that wait for this invoice, as it stands: paid, they are there; given up, they go,
    and what was owed for them with them. Else they wait another day.
    """
    kept: list[CreditGrant] = []
    facts: list[Fact] = []
    gone = 0
    for grant in account.grants:
        if not grant.waits or grant.invoice_id != invoice.id:
            kept.append(grant)
        elif invoice.status is InvoiceStatus.PAID:
            kept.append(replace(grant, waits=False, look_at=None))
            facts.append(granted_fact("credits.granted", account.customer_id, grant))
        elif invoice.status is InvoiceStatus.OPEN:
            kept.append(replace(grant, look_at=now + LOOK_AGAIN))
        else:
            gone += grant.deferred
            facts.append(granted_fact("credits.canceled", account.customer_id, grant))
    return Settled(replace(account, grants=tuple(kept)), tuple(facts), _earned(gone, invoice.currency))


def expired(account: Account, now: datetime) -> Settled:
    """The account without what has expired: what is left of it is written off."""
    over = [grant for grant in account.grants if grant.has_expired(now) and not grant.waits]
    lost = [grant for grant in over if grant.balance]
    return Settled(
        replace(account, grants=tuple(grant for grant in account.grants if grant not in over)),
        tuple(granted_fact("credits.expired", account.customer_id, grant) for grant in lost),
        tuple(posting for grant in lost for posting in _earned(grant.deferred, grant.currency)),
    )


def granted_fact(type_: str, customer_id: str, grant: CreditGrant) -> Fact:
    data = {"grant": grant.id, "currency": grant.currency, "amount": grant.amount, "balance": grant.balance}
    return Fact(type_, customer_id, data)


def _earned(deferred: int, currency: str) -> tuple[Posting, ...]:
    """What was paid for, and will not be drawn any more."""
    if not deferred:
        return ()
    return (
        Posting(LedgerAccount.CUSTOMER_CREDIT, deferred, currency),
        Posting(LedgerAccount.REVENUE, -deferred, currency),
    )


def _drawn(grant: CreditGrant, use: GrantUse | None) -> CreditGrant:
    if use is None:
        return grant
    return replace(grant, balance=grant.balance - use.amount, deferred=grant.deferred - use.released)


def _released(grant: CreditGrant, taken: int) -> int:
    """What was paid for this part of the grant; what takes the rest takes the rest of it."""
    return round_half_away(Fraction(grant.deferred * taken, grant.balance))


def _less(line: Line, share: DiscountShare) -> Line:
    return replace(line, discount=line.discount + share.amount, discounts=(*line.discounts, share))
