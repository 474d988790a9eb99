"""Prepaid credits, whatever is granted and used: never more than there is, released to the cent, and explained."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.billing import Occasion, open_invoice, void
from chalicelib.domain.catalog import Party
from chalicelib.domain.credit_grant import CreditGrant
from chalicelib.domain.explanation import check
from chalicelib.domain.invoice import Cause, CauseKind, Line
from chalicelib.domain.journal import LedgerAccount
from chalicelib.domain.pricing import RatedStep
from tests import samples

NOW = samples.START
GRANTS = st.lists(
    st.builds(
        CreditGrant,
        id=st.uuids().map(lambda name: f"cgr_{name.hex}"),
        currency=st.sampled_from(["USD", "USD", "EUR"]),
        amount=st.just(10**6),
        balance=st.integers(0, 5000),
        at=st.just(NOW),
        priority=st.integers(0, 3),
        expires_at=st.none() | st.sampled_from([-1, 0, 1, 9]).map(lambda days: NOW + timedelta(days=days)),
        waits=st.booleans(),
    ),
    max_size=5,
)
PAID = st.integers(0, 6000)
USED = st.lists(
    st.lists(st.tuples(st.sampled_from(["usage", "late_usage", "recurring"]), PAID), max_size=4), max_size=4
)


def line(number: int, kind: str, amount: int) -> Line:
    step = RatedStep(1, str(amount))
    base = replace(samples.line(number), kind=kind, quantity=1, steps=(step,), amount=amount, discount=0)
    return replace(base, id=f"l{number}", discounts=(), tax=0, tax_rate="0", numerator=1, denominator=1)


@given(GRANTS, st.lists(PAID, min_size=5, max_size=5), USED)
def test_drawn_never_exceeds_what_was_granted(
    grants: list[CreditGrant], paid: list[int], used: list[list[tuple[str, int]]]
) -> None:
    held = tuple(
        replace(grant, deferred=cost if grant.balance else 0)
        for grant, cost in zip(grants, paid, strict=False)
    )
    account = samples.account(credits=(), grants=held)
    occasion = Occasion(now=NOW, customer=samples.customer(), seller=Party(name="Acme"))
    base = replace(samples.subscription(), currency="USD", redemptions=())
    booked = 0
    for number, kinds in enumerate(used):
        before = account
        opened = open_invoice(
            base,
            account,
            tuple(line(place, kind, amount) for place, (kind, amount) in enumerate(kinds)),
            cause=Cause(kind=CauseKind.USAGE, reference=str(number)),
            period=None,
            occasion=occasion,
        )
        account = opened.account
        assert check(opened.invoice) == []
        assert sum(posting.amount for posting in opened.postings) == 0
        booked += sum(p.amount for p in opened.postings if p.account is LedgerAccount.CUSTOMER_CREDIT)
        usable = sum(amount for kind, amount in kinds if kind != "recurring")
        there = sum(g.balance for g in before.grants if g.currency == "USD" and g.is_open(NOW))
        assert sum(use.amount for use in opened.invoice.credits_used) == min(usable, there)
        back = void(opened.invoice, account, NOW).account
        assert sorted(back.grants, key=_name) == sorted(before.grants, key=_name)
    for grant, left in zip(held, account.grants, strict=True):
        assert 0 <= left.balance <= grant.balance
        assert (left.deferred == 0) if not left.balance else (0 <= left.deferred <= grant.deferred)
    assert booked == sum(grant.deferred for grant in held) - sum(grant.deferred for grant in account.grants)


def _name(grant: CreditGrant) -> str:
    return grant.id
