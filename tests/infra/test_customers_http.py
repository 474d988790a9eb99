"""Customers and members as a client of the API sees them, and what the store keeps of it."""

from __future__ import annotations

import pytest

from chalicelib.application.customers import create_customer, update_customer
from chalicelib.application.records import account_key, claim_key
from chalicelib.domain.errors import AlreadyExistsError
from tests.infra.api import api_on

MISSING = f"cus_{'0' * 26}"


@pytest.fixture
def api():
    with api_on() as api:
        yield api


FULL = {
    "email": "Ada@Example.COM",
    "name": "Ada",
    "legal_name": "Analytical Engines Ltd",
    "external_id": "crm-1",
    "billing_email": "invoices@example.com",
    "address": {"line1": "1 Row", "city": "London", "postal_code": "N1", "country": "gb"},
    "tax_ids": ["GB 980 7806 84", {"type": "gb_vat", "value": "980780684"}],
    "language": "PT-br",
    "currency": "EUR",
    "time_zone": "Europe/London",
    "company_size": 120,
    "domain": "Example.com",
    "terms": {"method": "send_invoice", "net_days": 30},
    "owner": "grace",
    "metadata": {"source": "fair"},
}


def create(api, key=None, **fields):
    answer = api("POST", "/v1/customers", {"email": "ada@example.com", **fields}, key=key)
    assert answer.status == 201, answer.text
    return answer.json


def facts(api, env=None):
    entries = api.store.journal(env or api.sandbox.environment.id)
    return [(fact.type, fact.subject, dict(fact.data)) for entry in entries for fact in entry.facts]


def test_every_field_is_kept_in_its_usual_form(api):
    made = create(api, **FULL)
    assert made["id"].startswith("cus_")
    shown = api("GET", f"/v1/customers/{made['id']}").json
    assert shown == made
    assert shown["email"] == "Ada@example.com"
    assert shown["address"] == {
        "line1": "1 Row",
        "line2": "",
        "city": "London",
        "postal_code": "N1",
        "state": "",
        "country": "GB",
    }
    assert (shown["tax_ids"], shown["tax_exempt"]) == ([{"type": "gb_vat", "value": "GB980780684"}], "none")
    assert (shown["language"], shown["domain"]) == ("pt-BR", "example.com")
    assert shown["terms"] == {"method": "send_invoice", "net_days": 30}
    untouched = (
        "name",
        "legal_name",
        "external_id",
        "billing_email",
        "currency",
        "time_zone",
        "company_size",
    )
    assert {name: shown[name] for name in untouched} == {name: FULL[name] for name in untouched}
    assert (shown["owner"], shown["metadata"]) == ("grace", {"source": "fair"})


def test_an_e_mail_address_is_enough(api):
    made = create(api)
    assert (made["language"], made["time_zone"], made["currency"], made["metadata"]) == (
        "en",
        "UTC",
        None,
        {},
    )
    assert made["terms"] == {"method": "charge_automatically", "net_days": 0}


def test_creating_makes_an_account_and_a_journal_entry_without_personal_data(api):
    made = create(api, **FULL)
    env = api.sandbox.environment.id
    account = api.store.get(account_key(env, made["id"]))
    assert (account.customer_id, account.invoices) == (made["id"], 0)
    assert facts(api) == [("customer.created", made["id"], {})]
    update = {"name": "Countess", "address": {"city": "Ockham"}, "email": "al@example.com"}
    api("PATCH", f"/v1/customers/{made['id']}", update)
    assert facts(api)[1] == ("customer.updated", made["id"], {"changed": ["email", "name", "address"]})
    assert not any(word in repr(facts(api)) for word in ("Countess", "Ockham", "example.com", "crm-1"))


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("email", "no-at.example.com", "email"),
        ("email", "a@localhost", "email"),
        ("email", "a@-x.com", "email"),
        ("email", "a..b@example.com", "email"),
        ("email", "a@example.com\nBcc: b@example.com", "email"),
        ("email", f"{'a' * 65}@example.com", "email"),
        ("email", "", "email"),
        ("billing_email", "x", "billing_email"),
        ("time_zone", "Mars/Base", "time_zone"),
        ("time_zone", "../../etc/passwd", "time_zone"),
        ("currency", "ABC", "currency"),
        ("currency", "usd", "currency"),
        ("language", "english please", "language"),
        ("domain", "https://example.com", "domain"),
        ("address", {"country": "XX"}, "address.country"),
        ("address", {"planet": "Mars"}, "address.planet"),
        ("tax_ids", ["none"], "tax_ids[0]"),
        ("tax_ids", ["12-34", "DE136695977"], "tax_ids[1]"),
        ("tax_ids", [{"type": "eu_vat", "value": "GB980780684"}], "tax_ids[0]"),
        ("tax_exempt", "always", "tax_exempt"),
        ("terms", {"method": "charge_automatically", "net_days": 30}, "terms.net_days"),
        ("terms", {"net_days": 30}, "terms.net_days"),
        ("company_size", 0, "company_size"),
        ("external_id", "  ", "external_id"),
        ("name", "A\u0000B", "name"),
        ("metadata", {str(index): "x" for index in range(51)}, "metadata"),
        ("metadata", {"k" * 41: "x"}, f"metadata.{'k' * 40}"),
        ("metadata", {"a": 1}, "metadata.a"),
        ("balance", 1000, "balance"),
        ("id", "cus_mine", "id"),
    ],
)
def test_what_breaks_a_rule_is_refused_by_name_and_changes_nothing(api, field, value, named):
    refused = api("POST", "/v1/customers", {"email": "ada@example.com", field: value})
    assert (refused.status, refused.json["field"]) == (400, named), refused.text
    made = create(api)
    refused = api("PATCH", f"/v1/customers/{made['id']}", {field: value})
    assert (refused.status, refused.json["field"]) == (400, named), refused.text
    assert api("GET", f"/v1/customers/{made['id']}").json == made


