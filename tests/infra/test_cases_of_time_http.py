"""More worked cases of `tests/cases.yaml` through the API: anchors, changes of plan, trials, arrears, terms."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from chalicelib.application.collection import collect_due
from chalicelib.application.renewals import renew_subscription
from chalicelib.domain.calendar import local_day
from chalicelib.domain.errors import DomainError
from tests.cases import case_ids, expected, given
from tests.infra.billing_api import Billing
from tests.infra.test_cases_http import advance_to, amounts, case_on, explained, plan, price, publish
from tests.scenario.world import World


def periods(billing: Billing, customer: str) -> list[list[str]]:
    """[first day, first day after it] of each invoice, oldest first, in the customer's zone."""
    found = reversed(billing.invoices(customer))
    zone = billing.ok("GET", f"/v1/customers/{customer}")["time_zone"]
    return [
        [str(local_day(datetime.fromisoformat(each["period"][end]), zone)) for end in ("start", "end")]
        for each in found
    ]


@pytest.mark.parametrize(("kind", "year"), [("non_leap", 2027), ("leap", 2028)])
def test_anc_07_the_31st_of_january(kind, year):
    with case_on(f"{year}-01-31T00:00:00+00:00") as billing:
        publish(billing, plan(price(amount=1000)))
        customer = billing.customer("pm_card_visa")
        billing.subscribe(customer, "pro")
        advance_to(billing, f"{year}-04-30T12:00:00Z")
        renewed = [first for first, _ in periods(billing, customer)[1:]]
    assert renewed == [f"{year}-{day}" for day in expected("ANC-07")[kind]]


def test_anc_13_eighteen_months_in_juneau_after_a_trial():
    case, wanted = given("ANC-13"), expected("ANC-13")
    with case_on(case["start"].replace("Z", "+00:00")) as billing:
        trial = {"days": case["trial_days"], "card_required": True}
        publish(billing, plan(price(amount=case["plan"]["amount"]), trial=trial))
        customer = billing.customer("pm_card_visa", time_zone=case["tz"])
        billing.subscribe(customer, "pro", trial_days=case["trial_days"])
        advance_to(billing, "2015-11-01T12:00:00Z")
        billing.ok("POST", "/v1/clock/advance", {"by": "P17M"})
        found = periods(billing, customer)
        assert found[0] == wanted["first_paid_period"]
        assert {int(start[-2:]) for start, _ in found} == {wanted["periods_start_on_day"]}
        assert {invoice["total"] for invoice in billing.invoices(customer)} == {wanted["each_invoice"]}
        assert len(found) - 1 == wanted["invoices_in_loop"]


def test_anc_14_the_end_of_a_trial_is_the_anchor():
    case, wanted = given("ANC-14"), expected("ANC-14")
    with case_on(case["trial_start"].replace("Z", "+00:00")) as billing:
        publish(billing, plan(price(amount=1000), trial={"days": case["trial_days"], "card_required": True}))
        customer = billing.customer("pm_card_visa")
        sub = billing.subscribe(customer, "pro", trial_days=case["trial_days"])
        assert sub["trial"]["end"] == wanted["trial_end"]
        advance_to(billing, wanted["trial_end"])
        sub = billing.ok("GET", f"/v1/subscriptions/{sub['id']}")
        assert [sub["current_period"][end] for end in ("start", "end")] == wanted["first_paid_period"]
        assert (sub["status"], datetime.fromisoformat(sub["anchor"]).day) == ("active", wanted["anchor_day"])


def test_anc_16_every_thirty_days():
    wanted = expected("ANC-16")
    with case_on("2011-09-01T00:00:00+00:00") as billing:
        publish(billing, plan(price(amount=1000) | {"interval": "day", "interval_count": 30}))
        customer = billing.customer("pm_card_visa")
        billing.subscribe(customer, "pro", interval="day", interval_count=30)
        advance_to(billing, "2011-10-03T00:00:00Z")
        assert periods(billing, customer) == [item["period"] for item in wanted["items"]]
        assert sum(invoice["total"] for invoice in billing.invoices(customer)) == wanted["total"]


