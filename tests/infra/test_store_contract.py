"""The Store port's contract, held against every engine; what needs real concurrency, against real ones."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from chalicelib.adapters.memory import MemoryStore
from chalicelib.application.context import deciding
from chalicelib.application.ports import VersionConflict
from chalicelib.application.records import (
    LAYOUTS,
    Key,
    account_key,
    catalog_key,
    child_key,
    customer_key,
    key_of,
    shard_of,
)
from chalicelib.domain import ids
from chalicelib.domain.checkout import CheckoutStatus
from chalicelib.domain.customer import Account, Claim, Customer, Member
from chalicelib.domain.environment import LIVE
from chalicelib.domain.errors import ConflictError, ValidationError
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import JournalEntry
from chalicelib.domain.schedule import DueKind
from chalicelib.domain.subscription import Status, Subscription
from tests import samples

SANDBOX = "sbx_1"
START = samples.START


def stored(record):
    """The record as it reads after its first write."""
    return replace(record, version=1)


def subscription_of(name, **changes):
    return samples.subscription(ids.child_id("sub", ids.customer_id(name), "1"), **changes)


class TestReading:
    def test_what_is_not_there_is_none(self, store):
        assert store.get(account_key(LIVE, samples.CUSTOMER)) is None

    @pytest.mark.parametrize("record", samples.every_record(), ids=lambda record: type(record).__name__)
    def test_every_type_reads_as_written(self, store, record):
        store.commit(LIVE, record)
        expected = record if type(record).__name__ == "Catalog" else stored(record)
        assert store.get(key_of(LIVE, record)) == expected

    def test_many_come_in_the_order_asked(self, store):
        first, second = samples.account(ids.customer_id("a")), samples.account(ids.customer_id("b"))
        store.commit(LIVE, first, second)
        keys = [account_key(LIVE, ids.customer_id(name)) for name in "bxab"]
        assert store.get_many(keys) == [stored(second), None, stored(first), stored(second)]
        assert store.get_many(keys, consistent=False)[2] == stored(first)
        assert store.get_many([]) == []

    def test_a_hundred_keys_fit_and_no_more(self, store):
        accounts = [samples.account(ids.customer_id(str(number))) for number in range(100)]
        store.commit(LIVE, *accounts)
        keys = [key_of(LIVE, account) for account in accounts]
        assert store.get_many(keys) == [stored(account) for account in accounts]
        with pytest.raises(ValueError, match="101 items"):
            store.get_many([*keys, account_key(LIVE, ids.customer_id("one more"))])

    def test_environments_do_not_see_each_other(self, store):
        store.commit(SANDBOX, samples.account())
        assert store.get(account_key(LIVE, samples.CUSTOMER)) is None
        assert store.get(account_key(SANDBOX, samples.CUSTOMER)) is not None


class TestChildren:
    @pytest.fixture
    def entries(self, store):
        """Five journal entries in order, among other records of the customer and other customers' entries."""
        entries = [
            samples.journal_entry(number=number, at=START + timedelta(minutes=number)) for number in range(5)
        ]
        store.commit(LIVE, *reversed(entries), samples.account(), samples.subscription(), samples.customer())
        store.commit(LIVE, samples.journal_entry(ids.customer_id("other")))
        return [stored(entry) for entry in entries]

    def test_come_in_key_order(self, store, entries):
        assert store.children(JournalEntry, LIVE, samples.CUSTOMER) == entries

    def test_newest_first_and_limited(self, store, entries):
        newest = store.children(JournalEntry, LIVE, samples.CUSTOMER, newest_first=True, limit=2)
        assert newest == [entries[4], entries[3]]

    @pytest.mark.parametrize(("newest_first", "expected"), [(False, [3, 4]), (True, [1, 0])])
    def test_go_on_after_a_suffix(self, store, entries, newest_first, expected):
        after = LAYOUTS[JournalEntry].suffix(entries[2])
        rest = store.children(JournalEntry, LIVE, samples.CUSTOMER, after=after, newest_first=newest_first)
        assert rest == [entries[position] for position in expected]

    def test_go_on_after_a_suffix_that_is_gone(self, store, entries):
        after = (START + timedelta(minutes=2, seconds=30)).isoformat(timespec="microseconds")
        rest = store.children(JournalEntry, LIVE, samples.CUSTOMER, after=after, limit=1)
        assert rest == [entries[3]]

    def test_of_a_customer_without_any(self, store, entries):
        assert store.children(Member, LIVE, samples.CUSTOMER) == []
        assert store.children(JournalEntry, LIVE, ids.customer_id("nobody")) == []

    def test_types_do_not_mix(self, store, entries):
        assert store.children(Account, LIVE, samples.CUSTOMER) == [stored(samples.account())]
        assert store.children(Customer, LIVE, samples.CUSTOMER) == [stored(samples.customer())]


