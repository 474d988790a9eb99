"""The stand-in's API through the real SDK: objects, cards, rules, errors."""

import pytest
import stripe

from infra.local.stripe_standin.embedded import standin

CARD = {"allowed_payment_method_types": ["card"]}


@pytest.fixture(scope="module")
def running():
    with standin(secret_keys=["sk_test_embedded", "sk_live_embedded"]) as it:
        yield it


@pytest.fixture
def v1(running):
    running.control("reset", {})
    return running.client().v1


@pytest.fixture
def customer(v1):
    return v1.customers.create({"email": "ada@example.com", "metadata": {"environment": "sbx_1"}})


def charge(v1, customer, method, amount=2900, currency="usd", **more):
    return v1.payment_intents.create(
        {
            "amount": amount,
            "currency": currency,
            "customer": customer.id,
            "payment_method": method,
            "confirm": True,
            "off_session": True,
            "metadata": {"environment": "sbx_1", "invoice": "inv_1"},
            **CARD,
            **more,
        }
    )


def saved_card(v1, customer, token="pm_card_visa"):
    return v1.payment_methods.attach(token, {"customer": customer.id})


def event_types(v1):
    return [event.type for event in v1.events.list({"limit": 100}).data][::-1]


# --- Customers and payment methods -------------------------------------------------------------------------


def test_a_customer_is_created_changed_listed_and_deleted(v1, customer):
    changed = v1.customers.update(customer.id, {"name": "Ada", "metadata": {"environment": "", "k": "v"}})
    assert (changed.name, changed.email, changed.metadata.to_dict()) == ("Ada", "ada@example.com", {"k": "v"})
    assert v1.customers.retrieve(customer.id).name == "Ada"
    assert [c.id for c in v1.customers.list({"email": "ada@example.com"}).data] == [customer.id]
    assert v1.customers.delete(customer.id).deleted
    assert v1.customers.retrieve(customer.id).deleted
    assert v1.customers.list().data == []
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.customers.update(customer.id, {"name": "x"})
    assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")


def test_a_default_method_must_belong_to_the_customer(v1, customer):
    other = v1.customers.create({})
    card = saved_card(v1, customer)
    settings = {"invoice_settings": {"default_payment_method": card.id}}
    assert v1.customers.update(customer.id, settings).invoice_settings.default_payment_method == card.id
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.customers.update(other.id, settings)
    assert refused.value.param == "invoice_settings[default_payment_method]"
    v1.payment_methods.detach(card.id)
    assert v1.customers.retrieve(customer.id).invoice_settings.default_payment_method is None


def test_payment_methods_are_owned(v1, customer):
    other = v1.customers.create({})
    card = saved_card(v1, customer)
    with pytest.raises(stripe.InvalidRequestError):
        v1.payment_methods.attach(card.id, {"customer": other.id})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        charge(v1, other, card.id)
    assert (refused.value.param, refused.value.code) == ("payment_method", "resource_missing")
    with pytest.raises(stripe.InvalidRequestError, match="provide the customer"):
        v1.payment_intents.create({"amount": 100, "currency": "usd", "payment_method": card.id, **CARD})
    assert [m.id for m in v1.payment_methods.list({"customer": customer.id, "type": "card"}).data] == [
        card.id
    ]
    assert [m.id for m in v1.customers.payment_methods.list(customer.id).data] == [card.id]
    assert v1.payment_methods.list({"customer": other.id}).data == []


def test_a_detached_method_cannot_be_used_again(v1, customer):
    card = saved_card(v1, customer)
    assert v1.payment_methods.detach(card.id).customer is None
    for attempt in (
        lambda: charge(v1, customer, card.id),
        lambda: v1.payment_methods.attach(card.id, {"customer": customer.id}),
    ):
        with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
            attempt()


def test_a_method_used_once_without_being_saved_is_spent(v1, customer):
    card = v1.payment_methods.create({"type": "card", "card": {"token": "tok_visa"}})
    assert charge(v1, customer, card.id).status == "succeeded"
    with pytest.raises(stripe.InvalidRequestError, match="may not be used again"):
        charge(v1, customer, card.id)