def test_pro_07_add_ons_change_with_their_plan():
    """What an add-on costs with another plan is another add-on here; the change swaps them in one go."""
    case, wanted = given("PRO-07")["add_on_shared_by_both_plans"], expected("PRO-07")
    only = given("PRO-07")["add_on_only_in_new"]
    with case_on("2023-08-01T00:00:00+00:00") as billing:
        add_ons = [
            {"id": name, "name": name, "prices": [price(amount=amount)]}
            for name, amount in (("before", case["old"]), ("after", case["new"]), ("only", only))
        ]
        plans = [
            plan(price(amount=100), id=name, name=name, rank=rank) for rank, name in enumerate(("a", "b"))
        ]
        publish(billing, *plans, add_ons=add_ons)
        customer = billing.customer("pm_card_visa")
        sub = billing.subscribe(customer, "a", add_ons=[{"id": "before"}], billing="calendar")
        advance_to(billing, "2023-08-21T12:00:00Z")
        changed = {"plan": "b", "add_ons": [{"id": "after"}, {"id": "only"}]}
        billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change", changed)
        lines = {
            (line["product"], line["amount"] < 0): line["amount"]
            for line in billing.invoices(customer)[0]["lines"]
        }
        assert lines["after", False] + lines["before", True] == wanted["shared_add_on_charge"]
        assert lines["only", False] == wanted["new_add_on_charge"]
        explained(billing, customer)


@pytest.mark.parametrize(
    ("name", "start", "at"),
    [
        ("a", "2024-08-01", "2024-10-01"),
        ("b", "2024-02-18", "2024-09-05"),
        ("c", "2023-02-18", "2023-09-05"),
    ],
)
def test_pro_19_by_the_second(name, start, at):
    case, wanted = given("PRO-19"), expected("PRO-19")[name]
    with case_on(f"{start}T00:00:00+00:00") as billing:
        plans = [
            plan(price(amount=case[which]) | {"interval": "year"}, id=which, name=which, rank=rank)
            for rank, which in enumerate(("old", "new"))
        ]
        publish(billing, *plans, proration="second")
        customer = billing.customer("pm_card_visa")
        sub = billing.subscribe(customer, "old", interval="year")
        advance_to(billing, f"{at}T00:00:00Z")
        billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change", {"plan": "new"})
        assert amounts(billing.invoices(customer)[0]) == [-wanted["credit"], wanted["debit"]]
        explained(billing, customer)


def test_pro_22_three_switches_by_the_second():
    """Each switch is billed as it is made; together they come to what one invoice would."""
    case, wanted = given("PRO-22"), expected("PRO-22")
    with case_on("2025-06-01T00:00:00+00:00") as billing:
        names = [f"p{rank}" for rank, _ in enumerate(case["plans"])]
        plans = [
            plan(price(amount=amount), id=name, name=name, rank=rank)
            for rank, (name, amount) in enumerate(zip(names, case["plans"], strict=True))
        ]
        publish(billing, *plans, proration="second")
        customer = billing.customer("pm_card_visa")
        sub = billing.subscribe(customer, "p0")
        for name, day in zip(names[1:], ("07", "13", "19"), strict=True):
            advance_to(billing, f"2025-06-{day}T00:00:00Z")
            billing.ok("POST", f"/v1/subscriptions/{sub['id']}/change", {"plan": name})
        entries = [
            amount
            for invoice in list(reversed(billing.invoices(customer)))[1:]
            for amount in amounts(invoice)
        ]
        assert entries == wanted["entries"]
        assert sum(entries) == wanted["net_on_next_invoice"]


def test_pro_31_what_is_previewed_is_what_is_invoiced():
    case, wanted = given("PRO-31"), expected("PRO-31")
    with case_on() as billing:
        prices = [
            price(amount=case["old"]["amount"]),
            price(amount=case["new"]["amount"]) | {"interval": "year"},
        ]
        publish(billing, plan(prices))
        customer = billing.customer("pm_card_visa")
        sub = billing.subscribe(customer, "pro")
        path, change = f"/v1/subscriptions/{sub['id']}/change", {"interval": "year"}
        shown = billing.ok("POST", f"{path}/preview", change)
        billing.ok("POST", path, {**change, "preview_token": shown["token"]})
        (invoice,) = shown["invoices"]
        assert invoice["total"] == wanted["preview_total"]
        assert billing.invoices(customer)[0]["total"] == wanted["invoice_total"]


