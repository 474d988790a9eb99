"""How often work in the background may call Stripe: seconds of the machine's clock, shared by every process.

Each second has a document that counts what was given out of it, in all and per endpoint. A process asks for
leave to make several calls with one conditional write, and what it does not use in that second is lost. Calls
that a person waits for are not counted: the reserve, which this leaves alone, is theirs.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from threading import Lock

from chalicelib.application.ops import Ops
from chalicelib.domain.errors import GatewayUnavailableError

_SPREAD = 0.5
_WIDEST_SPREAD = 4.0
_ALL = "all"


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Calls per second that Stripe allows, the share kept for people, and how many calls one lease covers."""

    in_all: int = 100
    per_endpoint: int = 25
    reserve_percent: int = 20
    lease: int = 10

    def background(self, calls: int) -> int:
        return max(1, calls * (100 - self.reserve_percent) // 100)


class Throttle:
    """Thread-safe; one for the life of a process. `clock` is machine time in seconds since the epoch."""

    def __init__(
        self,
        ops: Ops,
        rates: Rates,
        *,
        clock: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ops = ops
        self._rates = rates
        self._clock = clock
        self._sleep = sleep
        self._leases: dict[str, _Lease] = {}
        self._lock = Lock()

    def admit(self, endpoint: str, *, patience: float) -> None:
        """Wait, at most `patience` seconds, until a call may be made; else GatewayUnavailableError, nothing done."""
        waited, spread = 0.0, _SPREAD
        while not self._take(endpoint):
            wait = 1 - self._clock() % 1 + random.uniform(0, spread)
            if waited + wait > patience:
                raise GatewayUnavailableError("the payment provider is asked as often as it allows")
            self._sleep(wait)
            waited, spread = waited + wait, min(2 * spread, _WIDEST_SPREAD)

    def _take(self, endpoint: str) -> bool:
        with self._lock:
            second = int(self._clock())
            lease = self._leases.get(endpoint)
            if lease is None or lease.second != second or (not lease.left and not lease.is_last):
                lease = self._leases[endpoint] = self._lease(endpoint, second)
            lease.left -= bool(left := lease.left)
            return left > 0

    def _lease(self, endpoint: str, second: int) -> _Lease:
        """Nothing, the last lease of the second, when the second is given out: it is not asked for again."""
        in_all = self._rates.background(self._rates.in_all)
        per_endpoint = self._rates.background(self._rates.per_endpoint)
        calls = min(self._rates.lease, in_all, per_endpoint)
        at = datetime.fromtimestamp(second, UTC)
        full = self._ops.take(
            "stripe#calls",
            at.isoformat(),
            {_ALL: calls, f"of_{endpoint}": calls},
            at_most={_ALL: in_all, f"of_{endpoint}": per_endpoint},
            expires_at=at + timedelta(hours=1),
        )
        return _Lease(second, 0, is_last=True) if full else _Lease(second, calls)


@dataclass(slots=True)
class _Lease:
    second: int
    left: int
    is_last: bool = False