def test_a_card_is_updated_and_its_fingerprint_is_the_number_alone(v1, customer):
    typed = {"number": "4242 4242 4242 4242", "exp_month": 3, "exp_year": 2040, "cvc": "123"}
    one = v1.payment_methods.create({"type": "card", "card": typed, "billing_details": {"name": "Ada"}})
    two = saved_card(v1, customer)
    master = saved_card(v1, customer, "pm_card_mastercard")
    assert one.card.fingerprint == two.card.fingerprint != master.card.fingerprint
    assert (one.card.brand, one.card.last4, one.card.exp_year) == ("visa", "4242", 2040)
    assert (master.card.brand, one.billing_details.name) == ("mastercard", "Ada")
    assert (
        v1.payment_methods.update(two.id, {"card": {"exp_month": 1, "exp_year": 2044}}).card.exp_year == 2044
    )


@pytest.mark.parametrize(
    ("card", "code"),
    [
        ({"number": "4242424242424241", "exp_month": 1, "exp_year": 2040}, "incorrect_number"),
        ({"number": "4111111111111111", "exp_month": 1, "exp_year": 2040}, "card_declined"),
        ({"number": "4242424242424242", "exp_month": 13, "exp_year": 2040}, "invalid_expiry_month"),
        ({"number": "4242424242424242", "exp_month": 1, "exp_year": 2020}, "invalid_expiry_year"),
        ({"number": "4242424242424242", "exp_month": 1, "exp_year": 2040, "cvc": "1"}, "invalid_cvc"),
    ],
)
def test_mistyped_cards_are_refused(v1, card, code):
    with pytest.raises(stripe.CardError) as refused:
        v1.payment_methods.create({"type": "card", "card": card})
    assert (refused.value.http_status, refused.value.code) == (402, code)


# --- Charging ----------------------------------------------------------------------------------------------


def test_an_off_session_charge(v1, customer):
    card = saved_card(v1, customer)
    paid = charge(v1, customer, card.id, expand=["latest_charge.balance_transaction", "payment_method"])
    assert (paid.status, paid.amount_received, paid.payment_method.id) == ("succeeded", 2900, card.id)
    made = paid.latest_charge
    assert (made.status, made.paid, made.amount, made.currency) == ("succeeded", True, 2900, "usd")
    assert made.metadata.to_dict() == {"environment": "sbx_1", "invoice": "inv_1"}
    assert (made.payment_method_details.card.last4, made.payment_method_details.card.brand) == (
        "4242",
        "visa",
    )
    assert made.balance_transaction.net == 2900 - made.balance_transaction.fee
    assert event_types(v1)[-3:] == ["payment_intent.created", "charge.succeeded", "payment_intent.succeeded"]
    assert v1.charges.list({"payment_intent": paid.id}).data[0].id == made.id


DECLINES = [
    ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
    ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
    ("pm_card_chargeDeclinedLostCard", "card_declined", "lost_card"),
    ("pm_card_chargeDeclinedStolenCard", "card_declined", "stolen_card"),
    ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
    ("pm_card_chargeDeclinedIncorrectCvc", "incorrect_cvc", "incorrect_cvc"),
    ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
    ("pm_card_radarBlock", "card_declined", "fraudulent"),
    ("pm_card_chargeCustomerFail", "card_declined", "generic_decline"),
    ("pm_card_authenticationRequired", "authentication_required", "authentication_required"),
]


@pytest.mark.parametrize(("token", "code", "decline_code"), DECLINES)
def test_declines_carry_code_charge_and_intent(v1, customer, token, code, decline_code):
    with pytest.raises(stripe.CardError) as refused:
        charge(v1, customer, token)
    error = refused.value.error
    assert (refused.value.http_status, error.type, error.code) == (402, "card_error", code)
    assert error.decline_code == decline_code
    intent = v1.payment_intents.retrieve(error.payment_intent.id)
    assert (intent.status, intent.payment_method) == ("requires_payment_method", None)
    assert intent.last_payment_error.decline_code == decline_code
    failed = v1.charges.retrieve(error.charge)
    assert (failed.status, failed.failure_code, intent.latest_charge) == ("failed", code, failed.id)
    assert event_types(v1)[-2:] == ["charge.failed", "payment_intent.payment_failed"]


