"""Delivery of events to the webhook endpoint: signed, asynchronous, retried, and disturbed on order."""

from __future__ import annotations

import hashlib
import hmac
import http.client
import random
import threading
import time
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Any
from urllib.parse import urlsplit

from .context import Settings

WORKERS = 4
TIMEOUT = 10.0
LONGEST_WAIT = 30.0
HELD_APART = 0.02
"""Seconds between held events when they are let go, so that their new order is seen."""
MODES = ("normal", "duplicate", "delay", "reorder", "drop")


def signature(body: str, secret: str, at: int) -> str:
    """The `Stripe-Signature` header of a body sent at a Unix time."""
    mac = hmac.new(secret.encode(), f"{at}.{body}".encode(), hashlib.sha256)
    return f"t={at},v1={mac.hexdigest()}"


@dataclass(order=True)
class Delivery:
    due: float
    number: int
    event: str = field(compare=False)
    body: str = field(compare=False)
    attempts: int = field(default=0, compare=False)


class Deliveries:
    """A few threads that post events. `order` changes what happens to the events that come after it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._wake = threading.Condition()
        self._queue: list[Delivery] = []
        self._held: list[Delivery] = []
        self._underway: dict[int, str] = {}
        self._number = 0
        self._closed = False
        self._mode: dict[str, Any] = {"mode": "normal"}
        self._counts = dict.fromkeys(("delivered", "failed_attempts", "gave_up", "dropped"), 0)
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(WORKERS)]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        with self._wake:
            self._closed = True
            self._wake.notify_all()

    def push(self, event: str, type: str, body: str) -> None:
        """Queue an event as the present mode says."""
        with self._wake:
            mode = self._mode
            if mode.get("types") and type not in mode["types"]:
                mode = {"mode": "normal"}
            if mode["mode"] == "drop":
                self._counts["dropped"] += 1
                return
            wait = float(mode.get("seconds", 1.0)) if mode["mode"] == "delay" else 0.0
            for _ in range(int(mode.get("copies", 2)) if mode["mode"] == "duplicate" else 1):
                self._number += 1
                delivery = Delivery(time.monotonic() + wait, self._number, event, body)
                self._hold(delivery, mode) if mode["mode"] == "reorder" else heappush(self._queue, delivery)
            self._wake.notify_all()

    def _hold(self, delivery: Delivery, mode: dict[str, Any]) -> None:
        self._held.append(delivery)
        if len(self._held) >= int(mode.get("size", 5)):
            self._release_held()

    def _release_held(self) -> None:
        """Send what was held back, the latest first (or shuffled)."""
        held, self._held = list(reversed(self._held)), []
        if self._mode.get("shuffle"):
            random.shuffle(held)
        for place, delivery in enumerate(held):
            delivery.due = time.monotonic() + place * HELD_APART
            heappush(self._queue, delivery)

    def order(self, mode: dict[str, Any]) -> None:
        with self._wake:
            self._mode = mode
            if mode["mode"] != "reorder":
                self._release_held()
            self._wake.notify_all()

    def flush(self, timeout: float) -> bool:
        """Make everything due now and wait until it is delivered or given up. Answers whether nothing is left."""
        with self._wake:
            for delivery in self._queue:
                delivery.due = 0.0
            self._queue.sort()
            self._release_held()
            self._wake.notify_all()
            return self._wake.wait_for(lambda: not self._queue and not self._underway, timeout)

    def clear(self) -> None:
        with self._wake:
            self._queue.clear()
            self._held.clear()
            self._mode = {"mode": "normal"}
            self._counts = dict.fromkeys(self._counts, 0)

    def shown(self) -> dict[str, Any]:
        with self._wake:
            waiting = len(self._queue) + len(self._underway)
            return {**self._mode, "url": self._settings.webhook_url, "waiting": waiting, "held": len(self._held),
                    **self._counts}  # fmt: skip

    def undelivered(self) -> list[str]:
        """Ids of events that are still to be delivered, kept across a restart."""
        with self._wake:
            waiting = [delivery.event for delivery in (*self._queue, *self._held)]
            return [*self._underway.values(), *waiting]

    # --- Threads -------------------------------------------------------------------------------------------

    def _work(self) -> None:
        sender = Sender(self._settings)
        while (delivery := self._next()) is not None:
            delivered = sender.post(delivery.body)
            with self._wake:
                self._underway.pop(delivery.number, None)
                self._count(delivery, delivered)
                self._wake.notify_all()

    def _next(self) -> Delivery | None:
        with self._wake:
            while not self._closed:
                if self._queue and self._queue[0].due <= time.monotonic():
                    delivery = heappop(self._queue)
                    self._underway[delivery.number] = delivery.event
                    return delivery
                self._wake.wait(max(0.0, self._queue[0].due - time.monotonic()) if self._queue else None)
            return None

    def _count(self, delivery: Delivery, delivered: bool) -> None:
        if delivered:
            self._counts["delivered"] += 1
            return
        self._counts["failed_attempts"] += 1
        delivery.attempts += 1
        if delivery.attempts > self._settings.retry_limit:
            self._counts["gave_up"] += 1
            return
        wait = min(self._settings.retry_wait * 2 ** (delivery.attempts - 1), LONGEST_WAIT)
        delivery.due = time.monotonic() + wait
        heappush(self._queue, delivery)


class Sender:
    """One connection to the endpoint, kept open between deliveries."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._connection: http.client.HTTPConnection | None = None
        self._origin = ""

    def post(self, body: str) -> bool:
        """Whether the endpoint answered 2xx."""
        url = urlsplit(self._settings.webhook_url or "")
        try:
            connection = self._connect(f"{url.scheme}://{url.netloc}")
            now = int(time.time())
            headers = {
                "Content-Type": "application/json; charset=utf-8",
                "User-Agent": "Stripe/1.0 (+https://stripe.com/docs/webhooks)",
                "Stripe-Signature": signature(body, self._settings.webhook_secret, now),
            }
            target = (url.path or "/") + (f"?{url.query}" if url.query else "")
            connection.request("POST", target, body.encode(), headers)
            answer = connection.getresponse()
            answer.read()
            return 200 <= answer.status < 300
        except (OSError, http.client.HTTPException):
            self._drop()
            return False

    def _connect(self, origin: str) -> http.client.HTTPConnection:
        if self._connection is None or self._origin != origin:
            self._drop()
            parts = urlsplit(origin)
            kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
            self._connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT)
            self._origin = origin
        return self._connection

    def _drop(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None
