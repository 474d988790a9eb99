"""The operations table's contract on every engine, and the queues' and the mailer's calls."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from chalicelib import composition
from chalicelib.adapters.memory.ops import MemoryOps
from chalicelib.adapters.ses import SesMailer
from chalicelib.adapters.sqs import SendError, SqsQueues
from chalicelib.application.ports import DueRow, Letter
from chalicelib.domain.schedule import DueKind
from tests.conftest import ENGINES, REAL_ENGINES, _engine, ops_beside

AT = datetime(2027, 1, 1, tzinfo=UTC)


racing = pytest.mark.parametrize("ops", ["memory", *REAL_ENGINES], indirect=True)
"""moto is for one thread: racing writes can both win there."""


@pytest.fixture(params=ENGINES)
def ops(request):
    for store in _engine(request):
        yield ops_beside(store) if hasattr(store, "client") else MemoryOps()


def test_create_get_replace_delete(ops):
    assert ops.get("a") is None
    made = ops.create("a", "0", {"x": [1, None, True, {"é": "ü"}]}, expires_at=AT)
    assert ops.get("a") == made
    assert (made.data, made.version, made.expires_at) == ({"x": [1, None, True, {"é": "ü"}]}, 1, AT)
    assert ops.create("a", "0", {"x": 2}) is None
    second = ops.replace(made, {"x": 3})
    assert (second.version, second.data, second.expires_at) == (2, {"x": 3}, None)
    assert ops.replace(made, {"x": 4}) is None
    assert ops.get("a") == second
    ops.delete("a")
    ops.delete("a")
    assert ops.get("a") is None
    assert ops.replace(second, {}) is None


@pytest.mark.parametrize("ops", ["moto", *REAL_ENGINES], indirect=True)
def test_a_write_repeated_because_its_answer_was_lost_is_ours(ops):
    class Lossy:
        def __init__(self, client):
            self._client = client

        def put_item(self, **request):
            self._client.put_item(**request)
            return self._client.put_item(**request)

    lossy = type(ops)(Lossy(ops._client), ops._table)
    made = lossy.create("a", "0", {"x": 1}, expires_at=AT)
    assert (made, lossy.create("a", "0", {"x": 1}, expires_at=AT)) == (ops.get("a"), None)
    changed = lossy.replace(made, {"x": 2})
    assert (changed, lossy.replace(made, {"x": 2})) == (ops.get("a"), None)


def test_put_writes_over_anything(ops):
    ops.put("a", "0", {"x": 1})
    ops.put("a", "0", {"x": 2}, expires_at=AT)
    assert (ops.get("a").data, ops.get("a").version) == ({"x": 2}, 1)


def test_query_pages_in_both_directions(ops):
    for number in range(7):
        ops.put("p", f"a{number}", {"n": number})
    ops.put("p", "b0", {"n": 99})
    ops.put("other", "a0", {})

    def found(**options):
        return [document.sk for document in ops.query("p", **options)]

    assert found() == [*(f"a{number}" for number in range(7)), "b0"]
    assert found(limit=2) == ["a0", "a1"]
    assert found(after="a1", limit=2) == ["a2", "a3"]
    assert found(after="a15", limit=1) == ["a2"]
    assert found(newest_first=True, limit=2) == ["b0", "a6"]
    assert found(newest_first=True, after="a3") == ["a2", "a1", "a0"]
    assert found(prefix="b") == ["b0"]
    assert found(prefix="a", after="a4") == ["a5", "a6"]
    assert found(prefix="a", newest_first=True, after="a2") == ["a1", "a0"]
    assert found(prefix="c") == []


@racing
def test_counters_have_no_gaps_under_threads(ops):
    with ThreadPoolExecutor(8) as pool:
        values = list(pool.map(lambda _: ops.count("c", "n"), range(40)))
    assert sorted(values) == list(range(1, 41))
    assert ops.count("c", "n", by=5) == 45


def test_counters_are_taken_together_or_not_at_all(ops):
    def take(amounts, **at_most):
        return ops.take("t", "now", amounts, at_most=at_most, expires_at=AT)

    assert take({"all": 3, "of-one": 3}, **{"all": 5, "of-one": 3}) == ()
    assert take({"all": 1, "of-one": 1}, **{"all": 5, "of-one": 3}) == ("of-one",)
    assert take({"all": 3, "two": 3}, all=5, two=9) == ("all",)
    assert take({"all": 2, "two": 2}, all=5, two=9) == ()
    assert set(take({"all": 1, "of-one": 1}, **{"all": 5, "of-one": 3})) == {"all", "of-one"}
    assert take({"all": 10}) == ()
    assert take({"all": 1}, all=15) == ("all",)
    assert take({"all": 1}, all=16) == ()
    assert ops.take("t", "later", {"all": 6}, at_most={"all": 5}, expires_at=AT) == ("all",)
    assert ops.take("t", "later", {"all": 5}, at_most={"all": 5}, expires_at=AT) == ()


@racing
def test_no_more_is_taken_by_many_than_there_is(ops):
    with ThreadPoolExecutor(8) as pool:
        taken = list(
            pool.map(
                lambda _: ops.take("t", "0", {"all": 2, "one": 1}, at_most={"all": 21}, expires_at=AT) == (),
                range(40),
            )
        )
    assert sum(taken) == 10


@pytest.mark.parametrize("ops", ["moto", *REAL_ENGINES], indirect=True)
def test_what_is_taken_expires(ops):
    ops.take("t", "0", {"all": 1}, at_most={"all": 5}, expires_at=AT)
    assert ops.get("t").expires_at == AT


@racing
def test_one_of_many_creates(ops):
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda number: ops.create("race", "0", {"n": number}), range(8)))
    assert sum(document is not None for document in made) == 1


class FakeSqs:
    """Fails the messages whose body holds `poison`, as often as `failures` says."""

    def __init__(self, failures=0, sender_fault=False):
        self.batches, self.failures, self.sender_fault = [], failures, sender_fault

    def send_message_batch(self, *, QueueUrl, Entries):
        assert len({entry["Id"] for entry in Entries}) == len(Entries) <= 10
        self.batches.append((QueueUrl, [entry["MessageBody"] for entry in Entries]))
        if self.failures == 0:
            return {"Successful": []}
        self.failures -= 1
        failed = [entry for entry in Entries if "poison" in entry["MessageBody"]]
        return {
            "Failed": [{"Id": each["Id"], "Code": "X", "SenderFault": self.sender_fault} for each in failed]
        }


def queues(client):
    return SqsQueues(client, due="due", notices="notices", mail="mail", clock="clock", sleep=lambda _: None)


def row(number, sk="sk"):
    return DueRow("live", AT, DueKind.RENEWAL, f"p{number}", sk)


def test_due_rows_travel_in_tens_and_come_back_equal():
    client, rows = FakeSqs(), [row(number) for number in range(23)]
    queues(client).due(rows)
    assert [(url, len(bodies)) for url, bodies in client.batches] == [("due", 10), ("due", 10), ("due", 3)]
    sent = [body for _, bodies in client.batches for body in bodies]
    assert [composition.read_message(DueRow, body) for body in sent] == rows


def test_what_a_batch_left_behind_is_sent_again_alone():
    client = FakeSqs(failures=2)
    queues(client).due([row(0), row(1, "poison"), row(2)])
    assert [len(bodies) for _, bodies in client.batches] == [3, 1, 1]


@pytest.mark.parametrize(("sender_fault", "calls"), [(False, 4), (True, 1)])
def test_what_cannot_be_sent_is_an_error(sender_fault, calls):
    client = FakeSqs(failures=99, sender_fault=sender_fault)
    with pytest.raises(SendError, match="1 messages"):
        queues(client).due([row(0), row(1, "poison")])
    assert len(client.batches) == calls


def test_large_letters_share_no_batch():
    client = FakeSqs()
    letters = [
        Letter(id=str(n), env="live", customer_id="cus", template="t", to="a@b.c", data={"x": "y" * 100_000})
        for n in range(5)
    ]
    queues(client).mail(letters)
    assert [len(bodies) for _, bodies in client.batches] == [2, 2, 1]
    assert composition.read_message(Letter, client.batches[2][1][0]) == letters[4]


def test_nothing_to_send_calls_nobody():
    client = FakeSqs()
    queues(client).due([])
    assert client.batches == []


def test_waking_an_advance():
    client = FakeSqs()
    queues(client).wake_advance("sbx_1", "adv_1")
    assert [(url, json.loads(bodies[0])) for url, bodies in client.batches] == [
        ("clock", {"env": "sbx_1", "advance_id": "adv_1"})
    ]


def test_a_mail_through_ses():
    from moto import mock_aws

    with mock_aws():
        import boto3
        from moto.core.models import DEFAULT_ACCOUNT_ID
        from moto.ses.models import ses_backends

        client = boto3.Session().client("sesv2", region_name="us-east-1")
        client.create_email_identity(EmailIdentity="billing@perennial.test")
        mailer = SesMailer(client, sender="billing@perennial.test")
        mailer.send(to="a@b.test", subject="Ré", html="<p>€</p>", text="€", reference="ltr_1")
        sent = ses_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].sent_messages
        assert [(message.source, message.subject) for message in sent] == [("billing@perennial.test", "Ré")]
