"""Whatever a stored type can hold comes back from its item as it was."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, get_args, get_origin, get_type_hints

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.adapters.codec import decode, dumps, encode
from chalicelib.adapters.dynamo.items import TYPES, item_of, record_of
from chalicelib.adapters.dynamo.packing import pack, unpack
from chalicelib.adapters.rows import as_stored, expected_version
from chalicelib.domain import ids
from chalicelib.domain.calendar import Interval, IntervalUnit, Period
from chalicelib.domain.customer import Customer
from chalicelib.domain.discount import Coupon, Duration
from chalicelib.domain.journal import JournalEntry
from chalicelib.domain.pricing import PricingModel, Rate, Tier
from chalicelib.domain.tax_rates import TaxRule

instants = st.integers(0, 3 * 10**9 * 10**6).map(
    lambda microseconds: datetime(1990, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
)
periods = st.builds(
    lambda start, minutes: Period(start, start + timedelta(minutes=minutes)), instants, st.integers(0, 10**6)
)
rates = st.sampled_from(
    [
        Rate(PricingModel.FLAT, unit_amount="900"),
        Rate(PricingModel.PER_UNIT, unit_amount="0.125", billing_unit=100, included=7),
        Rate(PricingModel.VOLUME, tiers=(Tier(10, "5"), Tier(None, "4.5", "100"))),
    ]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
GIVEN = {
    str: st.text(max_size=20),
    int: st.integers(-(10**15), 10**15),
    bool: st.booleans(),
    type(None): st.none(),
    Any: json_values,
    datetime: instants,
    Period: periods,
    Interval: st.builds(Interval, st.sampled_from(IntervalUnit), st.integers(1, 1000)),
    Rate: rates,
    Coupon: st.builds(
        Coupon,
        id=st.text(max_size=5),
        percent=st.sampled_from(("0.5", "12.5", "100")),
        duration=st.sampled_from((Duration.ONCE, Duration.FOREVER)),
        max_redemptions=st.none() | st.integers(1, 10**6),
        plans=st.sampled_from(((), ("pro",))),
        first_time=st.booleans(),
    ),
    TaxRule: st.builds(
        TaxRule,
        country=st.sampled_from(("DE", "CA")),
        region=st.text(max_size=5),
        rate=st.sampled_from(("0", "7.7", "19")),
        inclusive=st.booleans(),
        reverse_charge=st.booleans(),
        products=st.sampled_from(((), ("pro", "storage"))),
    ),
}
CHILDREN = {
    "CheckoutSession", "Invoice", "JournalEntry", "Lead", "Member", "OfferedCoupon", "SignupSession", "Subscription"
}  # fmt: skip


def values_of(annotation: Any) -> st.SearchStrategy[Any]:
    """Anything that a field of this type may hold."""
    if annotation in GIVEN:
        return GIVEN[annotation]
    arguments = get_args(annotation)
    match get_origin(annotation):
        case types.UnionType:
            return st.one_of([values_of(part) for part in arguments])
        case origin if origin is tuple and arguments[-1] is Ellipsis:
            return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
        case origin if origin is tuple:
            return st.tuples(*[values_of(part) for part in arguments])
        case origin if origin in (dict, Mapping):
            return st.dictionaries(st.text(max_size=5), values_of(arguments[1]), max_size=3)
    if issubclass(annotation, Enum):
        return st.sampled_from(annotation)
    assert is_dataclass(annotation), annotation
    hints = get_type_hints(annotation)
    given_fields = {name.name: values_of(hints[name.name]) for name in fields(annotation)}
    if "zone" in given_fields:
        given_fields["zone"] = st.sampled_from(["UTC", "Europe/Paris", "Pacific/Apia"])
    if annotation is JournalEntry:
        given_fields["postings"] = st.just(())  # unbalanced ones cannot be made
    return st.builds(annotation, **given_fields)


@st.composite
def records(draw: st.DrawFn) -> Any:
    """A record with ids that lead somewhere, and otherwise anything in it."""
    type_ = draw(st.sampled_from(list(TYPES.values())))
    record = draw(values_of(type_))
    customer = ids.customer_id(draw(st.text(max_size=3)))
    changes: dict[str, Any] = {"version": draw(st.integers(0, 10**6))}
    if type_ is Customer:
        changes["id"] = customer
    if hasattr(record, "customer_id"):
        changes["customer_id"] = customer
    if type_.__name__ in CHILDREN:
        changes["id"] = ids.child_id("any", customer, draw(st.text(max_size=3)))
    return replace(record, **changes)


@given(records())
@settings(max_examples=200, deadline=None)
def test_records_come_back_from_their_items(record: Any) -> None:
    assert decode(type(record), encode(record)) == record
    item = item_of("live", record, "mark")
    assert record_of(item) == as_stored(record, expected_version(record) + 1)


@given(json_values)
def test_text_stays_json(value: Any) -> None:
    import json

    assert json.loads(dumps(value)) == value


@given(st.text(), st.text(max_size=50))
def test_packing_is_undone(text: str, context: str) -> None:
    assert unpack(pack(text, context), context) == text
