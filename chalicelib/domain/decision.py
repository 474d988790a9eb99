"""What a decision leaves behind: the records as they should be, and why. Nothing has happened until it commits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chalicelib.domain.customer import Account
from chalicelib.domain.invoice import Invoice
from chalicelib.domain.journal import Fact, Movement, Posting
from chalicelib.domain.subscription import Subscription


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """Only what is not None is written; facts, postings and movements become one journal entry.

    `cause` names the decision for the journal: the same decision has the same cause, whoever takes it.
    """

    cause: str
    account: Account | None = None
    subscription: Subscription | None = None
    invoice: Invoice | None = None
    also: tuple[Any, ...] = ()
    facts: tuple[Fact, ...] = ()
    postings: tuple[Posting, ...] = ()
    movements: tuple[Movement, ...] = ()

    @property
    def records(self) -> tuple[Any, ...]:
        core = (self.account, self.subscription, self.invoice)
        return tuple(record for record in core if record is not None) + self.also
