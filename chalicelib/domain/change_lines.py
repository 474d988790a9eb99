"""What a change costs: for every item that differs, a credit for what is unused and a charge for what remains.

Credits are made from what was billed, after its discounts and with its tax, and never exceed what is left of it.
The day of the change belongs to the new state. Items that stay as they are stay as they were billed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from chalicelib.domain.adjustments import credit_line, unused_part
from chalicelib.domain.calendar import Period
from chalicelib.domain.invoice import Cause, CauseKind, Invoice, InvoiceStatus, Line, cycle_cause, invoice_id
from chalicelib.domain.line_items import lines_of
from chalicelib.domain.proration import Granularity, Parts
from chalicelib.domain.subscription import Item, Subscription


@dataclass(frozen=True, slots=True)
class Billed:
    """A line that pays for an item's present period, where it was billed, and what was given back of it already."""

    line: Line
    invoice_id: str
    credited: int = 0
    credited_tax: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Stretch:
    """The rest of a period: `left` of it in parts of the full one, and from when to when."""

    left: Parts
    period: Period
    unit: Granularity


def invoice_ids_of_period(subscription: Subscription) -> list[str]:
    """Where the present period was billed so far, oldest first: its cycle and the changes within it."""
    if subscription.period is None:
        return []
    changes = (Cause(kind=CauseKind.CHANGE, reference=change) for change in subscription.changes)
    causes = (cycle_cause(subscription.period.start), *changes)
    return [invoice_id(subscription.id, cause) for cause in causes]


def billed_lines(item: Item, invoices: Iterable[Invoice]) -> tuple[Billed, ...]:
    """What was billed last for the item in these invoices of its period, oldest first: nothing where its invoice
    is void or was given up.
    """
    found: tuple[Billed, ...] = ()
    for invoice in invoices:
        own = tuple(line for line in invoice.lines if _is_charge_of(line, item))
        if own:
            counts = invoice.status in (InvoiceStatus.OPEN, InvoiceStatus.PAID)
            found = tuple(_billed(line, invoice) for line in own) if counts else ()
    return found


def _billed(line: Line, invoice: Invoice) -> Billed:
    """With what credit notes gave back of it."""
    noted = next((each for each in invoice.line_credits if each.line_id == line.id), None)
    if noted is None:
        return Billed(line, invoice.id)
    return Billed(line, invoice.id, noted.total - (0 if line.tax_inclusive else noted.tax), noted.tax)


def prorated(
    before: Iterable[Item], after: Iterable[Item], billed: Iterable[Billed], stretch: Stretch
) -> tuple[Line, ...]:
    """The lines of a change within the period: credits first, in the order of the items that they are for."""
    old, new = tuple(before), tuple(after)
    gone = [item for item in old if not stays(item, new)]
    come = [item for item in new if not stays(item, old)]
    return (
        *(line for item in gone for line in _credits(item, billed, stretch)),
        *(line for item in come for line in _charges(item, stretch)),
    )


def unused(items: Iterable[Item], billed: Iterable[Billed], stretch: Stretch) -> tuple[Line, ...]:
    """Credits for the rest of the period of everything held: it ends, or another period begins in its place."""
    return tuple(line for item in items for line in _credits(item, tuple(billed), stretch))


def _credits(item: Item, billed: Iterable[Billed], stretch: Stretch) -> Iterator[Line]:
    for each in billed:
        if not _is_charge_of(each.line, item):
            continue
        part = unused_part(each.line, stretch.left)
        line = credit_line(
            each.line,
            part,
            id_=f"{each.line.id}-unused",
            invoice_id=each.invoice_id,
            description=f"{each.line.description.partition(',')[0]}, unused",
            period=stretch.period,
            credited=each.credited,
            credited_tax=each.credited_tax,
        )
        if line.amount or (line.reversal is not None and line.reversal.discounts):
            yield line


def _charges(item: Item, stretch: Stretch) -> Iterator[Line]:
    for line in lines_of(item, stretch.period, stretch.left, stretch.unit):
        yield replace(line, kind="proration" if line.kind == "recurring" else line.kind)


def stays(item: Item, others: Iterable[Item]) -> bool:
    """Whether the item is among the others as it is."""
    return any(
        item.id == other.id and item.price == other.price and item.quantity == other.quantity
        for other in others
    )


def _is_charge_of(line: Line, item: Item) -> bool:
    """Lines are named after their item and the day on which they begin."""
    owner = line.id.partition(":")[0].removesuffix("-minimum")
    return line.reversal is None and owner == item.id and line.product == item.product
