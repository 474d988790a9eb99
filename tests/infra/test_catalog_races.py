"""Publishers, external ids and members that really race, on engines that model it."""

from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from chalicelib.application.catalog import current_catalog, default_document, publish_catalog
from chalicelib.application.customers import create_customer, list_customers
from chalicelib.application.members import add_member, list_members
from chalicelib.domain.errors import AlreadyExistsError, DomainError, PreconditionFailedError
from tests.infra.api import api_on

RACERS = 8

pytestmark = pytest.mark.engine


@pytest.fixture
def api(real_store):
    with api_on(real_store) as api:
        yield api


def race(act):
    """What each of RACERS got from `act(number)`, all started at once: a result or a refusal."""
    gate = Barrier(RACERS)

    def run(number):
        gate.wait()
        try:
            return act(number)
        except DomainError as error:
            return error

    with ThreadPoolExecutor(RACERS) as pool:
        return list(pool.map(run, range(RACERS)))


def test_of_publishers_at_once_one_wins_and_the_others_know(api):
    ctx = api.context()
    publish_catalog(ctx, default_document(), expected=None)

    def publish(number):
        document = copy.deepcopy(default_document())
        document["plans"][2]["name"] = f"Pro {number}"
        return publish_catalog(ctx, document, expected=1)

    results = race(publish)
    won = [result for result in results if not isinstance(result, DomainError)]
    assert len(won) == 1
    assert [type(result) for result in results].count(PreconditionFailedError) == RACERS - 1
    current = current_catalog(ctx)
    assert (current.version, current.plan("pro").name) == (2, won[0].catalog.plan("pro").name)


def test_one_external_id_taken_at_once_goes_to_one_customer(api):
    results = race(
        lambda number: create_customer(
            api.context(), {"email": f"c{number}@example.com", "external_id": "crm-1"}
        )
    )
    (won,) = [result for result in results if not isinstance(result, DomainError)]
    assert [type(result) for result in results].count(AlreadyExistsError) == RACERS - 1
    assert [each.id for each in list_customers(api.context(), external_id="crm-1").records] == [won.id]


def test_one_request_sent_many_times_at_once_makes_one_customer(api):
    results = race(lambda _: create_customer(api.context(key="same"), {"email": "a@example.com"}))
    assert len({result.id for result in results}) == 1


def test_one_e_mail_address_added_at_once_is_one_member(api):
    customer = create_customer(api.context(), {"email": "a@example.com"})
    results = race(lambda _: add_member(api.context(), customer.id, email="ada@example.com"))
    assert [type(result) for result in results].count(AlreadyExistsError) == RACERS - 1
    assert list_members(api.context(), customer.id).seats_used == 1
