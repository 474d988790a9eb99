"""What a seed makes happen: customers, what they do, what the machinery does, and what goes wrong, as a list of steps.

Steps name things by number ("subscription 3 of those that there are"), never by id, so that a plan with steps
left out still makes sense: that is what makes a failure small.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from tests.simulation.faults import Fault

ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Pacific/Apia", "Australia/Lord_Howe",
         "Asia/Kathmandu", "America/St_Johns")  # fmt: skip
CURRENCIES = ("USD", "EUR", "JPY", "KWD", "ISK")
OWN = "own"
"""A card that pays and that nobody else has: a trial is had once per card."""
CARDS = ("pm_card_visa", "pm_card_mastercard", "pm_card_chargeCustomerFail", "pm_card_insufficient_funds",
         "pm_card_lost", "pm_card_authenticationRequired", "pm_debit_processing", "pm_card_chargeDeclined",
         "pm_card_pendingRefund")  # fmt: skip
BEHAVIOURS = (
    "ok",
    "insufficient_funds",
    "generic_decline",
    "lost_card",
    "authentication_required",
    "processing",
)
DEFAULT = "default"
GOLD = "gold"
"""A segment of customers; plans have policies of their own before it."""
PLANS = ("starter", "pro", "weekly", "tiny", "quarterly", "free", "decade", "business")
INTERVALS = {"weekly": "week", "decade": "ten days"}


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happens. `number` seeds what it draws while it runs; `repeats` is the client's patience."""

    number: int
    kind: str
    args: dict[str, Any] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    repeats: int = 0

    def __str__(self) -> str:
        args = " ".join(f"{name}={value}" for name, value in self.args.items())
        faults = "  ⚡ " + ", ".join(map(str, self.faults)) if self.faults else ""
        return f"#{self.number} {self.kind} {args}{f' ×{self.repeats + 1}' if self.repeats else ''}{faults}"


@dataclass(frozen=True, slots=True)
class Plan:
    """`policies` (per plan) and `calls_a_second` (of jobs, to the processor) where they are not the usual ones."""

    seed: int
    start: datetime
    steps: tuple[Step, ...]
    policies: dict[str, dict[str, Any]] = field(default_factory=dict)
    calls_a_second: int | None = None


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
        return args

    def card(self, bad: float = 0.35) -> str:
        shared = self.random.random() < 0.1
        return str(self.one(CARDS) if self.random.random() < bad else "pm_card_visa" if shared else OWN)


def _order(draw: Drawing) -> dict[str, Any]:
    args = {"who": draw.any_number(), **draw.buying()}
    if draw.random.random() < 0.2:
        args["billing"] = "calendar"
    return args