def test_several_wrong_fields_are_named_at_once(api):
    refused = api("POST", "/v1/customers", {"email": "x", "currency": "ABC", "time_zone": "Mars"})
    assert {error["field"] for error in refused.json["errors"]} == {"email", "currency", "time_zone"}


def test_a_patch_changes_what_it_names(api):
    made = create(api, **FULL)
    patch = {
        "name": "Countess",
        "legal_name": None,
        "external_id": None,
        "address": {"line1": None, "city": "Ockham"},
        "metadata": {"source": None, "tier": "gold"},
        "terms": {"net_days": 60},
    }
    answer = api("PATCH", f"/v1/customers/{made['id']}", patch)
    assert answer.status == 200
    expected = made | {
        "name": "Countess",
        "legal_name": "",
        "external_id": None,
        "address": made["address"] | {"line1": "", "city": "Ockham"},
        "metadata": {"tier": "gold"},
        "terms": {"method": "send_invoice", "net_days": 60},
    }
    assert answer.json == expected
    assert api("GET", f"/v1/customers/{made['id']}").json == expected


def test_an_e_mail_address_cannot_be_removed(api):
    made = create(api)
    assert api("PATCH", f"/v1/customers/{made['id']}", {"email": None}).json["field"] == "email"


def test_going_back_to_automatic_charging_needs_no_days(api):
    made = create(api, **FULL)
    answer = api("PATCH", f"/v1/customers/{made['id']}", {"terms": {"method": "charge_automatically"}})
    assert answer.json["terms"] == {"method": "charge_automatically", "net_days": 0}


def test_a_patch_that_changes_nothing_leaves_no_trace(api):
    made = create(api, **FULL)
    assert api("PATCH", f"/v1/customers/{made['id']}", {"name": "Ada", "language": "pt-br"}).json == made
    assert len(facts(api)) == 1


@pytest.mark.parametrize("path", ["", "/members"])
@pytest.mark.parametrize("id_", [MISSING, "cus_", "sub_x", "nonsense", f"cus_{'U' * 26}"])
def test_missing_and_malformed_ids_answer_alike(api, path, id_):
    answer = api("GET", f"/v1/customers/{id_}{path}")
    assert (answer.status, answer.json["code"]) == (404, "not_found")


def test_another_environments_customer_answers_as_a_missing_one(api):
    made, key = create(api), api.live.secret_token
    missing = api("GET", f"/v1/customers/{MISSING}", key=key)
    for method, path, body in (
        ("GET", "", None),
        ("PATCH", "", {"name": "x"}),
        ("GET", "/members", None),
        ("POST", "/members", {"email": "a@example.com"}),
    ):
        foreign = api(method, f"/v1/customers/{made['id']}{path}", body, key=key)
        assert foreign.status == 404
        same = ("code", "title", "detail", "type")
        assert {name: foreign.json[name] for name in same} == {name: missing.json[name] for name in same}


def test_the_same_request_again_answers_the_same_customer(api):
    headers = {"Idempotency-Key": "k1"}
    first = api("POST", "/v1/customers", FULL, headers=headers)
    again = api("POST", "/v1/customers", FULL, headers=headers)
    assert (again.status, again.json) == (201, first.json)
    other = api("POST", "/v1/customers", {**FULL, "name": "Eve"}, headers=headers)
    assert (other.status, other.json["code"]) == (422, "idempotency_mismatch")
    assert [fact[0] for fact in facts(api)] == ["customer.created"]


