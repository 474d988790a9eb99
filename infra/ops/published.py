"""Check of what is published: every journal entry is in the feed, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.application import feed
from chalicelib.domain.journal import JournalEntry
from infra.ops.chart import Chart, Finding, Patient
from infra.ops.repairs import publish

PAGE = 500


class Published:
    """The feed holds each fact of the journal once, numbered without gaps."""

    name = "feed"

    def __init__(self, patient: Patient) -> None:
        self._patient = patient
        self._entries: dict[str, bool] = {}
        self._unmarked: dict[str, JournalEntry] = {}
        self._events = 0

    def see(self, chart: Chart) -> Iterator[Finding]:
        entries = chart.of(JournalEntry)
        self._entries |= {entry.id: bool(entry.facts) for entry in entries}
        unpublished = feed.unpublished(self._patient.ops, self._patient.env, entries)
        self._unmarked |= {entry.id: entry for entry in unpublished}
        yield from ()

    def end(self) -> Iterator[Finding]:
        """An entry is missing when neither its mark nor its events are there: both are written at once."""
        found: set[str] = set()
        for event in self._read():
            self._events += 1
            if event.cursor != self._events:
                text = f"the feed goes from {self._events - 1} to {event.cursor}"
                yield Finding(text=text, what_to_do="tell whoever reads events; numbers are never used again")
                self._events = event.cursor
            found.add(event.id.rpartition("_")[0])
        for id_ in sorted(found - self._entries.keys()):
            text = f"{id_} is in the feed and in no journal"
            yield Finding(text=text, what_to_do="ask who deleted from the table")
        for id_, has_facts in self._entries.items():
            if id_ in self._unmarked and id_ not in found:
                yield self._missing(self._unmarked[id_])
            elif (id_ in self._unmarked) is not (has_facts and id_ not in found):
                text = f"{id_} has only one of its mark and its events in the feed"
                yield Finding(
                    text=text, what_to_do="ask who deleted from the table; nothing here writes one alone"
                )

    def said(self) -> str:
        return f"{len(self._entries)} journal entries are in the feed"

    def _missing(self, entry: JournalEntry) -> Finding:
        return Finding(
            text=f"{entry.id} ({entry.cause}) of {entry.customer_id} is not in the feed",
            what_to_do="make doctor REPAIR=1 publishes it, its mail included",
            repair=lambda: publish(self._patient, [entry]),
        )

    def _read(self) -> Iterator[feed.Event]:
        cursor, more = 0, True
        while more:
            page = feed.read_events(self._patient.ops, self._patient.env, after=cursor, limit=PAGE)
            yield from page.events
            cursor, more = page.cursor, page.more
