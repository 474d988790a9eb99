"""Checkout Sessions of the Stripe stand-in and their hosted page, as a browser would use it."""

import html
import re
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest
import stripe

from infra.local.stripe_standin.embedded import standin

SUCCESS = "http://127.0.0.1:1/done?session={CHECKOUT_SESSION_ID}"
CANCEL = "http://127.0.0.1:1/cancelled"
TYPED = {"email": "ada@example.com", "cardExpiry": "12 / 34", "cardCvc": "123", "billingName": "Ada"}


class NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


BROWSER = urllib.request.build_opener(NoRedirect)


def visit(url, **fields):
    """(status, location, text) of a GET, or of a form post."""
    data = urllib.parse.urlencode(fields).encode() if fields else None
    try:
        answer = BROWSER.open(url, data, timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    text = html.unescape(answer.read().decode())
    return answer.status, answer.headers.get("Location"), text


@pytest.fixture(scope="module")
def running():
    with standin() as it:
        yield it


@pytest.fixture
def v1(running):
    running.control("reset", {})
    return running.client().v1


@pytest.fixture
def customer(v1):
    return v1.customers.create({"email": "ada@example.com"})


def price(amount=2900, currency="usd", name="Pro", **more):
    return {
        "price_data": {"currency": currency, "unit_amount": amount, "product_data": {"name": name}},
        **more,
    }


def payment(v1, **more):
    params = {
        "mode": "payment",
        "line_items": [price(quantity=2), price(1050, name="Seats & <more>")],
        "success_url": SUCCESS,
        "cancel_url": CANCEL,
        "client_reference_id": "signup_1",
        "metadata": {"signup": "1"},
        "payment_intent_data": {"metadata": {"invoice": "inv_1"}, "setup_future_usage": "off_session"},
        **more,
    }
    return v1.checkout.sessions.create({name: value for name, value in params.items() if value is not None})


def setup(v1, **more):
    params = {"mode": "setup", "currency": "usd", "success_url": SUCCESS, "cancel_url": CANCEL, **more}
    return v1.checkout.sessions.create(params)


def types(v1):
    return [event.type for event in v1.events.list({"limit": 100}).data][::-1]


# --- The session -------------------------------------------------------------------------------------------


def test_a_payment_session_as_it_is_created(running, v1, customer):
    session = payment(v1, customer=customer.id, expand=["line_items"])
    assert (session.status, session.payment_status, session.payment_intent) == ("open", "unpaid", None)
    assert (session.amount_total, session.currency, session.customer) == (6850, "usd", customer.id)
    assert (session.client_reference_id, session.metadata.to_dict()) == ("signup_1", {"signup": "1"})
    assert session.url == f"{running.url}/c/pay/{session.id}"
    assert 23 * 3600 < session.expires_at - session.created <= 24 * 3600
    assert [(i.description, i.amount_total) for i in session.line_items.data] == [
        ("Pro", 5800),
        ("Seats & <more>", 1050),
    ]
    assert len(v1.checkout.sessions.line_items.list(session.id).data) == 2
    assert "line_items" not in v1.checkout.sessions.retrieve(session.id)
    assert [s.id for s in v1.checkout.sessions.list({"customer": customer.id, "status": "open"}).data] == [
        session.id
    ]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"line_items": None}, "line_items"),
        ({"success_url": None}, "success_url"),
        ({"setup_intent_data": {"description": "x"}}, "setup_intent_data"),
        ({"line_items": [price(49)]}, "line_items"),
        ({"line_items": [price(currency="xyz")]}, "line_items[0][price_data][currency]"),
        ({"line_items": [price(), price(currency="eur")]}, "line_items"),
        ({"expires_at": int(time.time()) + 60}, "expires_at"),
        ({"expires_at": int(time.time()) + 25 * 3600}, "expires_at"),
        ({"customer": "cus_missing"}, "customer"),
    ],
)
def test_sessions_that_cannot_be_created(v1, change, param):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        payment(v1, **change)
    assert refused.value.param == param