@pytest.mark.parametrize(("token", "code", "decline_code"), DECLINES[:7])
def test_declines_on_attaching_and_on_setting_up(v1, customer, token, code, decline_code):
    with pytest.raises(stripe.CardError) as refused:
        saved_card(v1, customer, token)
    assert refused.value.error.decline_code == decline_code
    with pytest.raises(stripe.CardError) as refused:
        v1.setup_intents.create({"customer": customer.id, "payment_method": token, "confirm": True, **CARD})
    assert refused.value.code == code
    assert refused.value.error.setup_intent.status == "requires_payment_method"


def test_a_card_that_attaches_and_then_declines_and_then_pays_after_replacement(v1, customer):
    bad, good = saved_card(v1, customer, "pm_card_chargeCustomerFail"), saved_card(v1, customer)
    with pytest.raises(stripe.CardError) as refused:
        charge(v1, customer, bad.id)
    paid = v1.payment_intents.confirm(refused.value.error.payment_intent.id, {"payment_method": good.id})
    assert (paid.status, paid.last_payment_error) == ("succeeded", None)


def test_a_card_that_asks_once_is_charged_later_without_asking(running, v1, customer):
    saved = v1.setup_intents.create(
        {
            "customer": customer.id,
            "payment_method": "pm_card_authenticationRequiredOnSetup",
            "confirm": True,
            **CARD,
        }
    )
    assert saved.status == "requires_action"
    running.control(f"setup_intents/{saved.id}/authenticate", {"outcome": "succeeded"})
    saved = v1.setup_intents.retrieve(saved.id, {"expand": ["payment_method"]})
    assert (saved.status, saved.payment_method.customer) == ("succeeded", customer.id)
    assert charge(v1, customer, saved.payment_method.id).status == "succeeded"
    with pytest.raises(stripe.CardError):  # never set up: the bank insists
        charge(v1, customer, "pm_card_authenticationRequiredOnSetup")


def test_authentication_on_session_then_paid(running, v1, customer):
    card = saved_card(v1, customer, "pm_card_authenticationRequired")
    with pytest.raises(stripe.CardError) as refused:
        charge(v1, customer, card.id)
    id = refused.value.error.payment_intent.id
    asked = v1.payment_intents.confirm(
        id, {"payment_method": card.id, "return_url": "https://shop.example/back"}
    )
    assert (asked.status, asked.next_action.type) == ("requires_action", "redirect_to_url")
    running.control(f"payment_intents/{id}/authenticate", {"outcome": "failed"})
    failed = v1.payment_intents.retrieve(id)
    assert failed.last_payment_error.code == "payment_intent_authentication_failure"
    assert v1.payment_intents.confirm(id, {"payment_method": card.id}).status == "requires_action"
    running.control(f"payment_intents/{id}/authenticate", {"outcome": "succeeded"})
    assert v1.payment_intents.retrieve(id).status == "succeeded"
    assert len(v1.charges.list({"payment_intent": id}).data) == 2  # the off-session refusal and the payment


def test_error_on_requires_action_refuses_instead_of_asking(v1, customer):
    with pytest.raises(stripe.CardError) as refused:
        charge(
            v1, customer, "pm_card_authenticationRequired", off_session=False, error_on_requires_action=True
        )
    assert refused.value.code == "authentication_required"


def test_a_bank_debit_is_processing_until_the_bank_answers(running, v1, customer):
    types = {"allowed_payment_method_types": ["sepa_debit"]}
    debit = saved_card(v1, customer, "pm_sepaDebit")
    good = charge(v1, customer, debit.id, currency="eur", **types)
    bad = charge(v1, customer, debit.id, currency="eur", **types)
    assert (good.status, v1.charges.retrieve(good.latest_charge).status) == ("processing", "pending")
    with pytest.raises(stripe.InvalidRequestError):
        v1.payment_intents.cancel(good.id)
    running.control(f"payment_intents/{good.id}/settle", {"outcome": "succeeded"})
    running.control(f"payment_intents/{bad.id}/settle", {"outcome": "failed"})
    assert v1.payment_intents.retrieve(good.id).status == "succeeded"
    assert v1.payment_intents.retrieve(bad.id).last_payment_error.code == "payment_method_provider_decline"
    assert running.control("totals")["currencies"]["eur"]["charged"] == 2900


