"""Fires the application's schedules on the real clock."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence

from infra.local.events import schedule_event
from infra.local.functions import ScheduledFunction

log = logging.getLogger(__name__)


class Scheduler:
    """Fires each function once soon after the start (to catch up on the time off), then at its rate.

    A function that still runs when its next turn comes misses that turn; there are never two of it.
    """

    def __init__(
        self,
        functions: Sequence[ScheduledFunction],
        *,
        on_activity: Callable[[], None] = lambda: None,
        first_after: float = 1.0,
    ) -> None:
        self._jobs = [_Job(function, on_activity) for function in functions if function.every is not None]
        for function in functions:
            if function.every is None:
                log.warning("%s: %s is not run locally, only rate(…) is", function.name, function.expression)
        self._first_after = first_after
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="scheduler", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Fires nothing more and waits for what is running."""
        self._stopping.set()
        self._thread.join()
        for job in self._jobs:
            job.wait()

    def _run(self) -> None:
        due = {job: time.monotonic() + self._first_after for job in self._jobs}
        while due:
            job = min(due, key=due.__getitem__)
            if self._stopping.wait(max(0.0, due[job] - time.monotonic())):
                return
            job.fire()
            # From now on, not from when it was due: a laptop that slept does not fire what it missed.
            due[job] = time.monotonic() + job.every


class _Job:
    def __init__(self, function: ScheduledFunction, on_activity: Callable[[], None]) -> None:
        assert function.every is not None
        self.every = function.every.total_seconds()
        self._function = function
        self._on_activity = on_activity
        self._thread: threading.Thread | None = None

    def fire(self) -> None:
        if self._thread is not None and self._thread.is_alive():
            log.info("%s is still running: this turn is skipped", self._function.name)
            return
        self._thread = threading.Thread(target=self._invoke, name=self._function.name, daemon=True)
        self._thread.start()

    def wait(self) -> None:
        if self._thread is not None:
            self._thread.join()

    def _invoke(self) -> None:
        try:
            self._function.invoke(schedule_event(self._function.name))
        except Exception:
            log.exception("%s failed", self._function.name)
        finally:
            self._on_activity()