def test_set_up_sessions_need_a_currency_or_types(v1):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        v1.checkout.sessions.create({"mode": "setup", "success_url": SUCCESS})
    assert refused.value.param == "currency"


# --- Paying ------------------------------------------------------------------------------------------------


def test_paying_on_the_hosted_page(v1, customer):
    session = payment(v1, customer=customer.id)
    status, _, text = visit(session.url)
    assert status == 200
    for shown in ("$68.50", "Pro", "$58.00", "Pay $68.50", 'value="ada@example.com"', CANCEL):
        assert shown in text
    status, location, _ = visit(session.url, cardNumber="4242 4242 4242 4242", **TYPED)
    assert (status, location) == (303, f"http://127.0.0.1:1/done?session={session.id}")
    paid = v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent.payment_method"]})
    assert (paid.status, paid.payment_status, paid.url) == ("complete", "paid", None)
    assert paid.customer_details.email == "ada@example.com"
    intent = paid.payment_intent
    assert (intent.status, intent.amount_received, intent.metadata.to_dict()) == (
        "succeeded",
        6850,
        {"invoice": "inv_1"},
    )
    assert (intent.payment_method.customer, intent.payment_method.billing_details.name) == (
        customer.id,
        "Ada",
    )
    assert types(v1)[-5:] == [
        "payment_intent.created",
        "payment_method.attached",
        "charge.succeeded",
        "payment_intent.succeeded",
        "checkout.session.completed",
    ]
    later = {"amount": 500, "currency": "usd", "customer": customer.id, "payment_method": intent.payment_method.id,
             "off_session": True, "confirm": True, "allowed_payment_method_types": ["card"]}  # fmt: skip
    assert v1.payment_intents.create(later).status == "succeeded"


def test_a_second_submission_pays_nothing_more(running, v1):
    session = payment(v1)
    for _ in range(2):
        status, location, _ = visit(session.url, cardNumber="4242424242424242", **TYPED)
        assert (status, location[:26]) == (303, "http://127.0.0.1:1/done?se")
    assert running.control("state")["counts"]["charge"] == 1
    assert "all done" in visit(session.url)[2]


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        ({"cardNumber": "4000000000000002"}, "Your card was declined."),
        ({"cardNumber": "4000000000009995"}, "insufficient funds"),
        ({"cardNumber": "4000000000000069"}, "has expired"),
        ({"cardNumber": "4000000000000127"}, "security code is incorrect"),
        ({"cardNumber": "4242424242424241"}, "card number is incorrect"),
        ({"cardNumber": "4242424242424242", "cardExpiry": "13/34"}, "expiration month"),
        ({"cardNumber": "4242424242424242", "cardExpiry": "12"}, "incomplete"),
        ({"cardNumber": "4242424242424242", "cardCvc": ""}, "incomplete"),
    ],
)
def test_a_decline_is_shown_and_another_card_can_pay(v1, typed, message):
    session = payment(v1)
    assert visit(session.url, **{**TYPED, **typed})[:2] == (303, f"/c/pay/{session.id}")
    text = visit(session.url)[2]
    alert = re.search(r'role="alert">([^<]*)<', text)
    assert message in alert[1]
    assert 'value="ada@example.com"' in text
    assert typed["cardNumber"] not in text
    assert v1.checkout.sessions.retrieve(session.id).status == "open"
    assert visit(session.url, **TYPED, cardNumber="5555555555554444")[1].startswith("http://127.0.0.1:1/done")
    assert 'role="alert"' not in visit(session.url)[2]


def test_a_guest_who_will_be_charged_again_becomes_a_customer(v1):
    session = payment(v1)
    visit(session.url, cardNumber="4242424242424242", **TYPED)
    paid = v1.checkout.sessions.retrieve(session.id, {"expand": ["customer"]})
    assert (paid.customer.email, paid.customer.name) == ("ada@example.com", "Ada")
    once = payment(v1, payment_intent_data=None)
    visit(once.url, cardNumber="4242424242424242", **TYPED)
    assert v1.checkout.sessions.retrieve(once.id).customer is None


