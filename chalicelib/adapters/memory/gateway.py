"""A payment processor in memory that keeps the `Gateway` contract, with scripted outcomes and faults.

Methods answer as their name says (`pm_card_visa` pays, `pm_card_lost` is refused for good, …; `customers.BEHAVIOURS`),
`behave` changes one at run time, `script` decides about the next calls:

    gateway = MemoryGateway()
    card = gateway.attach_method(gateway.ensure_customer("live", customer), "pm_card_visa")
    gateway.behave(card.id, "insufficient_funds")       # from now on
    gateway.script(["lost_after_charge", "unavailable"])  # the next two charges
    gateway.script(["unavailable"], on="refund")
    gateway.refund_in_dashboard("pi_mem_1", 500)        # somebody else's refund
    gateway.settle_refund("re_mem_1", "failed")         # the bank's last word
"""

from __future__ import annotations

from chalicelib.adapters.memory.processor.disputes import Disputes
from chalicelib.adapters.memory.processor.pages import Pages
from chalicelib.adapters.memory.processor.refunds import Refunds


class MemoryGateway(Pages, Refunds, Disputes):
    """Thread-safe. `calls` counts every call by name, `payments` has every payment ever begun."""

    __slots__ = ()