class TestCommit:
    def test_each_write_counts_the_version(self, store):
        store.commit(LIVE, samples.account(invoices=1))
        for invoices in (2, 3):
            account = store.get(account_key(LIVE, samples.CUSTOMER))
            store.commit(LIVE, replace(account, invoices=invoices))
        assert store.get(account_key(LIVE, samples.CUSTOMER)) == samples.account(invoices=3, version=3)

    def test_creating_twice_conflicts(self, store):
        store.commit(LIVE, samples.account(invoices=1))
        with pytest.raises(VersionConflict) as conflict:
            store.commit(LIVE, samples.account(invoices=2))
        assert conflict.value.key == account_key(LIVE, samples.CUSTOMER)
        assert store.get(account_key(LIVE, samples.CUSTOMER)).invoices == 1

    def test_the_same_content_from_somebody_else_conflicts(self, store):
        store.commit(LIVE, samples.account())
        with pytest.raises(VersionConflict):
            store.commit(LIVE, samples.account())
        with pytest.raises(VersionConflict):
            store.commit(LIVE, samples.account(), samples.customer())

    def test_a_lost_update_conflicts(self, store):
        store.commit(LIVE, samples.account())
        mine = theirs = store.get(account_key(LIVE, samples.CUSTOMER))
        store.commit(LIVE, replace(theirs, invoices=14))
        with pytest.raises(VersionConflict):
            store.commit(LIVE, replace(mine, invoices=15))
        assert store.get(account_key(LIVE, samples.CUSTOMER)).invoices == 14

    def test_updating_what_is_not_there_conflicts(self, store):
        with pytest.raises(VersionConflict):
            store.commit(LIVE, samples.account(version=1))
        assert store.get(account_key(LIVE, samples.CUSTOMER)) is None

    def test_all_or_nothing(self, store):
        store.commit(LIVE, samples.account())
        new = [samples.subscription(), samples.invoice(), samples.journal_entry()]
        with pytest.raises(VersionConflict) as conflict:
            store.commit(LIVE, *new, samples.account(), delete=[account_key(LIVE, ids.customer_id("x"))])
        assert conflict.value.key == account_key(LIVE, samples.CUSTOMER)
        assert store.get_many([key_of(LIVE, record) for record in new]) == [None, None, None]

    def test_deletes_belong_to_the_commit(self, store):
        claim = Claim(kind="external_id", value="crm", owner=samples.CUSTOMER, at=START)
        store.commit(LIVE, claim, samples.account())
        with pytest.raises(VersionConflict):
            store.commit(LIVE, samples.account(), delete=[key_of(LIVE, claim)])
        assert store.get(key_of(LIVE, claim)) is not None
        store.commit(LIVE, samples.customer(), delete=[key_of(LIVE, claim)])
        assert store.get_many([key_of(LIVE, claim), customer_key(LIVE, samples.CUSTOMER)]) == [
            None,
            stored(samples.customer()),
        ]

    def test_deleting_alone_and_again(self, store):
        store.commit(LIVE, samples.customer(), samples.account())
        for _ in range(2):
            store.commit(LIVE, delete=[customer_key(LIVE, samples.CUSTOMER)])
            assert store.get(customer_key(LIVE, samples.CUSTOMER)) is None
        assert store.listing(Customer, LIVE, limit=10).records == ()
        assert store.get(account_key(LIVE, samples.CUSTOMER)) is not None

    def test_nothing_to_write_is_nothing(self, store):
        store.commit(LIVE)

    def test_a_hundred_items_fit_and_no_more(self, store):
        accounts = [samples.account(ids.customer_id(str(number))) for number in range(101)]
        with pytest.raises(ValueError, match="101 items"):
            store.commit(LIVE, *accounts)
        with pytest.raises(ValueError, match="101 items"):
            store.commit(LIVE, *accounts[:100], delete=[key_of(LIVE, accounts[100])])
        assert store.get(key_of(LIVE, accounts[0])) is None
        store.commit(LIVE, *accounts[:100])
        assert store.get(key_of(LIVE, accounts[99])) is not None

    def test_one_item_is_written_once(self, store):
        with pytest.raises(ValueError, match="twice"):
            store.commit(LIVE, samples.account(invoices=1), samples.account(invoices=2))
        with pytest.raises(ValueError, match="twice"):
            store.commit(LIVE, samples.account(), delete=[account_key(LIVE, samples.CUSTOMER)])

    def test_a_catalog_is_published_once_under_its_number(self, store):
        store.commit(LIVE, samples.catalog(7))
        with pytest.raises(VersionConflict):
            store.commit(LIVE, samples.catalog(7))
        assert store.get(catalog_key(LIVE, 7)) == samples.catalog(7)


