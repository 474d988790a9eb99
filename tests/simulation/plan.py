"""What a seed makes happen: customers, what they do, what the machinery does, and what goes wrong, step by step."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.simulation.choices import (
    ACTIONS,
    ACTORS,
    CARDS,
    CLIENTS,
    COUPONS,
    FAULTS,
    GOLD,
    INTERVALS,
    PLANS,
    RIVALS,
    SEQUELS,
    WEIGHTS,
)
from tests.simulation.faults import Fault
from tests.simulation.steps import DEFAULT, OWN, Plan, Step

MOST_STEPS = 350
WAITS = (0.02, 0.3, 2, 6, 12, 23, 25, 48, 72, 7 * 24, 7 * 24, 14 * 24, 24 * 24, 31 * 24, 31 * 24)
"""Hours between one thing and the next. In SEQUELS, what was made last is meant (number -1)."""


def draw(seed: int) -> Plan:
    """The plan of a seed: the same for ever (as long as this file is)."""
    drawing = Drawing(seed)
    random = drawing.random
    start = datetime(2026, random.randint(1, 12), 1, tzinfo=UTC) + timedelta(
        days=random.choice((0, 3, 14, 27, 28, 29, 30)), minutes=random.randrange(24 * 60)
    )
    names, weights = list(WEIGHTS), list(WEIGHTS.values())
    for _ in range(random.randint(1, 3)):
        drawing.add("customer", **ACTIONS["customer"](drawing))
    drawing.add("subscribe", **ACTIONS["subscribe"](drawing))
    months = random.randint(2, 9)
    elapsed = 0.0
    while elapsed < months * 30 * 24 and len(drawing.steps) < MOST_STEPS:
        if random.random() < 0.08:
            _rush(drawing)
        for _ in range(random.choice((0, 1, 1, 2))):
            (kind,) = random.choices(names, weights)
            drawing.add(kind, **ACTIONS[kind](drawing))
            elapsed += _sequel(drawing, kind)
        elapsed += _pass(drawing, random.choice(WAITS) * drawing.pace)
    rate = random.choice((None, None, 3, 6)) if drawing.trouble else None
    return Plan(seed, start, tuple(drawing.steps), _policies(random), rate)


def _policies(random: Random) -> dict[str, dict[str, Any]]:
    """For half of the seeds, how arrears are collected is drawn; the others have the usual ways."""
    if random.random() < 0.5:
        return {}
    limit = random.choice((2, 4, 15))
    names = ("starter", "pro", "weekly", "business", GOLD, DEFAULT)
    return {name: {**_policy(random), "attempts_per_card": limit} for name in names}


def _policy(random: Random) -> dict[str, Any]:
    end = random.choice(({"end": "cancel"}, {"end": "unpaid"}, {"end": "free_plan", "free_plan": "free"}))
    quiet = random.choice(
        ({}, {}, {"quiet_from": 21, "quiet_until": 8}, {"quiet_from": 9, "quiet_until": 17})
    )
    return {
        "days": list(random.choice(((0, 2, 7, 14, 21), (0,), (0, 1), (0, 3, 30), (0, 1, 2, 3, 4, 5, 6, 7)))),
        "hard_decline": random.choice(("last_day", "end")),
        "grace_days": random.choice((None, 0, 3, 40)),
        **end,
        **quiet,
    }


def _rush(drawing: Drawing) -> None:
    """Two things that should not both come about, at once: what follows is more likely than by chance alone."""
    if drawing.random.random() < 0.5:
        _two_trials(drawing)
    else:
        _two_payments(drawing)


def _two_trials(drawing: Drawing) -> None:
    """One person signs up twice for the same trial, and both are completed."""
    cart = {**ACTIONS["signup"](drawing), "plan": "starter", "interval": "month"}
    cart.pop("quantity", None)
    cart.pop("trial_days", None)
    cart.pop("coupon", None)
    for _ in range(2):
        drawing.add("signup", calm=True, **cart)
    _cut(drawing, "complete", {"which": -1}, "cut_in", "complete", {"which": -2})


def _two_payments(drawing: Drawing) -> None:
    """A page's invoice is paid with a card, and on the page."""
    who = drawing.any_number()
    drawing.add("checkout", calm=True, who=who, plan="starter", interval="month", trial_days=0)
    kind = drawing.one(("interfere", "cut_in"))
    _cut(drawing, "pay", {"which": -1, "card": OWN}, kind, "page_pay", {"which": -1, "card": OWN})


