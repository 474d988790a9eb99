"""The MRR report over HTTP: figures per month, currency and motion, and the rows behind them."""

from __future__ import annotations

import pytest

from chalicelib.application.feed import append
from chalicelib.application.metrics_report import read_months, recount
from tests.infra.billing_api import Billing, billing_on


@pytest.fixture
def billing():
    with billing_on() as billing:
        yield billing


def project(billing: Billing) -> None:
    env, ops = billing.api.sandbox.environment.id, billing.api.services.ops
    append(ops, env, billing.api.store.journal(env))
    assert read_months(ops, env, until="9999-12") == recount(billing.api.store, env)


def report(billing: Billing, path: str = "", **query: str):
    project(billing)
    return billing("GET", f"/v1/reports/mrr{path}", query=query)


def present(billing: Billing) -> str:
    return billing.ok("GET", "/v1/clock")["now"][:7]


def month_of(billing: Billing, month: str, currency: str = "USD"):
    (found,) = report(billing, **{"from": month, "to": month, "currency": currency}).json["data"]
    (shown,) = found["months"]
    return shown


def walked(billing: Billing, path: str, **query: str):
    """All rows, a page of one at a time, after checking that a page of all has the same."""
    rows, cursor = [], {}
    while True:
        page = report(billing, path, limit="1", **cursor, **query).json
        rows += page["data"]
        if page["next_cursor"] is None:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert rows == report(billing, path, limit="100", **query).json["data"]
    return rows


def test_a_year_month_by_month_and_the_rows_behind_it(billing):
    first = present(billing)
    stays, leaves = (billing.subscribe(billing.customer("pm_card_visa")) for _ in range(2))
    billing.advance("P1M")
    second = present(billing)
    billing.ok("POST", f"/v1/subscriptions/{stays['id']}/change", {"plan": "pro"})
    billing.ok("POST", f"/v1/subscriptions/{leaves['id']}/cancel", {"at": "now", "reason": "too_expensive"})
    billing.advance("P2M")

    answer = report(billing)
    assert answer.status == 200, answer.text
    (usd,) = answer.json["data"]
    assert len(usd["months"]) == 12
    assert (answer.json["to"], usd["months"][-1]["month"]) == (present(billing), present(billing))
    by_name = {month["month"]: month for month in usd["months"]}
    opened, moved, quiet = by_name[first], by_name[second], usd["months"][-1]
    assert (opened["opening"], opened["movements"]["new"], opened["closing"]) == (0, 3800, 3800)
    assert (opened["net_revenue_retention"], opened["gross_revenue_retention"]) == (None, None)
    assert opened["subscriptions"] == {
        "opening": 0,
        "new": 2,
        "reactivated": 0,
        "churned": 0,
        "closing": 2,
    }
    assert moved["movements"] == {
        "new": 0,
        "expansion": 1000,
        "contraction": 0,
        "churn": -1900,
        "reactivation": 0,
    }
    assert (moved["net_new"], moved["closing"]) == (-900, 2900)
    assert (moved["net_revenue_retention"], moved["gross_revenue_retention"]) == (7632, 5000)
    assert moved["churn_reasons"] == [{"reason": "too_expensive", "amount": -1900, "subscriptions": 1}]
    assert (quiet["opening"], quiet["closing"], quiet["net_revenue_retention"]) == (2900, 2900, 10_000)
    for before, after in zip(usd["months"], usd["months"][1:], strict=False):
        assert before["closing"] == after["opening"]
        assert after["opening"] + sum(after["movements"].values()) == after["closing"]
    assert [each["motion"] for each in usd["motions"]] == ["api"]
    assert usd["motions"][0]["months"] == usd["months"]

    rows = walked(billing, "/movements", month=first)
    assert sorted((row["subscription"], row["amount"]) for row in rows) == sorted(
        (sub["id"], 1900) for sub in (stays, leaves)
    )
    (churned,) = walked(billing, "/movements", month=second, kind="churn")
    assert (churned["subscription"], churned["reason"], churned["customer"]) == (
        leaves["id"],
        "too_expensive",
        leaves["customer"],
    )
    assert walked(billing, "/movements", month=second, reason="too_expensive") == [churned]
    timeline = billing.ok("GET", f"/v1/customers/{leaves['customer']}/timeline")["data"]
    assert churned["entry"] in {entry["id"] for entry in timeline}
    assert walked(billing, "/movements", month=second, kind="new") == []
    assert walked(billing, "/movements", month=second, motion="sales") == []
    assert walked(billing, "/movements", month=second, currency="EUR") == []


