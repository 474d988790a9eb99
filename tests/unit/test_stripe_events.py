"""Events of Stripe's, reduced to where they lead."""

from __future__ import annotations

import copy
from datetime import UTC, datetime
from typing import Any

import pytest

from chalicelib.adapters.stripe.errors import MalformedNoticeError
from chalicelib.adapters.stripe.events import EVENT_TYPES, USED, WITHOUT_EFFECT, notice_from
from chalicelib.application.notices import HANDLERS
from chalicelib.application.ports import ProcessorNotice
from infra.local.stripe_standin.context import DEFAULT_EVENTS

OURS = {
    "env": "sbx_1",
    "customer": "cus_1",
    "subscription": "sub_1",
    "invoice": "inv_1",
    "attempt": "3",
}


def event(kind: str, item: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {
        "id": "evt_1",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": 1_772_000_000,
        "livemode": False,
        "type": kind,
        "data": {"object": item},
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        **changes,
    }


INTENT = {"id": "pi_1", "object": "payment_intent", "status": "succeeded", "metadata": OURS}
SESSION = {
    "id": "cs_1",
    "object": "checkout.session",
    "metadata": {**OURS, "checkout": "chk_1"},
    "payment_intent": "pi_9",
}
DISPUTE = {"id": "du_1", "object": "dispute", "charge": "ch_1", "payment_intent": "pi_1", "metadata": {}}
REFUNDED = {"id": "ch_1", "object": "charge", "payment_intent": "pi_1", "metadata": OURS}
METHOD = {"id": "pm_1", "object": "payment_method", "customer": "cus_S", "metadata": {}}
REFUND = {"id": "re_1", "object": "refund", "charge": "ch_1", "payment_intent": "pi_1", "metadata": OURS}
SETUP = {"id": "seti_1", "object": "setup_intent", "metadata": {**OURS, "checkout": "chk_1"}}
CUSTOMER = {"id": "cus_S", "object": "customer", "metadata": {"env": "sbx_1", "customer": "cus_1"}}
GOLDEN = {
    "payment_intent": INTENT,
    "setup_intent": SETUP,
    "checkout.session": SESSION,
    "charge.refunded": REFUNDED,
    "charge.dispute": DISPUTE,
    "refund": REFUND,
    "payment_method": METHOD,
    "customer": CUSTOMER,
}
SAMPLES = [(kind, next(item for prefix, item in GOLDEN.items() if kind.startswith(prefix))) for kind in USED]


def test_every_type_that_is_read_has_its_handler_and_the_other_way_round() -> None:
    assert set(HANDLERS) == set(USED)
    assert set(EVENT_TYPES) == set(USED) | set(WITHOUT_EFFECT)
    assert len(EVENT_TYPES) == len(set(EVENT_TYPES))


def test_the_stand_in_sends_what_an_endpoint_is_subscribed_to() -> None:
    assert sorted(DEFAULT_EVENTS) == sorted(EVENT_TYPES)


@pytest.mark.parametrize("kind", WITHOUT_EFFECT)
def test_what_has_no_effect_is_answered_and_dropped(kind: str) -> None:
    item = next(item for prefix, item in GOLDEN.items() if kind.startswith(prefix))
    assert notice_from(event(kind, item)) is None


def test_a_payment_leads_home() -> None:
    assert notice_from(event("payment_intent.succeeded", INTENT)) == ProcessorNotice(
        id="evt_1",
        kind="payment_intent.succeeded",
        created=datetime.fromtimestamp(1_772_000_000, UTC),
        reference="pi_1",
        env="sbx_1",
        customer_id="cus_1",
        subscription_id="sub_1",
        invoice_id="inv_1",
        attempt=3,
    )


def test_a_page_leads_to_its_checkout() -> None:
    notice = notice_from(event("checkout.session.completed", SESSION))
    assert notice is not None
    assert (notice.reference, notice.checkout_id) == ("cs_1", "chk_1")


def test_a_refund_leads_to_its_payment() -> None:
    notice = notice_from(event("charge.refunded", REFUNDED))
    assert notice is not None
    assert (notice.reference, notice.env, notice.invoice_id) == ("pi_1", "sbx_1", "inv_1")


@pytest.mark.parametrize(
    "intent", ["pi_1", {"id": "pi_1", "metadata": OURS}], ids=["an id", "an expanded object"]
)
def test_a_dispute_leads_to_its_payment_but_carries_no_ids(intent: Any) -> None:
    notice = notice_from(event("charge.dispute.created", {**DISPUTE, "payment_intent": intent}))
    assert notice is not None
    assert (notice.reference, notice.env) == ("pi_1", None)


@pytest.mark.parametrize(
    "kind", ["customer.created", "payout.paid", "v2.core.event", "invoice.paid", None, "charge.succeeded"]
)
def test_what_we_do_not_use_is_nothing(kind: Any) -> None:
    assert notice_from(event(kind, {})) is None


def test_what_is_not_ours_is_nothing() -> None:
    foreign = {**INTENT, "metadata": {"order": "7"}}
    assert notice_from(event("payment_intent.succeeded", foreign)) is None
    assert notice_from(event("payment_intent.succeeded", {**INTENT, "metadata": {"env": "prod"}})) is None
    assert notice_from(event("payment_intent.succeeded", INTENT, account="acct_1")) is None
    assert notice_from(event("payment_intent.succeeded", INTENT), livemode=True) is None
    assert notice_from(event("payment_intent.succeeded", INTENT), livemode=False) is not None


def required_paths(kind: str) -> list[tuple[str, ...]]:
    paths = [("id",), ("created",), ("data",), ("data", "object")]
    if kind.startswith(("payment_intent", "setup_intent", "checkout", "customer")):
        return [*paths, ("data", "object", "id"), ("data", "object", "metadata")]
    if kind.startswith(("charge", "refund")):
        return paths  # the payment intent has a test of its own: null is somebody else's
    return [*paths, ("data", "object", "id")]


@pytest.mark.parametrize(
    ("kind", "item", "path"), [(kind, item, path) for kind, item in SAMPLES for path in required_paths(kind)]
)
@pytest.mark.parametrize("lost", ["missing", "null"])
def test_a_lost_field_fails_loudly(kind: str, item: dict[str, Any], path: tuple[str, ...], lost: str) -> None:
    broken: Any = copy.deepcopy(event(kind, item))
    holder = broken
    for step in path[:-1]:
        holder = holder[step]
    if lost == "missing":
        del holder[path[-1]]
    else:
        holder[path[-1]] = None
    with pytest.raises(MalformedNoticeError):
        notice_from(broken)


@pytest.mark.parametrize(
    ("kind", "item"), [each for each in SAMPLES if each[0].startswith(("charge", "refund"))]
)
def test_a_payment_without_an_intent_is_not_ours_but_the_field_must_be_there(
    kind: str, item: dict[str, Any]
) -> None:
    assert notice_from(event(kind, {**item, "payment_intent": None})) is None
    del (lost := dict(item))["payment_intent"]
    with pytest.raises(MalformedNoticeError):
        notice_from(event(kind, lost))


@pytest.mark.parametrize(("kind", "item"), SAMPLES)
def test_fields_of_the_next_version_do_not_matter(kind: str, item: dict[str, Any]) -> None:
    later = event(kind, {**item, "new_field": {"a": 1}}, api_version="2027-03-31.next", context="x")
    assert notice_from(later) == notice_from(event(kind, item))


def test_broken_values_fail_loudly() -> None:
    with pytest.raises(MalformedNoticeError):
        notice_from(event("payment_intent.succeeded", {**INTENT, "metadata": {**OURS, "attempt": "x"}}))
    with pytest.raises(MalformedNoticeError):
        notice_from(event("payment_intent.succeeded", INTENT, created="yesterday"))
    with pytest.raises(MalformedNoticeError):
        notice_from(event("payment_intent.succeeded", INTENT, data=[]))
