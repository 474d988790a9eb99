"""What the doctor reads: an environment, customer by customer, each with the whole of its partition."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from chalicelib.application.books import listed
from chalicelib.application.ops import Ops
from chalicelib.application.ports import Queues, Store
from chalicelib.application.records import LAYOUTS, account_key
from chalicelib.domain.checkout import CheckoutSession, SignupSession
from chalicelib.domain.credit_note import CreditNote
from chalicelib.domain.customer import Account, Claim, Customer, Member
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import JournalEntry
from chalicelib.domain.meter import UsageEvent
from chalicelib.domain.payment import Payment
from chalicelib.domain.schedule import next_due
from chalicelib.domain.subscription import Subscription
from chalicelib.domain.usage import Usage
from infra.ops.processor import Processor

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Patient:
    """One environment. `now` is its business time; `since` (machine time) is how far back the processor is read.

    `processor` and `claims` are None where they are not to be asked.
    """

    env: str
    store: Store
    ops: Ops
    queues: Queues
    processor: Processor | None
    now: datetime
    machine_now: datetime
    since: datetime
    claims: Callable[[], Iterator[Claim]] | None = None


@dataclass(frozen=True, slots=True)
class Chart:
    """A customer's records by type. `id` is the customer's id, or that of who has begun to sign up."""

    id: str
    records: dict[type[Any], list[Any]] = field(default_factory=dict)

    def of(self, type_: type[T]) -> list[T]:
        return self.records.get(type_, [])

    @property
    def account(self) -> Account | None:
        return next(iter(self.of(Account)), None)


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """Something that does not hold. `repair` puts right what is proven and says what it did; None: for a person,
    who is told `what_to_do`.
    """

    text: str
    what_to_do: str = ""
    repair: Callable[[], str] | None = None


READ = (Subscription, Invoice, CreditNote, Payment, CheckoutSession, Member, JournalEntry, Usage, UsageEvent)


def scheduled() -> tuple[type[Any], ...]:
    """The types that may want attention at an instant, and live in a customer's partition."""
    return tuple(type_ for type_ in LAYOUTS if type_ in next_due.registry)


def charts(patient: Patient, unreadable: Callable[[str, Exception], None]) -> Iterator[Chart]:
    """Every customer, newest first, then who is signing up. What cannot be read goes to `unreadable`."""
    types = dict.fromkeys(type_ for type_ in (*READ, *scheduled()) if type_ is not SignupSession)
    seen: set[str] = set()
    for customer in listed(patient.store, Customer, patient.env):
        seen.add(customer.id)
        chart = Chart(customer.id)
        chart.records[Customer] = [customer]
        try:
            account = patient.store.get(account_key(patient.env, customer.id))
            chart.records[Account] = [account] if account else []
            for type_ in types:
                chart.records[type_] = patient.store.children(type_, patient.env, customer.id)
        except Exception as error:
            unreadable(customer.id, error)
            continue
        yield chart
    for signup in listed(patient.store, SignupSession, patient.env):
        chart = Chart(signup.customer_id, {SignupSession: [signup]})
        if signup.customer_id not in seen:  # what was decided about somebody who is no customer yet
            seen.add(signup.customer_id)
            chart.records[JournalEntry] = patient.store.children(
                JournalEntry, patient.env, signup.customer_id
            )
        yield chart
