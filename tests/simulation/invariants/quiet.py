"""Letters about arrears: none in the hours that the run's policy keeps quiet, and none that the end denies."""

from __future__ import annotations

from collections.abc import Iterator
from zoneinfo import ZoneInfo

from chalicelib.application.letters import letter_of
from chalicelib.domain.dunning_mail import LETTER_DUE
from chalicelib.domain.dunning_policy import DunningPolicy
from chalicelib.domain.environment import LIVE
from chalicelib.domain.journal import JournalEntry
from chalicelib.domain.subscription import Subscription
from tests.simulation.world import World

ABOUT_ARREARS = (
    "payment_failed", "payment_missing", "payment_urgent", "payment_final", "payment_confirm", "unpaid", "fell_back",
    "canceled_unpaid", "grace_ended",
)  # fmt: skip


def quiet_hours(world: World) -> Iterator[str]:
    known: dict[str, Subscription] = {}
    policies: dict[str, tuple[DunningPolicy, str]] = {}
    for _, record in world.store.committed:
        if isinstance(record, Subscription):
            before, known[record.id] = known.get(record.id), record
            if record.dunning is not None:
                policies[record.id] = (record.dunning.policy, record.zone)
            elif before is not None and before.dunning is None and before.plan != record.plan:
                policies.pop(record.id, None)  # another plan has another policy
        if not isinstance(record, JournalEntry) or any(f.type == LETTER_DUE for f in record.facts):
            continue  # one that was held goes out when the tick comes round, however late that is
        letter = letter_of(LIVE, record)
        if letter is None or letter.template not in ABOUT_ARREARS:
            continue
        policy, zone = policies.get(str(letter.data.get("subscription")), (DunningPolicy(), "UTC"))
        if _is_quiet(policy, record.at.astimezone(ZoneInfo(zone)).hour):
            yield f"{letter.template} of {record.at} is let go in quiet hours of {zone}: {policy}"


def _is_quiet(policy: DunningPolicy, hour: int) -> bool:
    return (hour - policy.quiet_from) % 24 < (policy.quiet_until - policy.quiet_from) % 24
