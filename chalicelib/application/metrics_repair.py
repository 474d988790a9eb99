"""The metrics made anew from the journals: for entries projected before there were any, and for what was lost."""

from __future__ import annotations

from chalicelib.application import feed
from chalicelib.application.books import journals, month_of
from chalicelib.application.metrics_report import (
    MOST_MONTHS,
    MetricsMonth,
    by_month,
    metrics_key,
    read_month,
)
from chalicelib.application.metrics_rows import (
    movement_rows,
    read_rows,
    rows_key,
    trial_rows,
    trials_key,
    written_rows,
    written_trial,
)
from chalicelib.application.ops import Document, Ops
from chalicelib.application.ports import Store
from chalicelib.domain.errors import ConflictError
from chalicelib.domain.journal import JournalEntry


def rewrite(store: Store, ops: Ops, env: str) -> list[str]:
    """Replace the months that are not the journal's sums and list the rows that are missing; answers those months.

    Safe at any time. The months are read first, and an entry that the feed does not have is left to its projector:
    one that is projected meanwhile changes its month, which refuses our write. ConflictError then: run it again.
    """
    documents = {each.sk: each for each in ops.query(metrics_key(env), limit=MOST_MONTHS)}
    months = {name: MetricsMonth(name) for name in documents}
    rows: list[JournalEntry] = []
    for _, entries in journals(store, env):
        late = {entry.id for entry in feed.unpublished(ops, env, entries)}
        published = [entry for entry in entries if entry.id not in late]
        for name, parts in by_month(published).items():
            months[name] = months.get(name, MetricsMonth(name)).folded(parts)
        rows += [entry for entry in published if entry.movements or entry.funnel]
    known = listed(ops, env)  # after the entries: whatever of them was projected is in it
    for entry in rows:
        _list(ops, env, entry, known)
    return [name for name in sorted(months) if _put(ops, env, documents.get(name), months[name])]


def listed(ops: Ops, env: str) -> set[str]:
    """The ids of the entries whose movements are listed."""
    found: set[str] = set()
    after = "0"
    while documents := ops.query(rows_key(env), after=after, limit=100):
        found.update(row.entry_id for document in documents for row in read_rows(document))
        after = documents[-1].sk
    return found


def _put(ops: Ops, env: str, document: Document | None, month: MetricsMonth) -> bool:
    """Whether the month had to be written."""
    if document is not None and read_month(month.name, document.data) == month:
        return False
    if document is None:
        done = ops.create(metrics_key(env), month.name, month.written())
    else:
        done = ops.replace(document, month.written())
    if done is None:
        raise ConflictError("the metrics are being written", fix="run it again", month=month.name)
    return True


def _list(ops: Ops, env: str, entry: JournalEntry, known: set[str]) -> None:
    """One document per entry, whose key follows from it: two who repair at once write it once."""
    if entry.movements and entry.id not in known:
        name = f"{month_of(entry)}#{0:015d}#{entry.id}"
        ops.create(rows_key(env), name, written_rows(list(movement_rows(entry))))
    for name, row in trial_rows(entry):
        ops.create(trials_key(env), name, written_trial(row))
