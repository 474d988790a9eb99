"""Customers: who is billed, their account (money side) and their members (who hold seats)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from chalicelib.domain.catalog import Party
from chalicelib.domain.credit_grant import CreditGrant, TopUp


@dataclass(frozen=True, kw_only=True, slots=True)
class Address:
    """Postal address; `country` is ISO 3166-1 alpha-2."""

    line1: str = ""
    line2: str = ""
    city: str = ""
    postal_code: str = ""
    state: str = ""
    country: str = ""

    def lines(self) -> tuple[str, ...]:
        town = " ".join(part for part in (self.postal_code, self.city) if part)
        return tuple(part for part in (self.line1, self.line2, town, self.state, self.country) if part)


class CollectionMethod(StrEnum):
    CHARGE_AUTOMATICALLY = "charge_automatically"
    SEND_INVOICE = "send_invoice"


class TaxExempt(StrEnum):
    """What the seller knows of a customer's tax. REVERSE: the customer accounts for it, also without a tax id."""

    NONE = "none"
    EXEMPT = "exempt"
    REVERSE = "reverse"


@dataclass(frozen=True, kw_only=True, slots=True)
class Terms:
    """How invoices are collected; `net_days` counts from the issue date in the customer's zone."""

    method: CollectionMethod = CollectionMethod.CHARGE_AUTOMATICALLY
    net_days: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Customer:
    """The profile. `owner` is the sales person assigned, `company_size` a number of employees; the seller puts the
    customer into a `segment`, which may have terms of its own in the catalog.
    """

    id: str
    created_at: datetime
    email: str
    name: str = ""
    legal_name: str = ""
    external_id: str | None = None
    billing_email: str = ""
    address: Address = Address()
    tax_ids: tuple[str, ...] = ()
    language: str = "en"
    currency: str | None = None
    zone: str = "UTC"
    company_size: int | None = None
    domain: str = ""
    terms: Terms = Terms()
    owner: str = ""
    segment: str = ""
    metadata: tuple[tuple[str, str], ...] = ()
    request: str = ""
    """Fingerprint of the request that created it (idempotency stored with the effect)."""
    erased_at: datetime | None = None
    tax_exempt: TaxExempt = TaxExempt.NONE
    version: int = 0

    def party(self) -> Party:
        """The details that an invoice freezes."""
        return Party(
            name=self.legal_name or self.name or self.email,
            email=self.billing_email or self.email,
            address=self.address.lines(),
            country=self.address.country,
            tax_ids=self.tax_ids,
        )


class Role(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    BILLING = "billing"
    MEMBER = "member"


@dataclass(frozen=True, kw_only=True, slots=True)
class Member:
    """A person of the customer's; `seat` says whether they hold one."""

    id: str
    customer_id: str
    email: str
    created_at: datetime
    name: str = ""
    role: Role = Role.MEMBER
    seat: bool = True
    request: str = ""
    version: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class PaymentMethod:
    """What is known of a saved means of payment; `id` is the processor's reference."""

    id: str
    kind: str = "card"
    brand: str = ""
    last4: str = ""
    exp_month: int = 0
    exp_year: int = 0
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Credit:
    """Account credit (positive) or a carried debit (negative), in minor units, oldest first."""

    amount: int
    currency: str
    at: datetime
    source: str


@dataclass(frozen=True, kw_only=True, slots=True)
class CardTry:
    """An attempt that was made, or is under way, with a card (its fingerprint, else its id): see `card_limit`."""

    card: str
    invoice: str
    attempt: int
    at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Account:
    """The money side of a customer: one small item that every invoice passes through.

    `invoices` and `credit_notes` count the numbers taken, which makes them gapless per customer. `disputes` names the
    open disputes of the customer's payments: while there is one, nothing is charged automatically, and the
    subscriptions named by `suspended` give no access.
    """

    customer_id: str
    invoices: int = 0
    credits: tuple[Credit, ...] = ()
    processor_customer: str | None = None
    payment_method: PaymentMethod | None = None
    trial_used: bool = False
    disputes: tuple[str, ...] = ()
    suspended: tuple[str, ...] = ()
    tries: tuple[CardTry, ...] = ()
    """Of the last thirty days, as far as they may have failed."""
    credit_notes: int = 0
    grants: tuple[CreditGrant, ...] = ()
    """Prepaid credits."""
    top_up: TopUp | None = None
    version: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Lead:
    """A customer or visitor routed to sales, with the reason."""

    id: str
    customer_id: str
    at: datetime
    reason: str
    email: str
    name: str = ""
    company: str = ""
    country: str = ""
    plan: str = ""
    quantity: int = 1
    company_size: int | None = None
    note: str = ""
    source: str = ""
    version: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A value that one owner may hold in an environment (an external id, an e-mail's trial)."""

    kind: str
    value: str
    owner: str
    at: datetime
    version: int = field(default=0)