def test_the_life_of_an_intent(v1, customer):
    intent = v1.payment_intents.create({"amount": 500, "currency": "EUR", "customer": customer.id, **CARD})
    assert (intent.status, intent.currency) == ("requires_payment_method", "eur")
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.payment_intents.confirm(intent.id)
    assert refused.value.code == "payment_intent_unexpected_state"
    changed = v1.payment_intents.update(intent.id, {"amount": 700, "payment_method": "pm_card_visa"})
    assert (changed.amount, changed.status) == (700, "requires_confirmation")
    assert v1.payment_intents.confirm(intent.id, {"setup_future_usage": "off_session"}).status == "succeeded"
    assert [m.card.last4 for m in v1.payment_methods.list({"customer": customer.id}).data] == ["4242"]
    for refusal in (
        lambda: v1.payment_intents.cancel(intent.id),
        lambda: v1.payment_intents.confirm(intent.id),
        lambda: v1.payment_intents.update(intent.id, {"amount": 1000}),
    ):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            refusal()
        assert refused.value.code == "payment_intent_unexpected_state"
        assert refused.value.json_body["error"]["payment_intent"]["status"] == "succeeded"
    other = v1.payment_intents.create({"amount": 500, "currency": "eur", **CARD})
    gone = v1.payment_intents.cancel(other.id, {"cancellation_reason": "abandoned"})
    assert (gone.status, gone.cancellation_reason) == ("canceled", "abandoned")


def test_the_life_of_a_setup_intent(v1, customer):
    intent = v1.setup_intents.create({"customer": customer.id, "metadata": {"a": "b"}, **CARD})
    assert (intent.status, intent.usage) == ("requires_payment_method", "off_session")
    v1.setup_intents.update(intent.id, {"payment_method": "pm_card_amex"})
    done = v1.setup_intents.confirm(intent.id, {"expand": ["payment_method"]})
    assert (done.status, done.payment_method.card.brand) == ("succeeded", "amex")
    assert event_types(v1)[-2:] == ["payment_method.attached", "setup_intent.succeeded"]
    with pytest.raises(stripe.InvalidRequestError):
        v1.setup_intents.cancel(intent.id)
    assert v1.setup_intents.list({"customer": customer.id}).data[0].id == intent.id
    assert v1.setup_intents.cancel(v1.setup_intents.create(CARD).id).status == "canceled"


@pytest.mark.parametrize(
    ("amount", "currency", "code"),
    [
        (49, "usd", "amount_too_small"),
        (29, "gbp", "amount_too_small"),
        (49, "jpy", "amount_too_small"),
        (17499, "huf", "amount_too_small"),
        (100_000_000, "usd", "amount_too_large"),
        (5005, "kwd", None),
        (5050, "isk", None),
        (0, "usd", "parameter_invalid_integer"),
    ],
)
def test_amounts_that_cannot_be_charged(v1, amount, currency, code):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.payment_intents.create({"amount": amount, "currency": currency})
    assert (refused.value.http_status, refused.value.code, refused.value.param) == (400, code, "amount")


@pytest.mark.parametrize(
    ("amount", "currency"), [(50, "usd"), (30, "gbp"), (50, "jpy"), (5000, "kwd"), (5000, "isk")]
)
def test_the_least_amounts_can_be_charged(v1, customer, amount, currency):
    assert charge(v1, customer, "pm_card_visa", amount, currency).amount_received == amount


# --- Refunds and disputes ----------------------------------------------------------------------------------


def test_refunds_never_exceed_the_charge(v1, customer):
    paid = charge(v1, customer, "pm_card_visa")
    part = v1.refunds.create({"payment_intent": paid.id, "amount": 900, "metadata": {"credit_note": "cn_1"}})
    assert (part.status, part.amount, part.charge) == ("succeeded", 900, paid.latest_charge)
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded"):
        v1.refunds.create({"payment_intent": paid.id, "amount": 2001})
    rest = v1.refunds.create({"charge": paid.latest_charge})
    assert rest.amount == 2000
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.refunds.create({"charge": paid.latest_charge, "amount": 1})
    assert refused.value.code == "charge_already_refunded"
    made = v1.charges.retrieve(paid.latest_charge, {"expand": ["refunds"]})
    assert (made.amount_refunded, made.refunded, len(made.refunds.data)) == (2900, True, 2)
    assert [r.id for r in v1.refunds.list({"payment_intent": paid.id}).data] == [rest.id, part.id]
    assert v1.refunds.retrieve(part.id).metadata.to_dict() == {"credit_note": "cn_1"}
    assert event_types(v1)[-1] == "charge.refunded"


