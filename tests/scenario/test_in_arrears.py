"""What is billed once it is over: killed at every step it is billed and charged once, whatever ends the period."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, cast

from chalicelib.application.catalog import current_catalog, publish_catalog
from chalicelib.application.renewals import end_canceled, renew_subscription
from chalicelib.application.subscriptions import cancel_subscription
from chalicelib.domain.catalog_document import CatalogDocument
from chalicelib.domain.errors import InvalidStateError
from chalicelib.domain.subscription import Status, Subscription
from tests.scenario.test_crashes import every_step
from tests.scenario.world import World, assert_books

PRICE = {
    "interval": "month",
    "currency": "USD",
    "model": "flat",
    "unit_amount": "3000",
    "timing": "in_arrears",
}
CATALOG = {
    "seller": {"name": "Acme Ltd"},
    "plans": [{"id": "late", "name": "Late", "rank": 1, "prices": [PRICE]}],
    "add_ons": [{"id": "extra", "name": "Extra", "prices": [{**PRICE, "timing": "in_advance"}]}],
}


def late(world: World, **order: Any) -> str:
    ctx = world.ctx()
    publish_catalog(ctx, cast(CatalogDocument, CATALOG), expected=current_catalog(ctx).version)
    return world.subscribe(world.customer("pm_card_visa"), "late", **order).id


def the_subscription(world: World) -> Subscription:
    found: Subscription = world.parts.store.records(Subscription)[0]
    return found


def assert_billed(world: World, *totals: int) -> None:
    invoices = world.invoices(the_subscription(world))
    assert [(invoice.status, invoice.total) for invoice in invoices] == [("paid", total) for total in totals]
    for invoice in invoices:
        assert len(world.parts.gateway.charges(invoice.id)) == 1
    assert world.parts.gateway.totals("USD") == sum(totals)
    assert_books(world)


def test_a_renewal_killed_anywhere_bills_what_is_over_once() -> None:
    def renew(world: World, subject: str) -> None:
        renew_subscription(world.ctx().at(datetime.fromisoformat("2026-04-30T12:00:00+00:00")), subject)

    def finish(world: World, _: str) -> None:
        world.advance(to="2026-04-30T12:00:00+00:00")

    for world in every_step(late, renew, finish):
        assert_billed(world, 3000)
        assert the_subscription(world).status is Status.ACTIVE


def test_a_cancellation_killed_anywhere_bills_what_was_served_once() -> None:
    """From 31 March to the end of 9 April: 10 of 30 days."""

    def prepare(world: World) -> str:
        subject = late(world)
        world.advance(to="2026-04-09T15:00:00+00:00")
        return subject

    def cancel(world: World, subject: str) -> None:
        cancel_subscription(world.ctx(), subject, at_period_end=False, reason="")

    def finish(world: World, subject: str) -> None:
        with suppress(InvalidStateError):
            cancel(world, subject)
        world.advance(to="2026-06-30T12:00:00+00:00")

    for world in every_step(prepare, cancel, finish):
        assert_billed(world, 1000)
        assert the_subscription(world).status is Status.CANCELED


def test_an_end_killed_anywhere_bills_the_last_period_once() -> None:
    def prepare(world: World) -> str:
        subject = late(world)
        cancel_subscription(world.ctx(), subject, at_period_end=True, reason="")
        return subject

    def end(world: World, subject: str) -> None:
        end_canceled(world.ctx().at(datetime.fromisoformat("2026-04-30T12:00:00+00:00")), subject)

    def finish(world: World, _: str) -> None:
        world.advance(to="2026-06-30T12:00:00+00:00")

    for world in every_step(prepare, end, finish):
        assert_billed(world, 3000)
        assert the_subscription(world).status is Status.CANCELED


def test_both_kinds_on_one_invoice_and_one_charge() -> None:
    def renew(world: World, subject: str) -> None:
        renew_subscription(world.ctx().at(datetime.fromisoformat("2026-04-30T12:00:00+00:00")), subject)

    def finish(world: World, _: str) -> None:
        world.advance(to="2026-04-30T12:00:00+00:00")

    for world in every_step(lambda w: late(w, add_ons=(("extra", 1),)), renew, finish):
        assert_billed(world, 3000, 6000)


def test_what_is_declined_at_the_end_stays_owed_and_nothing_else_follows() -> None:
    world = World(start="2026-03-31T12:00:00+00:00")
    subject = late(world)
    for method in list(world.parts.gateway.methods):
        world.parts.gateway.behave(method, "generic_decline")
    cancel_subscription(world.ctx(), subject, at_period_end=False, reason="")
    (invoice,) = world.invoices(the_subscription(world))
    assert (invoice.status, invoice.total, invoice.cause.kind) == ("open", 100, "final")
    world.advance(to="2026-06-30T12:00:00+00:00")
    (still,) = world.invoices(the_subscription(world))
    assert replace(still, version=0) == replace(invoice, version=0)
    assert_books(world)
