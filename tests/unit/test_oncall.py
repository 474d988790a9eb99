"""The page for whoever is on call: every alarm leads there, and what it says to type exists."""

from __future__ import annotations

import re
from pathlib import Path

from infra.local.resources import load_resources, of_type
from infra.ops.redrive import LANES

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "README.md").read_text(encoding="utf-8").partition("\n## On call\n")[2].partition("\n## ")[0]
ROWS = [cells[1].strip() for line in PAGE.splitlines() if len(cells := line.split("|")) == 5][2:]


def test_every_alarm_leads_to_a_row_and_every_row_has_an_alarm() -> None:
    alarms = of_type(load_resources(), "AWS::CloudWatch::Alarm")
    led = {
        name: re.search(r"\. On call: ([A-Z][a-zA-Z ]+)$", each["AlarmDescription"])
        for name, each in alarms.items()
    }
    assert {name for name, found in led.items() if found is None} == set()
    assert {found[1] for found in led.values() if found} == set(ROWS)
    assert len(ROWS) == len(set(ROWS)) >= 11


def test_what_it_says_to_type_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = re.findall(r"\bmake ([a-z-]+)((?: [A-Z]+=\S+)*)", PAGE)
    assert {target for target, _ in commands} == {"doctor", "redrive", "run"}
    for target, given in commands:
        assert f"\n{target}: " in makefile
        for name, _, value in (each.partition("=") for each in given.split()):
            assert f"$({name})" in makefile or f"$(if $({name})" in makefile, name
            if name == "QUEUE":
                assert value in LANES
    assert set(re.findall(r"`(webhook|mail|clock)`", PAGE)) | {"due", "stream"} == set(LANES)


def test_fields_to_search_by_are_logged() -> None:
    from chalicelib.entrypoints.log import FIELDS

    searched = set(re.findall(r"filter (\w+)", PAGE)) | set(re.findall(r"by (?:its )?`(\w+)`", PAGE))
    assert searched >= {"correlation_id", "subject_id", "status", "request_id", "message_id"}
    assert searched - {"level"} <= FIELDS