class TestDue:
    @staticmethod
    def rows(store, subscription, until):
        found = store.due(LIVE, shard_of(LIVE, subscription), until)
        return [(row.kind, row.at) for row in found]

    def test_a_row_appears_moves_and_vanishes(self, store):
        subscription = subscription_of("a")
        end, later = samples.END, samples.END + timedelta(days=30)
        store.commit(LIVE, subscription)
        assert self.rows(store, subscription, later) == [(DueKind.RENEWAL, end)]

        subscription = store.get(key_of(LIVE, subscription))
        store.commit(LIVE, replace(subscription, period=replace(subscription.period, end=later)))
        assert self.rows(store, subscription, end) == []
        assert self.rows(store, subscription, later) == [(DueKind.RENEWAL, later)]

        subscription = store.get(key_of(LIVE, subscription))
        store.commit(LIVE, replace(subscription, status=Status.CANCELED))
        assert self.rows(store, subscription, later + timedelta(days=999)) == []

    def test_a_row_vanishes_with_its_record(self, store):
        subscription = subscription_of("a")
        store.commit(LIVE, subscription)
        store.commit(LIVE, delete=[key_of(LIVE, subscription)])
        assert self.rows(store, subscription, samples.END) == []

    def test_the_instant_itself_counts_and_no_earlier_one(self, store):
        subscription = subscription_of("a")
        store.commit(LIVE, subscription)
        assert self.rows(store, subscription, samples.END - timedelta(microseconds=1)) == []
        assert len(self.rows(store, subscription, samples.END)) == 1

    def test_a_row_leads_to_its_record(self, store):
        checkout = samples.checkout()
        store.commit(LIVE, checkout)
        (row,) = store.due(LIVE, shard_of(LIVE, checkout), checkout.release_at)
        assert (row.env, row.kind, row.at) == (LIVE, DueKind.CHECKOUT, checkout.release_at)
        assert store.get(Key(type(checkout), row.pk, row.sk)) == stored(checkout)
        store.commit(LIVE, replace(stored(checkout), status=CheckoutStatus.COMPLETE))
        assert store.due(LIVE, shard_of(LIVE, checkout), checkout.release_at) == []

    def test_oldest_first_and_limited(self, store):
        ends = [samples.END + timedelta(hours=hour) for hour in (3, 1, 2)]
        for number, end in enumerate(ends):
            record = subscription_of(str(number))
            store.commit(SANDBOX, replace(record, period=replace(record.period, end=end)))
        rows = store.due(SANDBOX, 0, ends[0])
        assert [row.at for row in rows] == sorted(ends)
        assert [row.at for row in store.due(SANDBOX, 0, ends[0], limit=2)] == sorted(ends)[:2]

    def test_environments_and_shards_are_apart(self, store):
        subscription = subscription_of("a")
        store.commit(LIVE, subscription)
        others = [shard for shard in range(16) if shard != shard_of(LIVE, subscription)]
        assert all(store.due(LIVE, shard, samples.END) == [] for shard in others)
        assert store.due(SANDBOX, 0, samples.END) == []