ACTIONS: dict[str, Any] = {
    "customer": lambda draw: {
        "zone": draw.one(ZONES),
        "currency": draw.one(CURRENCIES),
        "card": draw.card() if draw.random.random() < 0.8 else None,
        "net_days": draw.one((0, 14, 30)) if draw.random.random() < 0.2 else None,
        "segment": draw.one(("", "", "gold")),
    },
    "subscribe": _order,
    "checkout": lambda draw: {"who": draw.any_number(), **draw.buying()},
    "signup": lambda draw: {
        **draw.buying(),
        "zone": draw.one(ZONES),
        "currency": draw.one(CURRENCIES),
        "mailbox": draw.random.randrange(3),
    },
    "complete": lambda draw: {"which": draw.any_number()},
    "attach": lambda draw: {"who": draw.any_number(), "card": draw.card()},
    "behave": lambda draw: {"who": draw.any_number(), "how": draw.one(BEHAVIOURS)},
    "detach": lambda draw: {"who": draw.any_number()},
    "cancel": lambda draw: {"which": draw.any_number(), "at_end": draw.random.random() < 0.5},
    "undo": lambda draw: {"which": draw.any_number()},
    "reactivate": lambda draw: {"which": draw.any_number()},
    "network_update": lambda draw: {"who": draw.any_number(), "pays": draw.random.random() < 0.7},
    "extend_trial": lambda draw: {"which": draw.any_number(), "days": draw.one((1, 3, 20))},
    "end_trial": lambda draw: {"which": draw.any_number()},
    "pay": lambda draw: {
        "which": draw.any_number(),
        "card": draw.card(0.2) if draw.random.random() < 0.5 else None,
    },
    "record": lambda draw: {"which": draw.any_number(), "percent": draw.one((30, 100, 100, 130))},
    "retry": lambda draw: {"which": draw.any_number()},
    "write_off": lambda draw: {"which": draw.any_number()},
    "grace": lambda draw: {"which": draw.any_number(), "days": draw.one((1, 10))},
    "page_pay": lambda draw: {"which": draw.any_number(), "card": draw.card(0.3)},
    "page_return": lambda draw: {"which": draw.any_number()},
    "page_expire": lambda draw: {"which": draw.any_number()},
    "bank": lambda draw: {"how": draw.one(("ok", "ok", "insufficient_funds"))},
    "profile": lambda draw: {"who": draw.any_number(), "zone": draw.one(ZONES)},
    "confirm": lambda draw: {"which": draw.any_number()},
    "authenticate": lambda draw: {"which": draw.any_number(), "passed": draw.random.random() < 0.7},
    "confirm_return": lambda draw: {"which": draw.any_number()},
    "refund": lambda draw: {
        "which": draw.any_number(),
        "percent": draw.one((None, None, 30, 60, 100)),
        "from_credit": draw.random.random() < 0.1,
    },
    "dashboard_refund": lambda draw: {"which": draw.any_number(), "percent": draw.one((100, 25))},
    "refund_ends": lambda draw: {"which": draw.any_number(), "outcome": draw.one(("succeeded", "failed"))},
    "erase": lambda draw: {"who": draw.any_number()},
    "dispute": lambda draw: {
        "which": draw.any_number(),
        "percent": draw.one((100, 100, 40)),
        "inquiry": draw.random.random() < 0.25,
    },
    "decide": lambda draw: {"which": draw.any_number(), "won": draw.random.random() < 0.5},
}
WEIGHTS = {
    "customer": 3, "subscribe": 9, "checkout": 6, "signup": 6, "complete": 5, "attach": 4, "behave": 7, "detach": 4,
    "cancel": 5, "undo": 2, "reactivate": 4, "pay": 4, "record": 3, "page_pay": 8, "page_return": 4,
    "page_expire": 2, "bank": 4, "profile": 1, "retry": 3, "write_off": 1, "grace": 1,
    "network_update": 2, "extend_trial": 2, "end_trial": 2, "dispute": 3, "decide": 4,
    "confirm": 5, "refund": 5, "dashboard_refund": 1, "refund_ends": 2, "confirm_return": 2, "erase": 1,
}  # fmt: skip
OTHERS = {"behave", "detach", "network_update", "page_pay", "bank", "dispute", "decide", "authenticate",
          "dashboard_refund", "refund_ends"}  # fmt: skip
CLIENTS = frozenset(ACTIONS) - OTHERS
"""Steps that are requests: whoever made one may repeat it until it is answered."""
FAULTS = (
    ("kill",) * 6
    + ("interfere",) * 4
    + ("cut_in",) * 3
    + ("lost", "lost", "unavailable", "conflict", "throttle", "stale", "stale")
)
ACTORS = ("work", "work", "same", "same", "cancel", "hooks", "reconcile", "undo", "attach", "pay", "retry",
          "page_return", "page_expire", "page_pay", "reactivate", "detach", "network_update", "extend_trial",
          "end_trial", "write_off", "dispute", "decide", "refund", "dashboard_refund",
          "confirm", "authenticate", "erase")  # fmt: skip
RIVALS = {
    "subscribe": ("subscribe", "checkout"), "complete": ("complete", "complete", "page_return"),
    "page_return": ("complete", "page_expire", "page_return"), "page_expire": ("page_pay",), "pay": ("page_pay", "pay"),
    "refund": ("refund", "dashboard_refund", "dispute"), "erase": ("subscribe", "checkout"),
    "confirm": ("authenticate", "pay", "record"),
}  # fmt: skip
SEQUELS = {
    "customer": ("subscribe",), "checkout": ("page_pay", "page_return"), "complete": ("page_pay", "page_return"),
    "signup": ("complete", "page_pay"), "cancel": ("undo", "reactivate"), "subscribe": ("behave", "attach", "cancel"),
    "behave": ("pay", "attach", "network_update"), "attach": ("detach",), "dispute": ("decide", "refund"),
    "refund": ("refund_ends", "refund"), "confirm": ("authenticate", "confirm_return"),
}  # fmt: skip
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
    drawing.add("subscribe", **_order(drawing))
    months = random.randint(2, 9)
    elapsed = 0.0
    while elapsed < months * 30 * 24 and len(drawing.steps) < MOST_STEPS:
        if random.random() < 0.04:
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
