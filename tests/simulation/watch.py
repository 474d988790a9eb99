"""What may not be written even for a moment: looked at with every record that is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from chalicelib.domain.checkout import CheckoutSession, CheckoutStatus
from chalicelib.domain.customer import Account, CollectionMethod
from chalicelib.domain.invoice import Invoice
from tests.simulation.faults import Violation

if TYPE_CHECKING:
    from tests.simulation.world import World

MOST_ATTEMPTS = 40
"""Far beyond the dunning days and what impatient customers add to them."""


def written(world: World, before: Any, record: Any) -> None:
    """What may not be written even for a moment."""
    match record:
        case CheckoutSession(status=CheckoutStatus.EXPIRED, reference=str(reference)):
            was_open = before is not None and before.status is CheckoutStatus.OPEN
            if was_open and world.processor.pages[reference].state.payable:
                raise Violation(f"{record.id} was given up while its page could still be paid")
        case Invoice(attempts=attempts) if _is_begun_despite_a_dispute(world, before, record):
            raise Violation(
                f"{record.id} attempt {len(attempts)} is begun while its customer disputes a payment"
            )
        case Account(disputes=(_, *_)) if not before.disputes:
            world.disputed[record.customer_id] = world.clock
        case Invoice(attempts=attempts) if len(attempts) > MOST_ATTEMPTS:
            raise Violation(f"{record.id} is tried again and again")


def _is_begun_despite_a_dispute(world: World, before: Any, invoice: Invoice) -> bool:
    """Automatically, by somebody who could have known: it was noted before this step began."""
    if not world.gateway.in_background or invoice.activates or not invoice.attempts:
        return False
    if not invoice.attempts[-1].is_open or (before and len(before.attempts) == len(invoice.attempts)):
        return False
    if invoice.terms.method is CollectionMethod.SEND_INVOICE:
        return False  # only ever tried because somebody asked for it
    since = world.disputed.get(invoice.customer_id)
    account = world.account(invoice.customer_id)
    return bool(account.disputes) and since is not None and since < world.step_began
