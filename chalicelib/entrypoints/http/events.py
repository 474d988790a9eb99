"""What happened: the feed of events, and a customer's timeline."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from chalice.app import Blueprint
from pydantic import Field

from chalicelib.application import feed
from chalicelib.application.timeline import read_timeline
from chalicelib.domain.errors import NotFoundError, ValidationError
from chalicelib.domain.journal import Actor, ActorKind, JournalEntry
from chalicelib.entrypoints.http.kit import Call, Schema, Scope, View, endpoint

bp = Blueprint(__name__)


class EventQuery(Schema):
    after: int = Field(
        default=0,
        ge=0,
        le=10**15 - 1,
        description="The cursor of the last event seen; 0 starts at the first.",
    )
    limit: int = Field(default=20, ge=1, le=100)
    type: str | None = Field(default=None, max_length=100, examples=["invoice.paid"])


class ActorView(View):
    kind: ActorKind
    id: str


class EventView(View):
    id: str = Field(examples=["evt_3qrhnv4x39pwqjqcyfkb7z6n5s0123456789abcdef_0"])
    cursor: int = Field(description="Its number in the feed: 1, 2, 3, … in order of arrival, without gaps.")
    type: str = Field(examples=["invoice.paid"])
    created: datetime = Field(description="Business time: the sandbox's clock, or the real one.")
    subject: str = Field(description="The id of what it happened to.")
    customer: str
    data: dict[str, Any]
    actor: ActorView
    channel: str
    cause: str = Field(description="The decision that this is part of.")


class EventPage(View):
    data: list[EventView]
    next_cursor: int = Field(description="Ask on from here, now or later; always there.")
    has_more: bool = Field(
        description="There is more now. With `type`, a page may be short, or empty, although there is."
    )


class TimelineQuery(Schema):
    limit: int = Field(default=20, ge=1, le=100)
    cursor: str | None = Field(default=None, max_length=200)


class FactView(View):
    id: str
    type: str
    subject: str
    data: dict[str, Any]


class PostingView(View):
    account: str
    amount: int = Field(description="Minor units; debit positive, credit negative.")
    currency: str


class MovementView(View):
    kind: str
    subscription: str
    amount: int = Field(description="Minor units per month, signed.")
    currency: str
    motion: str
    reason: str


class TimelineEntryView(View):
    id: str
    created: datetime
    actor: ActorView
    channel: str
    cause: str
    facts: list[FactView]
    postings: list[PostingView]
    movements: list[MovementView]


class TimelinePage(View):
    data: list[TimelineEntryView]
    next_cursor: str | None


@endpoint(
    bp,
    "GET",
    "/v1/events",
    query=EventQuery,
    answer=EventPage,
    scope=Scope.READ,
    tag="Events",
    summary="Everything that happened in this environment, in order of arrival",
)
def list_events(call: Call[None]) -> EventPage:
    query = call.query
    page = feed.read_events(
        call.services.ops, call.ctx.env, after=query.after, limit=query.limit, type_=query.type
    )
    return EventPage(
        data=[_event(event) for event in page.events], next_cursor=page.cursor, has_more=page.more
    )


@endpoint(
    bp,
    "GET",
    "/v1/customers/{id}/timeline",
    query=TimelineQuery,
    answer=TimelinePage,
    scope=Scope.READ,
    tag="Events",
    summary="Every decision about a customer, newest first, with what it booked",
    errors=(NotFoundError, ValidationError),
)
def customer_timeline(call: Call[None]) -> TimelinePage:
    page = read_timeline(call.ctx, call.path["id"], limit=call.query.limit, cursor=call.query.cursor)
    return TimelinePage(data=[_entry(entry) for entry in page.entries], next_cursor=page.cursor)


def _event(event: feed.Event) -> EventView:
    return EventView(
        id=event.id,
        cursor=event.cursor,
        type=event.type,
        created=event.at,
        subject=event.subject,
        customer=event.customer_id,
        data=dict(event.data),
        actor=_actor(event.actor),
        channel=event.channel,
        cause=event.cause,
    )


def _entry(entry: JournalEntry) -> TimelineEntryView:
    return TimelineEntryView(
        id=entry.id,
        created=entry.at,
        actor=_actor(entry.actor),
        channel=entry.channel,
        cause=entry.cause,
        facts=[
            FactView(
                id=feed.event_id(entry.id, n), type=fact.type, subject=fact.subject, data=dict(fact.data)
            )
            for n, fact in enumerate(entry.facts)
        ],
        postings=[
            PostingView(account=posting.account, amount=posting.amount, currency=posting.currency)
            for posting in entry.postings
        ],
        movements=[
            MovementView(
                kind=movement.kind,
                subscription=movement.subscription_id,
                amount=movement.amount,
                currency=movement.currency,
                motion=movement.motion,
                reason=movement.reason,
            )
            for movement in entry.movements
        ],
    )


def _actor(actor: Actor) -> ActorView:
    return ActorView(kind=actor.kind, id=actor.id)