def _cut(drawing: Drawing, kind: str, args: Any, fault: str, other: str, others_args: Any) -> None:
    actor = Step(1_000_000 + drawing.random.randrange(1_000_000), other, others_args)
    at = drawing.random.randint(1, 14 if fault == "cut_in" else 6)
    drawing.steps.append(Step(len(drawing.steps), kind, args, (Fault(at, fault, actor),)))


def _pass(drawing: Drawing, hours: float) -> float:
    drawing.add("wait", hours=round(hours, 2), calm=True)
    _machinery(drawing)
    return hours


def _sequel(drawing: Drawing, kind: str) -> float:
    """What often comes next, so that stories are told to their end; answers the hours that it took."""
    hours = 0.0
    for follows in SEQUELS.get(kind, ()):
        if drawing.random.random() < 0.35:
            hours += _pass(drawing, drawing.random.choice((0.01, 0.5, 5, 22, 26, 70)))
        if drawing.random.random() < 0.7:
            args = ACTIONS[follows](drawing)
            args.update(dict.fromkeys(args.keys() & {"which", "who"}, -1))
            drawing.add(follows, **args)
    return hours


def _machinery(drawing: Drawing) -> None:
    """Mostly everything runs; now and then some of it does not, or does twice."""
    random = drawing.random
    lag = random.choice((0.0, 0.0, 0.3)) if drawing.trouble else 0.0
    loss = random.choice((0.0, 0.0, 0.3, 1.0)) if drawing.trouble else 0.0
    twice = random.choice((0.0, 0.3)) if drawing.trouble else 0.0
    for kind in ("tick", "work", "hooks", "reconcile", "project", "mail"):
        chance = {"reconcile": 0.3, "hooks": 0.8}.get(kind, 0.95)
        if random.random() < chance:
            drawing.add(kind, lag=lag, loss=loss if kind in ("hooks", "work") else 0.0, twice=twice)


class Drawing:
    """A plan being drawn."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.steps: list[Step] = []
        self.trouble = self.random.choice((0.0, 0.15, 0.3, 0.5))
        self.pace = self.random.choice((0.4, 1.0, 1.0, 2.0))

    def add(self, kind: str, *, calm: bool = False, **args: Any) -> None:
        faults = () if calm else self.faults(kind)
        repeats = self.random.choice((0, 0, 1, 1, 2)) if kind in CLIENTS else 0
        self.steps.append(Step(len(self.steps), kind, args, faults, repeats))

    def faults(self, of: str) -> tuple[Fault, ...]:
        found = []
        while self.random.random() < self.trouble and len(found) < 3:
            kind = self.random.choice(FAULTS)
            at = 1 + min(int(self.random.expovariate(0.35)), 25)
            found.append(Fault(at, kind, self.actor(of) if kind in ("interfere", "cut_in") else None))
        return tuple(found)

    def actor(self, of: str) -> Step:
        """What somebody else does in the middle of a step: often what goes for the same thing."""
        rivals = RIVALS.get(of, ACTORS) if self.random.random() < 0.5 else ACTORS
        kind = self.random.choice(rivals)
        args = ACTIONS[kind](self) if kind in ACTIONS else {}
        return Step(1_000_000 + self.random.randrange(1_000_000), kind, args)

    def one(self, values: Any) -> Any:
        return self.random.choice(values)

    def any_number(self) -> int:
        return self.random.randrange(64)

    def buying(self) -> dict[str, Any]:
        """An order: mostly one that can be had."""
        plan = self.one(PLANS)
        default = {"quarterly": "quarter"}.get(plan, self.one(("month", "month", "month", "year")))
        args: dict[str, Any] = {"plan": plan, "interval": INTERVALS.get(plan, default)}
        if plan in ("pro", "business", "weekly") and self.random.random() < 0.6:
            args["quantity"] = self.random.randint(2, 25)
        if plan in ("starter", "pro") and self.random.random() < 0.3:
            args["add_ons"] = (("priority_support", 1),)
        if self.random.random() < 0.5:
            args["trial_days"] = 0
        return args | self.coupon()

    def coupon(self) -> dict[str, Any]:
        return {"coupon": self.one(COUPONS)} if self.random.random() < 0.3 else {}

    def card(self, bad: float = 0.35) -> str:
        shared = self.random.random() < 0.1
        return str(self.one(CARDS) if self.random.random() < bad else "pm_card_visa" if shared else OWN)
