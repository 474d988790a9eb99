"""A dunning policy as the catalog's document has it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypedDict

from chalicelib.domain.dunning_policy import DunningPolicy, EndState, HardDecline, StageMail


class DunningDocument(TypedDict, total=False):
    days: Sequence[int]
    hard_decline: str
    quiet_from: int
    quiet_until: int
    grace_days: int | None
    end: str
    free_plan: str | None
    mails: Sequence[str]
    end_mail: bool
    grace_mail: bool
    attempts_per_card: int
    access_while_disputed: bool


def build_policy(document: DunningDocument) -> DunningPolicy:
    """What is left out is as in the default policy."""
    usual = DunningPolicy()
    return DunningPolicy(
        days=tuple(document.get("days", usual.days)),
        hard_decline=HardDecline(document.get("hard_decline", usual.hard_decline)),
        quiet_from=document.get("quiet_from", usual.quiet_from),
        quiet_until=document.get("quiet_until", usual.quiet_until),
        grace_days=document.get("grace_days"),
        end=EndState(document.get("end", usual.end)),
        free_plan=document.get("free_plan"),
        mails=tuple(StageMail(mail) for mail in document.get("mails", ())),
        end_mail=document.get("end_mail", usual.end_mail),
        grace_mail=document.get("grace_mail", usual.grace_mail),
        attempts_per_card=document.get("attempts_per_card", usual.attempts_per_card),
        access_while_disputed=document.get("access_while_disputed", usual.access_while_disputed),
    )


def write_policy(policy: DunningPolicy) -> dict[str, Any]:
    return {
        "days": list(policy.days),
        "hard_decline": str(policy.hard_decline),
        "quiet_from": policy.quiet_from,
        "quiet_until": policy.quiet_until,
        "grace_days": policy.grace_days,
        "end": str(policy.end),
        "free_plan": policy.free_plan,
        "mails": [str(mail) for mail in policy.mails],
        "end_mail": policy.end_mail,
        "grace_mail": policy.grace_mail,
        "attempts_per_card": policy.attempts_per_card,
        "access_while_disputed": policy.access_while_disputed,
    }