@pytest.mark.parametrize("passed", [True, False])
def test_the_customer_confirms_with_the_bank(v1, customer, passed):
    session = payment(v1, customer=customer.id)
    assert visit(session.url, cardNumber="4000 0025 0000 3155", **TYPED)[1] == f"/c/pay/{session.id}"
    text = visit(session.url)[2]
    assert "Complete authentication" in text
    assert "Fail authentication" in text
    outcome = visit(f"{session.url}/authenticate", outcome="complete" if passed else "fail")
    after = v1.checkout.sessions.retrieve(session.id, {"expand": ["payment_intent"]})
    if passed:
        assert outcome[1].startswith("http://127.0.0.1:1/done")
        assert (after.status, after.payment_intent.status) == ("complete", "succeeded")
    else:
        assert outcome[1] == f"/c/pay/{session.id}"
        assert "unable to authenticate" in visit(session.url)[2]
        assert (after.status, after.payment_intent.status) == ("open", "requires_payment_method")


def test_saving_a_card(v1, customer):
    session = setup(v1, customer=customer.id, setup_intent_data={"metadata": {"environment": "sbx"}})
    assert (session.payment_status, session.amount_total) == ("no_payment_required", None)
    assert "Save card" in visit(session.url)[2]
    visit(session.url, cardNumber="4000000000009995", **TYPED)
    assert "insufficient funds" in visit(session.url)[2]
    visit(session.url, cardNumber="4000002500003155", **TYPED)
    visit(f"{session.url}/authenticate", outcome="complete")
    done = v1.checkout.sessions.retrieve(session.id, {"expand": ["setup_intent.payment_method"]})
    assert (done.status, done.setup_intent.status) == ("complete", "succeeded")
    assert done.setup_intent.metadata.to_dict() == {"environment": "sbx"}
    assert done.setup_intent.payment_method.customer == customer.id
    assert types(v1)[-2:] == ["setup_intent.succeeded", "checkout.session.completed"]


@pytest.mark.parametrize("outcome", ["succeeded", "failed"])
def test_a_debit_on_the_page_is_settled_later(running, v1, customer, outcome):
    session = payment(
        v1,
        customer=customer.id,
        line_items=[price(currency="eur")],
        allowed_payment_method_types=["card", "sepa_debit"],
    )
    assert "IBAN" in visit(session.url)[2]
    visit(session.url, method="sepa_debit", iban="AT61 1904 3002 3457 3201", **TYPED)
    after = v1.checkout.sessions.retrieve(session.id)
    assert (after.status, after.payment_status) == ("complete", "unpaid")
    running.control(f"payment_intents/{after.payment_intent}/settle", {"outcome": outcome})
    assert types(v1)[-1] == f"checkout.session.async_payment_{outcome}"
    assert v1.checkout.sessions.retrieve(session.id).payment_status == (
        "paid" if outcome == "succeeded" else "unpaid"
    )


# --- Ending ------------------------------------------------------------------------------------------------


def test_an_expired_session_cannot_be_paid(running, v1):
    session = payment(v1)
    visit(session.url, cardNumber="4000000000000002", **TYPED)
    intent = v1.checkout.sessions.retrieve(session.id).payment_intent
    with pytest.raises(stripe.InvalidRequestError, match="Expire the Checkout Session"):
        v1.payment_intents.cancel(intent)
    assert v1.checkout.sessions.expire(session.id).status == "expired"
    assert v1.payment_intents.retrieve(intent).status == "canceled"
    assert types(v1)[-2:] == ["payment_intent.canceled", "checkout.session.expired"]
    visit(session.url, cardNumber="4242424242424242", **TYPED)
    status, _, text = visit(f"{running.url}/c/pay/{session.id}")
    assert (status, "expired" in text) == (410, True)
    assert running.control("totals")["currencies"]["usd"]["charged"] == 0
    with pytest.raises(stripe.InvalidRequestError):
        v1.checkout.sessions.expire(session.id)


