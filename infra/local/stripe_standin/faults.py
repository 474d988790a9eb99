"""Failures to order: the next calls that match are refused, lost, slowed down or limited."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass
from typing import Any

KINDS = {
    "drop_before": "close the connection before anything is done",
    "lose_response": "do it, then close the connection without an answer",
    "429": "rate limit; nothing is done or saved",
    "lock_timeout": "429 because the object is locked; nothing is done or saved",
    "500": "nothing is done; the 500 is saved under the idempotency key, as API v1 does",
    "500_after": "do it, answer and save a 500 all the same",
    "503": "nothing is done, nothing is saved",
    "slow": "wait `seconds`, then do it",
    "slow_after": "do it, then wait `seconds` before answering",
}


@dataclass
class Fault:
    kind: str
    path: str = ""
    method: str = ""
    count: int = 1
    seconds: float = 0.0


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[Fault] = []

    def order(self, fault: Fault) -> None:
        with self._lock:
            self._waiting.append(fault)

    def next(self, method: str, path: str) -> Fault | None:
        """The first fault that fits this request (`path` is a prefix), used up by one."""
        if not self._waiting:
            return None
        with self._lock:
            for fault in self._waiting:
                if path.startswith(fault.path) and fault.method in ("", method):
                    fault.count -= 1
                    if fault.count <= 0:
                        self._waiting.remove(fault)
                    return fault
        return None

    def clear(self) -> None:
        with self._lock:
            self._waiting.clear()

    def shown(self) -> list[dict[str, Any]]:
        with self._lock:
            return [asdict(fault) for fault in self._waiting]