def test_nothing_to_refund_on_a_failed_payment(v1, customer):
    with pytest.raises(stripe.CardError) as declined:
        charge(v1, customer, "pm_card_chargeDeclined")
    with pytest.raises(stripe.InvalidRequestError):
        v1.refunds.create({"payment_intent": declined.value.error.payment_intent.id})
    with pytest.raises(stripe.InvalidRequestError):
        v1.refunds.create({"charge": declined.value.error.charge})


def test_disputes_are_opened_and_closed(running, v1, customer):
    paid = charge(v1, customer, "pm_card_visa")
    opened = running.control("disputes", {"payment_intent": paid.id, "reason": "product_not_received"})
    dispute = v1.disputes.retrieve(opened["id"])
    assert (dispute.status, dispute.amount, dispute.payment_intent) == ("needs_response", 2900, paid.id)
    assert v1.charges.retrieve(paid.latest_charge).disputed
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.refunds.create({"payment_intent": paid.id})
    assert refused.value.code == "charge_disputed"
    running.control(f"disputes/{dispute.id}/close", {"status": "won"})
    assert v1.disputes.list({"payment_intent": paid.id}).data[0].status == "won"
    assert v1.refunds.create({"payment_intent": paid.id}).amount == 2900
    types = event_types(v1)
    assert "charge.dispute.created" in types
    assert "charge.dispute.closed" in types


def test_a_disputing_card_disputes_by_itself(v1, customer):
    paid = charge(v1, customer, "pm_card_createDispute")
    assert v1.disputes.list({"charge": paid.latest_charge}).data[0].reason == "fraudulent"


def test_the_network_updates_a_card(running, v1, customer):
    card = saved_card(v1, customer, "pm_card_chargeCustomerFail")
    running.control(
        f"payment_methods/{card.id}/auto_update", {"number": "5555555555554444", "exp_year": 2041}
    )
    fresh = v1.payment_methods.retrieve(card.id)
    assert (fresh.card.brand, fresh.card.last4, fresh.card.exp_year) == ("mastercard", "4444", 2041)
    assert fresh.customer == customer.id
    assert event_types(v1)[-1] == "payment_method.automatically_updated"
    assert charge(v1, customer, card.id).status == "succeeded"


# --- Parameters, lists, expansion, keys --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("params", "name", "code"),
    [
        ({"amount": 100, "currency": "usd", "colour": "red"}, "colour", "parameter_unknown"),
        (
            {"amount": 100, "currency": "usd", "payment_method_options": {"card": {"nope": {"x": 1}}}},
            "payment_method_options[card][nope]",
            "parameter_unknown",
        ),
        ({"currency": "usd"}, "amount", "parameter_missing"),
        ({"amount": "many", "currency": "usd"}, "amount", "parameter_invalid_integer"),
        ({"amount": 100, "currency": "usd", "setup_future_usage": "maybe"}, "setup_future_usage", None),
        ({"amount": 100, "currency": "xyz"}, "currency", None),
        ({"amount": 100, "currency": "usd", "customer": "cus_missing"}, "customer", "resource_missing"),
        ({"amount": 100, "currency": "usd", "off_session": True}, "off_session", None),
        (
            {"amount": 100, "currency": "usd", "confirm": True, "payment_method": "pm_card_visa"},
            "return_url",
            None,
        ),
        (
            {"amount": 100, "currency": "usd", "payment_method_types": ["card"]},
            "payment_method_types",
            "payment_method_types_no_longer_supported",
        ),
        ({"amount": 100, "currency": "usd", "metadata": {"k" * 41: "v"}}, "metadata[" + "k" * 40 + "]", None),
    ],
)
def test_parameters_are_held_to_the_sdk(v1, params, name, code):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.payment_intents.create(params)
    assert (refused.value.http_status, refused.value.param, refused.value.code) == (400, name, code)


def test_unknown_parameters_inside_a_list_are_named(v1):
    line = {
        "price_data": {"currency": "usd", "unit_amount": 500, "product_data": {"name": "Pro", "color": "red"}}
    }
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.checkout.sessions.create(
            {"mode": "payment", "success_url": "https://x.example", "line_items": [line]}
        )
    assert refused.value.param == "line_items[0][price_data][product_data][color]"


