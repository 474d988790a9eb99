"""What tables, queues and feed get wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from unittest.mock import patch

from chalicelib.adapters.memory.store import MemoryStore
from chalicelib.application import (
    checkout,
    collection,
    feed,
    mail,
    notices,
    reconcile,
    trials,
)
from chalicelib.application.ops import Document
from chalicelib.domain.customer import Claim
from tests.simulation.mutations.registry import planted


@planted
def webhook_marked_first() -> Iterator[None]:
    """An event counts as handled before its effect is there."""
    real, handled = notices.apply_notice, set()

    def apply_notice(ctx: Any, notice: Any) -> None:
        mark = (id(ctx.services), notice.id)
        if mark not in handled:
            handled.add(mark)
            real(ctx, notice)

    with (
        patch.object(notices, "apply_notice", apply_notice),
        patch.object(reconcile, "apply_notice", apply_notice),
    ):
        yield


@planted
def last_writer_wins() -> Iterator[None]:
    """Writes are not conditional on what was read."""

    def versions(self: Any, keys: Any, records: Any) -> None:
        return None

    with patch.object(MemoryStore, "_require_versions", versions):
        yield


@planted
def published_twice() -> Iterator[None]:
    """The feed keeps no marks."""
    real = feed._writes

    def writes(*args: Any) -> list[Any]:
        return [write for write in real(*args) if not write.pk.startswith("seen#")]

    with patch.object(feed, "_writes", writes):
        yield


@planted
def mailed_again() -> Iterator[None]:
    """The mailer does not remember what it has sent."""

    def claim(ops: Any, letter: Any, machine_now: Any) -> Document:
        return Document(pk=f"mail#{letter.id}", sk="0", data={}, version=1)

    with patch.object(mail, "_claim", claim):
        yield


@planted
def conflicts_escape() -> Iterator[None]:
    """Who loses a race gives up at once."""

    def deciding(decide: Callable[[], Any]) -> Any:
        return decide()

    with patch.object(collection, "deciding", deciding), patch.object(checkout, "deciding", deciding):
        yield


@planted
def trial_claims_overlooked() -> Iterator[None]:
    """A claim that appears between the look and the commit is taken for one's own."""

    def claims_of(ctx: Any, account: Any, email: str, method: Any = None) -> Any:
        return tuple(
            Claim(kind=kind, value=value, owner=account.customer_id, at=ctx.now)
            for kind, value, claim in trials._claims(ctx, account, email, method)
            if claim is None
        )

    with patch.object(trials, "claims_of", claims_of):
        yield