class TestListing:
    @pytest.fixture
    def customers(self, store):
        """Five customers, newest first."""
        customers = [
            samples.customer(str(number), created_at=START + timedelta(hours=number)) for number in range(5)
        ]
        store.commit(LIVE, *customers)
        store.commit(SANDBOX, samples.customer("elsewhere"))
        return [stored(customer) for customer in reversed(customers)]

    def test_pages_newest_first(self, store, customers):
        first = store.listing(Customer, LIVE, limit=2)
        second = store.listing(Customer, LIVE, limit=2, cursor=first.cursor)
        third = store.listing(Customer, LIVE, limit=2, cursor=second.cursor)
        assert [list(page.records) for page in (first, second, third)] == [
            customers[:2],
            customers[2:4],
            customers[4:],
        ]
        assert third.cursor is None

    def test_a_last_page_that_is_full_has_no_cursor(self, store, customers):
        page = store.listing(Customer, LIVE, limit=5)
        assert list(page.records) == customers
        assert page.cursor is None

    def test_cursors_fit_a_url(self, store, customers):
        cursor = store.listing(Customer, LIVE, limit=1).cursor
        assert cursor.replace("-", "").replace("_", "").isalnum()

    def test_goes_on_where_a_record_was_deleted(self, store, customers):
        first = store.listing(Customer, LIVE, limit=2)
        store.commit(LIVE, delete=[key_of(LIVE, customers[1])])
        second = store.listing(Customer, LIVE, limit=2, cursor=first.cursor)
        assert list(second.records) == customers[2:4]

    def test_a_deleted_record_takes_no_place(self, store, customers):
        store.commit(LIVE, delete=[key_of(LIVE, customers[0])])
        assert list(store.listing(Customer, LIVE, limit=2).records) == customers[1:3]

    def test_an_update_keeps_the_place(self, store, customers):
        store.commit(LIVE, replace(customers[3], name="Renamed"))
        assert [record.id for record in store.listing(Customer, LIVE, limit=9).records] == [
            customer.id for customer in customers
        ]

    def test_of_nothing(self, store):
        assert store.listing(Subscription, LIVE, limit=3).records == ()

    @pytest.mark.parametrize(
        "cursor", ["", "x", "////", "bm90IG91cnM", "MjAyNi0wMS0wMSNjdXNfMQ", "ä", "AAAA" * 500]
    )
    def test_a_foreign_cursor_is_refused(self, store, cursor):
        with pytest.raises(ValidationError) as refused:
            store.listing(Customer, LIVE, limit=2, cursor=cursor)
        assert refused.value.field == "cursor"

    def test_an_unlisted_type_is_a_mistake(self, store):
        with pytest.raises(ValueError, match="Invoice has no list"):
            store.listing(Invoice, LIVE, limit=2)


