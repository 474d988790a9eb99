"""The stored form of records: keys, index entries, sizes, and what must stay readable for ever."""

from __future__ import annotations

import base64
import hashlib
import json
from collections import Counter
from dataclasses import replace

import pytest

from chalicelib.adapters.dynamo.items import TYPES, from_image, item_of, record_of
from chalicelib.adapters.dynamo.meter import item_size
from chalicelib.adapters.dynamo.packing import DICTIONARIES, unpack
from chalicelib.adapters.dynamo.tables import BillingItem, OpsItem, connect, open_tables
from chalicelib.adapters.rows import as_stored, expected_version
from chalicelib.application.records import child_key, due_entry, key_of, payment_key, shard_of
from chalicelib.domain import ids
from chalicelib.domain.environment import LIVE
from chalicelib.domain.invoice import Invoice
from infra.local.resources import load_resources
from tests import samples

MARK = "AbCd1234"
ONE_UNIT = 1024
TOKEN = ids.token_of(samples.CUSTOMER)
CLAIM = "live#claim#external_id#" + hashlib.sha256(b"crm-00017").hexdigest()[:32]
RECORDS = samples.every_record()
OPEN_INVOICE = samples.invoice(
    payments=(),
    amount_paid=0,
    paid_at=None,
    collect_at=samples.START,
    attempts=samples.invoice().attempts[:1],
)


def name_of(value):
    return type(value).__name__ if not isinstance(value, str) else value


class TestKeys:
    """Stored: a change here loses every record written before it."""

    EXPECTED = {
        "Environment": ("live", "ENV"),
        "Catalog": ("live", "CAT#00000003"),
        "Customer": (f"live#{TOKEN}", "P"),
        "Account": (f"live#{TOKEN}", "0A"),
        "Subscription": (f"live#{TOKEN}", "0S#"),
        "Invoice": (f"live#{TOKEN}", "I#"),
        "Payment": (f"live#{TOKEN}", "Y#"),
        "Refund": (f"live#{TOKEN}", "R#"),
        "CreditNote": (f"live#{TOKEN}", "N#"),
        "Usage": (f"live#{TOKEN}", "0M#"),
        "UsageEvent": (f"live#{TOKEN}", "E#7b409f932d2c88e97f0c17676c8420d3"),
        "JournalEntry": (f"live#{TOKEN}", "L#2026-03-01T09:30:12.123456+00:00#"),
        "CheckoutSession": (f"live#{TOKEN}", "C#"),
        "Member": (f"live#{TOKEN}", "M#"),
        "SignupSession": (f"live#{TOKEN}", "G#"),
        "Lead": (f"live#{TOKEN}", "D#"),
        "Claim": (CLAIM, "0"),
        "OfferedCoupon": (f"live#{ids.token('coupons')}", "K#"),
        "CouponCount": (f"live#{ids.token('coupon counts', 'SPRING27')}", "T#3"),
        "CouponUse": (f"live#{TOKEN}", "U#"),
    }

    @pytest.mark.parametrize("record", RECORDS, ids=name_of)
    def test_of_every_type(self, record):
        key = key_of(LIVE, record)
        pk, prefix = self.EXPECTED[type(record).__name__]
        own = ids.own_token(record.id) if prefix.endswith("#") else ""
        assert (key.pk, key.sk) == (pk, prefix + own)

    def test_a_payment_leads_to_its_invoice(self):
        invoice = samples.invoice()
        assert payment_key(LIVE, invoice.payments[0].id) == key_of(LIVE, invoice)
        assert child_key(Invoice, LIVE, invoice.id) == key_of(LIVE, invoice)

    def test_every_stored_type_is_sampled(self):
        assert {type(record).__name__ for record in RECORDS} == set(TYPES)


class TestItems:
    @pytest.mark.parametrize("record", RECORDS, ids=name_of)
    def test_read_back_one_version_on(self, record):
        assert record_of(item_of(LIVE, record, MARK)) == as_stored(record, expected_version(record) + 1)

    @pytest.mark.parametrize("record", RECORDS, ids=name_of)
    def test_fit_the_table_model(self, record):
        item = item_of(LIVE, record, MARK)
        model = BillingItem.from_raw_data(item)
        assert model.serialize() == item
        assert (model.pk, model.sk, model.v, model.w) == (*_address(record), 1, MARK)

    def test_an_older_program_reads_what_a_newer_one_wrote(self):
        item = item_of(LIVE, samples.account(), MARK)
        document = json.loads(item["doc"]["S"]) | {"invented": {"later": 1}}
        item["doc"]["S"] = json.dumps(document)
        item["new_attribute"] = {"S": "x"}
        assert record_of(item) == samples.account(version=1)

    def test_what_matters_can_be_read_in_the_table(self):
        document = json.loads(item_of(LIVE, OPEN_INVOICE, MARK)["doc"]["S"])
        assert document["number"] == "INV-54JYXW-000013"
        assert document["status"] == "paid"
        assert document["total"] == 70560

    def test_stream_images_carry_binary_as_base_64(self):
        entry = samples.journal_entry()
        image = item_of("sbx_1", entry, MARK)
        image["packed"] = {"B": base64.b64encode(image["packed"]["B"]).decode()}
        assert from_image(image) == ("sbx_1", replace(entry, version=1))

    def test_images_of_every_type_name_their_environment(self):
        assert {from_image(item_of("sbx_1", record, MARK))[0] for record in RECORDS} == {"sbx_1"}

    def test_the_version_is_stored_once(self):
        assert "version" not in json.loads(item_of(LIVE, samples.account(version=3), MARK)["doc"]["S"])

    def test_the_dictionaries_in_use_are_as_they_were(self):
        """If this fails, every invoice stored so far is lost: append a dictionary, never change one."""
        digests = [hashlib.sha256(words).hexdigest()[:16] for words in DICTIONARIES]
        assert digests[:1] == ["01b7d25af6537111"]

    def test_what_the_first_dictionary_packed_stays_readable(self):
        packed = "AYNGAKigwa0NXROo7INHIGo8ATOgwuHpCkZKqB6qja0FAA=="
        assert unpack(packed, "live#54jyxwe5az4c5p185hdpk0fvqeI#0123456789abcdef") == (
            '{"id":"inv_54jyxwe5az4c5p185hdpk0fvqe0123456789abcdef",'
            '"lines":[{"description":"Pro × 2","amount":1900}]}'
        )


