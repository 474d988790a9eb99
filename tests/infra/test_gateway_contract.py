"""One contract for every payment gateway. `pytest -m stripe` runs it against Stripe's test mode."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from chalicelib.adapters.stripe.errors import GatewayMisuseError, KeyReusedError
from chalicelib.application.ports import ChargeRequest, ProcessorNotice, RefundRequest, ReportedRefund
from chalicelib.domain.errors import GatewayUnavailableError, PaymentDeclinedError, ValidationError
from chalicelib.domain.payment import DeclineKind, Outcome
from chalicelib.domain.refund import RefundResult, RefundStatus
from tests.infra.gateway_worlds import (
    MemoryWorld,
    StandinWorld,
    StripeWorld,
    World,
    charge_request,
    checkout_request,
    new_customer,
    unique,
)

NO_STRIPE = pytest.mark.skipif("STRIPE_TEST_KEY" not in os.environ, reason="STRIPE_TEST_KEY is not set")
WORLDS: dict[str, Any] = {"memory": MemoryWorld, "standin": StandinWorld, "stripe": StripeWorld}


@pytest.fixture(
    params=["memory", "standin", pytest.param("stripe", marks=[pytest.mark.stripe, NO_STRIPE])],
    scope="module",
)
def shared(request: pytest.FixtureRequest) -> Iterator[World]:
    world = WORLDS[request.param]()
    yield world
    world.close()


@pytest.fixture
def world(shared: World) -> World:
    return shared


def need(world: World, *abilities: str) -> None:
    """Skip the test where that cannot be brought about."""
    missing = set(abilities) - world.can
    if missing:
        pytest.skip(f"cannot be brought about here: {', '.join(sorted(missing))}")


@pytest.fixture
def customer(world: World) -> str:
    return world.gateway.ensure_customer("sbx_contract", new_customer())


@pytest.fixture
def card(world: World, customer: str) -> str:
    return world.card(customer, "ok")


def test_a_customer_is_made_once(world: World) -> None:
    ana = new_customer()
    first = world.gateway.ensure_customer("sbx_contract", ana)
    assert world.gateway.ensure_customer("sbx_contract", ana) == first
    assert world.gateway.ensure_customer("sbx_other", ana) != first
    assert world.gateway.ensure_customer("sbx_contract", replace(ana, email="new@customer.example"))


def test_a_charge_succeeds(world: World, customer: str, card: str) -> None:
    result = world.gateway.charge(charge_request(customer, card, amount=2900))
    assert result.outcome is Outcome.SUCCEEDED
    assert result.charged == 2900
    assert result.reference
    assert result.charge
    assert result.decline is None
    assert result.method is not None
    assert (result.method.id, result.method.kind, result.method.brand) == (card, "card", "visa")
    assert result.method.last4 == "4242"
    assert result.method.fingerprint


def test_a_repetition_charges_nothing_more(world: World, customer: str, card: str) -> None:
    request = charge_request(customer, card)
    first = world.gateway.charge(request)
    again = replace(request, attempt=replace(request.attempt, tries=3, not_before=datetime.now(UTC)))
    assert world.gateway.charge(again) == first


def test_one_key_with_other_parameters_is_refused(world: World, customer: str, card: str) -> None:
    request = charge_request(customer, card, amount=2900)
    first = world.gateway.charge(request)
    with pytest.raises(KeyReusedError):
        world.gateway.charge(replace(request, attempt=replace(request.attempt, amount=2901)))
    with pytest.raises(KeyReusedError):
        world.gateway.charge(replace(request, currency="EUR"))
    assert world.gateway.find_charge(request) == first


@pytest.mark.parametrize(
    ("behaviour", "kind"),
    [
        ("generic_decline", DeclineKind.SOFT),
        ("insufficient_funds", DeclineKind.SOFT),
        ("lost_card", DeclineKind.HARD),
        ("expired_card", DeclineKind.HARD),
    ],
)
def test_a_decline_is_a_definite_no(world: World, customer: str, behaviour: str, kind: DeclineKind) -> None:
    if behaviour != "generic_decline":
        need(world, "cards")
    request = charge_request(customer, world.card(customer, behaviour))
    result = world.gateway.charge(request)
    assert result.outcome is Outcome.DECLINED
    assert result.decline is not None
    assert (result.decline.code, result.decline.kind) == (behaviour, kind)
    assert "lost" not in result.decline.message.lower()
    assert result.reference
    assert result.charged == 0
    assert world.gateway.charge(request) == result
    found = world.gateway.find_charge(request)
    assert found is not None
    assert (found.outcome, found.decline, found.reference) == (
        Outcome.DECLINED,
        result.decline,
        result.reference,
    )


def test_a_new_attempt_after_a_decline_is_a_new_charge(world: World, customer: str, card: str) -> None:
    declined = charge_request(customer, world.card(customer, "generic_decline"), number=1)
    assert world.gateway.charge(declined).outcome is Outcome.DECLINED
    second = charge_request(customer, card, number=2, invoice=declined.invoice_id)
    assert world.gateway.charge(second).outcome is Outcome.SUCCEEDED
    found = world.gateway.find_charge(declined)
    assert found is not None
    assert found.outcome is Outcome.DECLINED


def test_authentication_needs_the_customer(world: World, customer: str) -> None:
    request = charge_request(customer, world.card(customer, "authentication_required"))
    result = world.gateway.charge(request)
    assert result.outcome is Outcome.REQUIRES_ACTION
    assert result.decline is not None
    assert result.decline.kind is DeclineKind.NEEDS_CUSTOMER
    assert result.reference, "the confirmation link is bound to the payment"
    for reference in (None, result.reference):
        found = world.gateway.find_charge(with_attempt(request, reference=reference))
        assert found is not None
        assert (found.outcome, found.reference) == (Outcome.REQUIRES_ACTION, result.reference)


RETURN = "https://billing.example/confirm/return"


def with_attempt(request: ChargeRequest, **changes: Any) -> ChargeRequest:
    return replace(request, attempt=replace(request.attempt, **changes))


def waiting_for(world: World, customer: str, **more: Any) -> ChargeRequest:
    """A charge that waits for its customer, with what is known of it."""
    request = charge_request(customer, world.card(customer, "authentication_required"), **more)
    return with_attempt(request, reference=world.gateway.charge(request).reference)


def test_the_customer_is_sent_to_the_bank_for_the_very_payment(world: World, customer: str) -> None:
    request = waiting_for(world, customer)
    confirmation = world.gateway.confirm_charge(with_attempt(request, tries=1), return_url=RETURN)
    assert (confirmation.url or "").startswith(("http://127.0.0.1", "https://"))
    result = confirmation.result
    assert (result.outcome, result.reference) == (Outcome.REQUIRES_ACTION, request.attempt.reference)
    again = world.gateway.confirm_charge(with_attempt(request, tries=1), return_url=RETURN)
    assert again.url == confirmation.url, "the same press of the button"
    assert world.gateway.confirm_charge(with_attempt(request, tries=2), return_url=RETURN).url
    canceled = world.gateway.cancel_charge(request)
    assert canceled is not None
    assert canceled.is_canceled, "also while the bank asks"
    late = world.gateway.confirm_charge(with_attempt(request, tries=3), return_url=RETURN)
    assert (late.url, late.result.is_canceled) == (None, True)


def test_what_the_customer_confirms_is_paid_once(world: World, customer: str) -> None:
    need(world, "cards")
    request, before = waiting_for(world, customer, amount=1900), world.charged("USD")
    reference = request.attempt.reference
    assert reference
    for number in (1, 2):
        world.gateway.confirm_charge(with_attempt(request, tries=number), return_url=RETURN)
        world.authenticate(reference, passed=False)
        refused = world.gateway.find_charge(request)
        assert refused is not None
        assert refused.outcome is Outcome.REQUIRES_ACTION, "it can be confirmed again"
    assert world.gateway.confirm_charge(with_attempt(request, tries=3), return_url=RETURN).url
    world.authenticate(reference, passed=True)
    for number in (3, 4):
        world.gateway.confirm_charge(with_attempt(request, tries=number), return_url=RETURN)
    done = world.gateway.confirm_charge(with_attempt(request, tries=5), return_url=RETURN)
    assert (done.url, done.result.outcome, done.result.charged) == (None, Outcome.SUCCEEDED, 1900)
    assert world.gateway.cancel_charge(request) == world.gateway.find_charge(request)
    assert world.charged("USD") - before == 1900


def test_a_bank_that_was_told_of_later_payments_does_not_ask_again(world: World, customer: str) -> None:
    need(world, "banks")
    card = world.card(customer, "asks_once")
    request = charge_request(customer, card)
    asked = world.gateway.charge(request)
    assert asked.outcome is Outcome.REQUIRES_ACTION
    assert asked.reference
    confirmed = with_attempt(request, reference=asked.reference, tries=1)
    world.gateway.confirm_charge(confirmed, return_url=RETURN)
    world.authenticate(asked.reference, passed=True)
    assert world.gateway.charge(charge_request(customer, card)).outcome is Outcome.SUCCEEDED


def test_a_card_that_is_gone_cannot_be_confirmed(world: World, customer: str) -> None:
    need(world, "cards")
    request = waiting_for(world, customer)
    world.detach(request.attempt.method)
    confirmation = world.gateway.confirm_charge(with_attempt(request, tries=1), return_url=RETURN)
    assert (confirmation.url, confirmation.result.outcome) == (None, Outcome.DECLINED)
    assert confirmation.result.decline is not None
    assert confirmation.result.decline.kind is DeclineKind.HARD


def test_a_confirmed_payment_is_found_paid(world: World, customer: str) -> None:
    need(world, "cards")
    request = charge_request(customer, world.card(customer, "authentication_required"), amount=1900)
    reference = world.gateway.charge(request).reference
    assert reference
    world.confirm(reference)
    for known in (None, reference):
        found = world.gateway.find_charge(replace(request, attempt=replace(request.attempt, reference=known)))
        assert found is not None
        assert (found.outcome, found.charged, found.reference) == (Outcome.SUCCEEDED, 1900, reference)


@pytest.mark.parametrize("succeeded", [True, False])
def test_a_bank_debit_takes_days(world: World, customer: str, succeeded: bool) -> None:
    need(world, "debits")
    request = charge_request(customer, world.card(customer, "processing"), currency="EUR")
    result = world.gateway.charge(request)
    assert (result.outcome, result.charged) == (Outcome.PROCESSING, 0)
    assert result.reference
    assert world.gateway.cancel_charge(request) == world.gateway.find_charge(request)
    world.settle(result.reference, succeeded=succeeded)
    found = world.gateway.find_charge(request)
    assert found is not None
    assert found.outcome is (Outcome.SUCCEEDED if succeeded else Outcome.DECLINED)


def test_charged_with_the_answer_lost(world: World, customer: str, card: str) -> None:
    need(world, "faults")
    before = world.charged("USD")
    request = charge_request(customer, card, amount=3100)
    world.fault("lost_after_charge")
    assert world.gateway.charge(request).outcome is Outcome.UNKNOWN
    found = world.gateway.find_charge(request)
    assert found is not None
    assert (found.outcome, found.charged) == (Outcome.SUCCEEDED, 3100)
    assert world.gateway.charge(request) == found
    assert world.charged("USD") - before == 3100


@pytest.mark.parametrize("kind", ["lost_before_charge", "503"])
def test_nothing_charged_and_no_answer(world: World, customer: str, card: str, kind: str) -> None:
    need(world, "faults")
    request = charge_request(customer, card)
    world.fault(kind)
    assert world.gateway.charge(request).outcome is Outcome.UNKNOWN
    assert world.gateway.find_charge(request) is None
    assert world.gateway.charge(request).outcome is Outcome.SUCCEEDED


def test_a_rate_limit_is_no_attempt(world: World, customer: str, card: str) -> None:
    need(world, "faults")
    request = charge_request(customer, card)
    world.fault("429")
    with pytest.raises(GatewayUnavailableError):
        world.gateway.charge(request)
    assert world.gateway.charge(request).outcome is Outcome.SUCCEEDED


def test_an_attempt_is_found_when_its_key_is_forgotten(world: World, customer: str, card: str) -> None:
    need(world, "keys")
    request = charge_request(customer, card)
    charged = world.gateway.charge(request)
    world.expire_keys()
    assert world.gateway.find_charge(request) == charged


def test_an_attempt_that_never_was_leaves_no_trace(world: World, customer: str, card: str) -> None:
    request = charge_request(customer, card)
    assert world.gateway.charge(request).outcome is Outcome.SUCCEEDED
    other = replace(request, attempt=replace(request.attempt, number=2))
    assert world.gateway.find_charge(other) is None
    assert world.gateway.find_charge(replace(request, invoice_id=unique("inv"))) is None
    assert world.gateway.find_charge(replace(request, env="live")) is None


def test_a_method_of_another_customer_is_refused_for_good(world: World, customer: str) -> None:
    stranger = world.gateway.ensure_customer("sbx_contract", new_customer())
    result = world.gateway.charge(charge_request(customer, world.card(stranger, "ok")))
    assert result.outcome is Outcome.DECLINED
    assert result.decline is not None
    assert (result.decline.code, result.decline.kind) == ("payment_method_missing", DeclineKind.HARD)


def test_a_detached_method_is_refused_for_good(world: World, customer: str, card: str) -> None:
    need(world, "cards")
    world.detach(card)
    result = world.gateway.charge(charge_request(customer, card))
    assert result.outcome is Outcome.DECLINED
    assert result.decline is not None
    assert (result.decline.code, result.decline.kind) == ("payment_method_missing", DeclineKind.HARD)


def everything_since(world: World, since: datetime) -> list[ProcessorNotice]:
    notices, cursor = world.gateway.notices_since(since, None)
    while cursor is not None:
        more, cursor = world.gateway.notices_since(since, cursor)
        notices += more
    return notices


def test_a_method_taken_off_is_reported(world: World) -> None:
    need(world, "cards")
    ana = new_customer()
    card = world.card(world.gateway.ensure_customer("sbx_contract", ana), "ok")
    world.detach(card)
    notices = everything_since(world, datetime.now(UTC) - timedelta(seconds=30))
    found = [notice for notice in notices if notice.reference == card and "detached" in notice.kind]
    assert [(notice.env, notice.customer_id) for notice in found] == [("sbx_contract", ana.id)]


def test_misuse_raises(world: World, customer: str, card: str) -> None:
    with pytest.raises(GatewayMisuseError):
        world.gateway.charge(charge_request("cus_unknown", card))
    with pytest.raises(GatewayMisuseError):
        world.gateway.charge(charge_request(customer, card, amount=1))
    with pytest.raises(GatewayMisuseError):
        world.gateway.find_charge(charge_request(customer, card, reference="pi_unknown"))
    for unknown in ("cs_unknown", "cs_1/expire", ".."):
        with pytest.raises(GatewayMisuseError):
            world.gateway.checkout(unknown)


def aged(request: ChargeRequest) -> ChargeRequest:
    """As if written down ten minutes ago: no call of it can still be under way."""
    earlier = request.attempt.written_at - timedelta(minutes=10)
    return replace(request, attempt=replace(request.attempt, written_at=earlier))


def test_cancelling_ends_an_attempt(world: World, customer: str, card: str) -> None:
    waiting = charge_request(customer, world.card(customer, "authentication_required"))
    world.gateway.charge(waiting)
    canceled = world.gateway.cancel_charge(waiting)
    assert canceled is not None
    assert canceled.outcome is Outcome.DECLINED
    assert canceled.decline is not None
    assert canceled.decline.code == "canceled"
    assert world.gateway.cancel_charge(waiting) == canceled

    paid = charge_request(customer, card)
    result = world.gateway.charge(paid)
    assert world.gateway.cancel_charge(paid) == result
    assert world.gateway.cancel_charge(aged(charge_request(customer, card))) is None


def test_a_cancelled_payment_cannot_be_confirmed(world: World, customer: str) -> None:
    need(world, "cards")
    request = charge_request(customer, world.card(customer, "authentication_required"))
    reference = world.gateway.charge(request).reference
    assert reference
    world.gateway.cancel_charge(request)
    with pytest.raises(Exception, match=r".+"):
        world.confirm(reference)
    found = world.gateway.find_charge(request)
    assert found is not None
    assert found.outcome is Outcome.DECLINED


def refund(request: ChargeRequest, reference: str, amount: int, number: int = 1) -> RefundRequest:
    """The n-th refund of a payment."""
    return RefundRequest(
        key=f"refund:{request.invoice_id}:{number}", env=request.env, customer_id=request.customer_id,
        payment_id=f"pay_{request.invoice_id}", refund_id=f"ref_{request.invoice_id}_{number}",
        reference=reference, amount=amount, currency=request.currency,
    )  # fmt: skip


def charged(world: World, customer: str, behaviour: str = "ok", **more: Any) -> tuple[ChargeRequest, str]:
    request = charge_request(customer, world.card(customer, behaviour), **more)
    reference = world.gateway.charge(request).reference
    assert reference
    return request, reference


def test_a_refund_happens_once_and_never_beyond_the_charge(world: World, customer: str) -> None:
    request, reference = charged(world, customer, amount=2900)
    first = world.gateway.refund(refund(request, reference, 1000))
    assert first.status is RefundStatus.SUCCEEDED
    assert world.gateway.refund(refund(request, reference, 1000)) == first
    with pytest.raises(KeyReusedError):
        world.gateway.refund(refund(request, reference, 1001))
    second = world.gateway.refund(refund(request, reference, 1000, number=2))
    assert second.reference != first.reference
    over = world.gateway.refund(refund(request, reference, 1000, number=3))
    assert (over.status, over.reference, bool(over.failure)) == (RefundStatus.FAILED, None, True)
    assert world.gateway.refund(refund(request, reference, 900, number=4)).status is RefundStatus.SUCCEEDED
    nothing_left = world.gateway.refund(refund(request, reference, 1, number=5))
    assert nothing_left.failure == "charge_already_refunded"


def test_refunds_are_found_by_their_payment_whoever_made_them(world: World, customer: str) -> None:
    request, reference = charged(world, customer, amount=2900)
    assert world.gateway.refunds_of(reference) == ()
    made = world.gateway.refund(refund(request, reference, 1000))
    found = {each.refund_id: each for each in world.gateway.refunds_of(reference)}
    assert found == {
        f"ref_{request.invoice_id}_1": ReportedRefund(
            reference=made.reference or "", amount=1000, result=made, refund_id=f"ref_{request.invoice_id}_1"
        )
    }
    if "refunds" in world.can:
        world.refund_elsewhere(reference, 300)
        foreign = next(each for each in world.gateway.refunds_of(reference) if each.refund_id is None)
        assert (foreign.amount, foreign.result.status) == (300, RefundStatus.SUCCEEDED)


@pytest.mark.parametrize("fault", ["lost_after_charge", "lost_before_charge"])
def test_a_refund_without_an_answer_is_looked_up(world: World, customer: str, fault: str) -> None:
    need(world, "faults")
    request, reference = charged(world, customer)
    world.fault(fault, on="refund")
    asked = refund(request, reference, 1000)
    assert world.gateway.refund(asked) == RefundResult(status=RefundStatus.IN_FLIGHT)
    found = [each.refund_id for each in world.gateway.refunds_of(reference)]
    assert found == ([asked.refund_id] if fault == "lost_after_charge" else [])
    assert world.gateway.refund(asked).status is RefundStatus.SUCCEEDED
    assert len(world.gateway.refunds_of(reference)) == 1


def test_an_outage_is_no_refund(world: World, customer: str) -> None:
    need(world, "faults")
    request, reference = charged(world, customer)
    world.fault("429", on="refund")
    with pytest.raises(GatewayUnavailableError):
        world.gateway.refund(refund(request, reference, 1000))
    assert world.gateway.refunds_of(reference) == ()


def test_a_refund_may_be_pending(world: World, customer: str) -> None:
    request, reference = charged(world, customer, "refund_pending")
    made = world.gateway.refund(refund(request, reference, 1000))
    assert (made.status, bool(made.reference)) == (RefundStatus.PENDING, True)
    need(world, "refunds")
    world.settle_refund(made.reference or "", succeeded=True)
    (found,) = world.gateway.refunds_of(reference)
    assert (found.result.status, found.result.reference) == (RefundStatus.SUCCEEDED, made.reference)


def test_a_refund_may_fail_after_it_had_succeeded(world: World, customer: str) -> None:
    request, reference = charged(world, customer, "refund_fails")
    made = world.gateway.refund(refund(request, reference, 2900))
    assert made.status is RefundStatus.SUCCEEDED
    need(world, "refunds")
    world.settle_refund(made.reference or "", succeeded=False)
    (found,) = world.gateway.refunds_of(reference)
    assert (found.result.status, found.result.failure) == (RefundStatus.FAILED, "expired_or_canceled_card")
    again = world.gateway.refund(refund(request, reference, 2900, number=2))
    assert again.status is RefundStatus.SUCCEEDED  # the charge has its money back


def test_what_can_be_moved_is_known_before(world: World) -> None:
    assert world.gateway.movable(1234, "USD") == 1234
    assert world.gateway.movable(1234, "KWD") == 1230


def test_a_page_is_open_until_it_is_closed(world: World, customer: str) -> None:
    request = checkout_request(customer, 2900, 1000)
    page = world.gateway.open_checkout(request)
    assert page.url.startswith("http")
    assert world.gateway.open_checkout(request) == page
    state = world.gateway.checkout(page.reference)
    assert (state.complete, state.payable, state.charge, state.method) == (False, True, None, None)
    closed = world.gateway.close_checkout(page.reference)
    assert (closed.complete, closed.payable, closed.charge) == (False, False, None)
    assert world.gateway.close_checkout(page.reference) == closed
    assert world.gateway.checkout(page.reference) == closed


def test_a_paid_page_saves_a_method_that_can_be_charged(world: World, customer: str) -> None:
    need(world, "pages")
    page = world.gateway.open_checkout(checkout_request(customer, 2900, 1000))
    world.pay_page(page.reference, "ok")
    state = world.gateway.checkout(page.reference)
    assert (state.complete, state.payable) == (True, False)
    assert state.charge is not None
    assert (state.charge.outcome, state.charge.charged) == (Outcome.SUCCEEDED, 3900)
    assert state.charge.charge
    assert state.method is not None
    assert state.method.last4 == "4242"
    assert world.gateway.close_checkout(page.reference) == state
    known = charge_request(customer, state.method.id, amount=3900, reference=state.charge.reference)
    found = world.gateway.find_charge(known)
    assert found is not None
    assert (found.outcome, found.charged) == (Outcome.SUCCEEDED, 3900)
    renewal = world.gateway.charge(charge_request(customer, state.method.id))
    assert renewal.outcome is Outcome.SUCCEEDED


def test_a_page_without_a_payment_saves_a_method(world: World, customer: str) -> None:
    need(world, "pages")
    page = world.gateway.open_checkout(checkout_request(customer))
    world.pay_page(page.reference, "ok")
    state = world.gateway.checkout(page.reference)
    assert (state.complete, state.payable, state.charge) == (True, False, None)
    assert state.method is not None
    result = world.gateway.charge(charge_request(customer, state.method.id))
    assert result.outcome is Outcome.SUCCEEDED


def test_a_debit_on_a_page_is_under_way(world: World, customer: str) -> None:
    need(world, "pages", "debits")
    page = world.gateway.open_checkout(checkout_request(customer, 2900, currency="EUR"))
    world.pay_page(page.reference, "debit")
    state = world.gateway.checkout(page.reference)
    assert (state.complete, state.payable) == (True, True)
    assert state.charge is not None
    assert state.charge.outcome is Outcome.PROCESSING
    assert state.charge.reference
    world.settle(state.charge.reference, succeeded=True)
    state = world.gateway.checkout(page.reference)
    assert (state.complete, state.payable) == (True, False)
    assert state.charge is not None
    assert state.charge.outcome is Outcome.SUCCEEDED


def test_a_closed_page_takes_no_money(world: World, customer: str) -> None:
    need(world, "pages")
    page = world.gateway.open_checkout(checkout_request(customer, 2900))
    closed = world.gateway.close_checkout(page.reference)
    with pytest.raises(Exception, match=r".+"):
        world.pay_page(page.reference, "ok")
    assert world.gateway.checkout(page.reference) == closed


def test_a_card_declined_on_a_page_leaves_it_open(world: World, customer: str) -> None:
    need(world, "pages")
    page = world.gateway.open_checkout(checkout_request(customer, 2900))
    with suppress(OSError):  # the page answers 402
        world.pay_page(page.reference, "pm_card_chargeCustomerFail")
    state = world.gateway.checkout(page.reference)
    assert (state.complete, state.payable, state.charge) == (False, True, None)


def test_a_page_asks_for_what_its_lines_add_up_to(world: World, customer: str) -> None:
    with pytest.raises(GatewayMisuseError):
        world.gateway.open_checkout(replace(checkout_request(customer, 1000, 500), amount=1400))
    assert world.gateway.open_checkout(checkout_request(customer, 3000, -500)).url


def test_methods_are_attached_to_one_customer(world: World, customer: str, card: str) -> None:
    assert world.gateway.attach_method(customer, card).id == card
    stranger = world.gateway.ensure_customer("sbx_contract", new_customer())
    with pytest.raises(ValidationError):
        world.gateway.attach_method(stranger, card)
    for nonsense in ("nonsense", "", "pm_1/../../customers", f"{card}/detach?x=", "pm_ä"):
        with pytest.raises(ValidationError):
            world.gateway.attach_method(customer, nonsense)
    assert world.gateway.attach_method(customer, card).id == card
    with pytest.raises(PaymentDeclinedError):
        world.gateway.attach_method(customer, "pm_card_chargeDeclined")


@pytest.mark.parametrize(
    ("currency", "amount", "charged"),
    [
        ("JPY", 2900, 2900),
        ("ISK", 4900, 4900),
        ("UGX", 90000, 90000),
        ("KWD", 5124, 5120),
        ("KWD", 5125, 5130),
    ],
)
def test_currencies_that_stripe_counts_otherwise(
    world: World, customer: str, card: str, currency: str, amount: int, charged: int
) -> None:
    result = world.gateway.charge(charge_request(customer, card, amount=amount, currency=currency))
    assert (result.outcome, result.charged) == (Outcome.SUCCEEDED, charged)


def test_a_page_asks_for_what_a_charge_would(world: World, customer: str) -> None:
    need(world, "pages")
    page = world.gateway.open_checkout(checkout_request(customer, 5004, 5004, 5004, currency="KWD"))
    world.pay_page(page.reference, "ok")
    state = world.gateway.checkout(page.reference)
    assert state.charge is not None
    assert state.charge.charged == 15010


def test_minimums_are_in_our_units(world: World) -> None:
    minimum = world.gateway.minimum
    assert [minimum(code) for code in ("USD", "GBP", "JPY", "HUF", "KWD")] == [50, 30, 50, 17500, 500]


def test_what_happened_is_listed(world: World, customer: str, card: str) -> None:
    since = datetime.now(UTC) - timedelta(seconds=30)
    request = charge_request(customer, card)
    reference = world.gateway.charge(request).reference
    notices, _ = world.gateway.notices_since(since, None)
    assert [notice.created for notice in notices] == sorted(notice.created for notice in notices)
    mine = [notice for notice in notices if notice.reference == reference]
    assert [notice.kind for notice in mine] == ["payment_intent.succeeded"]
    assert (
        mine[0].env,
        mine[0].customer_id,
        mine[0].subscription_id,
        mine[0].invoice_id,
        mine[0].attempt,
    ) == (
        "sbx_contract",
        "cus_contract",
        "sub_contract",
        request.invoice_id,
        1,
    )


def test_the_list_goes_on_with_older_pages(world: World, customer: str, card: str) -> None:
    need(world, "pages")
    since = datetime.now(UTC) - timedelta(hours=1)
    made = {world.gateway.charge(charge_request(customer, card)).reference for _ in range(105)}
    seen: list[str] = []
    cursor: str | None = None
    oldest = datetime.max.replace(tzinfo=UTC)
    while True:
        notices, cursor = world.gateway.notices_since(since, cursor)
        if paid := [notice for notice in notices if notice.kind.startswith("payment_intent")]:
            assert paid[-1].created <= oldest
            oldest = paid[0].created
        seen += [notice.id for notice in notices]
        made -= {notice.reference for notice in notices}
        if cursor is None:
            break
    assert not made
    assert len(seen) == len(set(seen)) > 100


def test_a_customer_who_is_forgotten_cannot_be_charged(world: World) -> None:
    """Twice is once."""
    gateway = world.gateway
    person = gateway.ensure_customer("sbx_contract", new_customer())
    card = gateway.attach_method(person, "pm_card_visa").id
    for _ in range(2):
        gateway.forget_customer(person)
    with suppress(GatewayMisuseError):
        assert gateway.charge(charge_request(person, card)).outcome is Outcome.DECLINED