class TestRaces:
    """On the engines that model concurrency, and in memory."""

    @pytest.fixture(params=["memory", "real"])
    def racing(self, request):
        return HesitantStore() if request.param == "memory" else request.getfixturevalue("engine_store")

    def test_no_increment_is_lost(self, racing):
        racing.commit(LIVE, samples.account(invoices=0))

        def increment():
            account = racing.get(account_key(LIVE, samples.CUSTOMER))
            racing.commit(LIVE, replace(account, invoices=account.invoices + 1))

        def work(_):
            for _ in range(25):
                insistently(lambda: deciding(increment))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
        assert racing.get(account_key(LIVE, samples.CUSTOMER)) == samples.account(invoices=200, version=201)

    def test_one_of_twenty_transactions_wins(self, racing):
        racing.commit(LIVE, samples.account(invoices=0))
        account = racing.get(account_key(LIVE, samples.CUSTOMER))
        start = threading.Barrier(20)

        def race(number):
            entry = samples.journal_entry(number=number)
            start.wait()
            try:
                racing.commit(LIVE, replace(account, invoices=1), entry)
            except VersionConflict:
                return None
            return stored(entry)

        with ThreadPoolExecutor(20) as pool:
            winners = [entry for entry in pool.map(race, range(20)) if entry]
        assert len(winners) == 1
        assert racing.children(JournalEntry, LIVE, samples.CUSTOMER) == winners
        assert racing.get(account_key(LIVE, samples.CUSTOMER)).version == 2

    def test_one_of_twenty_creations_wins(self, racing):
        start = threading.Barrier(20)

        def race(_):
            start.wait()
            try:
                racing.commit(LIVE, samples.customer())
            except VersionConflict:
                return False
            return True

        with ThreadPoolExecutor(20) as pool:
            assert sum(pool.map(race, range(20))) == 1


class HesitantStore(MemoryStore):
    """Lets other threads in between checking and writing, if nothing keeps them out."""

    def _require_versions(self, keys, records):
        super()._require_versions(keys, records)
        time.sleep(0)


def insistently(act):
    while True:
        try:
            return act()
        except ConflictError:
            continue


RECORDS = {
    "one": (samples.account(),),
    "several": (samples.account(), samples.subscription(), samples.journal_entry()),
}


class TestLostAnswers:
    """The engine wrote, and the caller was not told."""

    @pytest.mark.parametrize("records", RECORDS.values(), ids=RECORDS)
    def test_the_write_is_known_again(self, dynamo_store, records):
        dynamo_store._client = Twice(dynamo_store._client)
        dynamo_store.commit(LIVE, *records)
        assert dynamo_store._client.writes == 2
        assert dynamo_store.get_many([key_of(LIVE, record) for record in records]) == [
            stored(record) for record in records
        ]

    @pytest.mark.parametrize("records", RECORDS.values(), ids=RECORDS)
    def test_the_connection_breaks_after_the_write(self, real_store, records, monkeypatch):
        session = real_store._client._endpoint.http_session
        send, broken = session.send, []

        def send_and_break(request):
            answer = send(request)
            if not broken:
                broken.append(request)
                raise ConnectionClosedError(endpoint_url=request.url)
            return answer

        monkeypatch.setattr(session, "send", send_and_break)
        real_store.commit(LIVE, *records)
        assert broken
        assert real_store.get_many([key_of(LIVE, record) for record in records]) == [
            stored(record) for record in records
        ]

    def test_unless_somebody_wrote_in_between(self, dynamo_store):
        def interfere():
            account = dynamo_store.get(account_key(LIVE, samples.CUSTOMER))
            rival.commit(LIVE, replace(account, invoices=99))

        rival = type(dynamo_store).__new__(type(dynamo_store))
        rival.__dict__.update(dynamo_store.__dict__)
        dynamo_store._client = Twice(dynamo_store._client, between=interfere)
        with pytest.raises(VersionConflict):
            dynamo_store.commit(LIVE, samples.account())

    def test_conditions_that_the_engine_does_not_name_are_looked_up(self, dynamo_store):
        records = RECORDS["several"]
        dynamo_store._client = NamesOnlyTheFirst(Twice(dynamo_store._client))
        dynamo_store.commit(LIVE, *records)

    def test_an_own_item_beside_one_never_written_is_a_conflict(self, dynamo_store):
        dynamo_store.commit(LIVE, samples.account())
        (old,) = dynamo_store._items(
            {("live#" + ids.token_of(samples.CUSTOMER), "0A")}, consistent=True
        ).values()
        keys = [account_key(LIVE, samples.CUSTOMER), child_key(Subscription, LIVE, samples.SUBSCRIPTION)]
        with pytest.raises(VersionConflict):
            dynamo_store._require_own({0: old}, keys, old["w"]["S"])


