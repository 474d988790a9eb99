"""How an invoice fell behind: what reports on dunning count it under, frozen when it did, and said in its facts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

QUEUED = "queued"
"""In place of a decline code: opened while the subscription was behind, it waited its turn in the run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrears:
    """`policy`: the name of the policy that collects it; `code`: why it was not paid at first; `amount`: minor units
    that were open then, `paid` what had been paid before. `attempt`: the number of the attempt that failed, 0 where
    it was queued.
    """

    policy: str
    code: str
    since: datetime
    amount: int
    paid: int = 0
    attempt: int = 0


def dunning_data(arrears: Arrears | None, **more: int) -> dict[str, object]:
    """What a fact says of an invoice that had fallen behind: under which policy and code, since when, of how much.

    `more`: `opened` 1 where the fact begins it; `recovered` and `lost` in minor units where it ends it.
    """
    if arrears is None:
        return {}
    about = {
        "policy": arrears.policy,
        "decline_code": arrears.code,
        "since": arrears.since.isoformat(),
        "amount": arrears.amount,
    }
    return {"dunning": {**about, **more}}


def received_since(arrears: Arrears | None, amount_paid: int) -> int:
    """What of the payments came after it had fallen behind."""
    return amount_paid - arrears.paid if arrears else 0
