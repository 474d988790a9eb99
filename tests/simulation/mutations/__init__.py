"""Planted bugs: what the field is known to get wrong, put into the application by name while it runs.

Each is a context manager. `python -m tests.simulation --mutation NAME` shows what the simulator makes of one.
"""

from __future__ import annotations

from tests.simulation.mutations import charging, discounts, machinery, rules
from tests.simulation.mutations.registry import MUTATIONS

__all__ = ["MUTATIONS", "charging", "discounts", "machinery", "rules"]
