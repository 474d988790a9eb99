"""What is stored, and under which key: the layout that every engine shares.

One customer of one environment is one partition (`env#token`), so what belongs together is read in one Query
and commits in one transaction. Due and list entries are derived from the record itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from chalicelib.domain import ids
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.checkout import CheckoutSession, SignupSession
from chalicelib.domain.coupon import CouponCount, CouponUse, OfferedCoupon, counts_owner
from chalicelib.domain.credit_note import CreditNote
from chalicelib.domain.customer import Account, Claim, Customer, Lead, Member
from chalicelib.domain.environment import Environment, shard_count
from chalicelib.domain.invoice import Invoice, invoice_of_payment
from chalicelib.domain.journal import JournalEntry
from chalicelib.domain.meter import UsageEvent
from chalicelib.domain.payment import Payment
from chalicelib.domain.refund import Refund
from chalicelib.domain.schedule import next_due
from chalicelib.domain.subscription import Subscription
from chalicelib.domain.usage import Usage

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Key(Generic[T]):
    """Where a record of type `type` lives."""

    type: type[T]
    pk: str
    sk: str


@dataclass(frozen=True, slots=True)
class Layout:
    """How one type is stored: the sort key's prefix, the rest of it from the record, and its list (if any)."""

    prefix: str
    suffix: Callable[[Any], str]
    owner: Callable[[Any], str] = lambda record: str(record.customer_id)
    listed: str | None = None


LAYOUTS: dict[type[Any], Layout] = {
    Account: Layout("0A", lambda record: ""),
    Subscription: Layout("0S#", lambda record: ids.own_token(record.id), listed="subscriptions"),
    Customer: Layout("P", lambda record: "", owner=lambda record: record.id, listed="customers"),
    Member: Layout("M#", lambda record: ids.own_token(record.id)),
    Invoice: Layout("I#", lambda record: ids.own_token(record.id)),
    Payment: Layout("Y#", lambda record: ids.own_token(record.id)),
    CreditNote: Layout("N#", lambda record: ids.own_token(record.id)),
    Refund: Layout("R#", lambda record: ids.own_token(record.id)),
    CheckoutSession: Layout("C#", lambda record: ids.own_token(record.id)),
    SignupSession: Layout("G#", lambda record: ids.own_token(record.id), listed="signups"),
    Lead: Layout("D#", lambda record: ids.own_token(record.id), listed="leads"),
    Usage: Layout("0M#", lambda record: ids.own_token(record.id)),
    UsageEvent: Layout("E#", lambda record: event_suffix(record.id)),
    OfferedCoupon: Layout(
        "K#", lambda record: ids.own_token(record.id), owner=lambda record: record.id, listed="coupons"
    ),
    CouponCount: Layout(
        "T#", lambda record: str(record.shard), owner=lambda record: counts_owner(record.coupon)
    ),
    CouponUse: Layout("U#", lambda record: ids.own_token(record.id)),
    JournalEntry: Layout("L#", lambda record: journal_suffix(record)),
}


STANDING = "0"
"""What account, subscriptions and usage begin with, so that one Query reads a customer's standing."""


@dataclass(frozen=True, slots=True)
class CustomerStanding:
    """What decides on a customer's access; `account` is None where there is no such customer."""

    account: Account | None
    subscriptions: tuple[Subscription, ...] = ()
    usage: tuple[Usage, ...] = ()


def standing_of(records: Iterable[Any]) -> CustomerStanding:
    """The standing out of the records whose keys begin with STANDING."""
    found = list(records)
    return CustomerStanding(
        next((record for record in found if isinstance(record, Account)), None),
        tuple(record for record in found if isinstance(record, Subscription)),
        tuple(record for record in found if isinstance(record, Usage)),
    )


def partition(env: str, customer: str) -> str:
    """The partition of a customer id, or of any of its children's ids."""
    return f"{env}#{ids.token_of(customer)}"


def journal_suffix(entry: JournalEntry) -> str:
    """Entries sort by business time, then by the id of their decision."""
    return f"{entry.at.isoformat(timespec='microseconds')}#{ids.own_token(entry.id)}"


def event_suffix(event: str) -> str:
    """A usage event's id is the caller's: any text, of any length that the edge lets in."""
    return hashlib.sha256(event.encode()).hexdigest()[:32]


def account_key(env: str, customer: str) -> Key[Account]:
    return Key(Account, partition(env, customer), "0A")


def customer_key(env: str, customer: str) -> Key[Customer]:
    return Key(Customer, partition(env, customer), "P")


def child_key(type_: type[T], env: str, id_: str) -> Key[T]:
    """The key of a subscription, invoice, recorded payment, refund, member, checkout, sign-up or lead by its id."""
    return Key(type_, partition(env, id_), LAYOUTS[type_].prefix + ids.own_token(id_))


def subject_id(prefix: str, pk: str, sk: str) -> str:
    """The id of a child record from where it lives: what a due row leads to."""
    return f"{prefix}_{pk.partition('#')[2]}{sk.partition('#')[2]}"


def payment_key(env: str, payment: str) -> Key[Invoice]:
    """A payment born from an attempt lives in its invoice's item."""
    return child_key(Invoice, env, invoice_of_payment(payment))


def environment_key(env: str) -> Key[Environment]:
    return Key(Environment, env, "ENV")


def catalog_key(env: str, version: int) -> Key[Catalog]:
    return Key(Catalog, env, f"CAT#{version:08d}")


def claim_key(env: str, kind: str, value: str) -> Key[Claim]:
    """Its own partition, named by the value's digest, so that no claim meets another's traffic."""
    digest = hashlib.sha256(value.encode()).hexdigest()[:32]
    return Key(Claim, f"{env}#claim#{kind}#{digest}", "0")


def key_of(env: str, record: Any) -> Key[Any]:
    """The key under which a record is stored."""
    match record:
        case Environment():
            return environment_key(env)
        case Catalog():
            return catalog_key(env, record.version)
        case Claim():
            return claim_key(env, record.kind, record.value)
    layout = LAYOUTS[type(record)]
    return Key(type(record), partition(env, layout.owner(record)), layout.prefix + layout.suffix(record))


def due_entry(env: str, record: Any) -> tuple[str, str] | None:
    """(partition, sort value) of the record's row in the due index, None when it rests."""
    due = next_due(record)
    if due is None:
        return None
    return due_partition(
        env, shard_of(env, record)
    ), f"{due.at.isoformat(timespec='microseconds')}#{due.kind}"


def due_partition(env: str, shard: int) -> str:
    return f"{env}#{shard:02d}"


def shard_of(env: str, record: Any) -> int:
    """All of one customer's rows share a shard, spread by the customer's own token."""
    owner = LAYOUTS[type(record)].owner(record)
    return int(hashlib.sha256(ids.token_of(owner).encode()).hexdigest()[:8], 16) % shard_count(env)


def list_entry(env: str, record: Any) -> tuple[str, str] | None:
    """(partition, sort value) of the record's row in the list index: newest first is a backwards Query."""
    layout = LAYOUTS.get(type(record))
    if layout is None or layout.listed is None:
        return None
    at = getattr(record, "created_at", None) or record.at
    return f"{env}#{layout.listed}", f"{at.isoformat(timespec='microseconds')}#{record.id}"