def test_an_expired_session_cannot_be_paid_by_order_either(running, v1):
    session = payment(v1)
    v1.checkout.sessions.expire(session.id)
    with pytest.raises(AssertionError, match="no longer be paid"):
        running.control(f"checkout_sessions/{session.id}/pay", {"card": "pm_card_visa"})


def test_a_card_form_sent_twice_while_the_bank_asks_changes_nothing(running, v1):
    session = payment(v1)
    visit(session.url, cardNumber="4000002500003155", **TYPED)
    visit(session.url, cardNumber="4242424242424242", **TYPED)
    assert "Complete authentication" in visit(session.url)[2]
    assert running.control("state")["counts"]["charge"] == 0


def test_a_set_up_session_guards_its_intent(v1):
    session = setup(v1)
    with pytest.raises(stripe.InvalidRequestError):
        v1.setup_intents.cancel(session.setup_intent)
    v1.checkout.sessions.expire(session.id)
    assert v1.setup_intents.retrieve(session.setup_intent).status == "canceled"


def test_a_paid_session_cannot_expire(v1, running):
    session = payment(v1)
    running.control(f"checkout_sessions/{session.id}/pay", {"card": "pm_card_visa"})
    with pytest.raises(stripe.InvalidRequestError):
        v1.checkout.sessions.expire(session.id)
    with pytest.raises(AssertionError):
        running.control(f"checkout_sessions/{session.id}/expire", {})


def test_time_expires_a_session(running, v1):
    session = payment(v1)
    assert running.control(f"checkout_sessions/{session.id}/expire", {})["status"] == "expired"
    assert types(v1)[-1] == "checkout.session.expired"


def test_a_session_whose_time_is_over_is_expired_when_it_is_looked_at_and_by_itself(running, v1):
    store = running.server.standin.store
    seen, unseen = payment(v1), payment(v1)
    for session in (seen, unseen):
        store.get("checkout.session", session.id).data["expires_at"] = int(time.time()) - 1
    assert v1.checkout.sessions.retrieve(seen.id).status == "expired"
    deadline = time.monotonic() + 5
    while types(v1).count("checkout.session.expired") < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert store.get("checkout.session", unseen.id).data["status"] == "expired"


def test_a_declining_card_paid_by_order_answers_402(running, v1):
    session = payment(v1)
    with pytest.raises(AssertionError, match="402"):
        running.control(f"checkout_sessions/{session.id}/pay", {"card": "4000000000000002"})
    assert (
        running.control(f"checkout_sessions/{session.id}/pay", {"card": "4242424242424242"})["status"]
        == "complete"
    )


# --- Other pages -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("passed", [True, False])
def test_the_confirmation_page_of_an_intent(v1, passed):
    asked = v1.payment_intents.create(
        {"amount": 900, "currency": "eur", "payment_method": "pm_card_authenticationRequired", "confirm": True,
         "return_url": "https://shop.example/back?x=1"}
    )  # fmt: skip
    url = asked.next_action.redirect_to_url.url
    assert "€9.00" in visit(url)[2]
    location = visit(url, outcome="complete" if passed else "fail")[1]
    assert location.startswith(f"https://shop.example/back?x=1&payment_intent={asked.id}")
    assert location.endswith("redirect_status=" + ("succeeded" if passed else "failed"))
    after = v1.payment_intents.retrieve(asked.id).status
    assert after == ("succeeded" if passed else "requires_payment_method")
    assert visit(url.split("?")[0] + "?client_secret=wrong")[0] == 404


def test_pages_are_safe_to_show(running, v1):
    session = payment(v1, line_items=[price(name="<script>alert(1)</script>")])
    answer = urllib.request.urlopen(session.url)
    assert b"<script>" not in answer.read()
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert visit(f"{running.url}/c/pay/cs_test_nothing")[0] == 404
    assert visit(f"{running.url}/favicon.ico")[0] == 404
