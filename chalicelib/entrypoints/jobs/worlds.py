"""The context a job acts in: whose environment, what time it is there, and how long this invocation may take."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Any

from chalicelib import composition
from chalicelib.application.context import Context
from chalicelib.application.environments import load_environment
from chalicelib.composition import Services
from chalicelib.domain.environment import LIVE, Environment
from chalicelib.domain.journal import CLOCK, Actor
from chalicelib.entrypoints.log import bind


@dataclass
class Worlds:
    """The contexts of one invocation. Live is the machine's time and costs nothing; a sandbox is read once."""

    services: Services
    actor: Actor = CLOCK
    _unknown: list[timedelta] = field(default_factory=list)
    _sandboxes: dict[str, Environment] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def enter(self, env: str) -> Context:
        """Business time in `env` as it is now. NotFoundError when there is no such sandbox."""
        machine_now = self.services.machine_now()
        return Context(
            env=env,
            now=machine_now if env == LIVE else self._clock(env, machine_now),
            machine_now=machine_now,
            services=self.services,
            actor=self.actor,
            unknown=self._unknown if env == LIVE else None,
        )

    def unknown_seconds(self) -> list[float]:
        """The ages of the live attempts that were asked about in this invocation and have no outcome yet."""
        return [age.total_seconds() for age in self._unknown]

    def _clock(self, env: str, machine_now: datetime) -> datetime:
        with self._lock:
            if env not in self._sandboxes:
                self._sandboxes[env] = load_environment(self.services.store, env)
            return self._sandboxes[env].business_now(machine_now)


def begin(event: Any, *, actor: Actor = CLOCK, can_wait: bool = False) -> Worlds:
    """At the start of an invocation: `event` is Chalice's, whose context knows the time that is left. `can_wait`:
    the processor is asked no more often than it allows, and what waits too long is brought back by something.
    """
    composition.IN_BACKGROUND.set(can_wait)
    services = composition.services()
    remaining = getattr(event.context, "get_remaining_time_in_millis", None)
    if remaining is not None:
        composition.TIME_LEFT.set(lambda: remaining() / 1000)
        request_id = event.context.aws_request_id
        composition.CORRELATION.set(request_id)
        bind(request_id=request_id, correlation_id=request_id, function=event.context.function_name)
    return Worlds(services, actor)
