"""A customer's journal, newest first, in pages."""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from chalicelib.application.context import Context
from chalicelib.application.records import customer_key, journal_suffix
from chalicelib.domain import ids
from chalicelib.domain.errors import NotFoundError, ValidationError
from chalicelib.domain.journal import JournalEntry

_SUFFIX = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+00:00#[0-9a-z]{16}")


@dataclass(frozen=True, slots=True)
class TimelinePage:
    entries: tuple[JournalEntry, ...]
    cursor: str | None


def read_timeline(ctx: Context, customer_id: str, *, limit: int, cursor: str | None = None) -> TimelinePage:
    """Every decision about the customer by business time, with its facts, postings and movements. Those of one
    instant (a sandbox's clock stands still between jobs) in the order in which one leads to the other.

    NotFoundError for a foreign or missing customer; ValidationError for a cursor that is not ours.
    """
    after = None if cursor is None else _decoded(cursor)
    ids.require("cus", customer_id)
    entries = ctx.store.children(
        JournalEntry, ctx.env, customer_id, limit=limit + 1, newest_first=True, after=after
    )
    if not entries and ctx.store.get(customer_key(ctx.env, customer_id)) is None:
        raise NotFoundError("no such customer", id=customer_id)
    further = _encoded(entries[limit - 1]) if len(entries) > limit else None
    page = sorted(entries[:limit], key=lambda entry: (entry.at, _step(entry)), reverse=True)
    return TimelinePage(tuple(page), further)


def _step(entry: JournalEntry) -> int:
    """What comes to be, then how it will be paid, then what is ordered and opened, then what became of it."""
    kinds = {fact.type.partition(".")[0] for fact in entry.facts}
    if "payment" in kinds:
        return 3
    return 0 if "customer" in kinds else 1 if kinds == {"payment_method"} else 2


def _encoded(entry: JournalEntry) -> str:
    return base64.urlsafe_b64encode(journal_suffix(entry).encode()).rstrip(b"=").decode()


def _decoded(cursor: str) -> str:
    try:
        suffix = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        suffix = ""
    if not _SUFFIX.fullmatch(suffix):
        raise ValidationError(
            "this cursor was not given out by this list", field="cursor", fix="start again without a cursor"
        )
    return suffix
