"""The stored form of dataclasses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any, Literal

import pytest

from chalicelib.adapters.codec import coder_of, decode, dumps, encode
from chalicelib.adapters.dynamo.items import TYPES
from tests import samples


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Inner:
    name: str
    size: int = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Outer:
    id: str
    at: datetime
    day: date | None = None
    colour: Colour = Colour.RED
    inner: Inner | None = None
    several: tuple[Inner, ...] = ()
    pair: tuple[str, int] = ("", 0)
    pairs: tuple[tuple[str, str], ...] = ()
    limits: Mapping[str, int | None] = field(default_factory=dict)
    named: Mapping[str, Inner] = field(default_factory=dict)
    extra: Mapping[str, Any] = field(default_factory=dict)
    mode: Literal["fast", "slow"] = "fast"
    count: int | None = 5
    done: bool = False
    either: int | str = 0


AT = datetime(2026, 3, 1, 9, 30, tzinfo=UTC)
BARE = Outer(id="1", at=AT)
FULL = Outer(
    id="1",
    at=AT.replace(microsecond=120),
    day=date(2026, 2, 28),
    colour=Colour.BLUE,
    inner=Inner("é", 2),
    several=(Inner("a"), Inner("b", 3)),
    pair=("x", 7),
    pairs=(("k", "v"), ("k2", "v2")),
    limits={"seats": 3, "projects": None},
    named={"first": Inner("n")},
    extra={"deep": [{"er": None}]},
    mode="slow",
    count=None,
    done=True,
    either="text",
)
FULL_FORM = {
    "id": "1",
    "at": "2026-03-01T09:30:00.000120Z",
    "day": "2026-02-28",
    "colour": "blue",
    "inner": {"name": "é", "size": 2},
    "several": [{"name": "a"}, {"name": "b", "size": 3}],
    "pair": ["x", 7],
    "pairs": [["k", "v"], ["k2", "v2"]],
    "limits": {"seats": 3, "projects": None},
    "named": {"first": {"name": "n"}},
    "extra": {"deep": [{"er": None}]},
    "mode": "slow",
    "count": None,
    "done": True,
    "either": "text",
}


def test_the_form_is_this():
    assert encode(FULL) == FULL_FORM


def test_it_reads_back():
    assert decode(Outer, FULL_FORM) == FULL


def test_defaults_are_left_out_and_come_back():
    assert encode(BARE) == {"id": "1", "at": "2026-03-01T09:30:00Z"}
    assert decode(Outer, encode(BARE)) == BARE


def test_a_default_is_not_shared_between_records():
    first, second = (decode(Outer, encode(BARE)) for _ in range(2))
    assert first.extra is not second.extra


def test_enums_are_plain_strings_and_come_back_as_enums():
    assert type(encode(FULL)["colour"]) is str
    assert decode(Outer, FULL_FORM).colour is Colour.BLUE


def test_instants_are_stored_in_utc():
    paris = replace(BARE, at=AT.astimezone(timezone(timedelta(hours=2))))
    assert encode(paris)["at"] == "2026-03-01T09:30:00Z"
    assert decode(Outer, encode(paris)).at.tzinfo is UTC


def test_an_instant_without_a_zone_is_refused():
    with pytest.raises(ValueError, match="no time zone"):
        encode(replace(BARE, at=AT.replace(tzinfo=None)))


def test_fields_of_a_newer_program_are_ignored():
    newer = {**FULL_FORM, "invented": [1], "inner": {"name": "é", "size": 2, "later": "x"}}
    assert decode(Outer, newer) == FULL


def test_a_missing_field_without_default_is_an_error():
    with pytest.raises(TypeError, match="at"):
        decode(Outer, {"id": "1"})


def test_the_text_is_compact_and_not_escaped():
    assert dumps({"a": [1, "é"], "b": None}) == '{"a":[1,"é"],"b":null}'


@pytest.mark.parametrize(
    "annotation", [float, complex, list[str], Inner | Outer, Mapping[int, str], set[str], timedelta]
)
def test_what_has_no_stored_form_is_refused_when_compiled(annotation):
    with pytest.raises(TypeError, match="no stored form"):
        coder_of(annotation)


def test_compiled_once():
    assert coder_of(Outer) is coder_of(Outer)


@pytest.mark.parametrize("type_", TYPES.values(), ids=lambda type_: type_.__name__)
def test_every_stored_type_has_a_form(type_):
    coder_of(type_)


@pytest.mark.parametrize("record", samples.every_record(), ids=lambda record: type(record).__name__)
def test_every_sample_reads_back(record):
    assert decode(type(record), encode(record)) == record
