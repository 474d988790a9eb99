"""What the use cases need from outside, in our own terms. Adapters keep these contracts; fakes keep them too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol, TypeVar

from chalicelib.application.records import CustomerStanding, Key
from chalicelib.domain.catalog import Catalog
from chalicelib.domain.customer import Customer, PaymentMethod
from chalicelib.domain.dispute import DisputeState
from chalicelib.domain.meter import UsageEvent
from chalicelib.domain.payment import Attempt, ChargeResult
from chalicelib.domain.refund import RefundResult
from chalicelib.domain.schedule import DueKind

T = TypeVar("T")


class VersionConflict(Exception):
    """A record was written by somebody else since it was read (or exists already): load again and decide again."""

    def __init__(self, key: Key[Any] | None = None) -> None:
        super().__init__(f"{key.pk}/{key.sk}" if key else "transaction conflict")
        self.key = key


class CustomerGone(Exception):
    """The customer was deleted at the processor, and every saved method with it: make another."""


@dataclass(frozen=True, slots=True)
class DueRow:
    """A candidate from the due index: the record under (`pk`, `sk`) wanted `kind` at `at`. The record decides."""

    env: str
    at: datetime
    kind: DueKind
    pk: str
    sk: str


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, newest first; `cursor` asks for the next, None at the end."""

    records: tuple[Any, ...]
    cursor: str | None = None


class Store(Protocol):
    """The billing table. Reads by key are consistent; index reads may lag and only propose."""

    def get(self, key: Key[T]) -> T | None: ...

    def get_many(self, keys: Sequence[Key[Any]], *, consistent: bool = True) -> list[Any | None]:
        """One BatchGet (≤ 100 keys), in the order asked. Half the price when not `consistent`: good enough
        before a commit, whose versions tell a stale read.
        """
        ...

    def children(
        self,
        type_: type[T],
        env: str,
        customer: str,
        *,
        limit: int | None = None,
        newest_first: bool = False,
        after: str | None = None,
    ) -> list[T]:
        """A customer's records of one type in key order (one consistent Query); `after` is a sort key suffix."""
        ...

    def standing(self, env: str, customer: str) -> CustomerStanding:
        """A customer's account, subscriptions and usage in one consistent Query."""
        ...

    def commit(self, env: str, *records: Any, delete: Sequence[Key[Any]] = ()) -> None:
        """Write all or nothing. Each record must still have the version that it was read with (0: must not
        exist) and is stored with version + 1. Raises VersionConflict. A commit of one record is a plain
        conditional put. Writing again what this very call had written (a lost response) is a success.
        """
        ...

    def due(self, env: str, shard: int, until: datetime, limit: int = 100) -> list[DueRow]:
        """Candidates with at ≤ until, oldest first."""
        ...

    def listing(self, type_: type[Any], env: str, *, limit: int, cursor: str | None = None) -> Page:
        """Customers, subscriptions, sign-ups or leads of an environment, newest first."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ChargeRequest:
    """Charge a saved method. Everything that identifies it is frozen in the attempt; `env`, `customer_id`,
    `subscription_id`, `invoice_id` travel as metadata so that any later event leads home.
    """

    env: str
    customer_id: str
    subscription_id: str
    invoice_id: str
    currency: str
    description: str
    attempt: Attempt


@dataclass(frozen=True, kw_only=True, slots=True)
class Confirmation:
    """What came of the customer's wish to confirm a payment. `url`: the bank's page, where it asks them; None
    when `result` says it all.
    """

    result: ChargeResult
    url: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class RefundRequest:
    """Give back part of a charge, by the processor's `reference` of the payment. Everything is frozen in the refund
    that is written down; its id travels as metadata, so that any later event leads home.
    """

    env: str
    customer_id: str
    refund_id: str
    payment_id: str
    key: str
    reference: str
    amount: int
    currency: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportedRefund:
    """A refund as the processor has it now: `amount` in our minor units, `refund_id` ours where we asked for it."""

    reference: str
    amount: int
    result: RefundResult
    refund_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckoutItem:
    """What the hosted page shows: `amount` is the line's total in minor units, tax and discount included."""

    name: str
    amount: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckoutRequest:
    """Open a hosted page. `key` is the checkout's id; `amount` 0 with mode setup."""

    key: str
    env: str
    customer_id: str
    processor_customer: str
    subscription_id: str
    checkout_id: str
    invoice_id: str | None
    currency: str
    amount: int
    items: tuple[CheckoutItem, ...]
    return_url: str
    cancel_url: str
    expires_at: datetime
    language: str = "en"


@dataclass(frozen=True, slots=True)
class CheckoutPage:
    reference: str
    url: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CheckoutState:
    """What became of a hosted page. `payable` False means: no money can come from it any more.

    `charge` when it took (or is taking) a payment, `method` the saved means of payment.
    """

    complete: bool
    payable: bool
    charge: ChargeResult | None = None
    method: PaymentMethod | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessorNotice:
    """A processor's event reduced to where it leads: our ids from its metadata. `kind` is its own event type."""

    id: str
    kind: str
    created: datetime
    reference: str
    env: str | None = None
    customer_id: str | None = None
    subscription_id: str | None = None
    invoice_id: str | None = None
    checkout_id: str | None = None
    refund_id: str | None = None
    attempt: int | None = None


