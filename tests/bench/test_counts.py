"""The budgets that are counts: what a renewal and the busiest requests cost, on a real engine. Nothing is timed."""

from __future__ import annotations

import pytest

from tests.bench import http, processes, renewals, usage
from tests.bench.world import bench_world

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def bench():
    pytest.importorskip("ministack", reason="ministack is not installed")
    with bench_world() as world:
        yield world


def test_requests_and_units_of_renewals_due_together(bench):
    many = renewals.many_renewals(bench, 100)
    assert many.stripe_calls == 1
    assert many.write_units <= 16
    assert many.read_units <= 2
    assert many.sqs_requests <= 0.31
    assert many.invocations <= 0.11


def test_one_paid_renewal(bench):
    one = renewals.one_renewal(bench)
    assert one.write_units <= 16
    assert one.read_units <= 1.5
    assert one.trips == 4
    assert one.stripe_calls == 1


def test_a_webhook_for_a_settled_payment_costs_half_a_read(bench):
    settled = renewals.settled_notice(bench)
    assert (settled.write_units, settled.read_units, settled.trips) == (0, 0.5, 1)


def test_the_feed_costs_about_two_units_per_entry_in_full_batches(bench):
    usage = renewals.events_of_renewals(bench)
    assert usage.write_units / usage.calls < 2.5


def test_requests_that_answer_in_one_round_trip(bench):
    customer = bench.subscribe(bench.customer()).customer_id
    with http.served(bench) as ask:
        assert http.entitlement_trips(bench, ask, customer).made == ("Query",)
        assert http.webhook_trips(bench, ask, customer).made == ("SendMessageBatch",)


def test_a_usage_event_costs_one_unit(bench):
    taken = usage.ingestion(bench, batches=2)
    assert (taken.write_units, taken.requests) == (1, 4)


@pytest.mark.parametrize("job", ["tick", "projector", "mailer", "reconciler", "advance"])
def test_what_does_not_charge_does_not_load_the_processors_sdk(job):
    assert not processes.loads_stripe(f"import chalicelib.entrypoints.jobs.{job}")


def test_the_api_does_not_load_the_processors_sdk_at_import():
    assert not processes.loads_stripe(processes.API)
