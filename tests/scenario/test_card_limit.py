"""One card is tried so often in thirty days and no more, whatever runs twice, at once, or dies on the way."""

from __future__ import annotations

import random
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from chalicelib.adapters.memory.fakes import MemoryQueues
from chalicelib.adapters.memory.gateway import MemoryGateway
from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.adapters.memory.store import MemoryStore
from chalicelib.application import collection, dunning, invoices, payment_methods, renewals
from chalicelib.application.ports import ChargeRequest
from chalicelib.domain.card_limit import WINDOW, without_successes
from chalicelib.domain.dunning_policy import DunningPolicy
from chalicelib.domain.errors import ConflictError, PaymentDeclinedError
from chalicelib.domain.payment import AttemptStatus, ChargeResult
from chalicelib.domain.subscription import Status, Subscription
from tests.scenario.test_crashes import every_step
from tests.scenario.test_dunning_policies import _publish as publish
from tests.scenario.world import Parts, World, assert_books


class Counting(MemoryGateway):
    """Notes what the bank is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[datetime, str, str]] = []
        self.world: World | None = None

    def charge(self, request: ChargeRequest) -> ChargeResult:
        assert self.world is not None
        self.asked.append((self.world.now, request.attempt.key, request.attempt.method))
        return super().charge(request)


class Shop:
    """A customer whose one card pays for all of their subscriptions; every request to the bank is counted."""

    def __init__(self, policy: DunningPolicy, subscriptions: int = 1) -> None:
        self.gateway = Counting()
        parts = Parts(MemoryStore(), self.gateway, MemoryQueues(), MemoryOps())
        self.world = World(start="2026-03-05T12:00:00+00:00", parts=parts)
        self.gateway.world = self.world
        publish(self.world, policy)
        self.customer = self.world.customer("pm_card_visa")
        self.subs = [
            self.world.subscribe(self.customer, "starter", trial_days=0) for _ in range(subscriptions)
        ]

    @property
    def asked(self) -> list[tuple[datetime, str, str]]:
        return self.gateway.asked

    @property
    def method(self) -> str:
        method = self.world.account(self.customer).payment_method
        assert method is not None
        return method.id

    def behave(self, outcome: str) -> None:
        self.world.parts.gateway.behave(self.method, outcome)

    def tries(self, card: str | None = None) -> Counter[str]:
        """Attempts per invoice that the bank was asked about: repetitions of one key are one."""
        wanted = {(key, method) for _, key, method in self.asked if card in (None, method)}
        return Counter(key.split(":")[1] for key, _ in wanted)

    def failed_in_a_window(self) -> int:
        """The most attempts without success on one card in any thirty days."""
        lost = {
            attempt.key
            for invoice in self.world.invoices(self.customer)
            for attempt in invoice.attempts
            if attempt.status is not AttemptStatus.SUCCEEDED
        }
        first: dict[str, tuple[datetime, str]] = {}
        for at, key, method in self.asked:
            if key in lost:
                first.setdefault(key, (at, method))
        most = 0
        for end, card in first.values():
            inside = [at for at, method in first.values() if method == card and end - WINDOW < at <= end]
            most = max(most, len(inside))
        return most


def codes(shop: Shop, sub: Subscription) -> list[str]:
    last = shop.world.invoices(sub)[-1]
    return [attempt.decline.code for attempt in last.attempts if attempt.decline]


def test_at_the_limit_the_bank_is_not_asked_and_the_run_waits_for_another_card() -> None:
    shop = Shop(DunningPolicy(attempts_per_card=3))
    shop.behave("insufficient_funds")
    shop.world.advance(to="2026-04-19T12:00:00+00:00")
    (sub,) = shop.subs
    assert codes(shop, sub) == ["insufficient_funds"] * 3 + ["card_attempt_limit"]
    assert shop.failed_in_a_window() == 3
    run = shop.world.reload(sub).dunning
    assert run is not None
    assert run.next_at is not None
    assert run.next_at.isoformat() == "2026-04-26T12:00:00+00:00"  # the last day, as after any hard decline
    payment_methods.attach(shop.world.ctx(), shop.customer, "pm_card_mastercard")
    dunning.try_new_method(shop.world.ctx(), shop.customer)
    assert shop.world.reload(sub).status is Status.ACTIVE
    assert_books(shop.world)


def test_without_another_card_the_run_ends_on_its_last_day() -> None:
    shop = Shop(DunningPolicy(attempts_per_card=1))
    shop.behave("insufficient_funds")
    shop.world.advance(to="2026-04-27T12:00:00+00:00")
    (sub,) = shop.subs
    assert codes(shop, sub) == ["insufficient_funds"] + ["card_attempt_limit"] * 2
    assert shop.world.reload(sub).status is Status.CANCELED
    assert sum(shop.tries().values()) == 2  # the first period's, and the one that was declined


def test_the_customer_is_told_so_and_the_bank_is_not_asked() -> None:
    shop = Shop(DunningPolicy(attempts_per_card=2))
    shop.behave("insufficient_funds")
    shop.world.advance(to="2026-04-05T12:00:00+00:00")
    last = shop.world.invoices(shop.customer)[-1]
    for expected in ("insufficient_funds", "card_attempt_limit", "card_attempt_limit"):
        with pytest.raises(PaymentDeclinedError) as refused:
            invoices.pay_invoice(shop.world.ctx(), last.id, payment_method=None)
        assert refused.value.ids["decline_code"] == expected
    assert shop.failed_in_a_window() == 2


def test_all_invoices_of_the_customer_count_and_thirty_days_later_there_is_room() -> None:
    shop = Shop(DunningPolicy(days=(0, 1, 2, 3, 33), attempts_per_card=4), subscriptions=3)
    shop.behave("insufficient_funds")
    shop.world.advance(to="2026-04-09T12:00:00+00:00")
    assert sum(codes(shop, sub).count("insufficient_funds") for sub in shop.subs) == 4
    assert shop.failed_in_a_window() == 4
    shop.behave("ok")
    shop.world.advance(to="2026-05-08T12:00:00+00:00")
    assert [shop.world.reload(sub).status for sub in shop.subs] == [Status.ACTIVE] * 3
    assert_books(shop.world)


def test_the_same_card_saved_again_is_no_new_card() -> None:
    shop = Shop(DunningPolicy(attempts_per_card=1))
    shop.behave("insufficient_funds")
    shop.world.advance(to="2026-04-05T12:00:00+00:00")
    before = shop.world.account(shop.customer).payment_method
    payment_methods.attach(shop.world.ctx(), shop.customer, "pm_card_visa")
    after = shop.world.account(shop.customer).payment_method
    assert before is not None
    assert after is not None
    assert (after.id != before.id, after.fingerprint) == (True, before.fingerprint)
    dunning.try_new_method(shop.world.ctx(), shop.customer)
    assert codes(shop, shop.subs[0]) == ["insufficient_funds", "card_attempt_limit"]


def test_payments_that_go_through_use_nothing_up() -> None:
    shop = Shop(DunningPolicy(attempts_per_card=2), subscriptions=7)
    shop.world.advance(to="2026-09-05T12:00:00+00:00")
    assert all(shop.world.reload(sub).status is Status.ACTIVE for sub in shop.subs)
    assert len(shop.world.invoices(shop.customer)) == 7 * 7
    assert len(shop.world.account(shop.customer).tries) <= 7
    shop.behave("insufficient_funds")
    shop.world.advance(to="2026-10-06T12:00:00+00:00")
    assert shop.failed_in_a_window() == 2


def test_a_payment_that_nobody_confirmed_counts_and_one_that_never_left_does_not() -> None:
    shop = Shop(DunningPolicy(attempts_per_card=1))
    shop.behave("authentication_required")
    shop.world.advance(to="2026-04-05T12:00:00+00:00")
    (waiting,) = shop.world.invoices(shop.customer)[-1].attempts
    assert waiting.awaits_customer
    shop.behave("ok")
    dunning.retry_now(shop.world.ctx(), shop.subs[0].id)  # cancels it first
    invoice = shop.world.invoices(shop.customer)[-1]
    assert [attempt.status for attempt in invoice.attempts] == ["canceled", "declined"]
    assert codes(shop, shop.subs[0])[-1] == "card_attempt_limit"
    account = shop.world.account(shop.customer)
    lost = replace(invoice, attempts=(replace(invoice.attempts[0], reference=None),))
    assert without_successes(account, {invoice.id: invoice}, shop.world.now).tries == account.tries[-1:]
    assert without_successes(account, {invoice.id: lost}, shop.world.now).tries == ()


def test_an_attempt_over_the_limit_stays_so_when_it_is_delivered_again() -> None:
    shop = Shop(DunningPolicy(attempts_per_card=1))
    shop.behave("insufficient_funds")
    shop.world.advance(to="2026-04-05T12:00:00+00:00")
    asked = len(shop.asked)
    settle, last = collection.settle, shop.world.invoices(shop.customer)[-1]

    class Dead(BaseException):
        pass

    def die(*args: Any) -> Any:
        raise Dead

    collection.settle = die  # type: ignore[assignment]
    try:
        with pytest.raises(Dead):
            dunning.retry_now(shop.world.ctx(), shop.subs[0].id)
    finally:
        collection.settle = settle
    shop.behave("ok")
    collection.collect_due(shop.world.ctx(), last.id)
    collection.collect_due(shop.world.ctx(), last.id)
    assert codes(shop, shop.subs[0]) == ["insufficient_funds", "card_attempt_limit"]
    assert len(shop.asked) == asked


@pytest.mark.parametrize("seed", range(6))
def test_no_race_takes_a_card_over_its_limit(seed: int) -> None:
    """Six subscriptions renew and are retried by eight workers at once, each job delivered twice."""
    draw = random.Random(seed)
    limit = (1, 4, 7, 9, 11, 12)[seed]
    shop = Shop(DunningPolicy(days=(0, 1, 2, 3), attempts_per_card=limit), subscriptions=6)
    shop.behave("insufficient_funds")
    ctx = shop.world.ctx(now=datetime.fromisoformat("2026-04-05T12:00:00+00:00"))
    names = [sub.id for sub in shop.subs] * 2

    def run(use_case: Any, subscription_id: str) -> None:
        for _ in range(30):
            with suppress(ConflictError):
                use_case(ctx, subscription_id)
                return

    for use_case in (renewals.renew_subscription, dunning.retry_now, dunning.retry_now):
        draw.shuffle(names)
        with ThreadPoolExecutor(8) as workers:
            list(workers.map(lambda name, use=use_case: run(use, name), names))
    asked = {key for _, key, method in shop.asked if method == shop.method} - _paid(shop)
    assert len(asked) == limit


def _paid(shop: Shop) -> set[str]:
    return {
        attempt.key
        for invoice in shop.world.invoices(shop.customer)
        for attempt in invoice.attempts
        if attempt.status is AttemptStatus.SUCCEEDED
    }


@pytest.mark.parametrize("seed", range(8))
def test_months_of_luck_and_bad_luck_keep_to_the_limit(seed: int) -> None:
    draw = random.Random(seed)
    limit = draw.randint(1, 6)
    shop = Shop(DunningPolicy(days=(0, 1, 3, 5, 9), attempts_per_card=limit), subscriptions=4)
    for _ in range(40):
        shop.behave(draw.choice(["ok", "insufficient_funds", "generic_decline", "unknown", "lost_card"]))
        shop.world.machine += timedelta(days=2)
        shop.world.advance(days=2)
        for sub in shop.subs:
            if draw.random() < 0.3:
                with suppress(Exception):
                    dunning.retry_now(shop.world.ctx(), sub.id)
    assert shop.failed_in_a_window() <= limit
    assert_books(shop.world)


def test_a_retry_killed_anywhere_keeps_to_the_limit() -> None:
    def behind(world: World) -> str:
        publish(world, DunningPolicy(days=(0, 2, 4), attempts_per_card=2))
        customer = world.customer("pm_card_visa")
        sub = world.subscribe(customer, "starter", trial_days=0)
        method = world.account(customer).payment_method
        assert method is not None
        world.parts.gateway.behave(method.id, "insufficient_funds")
        world.advance(to="2026-05-01T12:00:00+00:00")
        return sub.id

    def retry(world: World, subject: str) -> None:
        dunning.run_dunning(world.ctx(now=datetime.fromisoformat("2026-05-02T12:00:00+00:00")), subject)

    def repair(world: World, subject: str) -> None:
        retry(world, subject)
        world.advance(to="2026-05-10T12:00:00+00:00")

    for world in every_step(behind, retry, repair):
        last = world.invoices(world.parts.store.records(Subscription)[0])[-1]
        declined = [attempt.decline.code for attempt in last.attempts if attempt.decline]
        assert declined == ["insufficient_funds", "insufficient_funds", "card_attempt_limit"]
        assert_books(world)


def test_whoever_begins_an_attempt_has_it_admitted() -> None:
    for path in (Path(__file__).parents[2] / "chalicelib").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        begins = re.search(r"(?<!def )\b(begin_attempt|begin_automatic|begin_anew)\(", text)
        defined_here = path.parts[-2:] in (("domain", "collection.py"), ("domain", "holding.py"))
        if begins and not defined_here:
            assert "admitted(" in text, path.name