class TestIndexEntries:
    def test_only_what_waits_is_in_the_due_index(self):
        waiting = {type(record).__name__ for record in RECORDS if "due_shard" in item_of(LIVE, record, MARK)}
        assert waiting == {"Subscription", "Refund", "CheckoutSession", "SignupSession"}

    def test_invoices_are_in_no_list(self):
        listed = {type(record).__name__ for record in RECORDS if "list_pk" in item_of(LIVE, record, MARK)}
        assert listed == {"Customer", "Subscription", "SignupSession", "Lead", "OfferedCoupon"}

    def test_a_due_entry_names_shard_instant_and_kind(self):
        subscription = samples.subscription()
        shard = shard_of(LIVE, subscription)
        assert due_entry(LIVE, subscription) == (
            f"live#{shard:02d}",
            "2026-04-01T08:30:12.123456+00:00#renewal",
        )

    def test_live_shards_are_even_and_a_sandbox_has_one(self):
        """100,000 customers: no shard holds more than 1.5 times its share."""
        shards: Counter[int] = Counter()
        for number in range(100_000):
            token = ids.token("spread", str(number))
            shards[shard_of(LIVE, samples.account(f"cus_{token}"))] += 1
        assert set(shards) == set(range(16))
        assert max(shards.values()) < 100_000 / 16 * 1.5
        assert shard_of("sbx_1", samples.subscription()) == 0


class TestSizes:
    """What costs one write unit is at most 1,024 bytes."""

    @pytest.mark.parametrize(
        ("record", "limit"),
        [
            pytest.param(samples.account(), 420, id="account"),
            pytest.param(samples.subscription(), 600, id="subscription"),
            pytest.param(OPEN_INVOICE, 800, id="open invoice of one line"),
            pytest.param(samples.invoice(1), 850, id="paid invoice of one line"),
            pytest.param(samples.invoice(1, declines=3), ONE_UNIT, id="invoice after three declines"),
            pytest.param(samples.invoice(5), ONE_UNIT, id="paid invoice of five lines"),
            pytest.param(samples.journal_entry(), 600, id="journal entry"),
            pytest.param(samples.customer(), 900, id="customer"),
        ],
    )
    def test_of_ordinary_records(self, record, limit):
        size = item_size(item_of(LIVE, record, MARK))
        assert size <= limit <= ONE_UNIT


class TestTables:
    """The models say what infra/resources.json says."""

    @pytest.mark.parametrize(("model", "resource"), [(BillingItem, "BillingTable"), (OpsItem, "OpsTable")])
    def test_keys_and_indexes(self, model, resource):
        properties = load_resources()[resource]["Properties"]
        schema = model._get_schema()
        assert _sorted(schema["key_schema"]) == _sorted(properties["KeySchema"])
        assert _indexes(
            schema["global_secondary_indexes"], "index_name", "key_schema", "projection"
        ) == _indexes(properties.get("GlobalSecondaryIndexes", []), "IndexName", "KeySchema", "Projection")
        assert _sorted(schema["attribute_definitions"]) == _sorted(properties["AttributeDefinitions"])

    def test_both_tables_share_one_client(self):
        connection = connect(endpoint="http://127.0.0.1:9", region="us-east-1")
        tables = open_tables(billing="one", ops="two", connection=connection)
        for model, name in ((tables.billing, "one"), (tables.ops, "two")):
            table = model._get_connection()
            assert table.table_name == name
            assert table.connection.client is tables.client
        assert tables.client.meta.config.connect_timeout == 1
        assert tables.client.meta.config.read_timeout == 3
        assert tables.client.meta.config.max_pool_connections >= 32


def _address(record):
    key = key_of(LIVE, record)
    return key.pk, key.sk


def _sorted(parts):
    return sorted(json.dumps(part, sort_keys=True) for part in parts)


def _indexes(indexes, name, keys, projection):
    return {index[name]: (_sorted(index[keys]), index[projection]["ProjectionType"]) for index in indexes}