def test_a_lost_commit_answer_still_makes_one_customer(api):
    """The process dies after the commit; the request runs again with the same key."""
    ctx = api.context(key="again")

    def die(env, records):
        api.store.after_commit = None
        raise ConnectionError

    api.store.after_commit = die
    with pytest.raises(ConnectionError):
        create_customer(ctx, FULL)
    customer = create_customer(ctx, FULL)
    assert customer.external_id == "crm-1"
    assert [fact[0] for fact in facts(api)] == ["customer.created"]


def test_an_external_id_belongs_to_one_customer_of_an_environment(api):
    made = create(api, external_id="crm-1")
    taken = api("POST", "/v1/customers", {"email": "b@example.com", "external_id": "crm-1"})
    assert (taken.status, taken.json["code"], taken.json["field"]) == (409, "already_exists", "external_id")
    other = create(api, external_id="crm-2")
    assert api("PATCH", f"/v1/customers/{other['id']}", {"external_id": "crm-1"}).status == 409
    assert api("GET", f"/v1/customers/{other['id']}").json["external_id"] == "crm-2"
    live = api(
        "POST", "/v1/customers", {"email": "b@example.com", "external_id": "crm-1"}, key=api.live.secret_token
    )
    assert live.status == 201

    def named(external_id):
        page = api("GET", "/v1/customers", query={"external_id": external_id}).json
        return [customer["id"] for customer in page["data"]]

    assert named("crm-1") == [made["id"]]
    assert named("nobody") == []
    api("PATCH", f"/v1/customers/{made['id']}", {"external_id": "crm-9"})
    assert (named("crm-1"), named("crm-9")) == ([], [made["id"]])
    assert api("PATCH", f"/v1/customers/{other['id']}", {"external_id": "crm-1"}).status == 200
    assert named("crm-1") == [other["id"]]
    api("PATCH", f"/v1/customers/{other['id']}", {"external_id": None})
    assert named("crm-1") == []


def test_of_two_customers_taking_one_external_id_at_once_one_gets_it(api):
    first = create_customer(api.context(), {"email": "a@example.com"})
    second = create_customer(api.context(), {"email": "b@example.com"})

    def interfere(env, records):
        api.store.before_commit = None
        update_customer(api.context(), second.id, {"external_id": "crm-1"})

    api.store.before_commit = interfere
    with pytest.raises(AlreadyExistsError):
        update_customer(api.context(), first.id, {"external_id": "crm-1"})
    claim = api.store.get(claim_key(api.sandbox.environment.id, "external_id", "crm-1"))
    assert claim.owner == second.id


def test_two_patches_at_once_both_count(api):
    customer = create_customer(api.context(), {"email": "a@example.com", "metadata": {"a": "1"}})

    def interfere(env, records):
        api.store.before_commit = None
        update_customer(api.context(), customer.id, {"metadata": {"b": "2"}})

    api.store.before_commit = interfere
    updated = update_customer(api.context(), customer.id, {"metadata": {"c": "3"}})
    assert dict(updated.metadata) == {"a": "1", "b": "2", "c": "3"}
    assert [fact[0] for fact in facts(api)] == ["customer.created", "customer.updated", "customer.updated"]