class Gateway(Protocol):
    """The payment processor. Calls that may not be answered raise nothing: the outcome is UNKNOWN.

    Trouble that is not the customer's (rate limit, outage, before anything was done) raises
    GatewayUnavailableError; a misuse (unknown customer, bad parameter) raises and is a bug.
    """

    def ensure_customer(self, env: str, customer: Customer) -> str:
        """The processor's id for this customer; idempotent by our id."""
        ...

    def forget_customer(self, processor_customer: str) -> None:
        """Delete the customer there, with the means of payment on file; what was charged stays in its books. One
        that is not there (any more) is a success.
        """
        ...

    def charge(self, request: ChargeRequest) -> ChargeResult:
        """One call with the attempt's key. Safe to repeat while the key is young."""
        ...

    def find_charge(self, request: ChargeRequest) -> ChargeResult | None:
        """Look an attempt up without moving money: by reference, else by metadata. None: no trace of it."""
        ...

    def confirm_charge(self, request: ChargeRequest, *, return_url: str) -> Confirmation:
        """Go on with an attempt that waits for its customer, who is there and comes back to `return_url`.

        It is the same payment as before, so money comes from it at most once. Each number of `attempt.tries`
        has its own key; repeated with the same one it answers the same.
        """
        ...

    def cancel_charge(self, request: ChargeRequest) -> ChargeResult | None:
        """Make sure no money can come from this attempt any more; answers its final outcome."""
        ...

    def refund(self, request: RefundRequest) -> RefundResult:
        """One call with the refund's key. Safe to repeat while the key is young. FAILED when the processor refuses
        it: nothing is left of the charge, or it is disputed.
        """
        ...

    def refunds_of(self, reference: str) -> tuple[ReportedRefund, ...]:
        """Every refund of a charge, whoever asked for it; moves no money."""
        ...

    def movable(self, amount: int, currency: str) -> int:
        """The nearest amount (our minor units) that the processor can move: it may count in coarser units."""
        ...

    def disputes(self, payment: str) -> list[DisputeState]:
        """Every dispute of a payment (by its reference) as it stands now, oldest first."""
        ...

    def open_checkout(self, request: CheckoutRequest) -> CheckoutPage: ...

    def checkout(self, reference: str) -> CheckoutState: ...

    def close_checkout(self, reference: str) -> CheckoutState:
        """Expire the page, unless it was paid meanwhile: the answer says which."""
        ...

    def attach_method(self, processor_customer: str, method: str) -> PaymentMethod:
        """Attach a method (by the processor's reference) to the customer and describe it. Raises CustomerGone."""
        ...

    def notices_since(self, since: datetime, cursor: str | None) -> tuple[list[ProcessorNotice], str | None]:
        """A page of the processor's events since `since`, oldest page last; the cursor asks for the next."""
        ...

    def locate(self, notice: ProcessorNotice) -> ProcessorNotice | None:
        """The notice with our ids, looked up where it came without them (`env` None). None: not ours."""
        ...

    def minimum(self, currency: str) -> int:
        """The smallest amount (our minor units) that can be charged."""
        ...


class UsageLog(Protocol):
    """Where live usage events are kept, one by one; what they come to follows from its stream."""

    def insert(self, env: str, events: Sequence[UsageEvent]) -> set[tuple[str, str]]:
        """(customer, id) of the events that were new; one that is known already is left as it was."""
        ...


class Queues(Protocol):
    """Work for later. Every message may arrive twice, late, or out of order."""

    def due(self, rows: Sequence[DueRow]) -> None: ...

    def due_waiting(self) -> int:
        """About how many due rows are on the queue."""
        ...

    def notices(self, notices: Sequence[ProcessorNotice]) -> None: ...

    def mail(self, messages: Sequence[Letter]) -> None: ...

    def wake_advance(self, env: str, advance_id: str) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A mail to be written: template name, who gets it, and the data it shows. `id` makes it go out once.

    `to` and `language` are the customer's own where they are empty.
    """

    id: str
    env: str
    customer_id: str
    template: str
    to: str = ""
    language: str = ""
    data: dict[str, Any] = field(default_factory=dict)


class Captcha(Protocol):
    """Whoever tells people from programs. `field` is what its widget calls the solution in a form."""

    field: str
    widget: str
    """The class of the element that it draws itself into."""
    site_key: str
    script: str
    sources: tuple[str, ...]
    """The origins that a page must let it load from."""

    def is_solved(self, solution: str, *, address: str) -> bool:
        """Whether this is a fresh solution. CaptchaUnavailableError when it cannot be checked."""
        ...


class Mailer(Protocol):
    def send(self, *, to: str, subject: str, html: str, text: str, reference: str) -> None: ...


class Catalogs(Protocol):
    """Immutable catalog versions, cached for the life of the process: reading one costs a renewal nothing."""

    def version(self, env: str, version: int) -> Catalog: ...

    def in_force(self, env: str, machine_now: datetime) -> Catalog | None:
        """The current version, None before there is one; for live at most a minute old by the machine's clock."""
        ...