class TestTraffic:
    """Other transactions and throttling: tried again for a while, then given back to the caller."""

    @pytest.fixture
    def store_and_pauses(self, dynamo_store):
        pauses = []
        dynamo_store._sleep = pauses.append
        return dynamo_store, pauses

    @pytest.mark.parametrize("records", RECORDS.values(), ids=RECORDS)
    @pytest.mark.parametrize("code", ["TransactionConflict", "ThrottlingError"])
    def test_three_losses_and_then_through(self, store_and_pauses, records, code):
        store, pauses = store_and_pauses
        store._client = Failing(store._client, code, times=3)
        store.commit(LIVE, *records)
        assert store.get(key_of(LIVE, records[0])) == stored(records[0])
        assert len(pauses) == 3
        assert all(0 <= pause <= 0.2 for pause in pauses)

    @pytest.mark.parametrize("records", RECORDS.values(), ids=RECORDS)
    def test_lasting_traffic_is_a_conflict(self, store_and_pauses, records):
        store, _ = store_and_pauses
        store._client = Failing(store._client, "TransactionConflict", times=99)
        with pytest.raises(VersionConflict):
            store.commit(LIVE, *records)

    @pytest.mark.parametrize("records", RECORDS.values(), ids=RECORDS)
    def test_other_errors_are_not_swallowed(self, store_and_pauses, records):
        store, pauses = store_and_pauses
        store._client = Failing(store._client, "ValidationError", times=1)
        with pytest.raises(ClientError, match="ValidationError"):
            store.commit(LIVE, *records)
        assert pauses == []

    def test_unprocessed_keys_are_asked_for_again(self, store_and_pauses):
        store, pauses = store_and_pauses
        accounts = [samples.account(ids.customer_id(name)) for name in "abc"]
        store.commit(LIVE, *accounts)
        store._client = Stingy(store._client)
        assert store.get_many([key_of(LIVE, account) for account in accounts]) == [
            stored(account) for account in accounts
        ]
        assert len(pauses) == 2

    def test_keys_that_stay_unprocessed_are_an_error_not_a_gap(self, store_and_pauses):
        store, _ = store_and_pauses
        store._client = Stingy(store._client)
        with pytest.raises(TimeoutError):
            store.get_many([account_key(LIVE, ids.customer_id(name)) for name in "abcdefgh"])

    def test_a_query_that_comes_in_pages_is_read_to_its_end(self, dynamo_store):
        entries = [samples.journal_entry(number=number) for number in range(5)]
        dynamo_store.commit(LIVE, *entries)
        dynamo_store._client = SmallPages(dynamo_store._client)
        assert len(dynamo_store.children(JournalEntry, LIVE, samples.CUSTOMER)) == 5
        assert len(dynamo_store.children(JournalEntry, LIVE, samples.CUSTOMER, limit=3)) == 3


class TestIndexLag:
    """Indexes only propose: on AWS they may name what is gone."""

    def test_a_listed_record_that_vanished_is_left_out(self, dynamo_store):
        customers = [samples.customer(name) for name in "abc"]
        dynamo_store.commit(LIVE, *customers)
        gone = customers[1]
        dynamo_store._client = Forgetful(dynamo_store._client, key_of(LIVE, gone))
        page = dynamo_store.listing(Customer, LIVE, limit=9)
        assert {record.id for record in page.records} == {customers[0].id, customers[2].id}


