"""Idempotency keys as API v1 keeps them: the first outcome is replayed for a day, by machine time."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import Any

from .context import dumps
from .errors import ApiError, invalid
from .store import Store

LIFETIME = 24 * 3600
MAX_LENGTH = 255


@dataclass(frozen=True)
class Saved:
    status: int
    body: str


class Keys:
    """A key is held while its request runs and kept afterwards if the outcome is one that Stripe saves."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._in_flight: set[str] = set()

    def begin(self, scope: str, key: str, *, path: str, params: dict[str, Any], now: int) -> Saved | None:
        """The saved outcome, or None after taking the key. Raises 409 in flight, 400 for other parameters."""
        if len(key) > MAX_LENGTH:
            raise invalid(
                f"Idempotency keys may be at most {MAX_LENGTH} characters.", code="idempotency_key_too_long"
            )
        id = f"{scope}:{key}"
        with self._lock:
            if id in self._in_flight:
                raise ApiError(
                    409,
                    f"There is currently another in-progress request using this idempotency key ({key}). Wait for it "
                    "to finish before you retry.",
                    code="idempotency_key_in_use",
                    type="idempotency_error",
                )
            self._in_flight.add(id)
        try:
            saved = self._saved(id, key, path, fingerprint(params), now)
        except ApiError:
            self.release(scope, key)
            raise
        if saved:
            self.release(scope, key)
        return saved

    def _saved(self, id: str, key: str, path: str, print: str, now: int) -> Saved | None:
        with self._store.lock:
            record = self._store.get("idempotency", id)
            if record and record.data["created"] + LIFETIME <= now:
                self._store.remove(record)
                record = None
        if record is None:
            return None
        if record.data["path"] != path:
            raise mismatch(f"same endpoint they were first used for ('{record.data['path']}')", key)
        if record.data["fingerprint"] != print:
            raise mismatch("same parameters they were first used with", key)
        return Saved(record.data["status"], record.raw or "")

    def save(
        self, scope: str, key: str, *, path: str, params: dict[str, Any], now: int, outcome: Saved
    ) -> None:
        """Keep the outcome. The caller holds the store's lock since before the effect."""
        id = f"{scope}:{key}"
        data = {
            "id": id,
            "created": now,
            "path": path,
            "fingerprint": fingerprint(params),
            "status": outcome.status,
        }
        self._store.add("idempotency", data, raw=outcome.body)

    def release(self, scope: str, key: str) -> None:
        with self._lock:
            self._in_flight.discard(f"{scope}:{key}")

    def expire(self, prefix: str = "") -> int:
        """Forget the keys that begin with `prefix`, as Stripe does after a day. Answers how many."""
        with self._store.lock:
            gone = [
                r
                for r in self._store.newest_first("idempotency")
                if r.id.partition(":")[2].startswith(prefix)
            ]
            for record in gone:
                self._store.remove(record)
        return len(gone)


def fingerprint(params: dict[str, Any]) -> str:
    return hashlib.blake2b(dumps(params).encode(), digest_size=12).hexdigest()


def mismatch(rule: str, key: str) -> ApiError:
    return ApiError(
        400,
        f"Keys for idempotent requests can only be used with the {rule}. Try using a key other than '{key}' if you "
        "meant to execute a different request.",
        type="idempotency_error",
    )