def test_trl_01_a_trial_that_is_billed_on_the_calendar():
    case, wanted = given("TRL-01"), expected("TRL-01")
    with case_on("2024-03-05T12:12:00+00:00") as billing:
        trial = {"days": case["plan"]["trial_days"], "card_required": True}
        publish(billing, plan(price(amount=case["plan"]["amount"]), trial=trial))
        customer = billing.customer("pm_card_visa")
        billing.subscribe(customer, "pro", trial_days=trial["days"], billing="calendar")
        counts = []
        for instant in ("2024-03-10T00:00:00Z", "2024-03-15T12:02:00Z", "2024-03-15T13:02:00Z"):
            advance_to(billing, instant)
            counts.append(len(billing.invoices(customer)))
        assert counts == wanted["invoices_after_each"]
        assert billing.invoices(customer)[0]["total"] == wanted["amount"]


def test_trl_07_a_higher_plan_on_trial_beside_the_one_that_is_paid():
    """Two subscriptions: the higher plan rules while its trial lasts, and the lower one is never interrupted."""
    case, wanted = given("TRL-07"), expected("TRL-07")
    with case_on() as billing:
        terms = case["trial_of"]
        high = plan(
            price(amount=terms["price"]),
            id="enterprise",
            name="Enterprise",
            rank=2,
            quotas={"messages": terms["included_messages"]},
            trial={"days": terms["days"]},
        )
        low = plan(price(amount=1000), quotas={"messages": case["current"]["included_messages"]})
        publish(billing, low, high)
        customer = billing.customer("pm_card_visa")
        pro = billing.subscribe(customer, "pro")
        tried = billing.ok("POST", "/v1/subscriptions", {"customer": customer, "plan": "enterprise"})
        billing.ok("POST", f"/v1/subscriptions/{tried['id']}/cancel", {"reason": "reverts"})
        during = billing.ok("GET", f"/v1/customers/{customer}/entitlements")
        assert (during["plan"], during["quotas"]["messages"]) == ("enterprise", terms["included_messages"])
        billing.advance("P15D")
        after = billing.ok("GET", f"/v1/customers/{customer}/entitlements")
        assert (after["plan"], after["quotas"]["messages"]) == ("pro", case["current"]["included_messages"])
        assert len(billing.invoices(customer)) - 1 == wanted["charged"]
        billing.advance("P20D")
        assert billing.ok("GET", f"/v1/subscriptions/{pro['id']}")["status"] == wanted["after"]["pro"]
        assert len(billing.invoices(customer)) == 2


def test_trl_10_three_reminders_however_often_the_clock_is_turned():
    case, wanted = given("TRL-10"), expected("TRL-10")
    start, _ = case["trial"]
    with case_on(start.replace("Z", "+00:00")) as billing:
        publish(billing, plan(price(amount=1000), trial={"days": 14, "card_required": True}))
        customer = billing.customer("pm_card_visa")
        billing.subscribe(customer, "pro", trial_days=14)
        for day in range(1, 16):
            instant = datetime.fromisoformat(start) + timedelta(days=day, hours=-9)
            for _ in range(2):
                advance_to(billing, instant.isoformat().replace("+00:00", "Z"))
        journal = billing.api.store.journal(billing.api.sandbox.environment.id)
        told = [
            str(entry.at.date())
            for entry in journal
            for fact in entry.facts
            if fact.type == "subscription.trial_will_end"
        ]
        assert (told, len(told)) == (wanted["reminders_on"], wanted["reminders_total"])


def test_cur_04_three_decimals():
    case, wanted = given("CUR-04"), expected("CUR-04")
    with case_on() as billing:
        for currency, minor in ((case["currency"], wanted["minor"]), ("EUR", wanted["same_in_EUR"])):
            publish(billing, plan(price(amount=minor) | {"currency": currency}))
            listed = billing.ok("GET", "/v1/plans", query={"currency": currency})
            assert "100.50" in listed["plans"][0]["prices"][0]["formatted"]
            customer = billing.customer("pm_card_visa", email=f"{currency.lower()}@example.com")
            billing.subscribe(customer, "pro", currency=currency)
            assert billing.invoices(customer)[0]["amount_paid"] == minor


