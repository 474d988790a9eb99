"""Tells those who would otherwise have to poll that something may have happened."""

from __future__ import annotations

import threading
import time


class Activity:
    """Whoever may have written to a table touches it; whoever reads a stream waits for it.

    DynamoDB Streams have no long poll. Everything that writes here runs in this process, so a reader
    that looks when touched, a few more times right after, and once a second in any case, is both prompt
    and nearly free when nothing happens.
    """

    IDLE_SECONDS = 1.0
    BUSY_SECONDS = 0.03
    BUSY_LOOKS = 4

    def __init__(self) -> None:
        self._touched = threading.Event()
        self._looks = 0

    def touch(self) -> None:
        self._touched.set()

    def wait(self) -> None:
        """Returns when it is time to look again. One waiter only."""
        if self._looks > 0:
            self._looks -= 1
        else:
            self._touched.wait(self.IDLE_SECONDS)
        if self._touched.is_set():
            self._touched.clear()
            self._looks = self.BUSY_LOOKS
        if self._looks > 0:  # Many touches in a row are worth one look.
            time.sleep(self.BUSY_SECONDS)
