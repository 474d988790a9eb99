"""What one renewal costs, by the real path: tick, queue, worker, processor; then its webhook and its events."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chalicelib.adapters.dynamo.meter import Usage, metered
from chalicelib.application import dunning, projection, renewals
from chalicelib.application.feed import PART
from chalicelib.application.notices import apply_notice
from chalicelib.application.ports import ProcessorNotice
from chalicelib.domain.environment import LIVE
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import JournalEntry
from chalicelib.domain.subscription import Subscription
from chalicelib.entrypoints.jobs import due, tick
from infra.local.events import queue_event, schedule_event
from tests.bench.world import DECLINED, Bench, counted, invoke, stripe_calls


@dataclass(frozen=True, slots=True)
class OneRenewal:
    """`trips` one after the other, the processor's call included."""

    write_units: int
    read_units: float
    trips: int
    stripe_calls: int


@dataclass(frozen=True, slots=True)
class ManyRenewals:
    """Per renewal, out of many that the tick found due together."""

    stripe_calls: float
    sqs_requests: float
    invocations: float
    write_units: float
    read_units: float


def one_renewal(bench: Bench) -> OneRenewal:
    """A paid renewal with one line; the process has done one before (connections, catalog version)."""
    warm, subscription = bench.subscribers(2)
    bench.a_month_on()
    renewals.renew_subscription(bench.ctx(), warm.id)
    return _measured(bench, subscription)


def later_decline(bench: Bench) -> OneRenewal:
    """The second attempt of a dunning run, declined as well."""
    subscription = bench.subscribe(bench.customer())
    decline(bench, subscription)
    bench.a_month_on()
    renewals.renew_subscription(bench.ctx(), subscription.id)
    bench.a_month_on()
    with metered(bench.services.store) as usage, stripe_calls() as stripe:
        dunning.run_dunning(bench.ctx(), subscription.id)
    return _one(usage, stripe)


def settled_notice(bench: Bench) -> OneRenewal:
    """The webhook of a payment that is settled already, once it is off the queue."""
    subscription = bench.subscribe(bench.customer())
    (invoice,) = bench.services.store.children(Invoice, LIVE, subscription.customer_id)
    notice = ProcessorNotice(
        id="evt_bench", kind="payment_intent.succeeded", created=bench.now, reference="pi_bench", env=LIVE,
        customer_id=subscription.customer_id, subscription_id=subscription.id, invoice_id=invoice.id,
        attempt=invoice.attempts[-1].number,
    )  # fmt: skip
    with metered(bench.services.store) as usage, stripe_calls() as stripe:
        apply_notice(bench.ctx(), notice)
    return _one(usage, stripe)


def many_renewals(bench: Bench, number: int) -> ManyRenewals:
    """Tick, send, receive ten, work, delete ten, until the queue is empty: as Lambda's pollers do it."""
    bench.subscribers(number)
    bench.a_month_on()
    poller, application = bench.sqs(), bench.sqs_of_application
    url = bench.services.settings.due_queue_url
    invocations = 1
    with (
        counted(poller, application) as requests,
        metered(bench.services.store) as usage,
        stripe_calls() as stripe,
    ):
        invoke(tick.tick, schedule_event("tick"))
        while messages := receive(poller, url):
            answer = invoke(due.work_due, queue_event(messages, "arn"))
            assert answer == {"batchItemFailures": []}, answer
            delete(poller, url, messages)
            invocations += 1
        requests["ReceiveMessage"] -= 1  # the last one found nothing: idle polling is not a renewal's
    assert len(stripe) == number, f"{len(stripe)} charges for {number} renewals: something else was due"
    return ManyRenewals(
        stripe_calls=len(stripe) / number,
        sqs_requests=sum(requests.values()) / number,
        invocations=invocations / number,
        write_units=usage.write_units / number,
        read_units=float(usage.read_units) / number,
    )


def events_of_renewals(bench: Bench, batch: int = PART) -> Usage:
    """The feed's and books' share: units of appending one full transaction's worth of renewals' entries.

    The environment has had events before, and its books have entries of this month.
    """
    subscriptions = bench.subscribers(batch // 2)
    bench.a_month_on()
    for subscription in subscriptions:
        renewals.renew_subscription(bench.ctx(), subscription.id)
    entries = [(LIVE, entry) for each in subscriptions for entry in _renewal_entries(bench, each.customer_id)]
    projection.project(bench.services.ops, _NoQueues(), entries[:2])
    fresh = entries[2:]
    with metered(bench.services.tables.client) as usage:
        projection.project(bench.services.ops, _NoQueues(), fresh)
    usage.calls = len(fresh)
    return usage


def decline(bench: Bench, subscription: Subscription) -> None:
    """From now on the customer's card is refused."""
    import urllib.request

    from chalicelib.application.collection import account_of

    method = account_of(bench.ctx(), subscription.customer_id).payment_method
    assert method is not None
    urllib.request.urlopen(
        urllib.request.Request(
            f"{bench.stripe}/_control/payment_methods/{method.id}/auto_update",
            json.dumps({"number": DECLINED}).encode(),
            {"Content-Type": "application/json"},
        ),
        timeout=10,
    ).close()


def receive(poller: Any, url: str) -> list[dict[str, Any]]:
    answer = poller.receive_message(
        QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0, AttributeNames=["All"]
    )
    messages: list[dict[str, Any]] = answer.get("Messages", [])
    return messages


def delete(poller: Any, url: str, messages: Sequence[dict[str, Any]]) -> None:
    entries = [
        {"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]}
        for number, message in enumerate(messages)
    ]
    poller.delete_message_batch(QueueUrl=url, Entries=entries)


def _renewal_entries(bench: Bench, customer_id: str) -> list[JournalEntry]:
    """The two that opening and settling wrote."""
    found: list[JournalEntry] = bench.services.store.children(JournalEntry, LIVE, customer_id)
    return found[-2:]


def _measured(bench: Bench, subscription: Subscription) -> OneRenewal:
    with metered(bench.services.store) as usage, stripe_calls() as stripe:
        renewals.renew_subscription(bench.ctx(), subscription.id)
    return _one(usage, stripe)


def _one(usage: Usage, stripe: Sequence[Any]) -> OneRenewal:
    return OneRenewal(
        write_units=usage.write_units,
        read_units=float(usage.read_units),
        trips=usage.calls + len(stripe),
        stripe_calls=len(stripe),
    )


class _NoQueues:
    """Mail is not part of what is measured."""

    def mail(self, messages: Sequence[Any]) -> None:
        pass