class TestMemoryHooks:
    """Faults at every boundary of a commit."""

    def test_dying_before_leaves_nothing(self):
        def die(env, records):
            raise RuntimeError

        store = MemoryStore(before_commit=die)
        with pytest.raises(RuntimeError):
            store.commit(LIVE, samples.account())
        assert store.get(account_key(LIVE, samples.CUSTOMER)) is None
        assert store.committed == []

    def test_dying_after_leaves_all(self):
        def die(env, records):
            raise RuntimeError

        store = MemoryStore(after_commit=die)
        with pytest.raises(RuntimeError):
            store.commit(LIVE, samples.account(), samples.journal_entry())
        assert store.get(account_key(LIVE, samples.CUSTOMER)) == stored(samples.account())
        assert store.journal(LIVE) == [stored(samples.journal_entry())]

    def test_the_journal_keeps_the_order_of_commits(self):
        store = MemoryStore()
        late = samples.journal_entry(number=1, at=START + timedelta(days=1))
        early = samples.journal_entry(number=2)
        store.commit(LIVE, late)
        store.commit(LIVE, early, samples.account())
        store.commit(SANDBOX, samples.journal_entry(number=3))
        assert store.journal(LIVE) == [stored(late), stored(early)]

    def test_what_a_table_cannot_hold_is_refused(self):
        naive = samples.customer(created_at=START.replace(tzinfo=None))
        with pytest.raises(ValueError, match="no time zone"):
            MemoryStore().commit(LIVE, naive)


class Proxy:
    """A client that meddles with some calls and passes the rest on."""

    def __init__(self, client):
        self._real = client

    def __getattr__(self, name):
        return getattr(self._real, name)


class Twice(Proxy):
    """Loses the answer of the first write and makes it again, as a retry without the engine's memory of it."""

    def __init__(self, client, between=lambda: None):
        super().__init__(client)
        self.writes = 0
        self._between = between

    def put_item(self, **request):
        return self._twice(self._real.put_item, request)

    def transact_write_items(self, **request):
        return self._twice(self._real.transact_write_items, request)

    def _twice(self, write, request):
        self.writes += 1
        answer = write(**request)
        if self.writes > 1:
            return answer
        self._between()
        self.writes += 1
        return write(**request)


class NamesOnlyTheFirst(Proxy):
    """An engine that stops at the first failed condition."""

    def transact_write_items(self, **request):
        try:
            return self._real.transact_write_items(**request)
        except ClientError as error:
            error.response["CancellationReasons"][1:] = [{"Code": "None"}] * (
                len(request["TransactItems"]) - 1
            )
            raise


class Failing(Proxy):
    """Refuses the first `times` writes with this reason, writing nothing."""

    def __init__(self, client, code, times):
        super().__init__(client)
        self._code = code
        self._left = times

    def put_item(self, **request):
        self._fail({"Error": {"Code": f"{self._code.removesuffix('Error')}Exception", "Message": self._code}})
        return self._real.put_item(**request)

    def transact_write_items(self, **request):
        reasons = [{"Code": "None"} for _ in request["TransactItems"]]
        reasons[-1] = {"Code": self._code}
        error = {"Code": "TransactionCanceledException", "Message": self._code}
        self._fail({"Error": error, "CancellationReasons": reasons})
        return self._real.transact_write_items(**request)

    def _fail(self, response):
        if self._left:
            self._left -= 1
            raise ClientError(response, "Write")


class Stingy(Proxy):
    """Answers one key of a batch and leaves the others unprocessed."""

    def batch_get_item(self, RequestItems):
        ((table, request),) = RequestItems.items()
        one = {table: {**request, "Keys": request["Keys"][:1]}}
        answer = self._real.batch_get_item(RequestItems=one)
        rest = request["Keys"][1:]
        return {**answer, "UnprocessedKeys": {table: {**request, "Keys": rest}} if rest else {}}


class SmallPages(Proxy):
    """Ends every page after two items, as a megabyte would."""

    def query(self, Limit=2, **request):
        return self._real.query(Limit=min(Limit, 2), **request)


class Forgetful(Proxy):
    """Finds everything in the index, but one of the records no more."""

    def __init__(self, client, key):
        super().__init__(client)
        self._gone = key

    def batch_get_item(self, RequestItems):
        answer = self._real.batch_get_item(RequestItems=RequestItems)
        for items in answer["Responses"].values():
            items[:] = [item for item in items if item["pk"]["S"] != self._gone.pk]
        return answer
