"""Customers and their members, as asked and as answered."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from chalicelib.domain.customer import CollectionMethod, Role, TaxExempt
from chalicelib.domain.profile import (
    LARGEST_COMPANY,
    LONGEST_METADATA_VALUE,
    LONGEST_NET_DAYS,
    LONGEST_TAX_ID,
    LONGEST_TEXT,
    MOST_TAX_IDS,
)
from chalicelib.domain.tax_ids import TaxIdType
from chalicelib.entrypoints.http.kit import Schema, View

Text = Annotated[str, Field(max_length=LONGEST_TEXT)]
Email = Annotated[
    str, Field(max_length=254, examples=["ada@example.com"], json_schema_extra={"format": "email"})
]
TaxIdValue = Annotated[str, Field(min_length=1, max_length=LONGEST_TAX_ID, examples=["DE136695976"])]
MetadataValue = Annotated[str, Field(max_length=LONGEST_METADATA_VALUE)]
Limit = Annotated[int, Field(ge=1, le=100)]
Cursor = Annotated[str, Field(max_length=512)]


class AddressSchema(Schema):
    line1: Text | None = None
    line2: Text | None = None
    city: Text | None = None
    postal_code: Text | None = None
    state: Text | None = None
    country: str | None = Field(
        default=None, max_length=2, description="ISO 3166-1 alpha-2.", examples=["DE"]
    )


class TermsSchema(Schema):
    method: CollectionMethod | None = None
    net_days: int | None = Field(
        default=None, ge=0, le=LONGEST_NET_DAYS, description="Days to pay a sent invoice, from its issue."
    )


class TaxIdSchema(Schema):
    """Form and check digits are looked at; no authority is asked."""

    type: TaxIdType
    value: TaxIdValue


class ProfileSchema(Schema):
    """All of it may be left out; null sets a field back to its default."""

    name: Text | None = None
    legal_name: Text | None = Field(default=None, description="As invoices name the buyer.")
    external_id: Text | None = Field(default=None, description="Your id; unique in the environment.")
    billing_email: Email | None = Field(default=None, description="Where invoices go, if not to email.")
    address: AddressSchema | None = None
    tax_ids: list[TaxIdSchema | TaxIdValue] | None = Field(
        default=None,
        max_length=MOST_TAX_IDS,
        description="With their type, or alone: then it is told by how they begin.",
        examples=[[{"type": "eu_vat", "value": "DE136695976"}]],
    )
    tax_exempt: TaxExempt | None = Field(
        default=None, description="`exempt` pays no tax; `reverse` accounts for it, also without a tax id."
    )
    language: str | None = Field(default=None, max_length=35, examples=["en", "pt-BR"])
    currency: str | None = Field(default=None, min_length=3, max_length=3, examples=["EUR"])
    time_zone: str | None = Field(default=None, max_length=64, examples=["Europe/Berlin"])
    company_size: int | None = Field(default=None, ge=1, le=LARGEST_COMPANY, description="People employed.")
    domain: str | None = Field(default=None, max_length=253, examples=["example.com"])
    terms: TermsSchema | None = None
    owner: Text | None = Field(default=None, description="The sales person assigned.")
    segment: str | None = Field(
        default=None,
        max_length=64,
        description="Yours to choose; a catalog may have terms for it (`dunning_by_segment`).",
        examples=["enterprise"],
    )
    metadata: dict[str, MetadataValue | None] | None = Field(
        default=None, max_length=100, description="Your own keys, at most 50. null removes one."
    )


class CustomerRequest(ProfileSchema):
    email: Email


class CustomerPatch(ProfileSchema):
    """Only what is sent changes. `address`, `terms` and `metadata` are merged."""

    email: Email | None = Field(default=None, description="Cannot be removed.")


class AddressView(View):
    line1: str
    line2: str
    city: str
    postal_code: str
    state: str
    country: str


class TermsView(View):
    method: CollectionMethod
    net_days: int


class TaxIdView(View):
    type: TaxIdType
    value: str


class CustomerView(View):
    id: str = Field(examples=["cus_0123456789abcdefghjkmnpqrs"])
    created_at: datetime
    erased_at: datetime | None = Field(default=None, description="Nothing new is begun since then.")
    email: str = Field(description="Empty once the person was erased.")
    name: str
    legal_name: str
    external_id: str | None
    billing_email: str
    address: AddressView
    tax_ids: list[TaxIdView]
    tax_exempt: TaxExempt
    language: str
    currency: str | None
    time_zone: str
    company_size: int | None
    domain: str
    terms: TermsView
    owner: str
    segment: str
    metadata: dict[str, str]


class CustomerQuery(Schema):
    limit: Limit = 20
    cursor: Cursor | None = None
    external_id: Text | None = Field(default=None, description="The one customer that has it, or none.")


class CustomerPage(View):
    data: list[CustomerView]
    next_cursor: str | None


class MemberRequest(Schema):
    email: Email
    name: Text = ""
    role: Role = Role.MEMBER
    seat: bool = Field(default=True, description="Whether they hold a seat.")


class MemberPatch(Schema):
    name: Text = ""
    role: Role = Role.MEMBER
    seat: bool = True


class MemberView(View):
    id: str
    customer: str
    email: str
    name: str
    role: Role
    seat: bool
    created_at: datetime


class MemberQuery(Schema):
    limit: Limit = 100
    cursor: Cursor | None = None


class MemberPage(View):
    data: list[MemberView]
    next_cursor: str | None
    seats_used: int = Field(description="Held by all members, not only those of this page.")