def test_dun_01_five_attempts_and_the_end():
    case, wanted = given("DUN-01"), expected("DUN-01")
    with case_on("2023-12-01T12:00:00+00:00") as billing:
        days = [sum(case["retry_gaps_days"][:step]) for step in range(len(case["retry_gaps_days"]) + 1)]
        publish(billing, plan(price(amount=1000)), dunning={"days": days})
        customer = billing.customer("pm_card_visa")
        sub = billing.subscribe(customer, "pro")
        billing.ok(
            "POST",
            f"/v1/customers/{customer}/payment_methods",
            {"payment_method": "pm_card_chargeCustomerFail"},
        )
        advance_to(billing, "2024-01-21T12:00:00Z")
        assert billing.ok("GET", f"/v1/subscriptions/{sub['id']}")["status"] == wanted["status_during"]
        advance_to(billing, "2024-02-01T00:00:00Z")
        invoice = billing.invoices(customer)[0]
        attempts = billing.ok("GET", f"/v1/invoices/{invoice['id']}/attempts")["data"]
        assert sorted(each["at"][:10] for each in attempts) == wanted["attempts_on"]
        assert len(attempts) == wanted["attempts"]
        assert billing.ok("GET", f"/v1/subscriptions/{sub['id']}")["status"] == "canceled"


def test_dun_12_a_first_payment_that_never_comes():
    """It is given up after 23 hours, before the processor's own page would be."""
    case = given("DUN-12")
    with case_on() as billing:
        publish(billing, plan(price(amount=1000)))
        customer = billing.customer("pm_card_authenticationRequired")
        sub = billing.subscribe(customer, "pro")
        assert (sub["status"], case["first_payment_gates_activation"]) == ("incomplete", True)
        billing.advance(f"PT{case['timeout_hours']}H")
        assert billing.ok("GET", f"/v1/subscriptions/{sub['id']}")["status"] == "incomplete_expired"
        assert billing.invoices(customer)[0]["status"] == "void"


def test_net_01_overdue_from_the_day_after():
    case, wanted = given("NET-01"), expected("NET-01")
    with case_on(f"{case['issued']}T00:00:00+00:00") as billing:
        publish(billing, plan(price(amount=1000)))
        customer = billing.customer()
        terms = {"method": "send_invoice", "net_days": case["net_terms_days"]}
        billing.subscribe(customer, "pro", collection=terms)
        (invoice,) = billing.invoices(customer)
        assert invoice["due_at"][:10] == wanted["due"]
        overdue = []
        for day in ("03", "04"):
            advance_to(billing, f"2025-01-{day}T12:00:00Z")
            overdue.append(billing.invoices(customer)[0]["overdue"])
        assert overdue == [wanted["overdue_on_03"], wanted["overdue_on_04"]]


def test_dun_13_a_processor_that_gives_no_answer_is_asked_ever_more_rarely():
    """Told on the machine's clock, which the API does not move: by the job that an invoice's due row runs."""
    case, wanted = given("DUN-13"), expected("DUN-13")
    world = World(start="2026-01-01T09:00:00+00:00")
    sub = world.subscribe(world.customer("pm_card_visa"), "starter", trial_days=0)
    world.parts.gateway.script(["lost_before_charge"] * 50)
    with suppress(DomainError):
        renew_subscription(world.ctx().at(datetime(2026, 2, 1, 9, tzinfo=UTC)), sub.id)
    gaps = []
    while len(gaps) < case["max_attempts"]:
        (attempt,) = world.invoices(sub)[-1].attempts
        assert attempt.not_before is not None
        gaps.append(int((attempt.not_before - world.machine).total_seconds()))
        world.machine = attempt.not_before
        collect_due(world.ctx(), world.invoices(sub)[-1].id)
    assert gaps == wanted["retry_gaps_seconds"]
    assert (str(world.reload(sub).status), "payment.failed" in world.facts()) == ("active", False)


def test_every_case_has_its_test():
    """By its id, beside what it is about; one is a rule without a request (`unit/test_adjustments.py`)."""
    folder = Path(__file__).parent
    sources = [path.read_text(encoding="utf-8") for path in folder.glob("test_c*_http.py")]
    sources.append((folder.parent / "unit/test_adjustments.py").read_text(encoding="utf-8"))
    assert [id_ for id_ in case_ids() if not any(f'"{id_}"' in source for source in sources)] == []