def test_the_list_pages_newest_first_within_its_environment(api):
    live = api.live.secret_token  # a sandbox's clock stands still: what is made there is equally new
    made = [create(api, key=live)["id"] for _ in range(5)]
    create(api)
    seen, cursor = [], None
    while True:
        query = {"limit": "2"} | ({"cursor": cursor} if cursor else {})
        page = api("GET", "/v1/customers", query=query, key=live).json
        assert len(page["data"]) <= 2
        seen += [customer["id"] for customer in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == made[::-1]


@pytest.mark.parametrize(
    "query", [{"limit": "0"}, {"limit": "101"}, {"cursor": "not a cursor"}, {"name": "x"}]
)
def test_a_wrong_list_query_is_refused(api, query):
    answer = api("GET", "/v1/customers", query=query)
    assert (answer.status, answer.json["field"]) == (400, next(iter(query)))


def test_reading_keys_cannot_write_and_publishable_keys_do_nothing_here(api):
    reader = api("POST", "/v1/api_keys", {"name": "reader", "scopes": ["read"]})
    assert reader.status == 201, reader.text
    token = reader.json["key"]
    assert api("GET", "/v1/customers", key=token).status == 200
    assert api("POST", "/v1/customers", {"email": "a@example.com"}, key=token).status == 403
    assert api("GET", "/v1/customers", key=api.sandbox.publishable_token).status == 403


def test_the_segment_is_the_sellers_to_set(api):
    customer = create(api)
    assert customer["segment"] == ""
    path = f"/v1/customers/{customer['id']}"
    assert api("PATCH", path, {"segment": "big.accounts"}).json["segment"] == "big.accounts"
    wrong = api("PATCH", path, {"segment": "Big accounts"})
    assert (wrong.status, wrong.json["field"]) == (400, "segment")
    assert api("PATCH", path, {"segment": None}).json["segment"] == ""


@pytest.mark.parametrize("path", ["/v1/signup_sessions", "/v1/checkout_sessions"])
def test_no_web_page_puts_its_visitor_into_a_segment(api, path):
    body = {"plan": "pro", "segment": "big.accounts"}
    answer = api("POST", path, body, key=api.sandbox.publishable_token)
    assert (answer.status, answer.json["field"]) == (400, "segment")


class TestMembers:
    @pytest.fixture
    def customer(self, api):
        return create(api)["id"]

    def add(self, api, customer, email, key=None, **fields):
        answer = api("POST", f"/v1/customers/{customer}/members", {"email": email, **fields}, key=key)
        assert answer.status == 201, answer.text
        return answer.json

    def test_members_hold_seats(self, api, customer):
        owner = self.add(api, customer, "ada@example.com", name="Ada", role="owner")
        self.add(api, customer, "grace@example.com", seat=False, role="billing")
        self.add(api, customer, "alan@example.com")
        assert owner["id"].startswith("mem_")
        assert (owner["role"], owner["seat"], owner["customer"]) == ("owner", True, customer)
        listed = api("GET", f"/v1/customers/{customer}/members").json
        assert {member["email"].partition("@")[0] for member in listed["data"]} == {"ada", "grace", "alan"}
        assert listed["seats_used"] == 2
        assert api("GET", f"/v1/customers/{customer}/members/{owner['id']}").json == owner

    def test_role_and_seat_can_change(self, api, customer):
        member = self.add(api, customer, "ada@example.com")
        path = f"/v1/customers/{customer}/members/{member['id']}"
        changed = api("PATCH", path, {"role": "admin", "seat": False, "name": "Ada"})
        assert changed.json == member | {"role": "admin", "seat": False, "name": "Ada"}
        assert api("GET", path).json == changed.json
        assert api("GET", f"/v1/customers/{customer}/members").json["seats_used"] == 0
        assert api("PATCH", path, {"email": "other@example.com"}).json["field"] == "email"
        assert api("PATCH", path, {"role": "king"}).json["field"] == "role"

    def test_a_removed_member_is_gone_and_may_come_back(self, api, customer):
        member = self.add(api, customer, "ada@example.com")
        path = f"/v1/customers/{customer}/members/{member['id']}"
        gone = api("DELETE", path)
        assert (gone.status, gone.text) == (204, "")
        assert api("GET", path).status == 404
        assert api("DELETE", path).status == 404
        assert api("PATCH", path, {"seat": True}).status == 404
        assert api("GET", f"/v1/customers/{customer}/members").json["seats_used"] == 0
        assert self.add(api, customer, "ada@example.com")["id"] != member["id"]

    def test_an_e_mail_address_is_one_member_of_a_customer(self, api, customer):
        self.add(api, customer, "ada@example.com")
        twice = api("POST", f"/v1/customers/{customer}/members", {"email": "ADA@example.com"})
        assert (twice.status, twice.json["field"]) == (409, "email")
        self.add(api, create(api)["id"], "ada@example.com")

    def test_another_customers_member_is_not_found(self, api, customer):
        member = self.add(api, customer, "ada@example.com")
        path = f"/v1/customers/{create(api)['id']}/members/{member['id']}"
        assert [
            api("GET", path).status,
            api("PATCH", path, {"seat": False}).status,
            api("DELETE", path).status,
        ] == [
            404,
            404,
            404,
        ]
        assert (
            api("GET", f"/v1/customers/{customer}/members/{member['id']}", key=api.live.secret_token).status
            == 404
        )

    def test_the_list_pages_oldest_first(self, api):
        key, emails = api.live.secret_token, [f"m{number}@example.com" for number in range(5)]
        customer = create(api, key=key)["id"]
        for email in emails:
            self.add(api, customer, email, key=key)
        path, seen, cursor = f"/v1/customers/{customer}/members", [], None
        while True:
            page = api(
                "GET", path, query={"limit": "2"} | ({"cursor": cursor} if cursor else {}), key=key
            ).json
            assert page["seats_used"] == 5
            seen += [member["email"] for member in page["data"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert seen == emails

    def test_facts_tell_what_happened_by_id(self, api, customer):
        member = self.add(api, customer, "ada@example.com", name="Ada")
        path = f"/v1/customers/{customer}/members/{member['id']}"
        api("PATCH", path, {"role": "admin"})
        api("DELETE", path)
        assert facts(api)[1:] == [
            ("member.added", member["id"], {"customer": customer, "role": "member", "seat": True}),
            (
                "member.updated",
                member["id"],
                {"customer": customer, "changed": ["role"], "role": "admin", "seat": True},
            ),
            ("member.removed", member["id"], {"customer": customer, "seat": True}),
        ]