def test_motions_and_currencies_stand_apart(billing):
    month = present(billing)
    billing.subscribe(billing.customer("pm_card_visa"))
    billing.subscribe(billing.customer("pm_card_visa"), currency="EUR")
    customer = billing.customer()
    home = billing.api.services.public_url
    body = {"plan": "starter", "trial_days": 0, "success_url": f"{home}/ok", "cancel_url": f"{home}/no"}
    session = billing.ok("POST", "/v1/checkout_sessions", {"customer": customer, **body})
    billing.gateway.pay_checkout("cs_mem_1")
    env = billing.api.sandbox.environment.id
    billing("GET", "/checkout/return", key="", query={"env": env, "session": session["id"]})

    eur, usd = report(billing, **{"from": month}).json["data"]
    assert (eur["currency"], usd["currency"]) == ("EUR", "USD")
    apart = {each["motion"]: each["months"][-1]["closing"] for each in usd["motions"]}
    assert apart == {"api": 1900, "self_serve": 1900}
    assert usd["months"][-1]["closing"] == 3800
    only = report(billing, motion="self_serve", currency="USD").json["data"]
    assert [each["motion"] for each in only[0]["motions"]] == ["self_serve"]
    assert only[0]["months"] == only[0]["motions"][0]["months"]
    (row,) = walked(billing, "/movements", month=month, motion="self_serve")
    assert row["customer"] == customer
    assert report(billing, currency="JPY").json["data"] == []


def test_trials_count_for_the_month_in_which_they_end(billing):
    payer = billing.customer("pm_card_visa")
    paid = billing.ok("POST", "/v1/subscriptions", {"customer": payer, "plan": "pro", "trial_days": 14})
    quitter = billing.customer("pm_card_visa", email="eve@example.com")
    lost = billing.ok("POST", "/v1/subscriptions", {"customer": quitter, "plan": "pro", "trial_days": 14})
    started = present(billing)
    assert month_of(billing, started)["trials"] == {
        "mrr": 5800,
        "running": 2,
        "ended": 0,
        "paid": 0,
        "lost": 0,
        "undecided": 0,
        "trial_to_paid": None,
    }
    assert month_of(billing, started)["closing"] == 0
    billing.ok("POST", f"/v1/subscriptions/{lost['id']}/cancel", {"at": "period_end"})
    end = paid["trial"]["end"][:7]
    billing.advance("P1M")
    shown = month_of(billing, end)
    assert (shown["trials"]["running"], shown["trials"]["mrr"]) == (0, 0)
    assert (shown["trials"]["paid"], shown["trials"]["lost"], shown["trials"]["trial_to_paid"]) == (
        1,
        1,
        5000,
    )
    rows = {row["subscription"]: row["outcome"] for row in walked(billing, "/trials", month=end)}
    assert rows == {paid["id"]: "paid", lost["id"]: "lost"}
    (row,) = report(billing, "/trials", month=end, outcome="lost").json["data"]
    assert (row["customer"], row["plan"], row["mrr"]) == (quitter, "pro", 0)
    assert walked(billing, "/trials", month=end, motion="sales") == []
    (new,) = walked(billing, "/movements", month=end, reason="trial")
    assert (new["subscription"], new["kind"]) == (paid["id"], "new")


@pytest.mark.parametrize(
    ("path", "query", "field"),
    [
        ("", {"from": "2026-13"}, "from"),
        ("", {"from": "2027-04", "to": "2027-03"}, "from"),
        ("", {"from": "9999-01"}, "from"),
        ("", {"from": "1999-01"}, "from"),
        ("", {"since": "2026-01"}, "since"),
        ("/movements", {}, "month"),
        ("/movements", {"month": "2026-01", "kind": "loss"}, "kind"),
        ("/trials", {"month": "2026-01", "outcome": "won"}, "outcome"),
    ],
)
def test_a_wrong_question_is_refused(billing, path, query, field):
    answer = report(billing, path, **query)
    assert (answer.status // 100, answer.json["field"]) == (4, field)


@pytest.mark.parametrize("cursor", ["0", "zzz", "2027-03", "2099-01#1#evt_1~0"])
@pytest.mark.parametrize("path", ["/movements", "/trials"])
def test_a_cursor_of_somebody_elses_making_leads_nowhere_else(billing, path, cursor):
    billing.subscribe(billing.customer("pm_card_visa"))
    answer = report(billing, path, month=present(billing), cursor=cursor)
    assert answer.status == 200
    assert all(row["at"].startswith(present(billing)) for row in answer.json["data"] if path == "/movements")


def test_a_publishable_key_reads_none_of_it(billing):
    for path in ("", "/movements", "/trials"):
        key = billing.api.sandbox.publishable_token
        answer = billing("GET", f"/v1/reports/mrr{path}", key=key, query={"month": "2026-01"} if path else {})
        assert answer.status == 403