def test_lists_have_cursors_and_filters(v1):
    ids = [v1.customers.create({"name": str(n)}).id for n in range(5)][::-1]
    first = v1.customers.list({"limit": 2})
    assert ([c.id for c in first.data], first.has_more) == (ids[:2], True)
    assert [c.id for c in first.auto_paging_iter()] == ids
    back = v1.customers.list({"limit": 2, "ending_before": ids[4]})
    assert ([c.id for c in back.data], back.has_more) == (ids[2:4], True)
    now = v1.customers.retrieve(ids[0]).created
    assert v1.customers.list({"created": {"gt": now + 1000}}).data == []
    assert len(v1.customers.list({"created": {"gte": now - 1000, "lte": now + 1000}}).data) == 5
    with pytest.raises(stripe.InvalidRequestError):
        v1.customers.list({"limit": 101})
    with pytest.raises(stripe.InvalidRequestError):
        v1.customers.list({"starting_after": "cus_missing"})


def test_events_are_listed_by_type_with_snapshots(v1, customer):
    v1.customers.update(customer.id, {"name": "Grace"})
    updated = v1.events.list({"type": "customer.updated"}).data[0]
    assert updated.data.object["name"] == "Grace"
    assert updated.data.previous_attributes["name"] is None
    assert [e.type for e in v1.events.list({"types": ["customer.created"]}).data] == ["customer.created"]
    assert len(v1.events.list({"type": "customer.*"}).data) == 2
    again = v1.events.retrieve(updated.id)
    assert (again.api_version, again.request.id[:4]) == ("2026-10-28.endive", "req_")
    created = v1.events.list({"type": "customer.created"}).data[0]
    assert created.data.object["name"] is None


def test_expansion_of_what_cannot_be_expanded_is_refused(v1, customer):
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        v1.customers.retrieve(customer.id, {"expand": ["nonsense"]})
    paid = charge(v1, customer, "pm_card_visa")
    listed = v1.payment_intents.list(
        {"customer": customer.id, "expand": ["data.latest_charge", "data.customer"]}
    )
    assert listed.data[0].latest_charge.id == paid.latest_charge
    assert listed.data[0].customer.email == "ada@example.com"


def test_keys_versions_and_unknown_paths(running, v1):
    with pytest.raises(stripe.AuthenticationError):
        running.client("sk_test_wrong").v1.customers.list()
    with pytest.raises(stripe.InvalidRequestError, match="API version"):
        v1.customers.list({}, {"stripe_version": "2020-08-27"})
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.products.list()
    assert refused.value.http_status == 404


def test_live_and_test_objects_do_not_see_each_other(running, v1, customer):
    live = running.client("sk_live_embedded").v1
    with pytest.raises(stripe.InvalidRequestError, match="test mode"):
        live.customers.retrieve(customer.id)
    assert live.customers.create({}).livemode
    assert len(live.customers.list().data) == len(v1.customers.list().data) == 1


def test_answers_carry_request_id_and_version(v1):
    headers = v1.customers.create({}).last_response.headers
    assert headers["Request-Id"].startswith("req_")
    assert headers["Stripe-Version"] == "2026-10-28.endive"


def test_totals_by_metadata_and_currency(running, v1, customer):
    paid = charge(v1, customer, "pm_card_visa", 2900)
    charge(v1, customer, "pm_card_visa", 500, "eur")
    charge(v1, customer, "pm_card_visa", 700, metadata={"environment": "other"})
    v1.refunds.create({"payment_intent": paid.id, "amount": 400})
    with pytest.raises(stripe.CardError):
        charge(v1, customer, "pm_card_chargeDeclined")
    sums = running.control("totals?metadata[environment]=sbx_1")["currencies"]
    assert sums["usd"] == {
        "charged": 2900, "refunded": 400, "net": 2500, "charges": 1, "failed": 1, "pending": 0, "disputed": 0,
    }  # fmt: skip
    assert sums["eur"]["charged"] == 500
    assert running.control("totals")["currencies"]["usd"]["charged"] == 3600
    assert running.control("state")["counts"]["charge"] == 4
    assert len(running.control("state?kind=charge&metadata[environment]=sbx_1")["objects"]) == 3
