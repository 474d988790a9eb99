"""`python -m tests.bench`: every budget with what is measured beside it. `--markdown` prints it for the README."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.bench.report import Row, markdown, show, within

if TYPE_CHECKING:
    from tests.bench.world import Bench


def main() -> int:
    """0 whatever is missed: a table informs, tests/bench/test_counts.py guards."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--markdown", action="store_true", help="a table for the README")
    parser.add_argument("--subscriptions", type=int, default=100_000, help="of the growth row (100,000)")
    options = parser.parse_args()
    started = time.monotonic()
    with open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):  # the application logs to stdout
        rows = list(Measurements(options.subscriptions).rows())
    if options.markdown:
        print(markdown(rows))
    else:
        show(rows)
        print(f"Measured in {time.monotonic() - started:.0f} s.")
    return 0


def _say(what: str) -> None:
    print(f"… {what}", file=sys.stderr, flush=True)


@dataclass
class Measurements:
    """Runs everything once; what later rows need of earlier ones is kept."""

    subscriptions: int
    notes: dict[str, float] = field(default_factory=dict)

    def rows(self) -> Iterator[Row]:
        from tests.bench.world import bench_world

        _say("units and requests of renewals")
        with bench_world() as bench:
            yield from self._renewals(bench)
            _say("CPU of a renewal, memory of a worker")
            yield from self._cpu(bench)
            _say("usage taken in, invoices rated")
            yield from self._usage(bench)
        _say("requests over HTTP")
        with bench_world() as bench:
            yield from self._http(bench)
        _say("imports, start")
        yield from self._processes()
        _say(f"growth: {self.subscriptions:,} subscriptions")
        with bench_world() as bench:
            yield from self._growth(bench)
        yield from self._money()

    def _renewals(self, bench: Bench) -> Iterator[Row]:
        from tests.bench import partitions, renewals

        many = renewals.many_renewals(bench, 200)
        one = renewals.one_renewal(bench)
        later = renewals.later_decline(bench)
        settled = renewals.settled_notice(bench)
        feed = renewals.events_of_renewals(bench)
        of_feed = {key: float(units) for key, units in feed.writes_by_partition.items()}
        entries = feed.calls
        per_renewal = partitions.ENTRIES / entries
        self.notes |= {
            "write": one.write_units, "read": many.read_units, "sqs": many.sqs_requests, "calls": many.invocations,
            "feed_write": feed.write_units * per_renewal, "feed_read": float(feed.read_units) * per_renewal,
            "settled_read": settled.read_units,
        }  # fmt: skip
        yield within(
            "DynamoDB write units per paid renewal, journal included", one.write_units, 16,
            note=f"events and books projected from it, in full batches: {self.notes['feed_write']:.1f} more",
        )  # fmt: skip
        yield within(
            "DynamoDB read units per renewal", many.read_units, 2,
            note=f"{one.read_units:g} and its share of the tick (200 due)",
        )  # fmt: skip
        yield Row(
            "A later decline", "–", f"{later.write_units} WRU, {later.read_units:g} RRU, {later.trips} round trips",
            None, "design: ≈ 6, 1.5, 3",
        )  # fmt: skip
        yield within("Stripe calls per renewal", many.stripe_calls, 1)
        yield within(
            "SQS requests per renewal", many.sqs_requests, 0.31, digits=3, note="200 due; mail apart"
        )
        yield within(
            "Lambda invocations per renewal, beside its webhook", many.invocations, 0.11, digits=3,
            note="tick and worker; the stream's projector and mail apart",
        )  # fmt: skip
        yield within("Round trips: renewal", one.trips, 4)
        yield from self._hottest(one.write_units, of_feed)

    @staticmethod
    def _hottest(write_units: int, of_feed: dict[str, float]) -> Iterator[Row]:
        from tests.bench import partitions

        index_units = 4  # its own row moves (2), the invoice's appears and goes (1 each)
        hottest = partitions.hottest(
            index_units=index_units, table_units=write_units - index_units, feed_units=of_feed
        )[0]
        yield Row(
            "Hottest partition key, 10 million renewals at 100 a second", "< 1,000 WRU/s",
            f"{hottest.write_units_per_second:.0f} WRU/s", hottest.write_units_per_second < 1000,
            f"simulated; {hottest.key}, worst second",
        )  # fmt: skip

    @staticmethod
    def _cpu(bench: Bench) -> Iterator[Row]:
        from tests.bench import cpu, processes

        used = cpu.cpu_of_renewal(bench)
        yield within(
            "CPU per renewal ÷ the bare SDK calls it makes", used.renewal / used.bare, 1.5,
            note=f"{used.renewal:.1f} ÷ {used.bare:.1f} ms; ÷ {used.bare_raw:.1f} ms with the SDK's raw_request: "
            f"{used.renewal / used.bare_raw:.2f}; in the worker's threads {used.in_batches:.1f} ms",
        )  # fmt: skip
        yield within(
            "Peak memory of a worker, batch of ten", processes.worker_peak(bench), 160, unit=" MB", digits=0
        )

    @staticmethod
    def _usage(bench: Bench) -> Iterator[Row]:
        from tests.bench import usage

        taken = usage.ingestion(bench)
        yield within(
            "DynamoDB write units per usage event taken in", taken.write_units, 1,
            note=f"a hundred in one request: {taken.requests:g} calls at once; a duplicate costs as much",
        )  # fmt: skip
        yield Row(
            "Usage events taken in per second, one process", "–", f"{taken.per_second:,.0f}", None,
            f"on the emulator, in hundreds; {taken.cpu:.2f} ms of our CPU each; "
            f"folded from the stream: {taken.folded_per_second:,.0f}",
        )  # fmt: skip
        rated = " · ".join(f"{lines}: {usage.rating(lines):.1f} ms" for lines in (1, 20, 200))
        yield Row("CPU per rated invoice, by its lines", "–", rated, None, "graduated, coupon, as stored")

    @staticmethod
    def _http(bench: Bench) -> Iterator[Row]:
        from tests.bench import http

        customer = bench.subscribe(bench.customer()).customer_id
        with http.served(bench) as ask:
            yield within(
                "Round trips: entitlement check", http.entitlement_trips(bench, ask, customer).number, 1
            )
            yield within("Round trips: webhook accept", http.webhook_trips(bench, ask, customer).number, 1)
            checkout = http.checkout_trips(bench, ask)
            yield within(
                "Round trips: checkout session, new customer", checkout.number, 4, note=checkout.summary
            )
            ratio, ours, bare = http.entitlement_ratio(bench, ask, customer)
            yield within(
                "Entitlement request over HTTP ÷ a bare GetItem, p50",
                ratio,
                3,
                note=f"{ours:.1f} ÷ {bare:.1f} ms",
            )

    @staticmethod
    def _processes() -> Iterator[Row]:
        from tests.bench import processes

        imports = processes.imports()
        yield within(
            "Cold import of the API function ÷ (chalice + boto3 + stripe)", imports.api, 0.80,
            note=f"with what its first request loads: {imports.api_with_adapters:.2f}",
        )  # fmt: skip
        yield within(
            "Cold import of a function that never calls Stripe ÷ same", imports.never_charges, 0.70,
            note=f"with what its first call loads: {imports.never_charges_with_adapters:.2f}",
        )  # fmt: skip
        yield within("Start of `make run` once installed", processes.start_of_run(), 5, unit=" s", digits=1)
        zipped = processes.package()
        if zipped is None:
            yield Row("Deployment package, zipped", "≤ 35 MB", "–", None, "run `make package` first")
        else:
            yield within("Deployment package, zipped", zipped.stat().st_size / 1e6, 35, unit=" MB", digits=1)
        yield Row("`make demo`, 200 customers, 12 months", "≤ 90 s", "–", None, "it prints its own time")

    def _growth(self, bench: Bench) -> Iterator[Row]:
        from tests.bench import growth

        few, many = growth.growth(bench, growth.SMALL, self.subscriptions)
        worst = max(many.write_units / few.write_units, many.read_units / few.read_units, many.cpu / few.cpu)
        yield within(
            f"Cost of a renewal at {self.subscriptions:,} subscriptions ÷ at {growth.SMALL:,}", worst, 1.1,
            note=f"worst of WRU {many.write_units:g} ÷ {few.write_units:g}, RRU {many.read_units:g} ÷ "
            f"{few.read_units:g}, CPU {many.cpu:.1f} ÷ {few.cpu:.1f} ms",
        )  # fmt: skip

    def _money(self) -> Iterator[Row]:
        from tests.bench import prices

        seen = self.notes
        renewal = prices.renewal(
            write_units=seen["write"], read_units=seen["read"], sqs=seen["sqs"], invocations=seen["calls"]
        )
        webhook = prices.webhook(read_units=seen["settled_read"], sqs=1.2, invocations=0.1)
        feed = prices.feed(write_units=seen["feed_write"], read_units=seen["feed_read"])
        yield within(
            "AWS list price of a million renewals, without mail", renewal + webhook + feed, 16, unit=" $",
            note=f"renewal {renewal:.2f}, its webhook {webhook:.2f}, its events and books {feed:.2f}",
        )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
