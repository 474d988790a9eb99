"""The jobs, and the queues, stream and schedule that run them: messages are lost, repeated, late, in any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

from chalicelib.application import notices, projection, reconcile, sweep, work
from chalicelib.application.ports import DueRow, Letter, ProcessorNotice
from chalicelib.domain.environment import LIVE
from chalicelib.domain.errors import ConflictError, DomainError, GatewayUnavailableError, NotFoundError
from chalicelib.domain.journal import PROCESSOR, JournalEntry
from chalicelib.entrypoints.jobs.due import LATER
from tests.simulation import mailbox
from tests.simulation.faults import Killed, Throttled, Violation
from tests.simulation.steps import Step

if TYPE_CHECKING:
    from tests.simulation.world import World

RECEIVES = 5
"""How often a message may fail before it is a dead letter."""
VISIBILITY = timedelta(minutes=6)
"""For how long nobody sees a message that somebody has taken."""


@dataclass(slots=True)
class Message:
    """Something on a queue, how often it failed, and from when on it is seen (again)."""

    body: Any
    failures: int = 0
    visible_at: datetime | None = None


def tick(world: World, step: Step) -> None:
    world.store.lag = (_fate(step)[0], step.args.get("lag", 0.0))
    act = world.running = lambda: sweep.tick(world.ctx(), world.ops)
    started = world.clock
    if world.quietly(act):
        world.swept = started
    world.store.lag = None
    world.due += [Message(row) for row in world.queues.due_rows]
    world.queues.due_rows.clear()


def perform_due(world: World, step: Step) -> None:
    _drain(world, world.due, step, lambda row: work.perform(world.ctx(), row))


def apply_hooks(world: World, step: Step) -> None:
    fresh = world.processor.notices[world.told :]
    world.told = len(world.processor.notices)
    world.hooks += [Message(notice) for notice in fresh]
    _drain(world, world.hooks, step, lambda note: notices.apply_notice(world.ctx(actor=PROCESSOR), note))


def sweep_processor(world: World, step: Step) -> None:
    def trouble(notice: ProcessorNotice, error: Exception) -> None:
        if isinstance(error, ConflictError | NotFoundError | Throttled):  # kept, and tried again
            world.note(f"    {_brief(notice)}: {type(error).__name__}")
        else:
            raise Violation(f"the reconciler: {type(error).__name__}: {error}") from error

    def run() -> object:
        reconcile.enqueue_left_over(lambda env: world.ctx(actor=PROCESSOR), world.store, world.ops)
        return reconcile.apply_missed(
            lambda env: world.ctx(actor=PROCESSOR), world.gateway, world.ops,
            machine_now=world.clock, time_left=lambda: 60.0, trouble=trouble,
        )  # fmt: skip

    world.running, started = run, world.clock
    if world.quietly(run):
        world.reconciled.append(started)


def project(world: World, step: Step) -> None:
    """The stream in batches; a batch that failed, or that Lambda likes twice, comes again."""
    random, _, twice = _fate(step)
    entries = world.journal()
    while world.projected < len(entries):
        start = max(0, world.projected - random.randint(1, 5)) if random.random() < twice else world.projected
        end = min(world.projected + random.randint(1, 40), len(entries))
        batch = [(LIVE, entry) for entry in _shuffled(random, entries[start:end])]
        act = world.running = lambda batch=batch: projection.project(world.ops, world.queues, batch)
        done = world.quietly(act)
        world.mail += [Message(letter) for letter in world.queues.letters]
        world.queues.letters.clear()
        if not done:
            return
        world.projected = end


def send_mail(world: World, step: Step) -> None:
    _drain(world, world.mail, step, lambda letter: mailbox.deliver(world, letter))


JOBS: dict[str, Callable[[World, Step], None]] = {
    "tick": tick, "work": perform_due, "hooks": apply_hooks, "reconcile": sweep_processor, "project": project,
    "mail": send_mail,
}  # fmt: skip
"""In the order in which they run when nothing goes wrong."""


def _drain(world: World, queue: list[Message], step: Step, handle: Callable[[Any], object]) -> None:
    """Messages in any order; lost, delivered twice or left for later as the step says."""
    random, loss, twice = _fate(step)
    waiting, queue[:] = list(queue), []
    random.shuffle(waiting)
    for message in waiting:
        if message.visible_at is not None and message.visible_at > world.clock:
            queue.append(message)
            continue
        if loss and random.random() < loss:
            world.note(f"    lost: {_brief(message.body)}")
            continue
        for _ in range(2 if random.random() < twice else 1):
            _deliver(world, queue, message, handle)


def _deliver(world: World, queue: list[Message], message: Message, handle: Callable[[Any], object]) -> None:
    def act() -> object:
        return handle(message.body)

    world.running = act
    try:
        with world.process():
            act()
    except (Killed, Throttled, DomainError) as error:
        world.note(f"    {_brief(message.body)}: {type(error).__name__} {error}")
        if isinstance(message.body, DueRow) and isinstance(error, LATER):
            return  # the due row brings it back
        message.visible_at = world.clock + VISIBILITY
        message.failures += not isinstance(error, Killed | Throttled | GatewayUnavailableError)  # our doing
        if message.failures < RECEIVES:
            queue.append(message)
        else:
            world.dead_letters.append(f"{_brief(message.body)}: {type(error).__name__}: {error}")


def _fate(step: Step) -> tuple[Random, float, float]:
    """What the step draws as it runs depends on its number alone: leaving other steps out changes nothing."""
    return Random(step.number), step.args.get("loss", 0.0), step.args.get("twice", 0.0)


def _shuffled(random: Random, entries: list[JournalEntry]) -> list[JournalEntry]:
    """Customers in any order, each one's entries in order: what a sharded stream keeps."""
    places = [entry.customer_id for entry in entries]
    random.shuffle(places)
    by_customer = {customer: [e for e in entries if e.customer_id == customer] for customer in places}
    return [by_customer[customer].pop(0) for customer in places]


def _brief(body: Any) -> str:
    match body:
        case DueRow():
            return f"{body.kind} {body.sk}"
        case ProcessorNotice():
            return f"{body.kind} {body.reference}"
        case Letter():
            return f"letter {body.template}"
    return str(body)
