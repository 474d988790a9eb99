"""A thousand renewals behind a processor that refuses three calls in ten: all are paid, once, at the allowed rate."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import suppress
from contextvars import copy_context
from datetime import timedelta

import pytest

from chalicelib import composition
from chalicelib.adapters.codec import dumps, encode
from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.adapters.stripe.gateway import StripeGateway
from chalicelib.adapters.stripe.throttle import Rates, Throttle
from chalicelib.domain.errors import GatewayUnavailableError
from chalicelib.entrypoints.jobs import due
from chalicelib.settings import Settings
from tests.infra.gateway_worlds import RETURN_URL, charge_request
from tests.infra.test_jobs_work import a_month_on, assert_billed_once, live
from tests.infra.test_stripe_gateway import Scripted
from tests.unit.test_stripe_throttle import Clock

REFUSED = 0.3
PAGE = {"object": "list", "data": [], "has_more": False, "url": "/v1/payment_intents"}


class Limited:
    """A processor behind the throttle. It answers three in ten calls with a rate limit of its own."""

    def __init__(self, inner, patience):
        self.calls: Counter[int] = Counter()
        self.refusals = 0
        self.clock = Clock()
        self._inner = inner
        self._patience = patience
        self._draw = random.Random(7).random
        self._throttle = Throttle(MemoryOps(), Rates(), clock=self.clock, sleep=self.clock.sleep)

    def __getattr__(self, name):
        found = getattr(self._inner, name)
        return self._limited(found) if name in ("charge", "find_charge") else found

    def _limited(self, call):
        def ask(request):
            assert composition.IN_BACKGROUND.get()
            try:
                self._throttle.admit("payment_intents", patience=self._patience)
                self.calls[int(self.clock())] += 1
                if self._draw() < REFUSED:
                    raise GatewayUnavailableError("429")
            except GatewayUnavailableError:
                self.refusals += 1
                raise
            return call(request)

        return ask


def renew(subscribers, patience):
    """A month later: ticks and batches of one row, in this thread, until nothing is due."""
    world, jobs, subscriptions = live(subscribers)
    world.facts()
    processor = world.parts.gateway
    limited = world.parts.gateway = Limited(processor, patience)
    a_month_on(world)
    for _ in range(60):
        jobs.tick()
        rows = list(world.parts.queues.due_rows)
        world.parts.queues.due_rows.clear()
        if not rows:
            break
        for row in rows:
            assert jobs.batch(due.work_due, [dumps(encode(row))]) == []
        world.machine += timedelta(minutes=1)
        limited.clock.now += 60
    world.parts.gateway = processor
    return world, subscriptions, limited


@pytest.mark.parametrize(("subscribers", "patience"), [(1000, 10), (100, 0)])
def test_refusals_of_the_processor_cost_nobody_anything(subscribers, patience):
    world, subscriptions, limited = renew(subscribers, patience)
    assert_billed_once(world, subscriptions)
    facts = Counter(world.facts())
    expected = ("subscription.renewed", "invoice.opened", "payment.succeeded", "invoice.paid")
    assert facts == dict.fromkeys(expected, subscribers)
    assert limited.refusals > subscribers * REFUSED / 2
    assert max(limited.calls.values()) <= 20


class Asked:
    """Who admits: what it was asked, and the refusals it was told to give."""

    def __init__(self, *refused):
        self.asked = []
        self._refused = set(refused)

    def __call__(self, endpoint, *, wait=True):
        self.asked.append((endpoint, wait))
        if len(self.asked) in self._refused:
            raise GatewayUnavailableError("no")


@pytest.fixture
def stripe():
    server = Scripted()
    yield server
    server.close()


def gateway(stripe, admit):
    return StripeGateway("sk_test_1", return_url=RETURN_URL, api_base=stripe.url, admit=admit)


def test_every_request_asks_and_repetitions_do_not_wait(stripe):
    asked = Asked()
    stripe.steps = [(500, {"error": {"message": "?"}}), PAGE]
    gateway(stripe, asked).find_charge(charge_request("cus_1", "pm_1"))
    assert asked.asked == [("payment_intents", True), ("payment_intents", False)]
    assert len(stripe.requests) == 2


def test_what_is_not_admitted_is_not_sent(stripe):
    with pytest.raises(GatewayUnavailableError):
        gateway(stripe, Asked(1)).charge(charge_request("cus_1", "pm_1"))
    assert stripe.requests == []
    stripe.steps = [(500, {"error": {"message": "?"}})]
    with pytest.raises(GatewayUnavailableError):
        gateway(stripe, Asked(2)).find_charge(charge_request("cus_1", "pm_1"))
    assert len(stripe.requests) == 1


def test_only_what_can_wait_is_held_up():
    ops = MemoryOps()
    own = Settings(stripe_calls_per_second=1, stripe_endpoint_calls_per_second=1)
    services = composition.Services(ops=ops, settings=own)
    for _ in range(50):
        services.admit("payment_intents")
    background = copy_context()
    background.run(composition.IN_BACKGROUND.set, True)
    admitted = 0
    for _ in range(50):
        with suppress(GatewayUnavailableError):
            background.run(services.admit, "payment_intents", wait=False)
            admitted += 1
    assert 1 <= admitted <= 2, "of the present second, or of two"
