"""Who and what a step means by a number."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from chalicelib.domain.invoice import Invoice, InvoiceStatus
from tests.simulation.steps import OWN

if TYPE_CHECKING:
    from tests.simulation.world import World


def of(world: World, who: int) -> str:
    return world.customers[who % len(world.customers)]


def number_of(world: World, customer_id: str) -> int:
    return world.customers.index(customer_id) if customer_id in world.customers else 0


def named(card: str, number: int) -> str:
    return f"pm_own_{number}" if card == OWN else card


def is_open(invoice: Invoice) -> bool:
    return invoice.status is InvoiceStatus.OPEN


def pick(world: World, type_: type, which: int, where: Callable[[Any], bool] = lambda each: True) -> Any:
    found = sorted((each for each in world.records(type_) if where(each)), key=_age)
    return found[which % len(found)] if found else None


def _age(record: Any) -> tuple[datetime, str]:
    return getattr(record, "created_at", None) or record.issued_at, record.id
