"""`python -m infra.ops doctor|redrive`: what `make doctor` and `make redrive` run."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from chalicelib.domain.environment import Environment
from infra.ops import redrive
from infra.ops.chart import Finding, Patient
from infra.ops.claims import scan
from infra.ops.doctor import Report, business_now, environments, examine, repair
from infra.ops.processor import StripeProcessor
from infra.ops.repairs import publish_missing
from infra.ops.target import NoTargetError, Target, deployed, local

SHOWN = 20
"""Findings of one check that are printed; all are counted, and all are repaired."""
PAUSE_SECONDS = 5.0
Say = Callable[[str], None]


def main(arguments: list[str] | None = None, say: Say = print) -> int:
    """The exit status: 0 when all is well, 1 when something is left to do, 2 when there is nothing to look at."""
    options = _parse(arguments)
    try:
        target = deployed(options.stage) if options.stage else local(options.state)
        if options.task == "doctor":
            return doctor(target, options, say)
        return send_back(target, options, say)
    except NoTargetError as trouble:
        print(f"perennial: {trouble}", file=sys.stderr)
        return 2


def doctor(target: Target, options: argparse.Namespace, say: Say) -> int:
    """Report on every environment (or one), and repair what can be, where that was asked for."""
    ports = target.services
    processor = StripeProcessor(ports)
    left = 0
    for environment in environments(ports.store, ports.ops):
        if options.env and environment.id != options.env:
            continue
        say(f"{environment.id} ({environment.name}), {target.name}")
        look = _looks(target, environment, processor, options.days)
        reports = examine(look, lambda: time.sleep(options.pause))
        left += _told(reports, say)
        if options.repair:
            left -= _repaired(reports, say)
    say("All is well." if not left else f"{left} left to do.")
    return 1 if left else 0


def send_back(target: Target, options: argparse.Namespace, say: Say) -> int:
    """List the dead letters of one queue or all; with `--yes` those of the one go back to work."""
    if options.yes and not options.queue:
        raise NoTargetError(f"say which: make redrive QUEUE={'|'.join(redrive.LANES)} {target.again} YES=1")
    names = [options.queue] if options.queue else list(redrive.LANES)
    left = sum(_redriven(target, name, options.yes, say) for name in names)
    return 1 if left and options.yes else 0


def _redriven(target: Target, name: str, yes: bool, say: Say) -> int:
    """How many dead letters stay."""
    lane = redrive.LANES[name]
    dead = target.queues[lane.dead]
    letters = redrive.receive(target.sqs, dead, lane, now=datetime.now(UTC))
    say(f"{name}: {len(letters)} dead letters, {target.name}")
    for line in redrive.report(letters):
        say(line)
    readable = [letter for letter in letters if letter.kind is not None]
    if not yes:
        redrive.release(target.sqs, letters, dead=dead)
        if readable:
            say(
                f"  Nothing was moved. To send {len(readable)} back: make redrive QUEUE={name} {target.again} YES=1"
            )
        return len(letters)
    if lane.work is None:
        say(f"  published {_published(target)} journal entries that were missing")
        redrive.delete(target.sqs, letters, dead=dead)
        say(f"  {len(letters)} done with")
        return 0
    moved = redrive.move(target.sqs, readable, dead=dead, work=target.queues[lane.work])
    redrive.release(target.sqs, [letter for letter in letters if letter.kind is None], dead=dead)
    say(f"  {moved} sent back to {lane.work}, {len(letters) - moved} stay")
    return len(letters) - moved


def _published(target: Target) -> int:
    ports = target.services
    return sum(
        publish_missing(_looks(target, each, None, 0)()) for each in environments(ports.store, ports.ops)
    )


def _looks(
    target: Target, environment: Environment, processor: StripeProcessor | None, days: int
) -> Callable[[], Patient]:
    ports = target.services

    def look() -> Patient:
        machine_now = ports.machine_now()
        return Patient(
            env=environment.id,
            store=ports.store,
            ops=ports.ops,
            queues=ports.queues,
            processor=processor,
            now=business_now(ports.store, environment.id, machine_now),
            machine_now=machine_now,
            since=machine_now - timedelta(days=days),
            claims=lambda: scan(ports.tables.client, ports.settings.billing_table, environment.id),
        )

    return look


def _told(reports: list[Report], say: Say) -> int:
    for report in reports:
        if not report.findings:
            say(f"  ✓ {report.name:<10} {report.said}")
            continue
        say(f"  ✗ {report.name:<10} {len(report.findings)} found")
        for finding in report.findings[:SHOWN]:
            say(f"      {finding.text}")
        if len(report.findings) > SHOWN:
            say(f"      … and {len(report.findings) - SHOWN} more")
        for advice in dict.fromkeys(finding.what_to_do for finding in report.findings):
            say(f"      → {advice}")
    return sum(len(report.findings) for report in reports)


def _repaired(reports: list[Report], say: Say) -> int:
    count = 0
    done: list[tuple[Finding, str, bool]] = list(repair(reports))
    for _, sentence, repaired in done:
        say(f"  {'repaired' if repaired else 'not yet'}: {sentence}")
        count += repaired
    return count


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.ops", description=__doc__)
    tasks = parser.add_subparsers(dest="task", required=True)
    doctor_, redrive_ = tasks.add_parser("doctor"), tasks.add_parser("redrive")
    for task in (doctor_, redrive_):
        task.add_argument("--stage", default="", help="a deployed stage, with your AWS credentials")
        task.add_argument("--state", type=Path, default=Path(".perennial"), help="the running local system")
    doctor_.add_argument("--env", default="", help="one environment: live, or a sandbox's id")
    doctor_.add_argument("--days", type=int, default=30, help="how far back the processor is read")
    doctor_.add_argument("--pause", type=float, default=PAUSE_SECONDS, help="seconds before the second look")
    doctor_.add_argument("--repair", action="store_true", help="put right what is proven")
    redrive_.add_argument("--queue", default="", choices=["", *redrive.LANES])
    redrive_.add_argument("--yes", action="store_true", help="send them back; without it they are listed")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
