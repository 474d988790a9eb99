"""Limits on what can test cards, as handlers use them: `with attempt(call, ctx, …): …`.

Who has no secret key is a visitor: their attempts count, by address, and they may have to solve a captcha. A secret
key is the merchant's own server, whose requests are as many as it likes: only payments that fail count, by customer
and by card, so that a server which relays stolen cards stops getting answers. The address is the one API Gateway
saw. Nothing that the caller sends names it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import IPv6Address, ip_address
from typing import Any

from chalicelib.application.context import Context
from chalicelib.application.limits import Limits, Rate, count_declined, give_back, spend
from chalicelib.application.records import account_key
from chalicelib.domain import ids
from chalicelib.domain.customer import PaymentMethod
from chalicelib.domain.environment import LIVE
from chalicelib.domain.errors import CaptchaRequiredError, PaymentDeclinedError
from chalicelib.entrypoints.http.endpoints import Call

CAPTCHA_HEADER = "Captcha-Solution"
_NETWORK_BITS = 64
_FAILED = "payment.failed"


@contextmanager
def attempt(
    call: Call[Any], ctx: Context, *, visitor: bool, signup: str | None = None, solution: str | None = None
) -> Iterator[None]:
    """One attempt: of the caller's address and of all visitors when it is a `visitor` (no secret key), and of
    `signup`, the session that it is about. RateLimitedError before anything is done; then, for a visitor,
    CaptchaRequiredError unless the `solution` (of the form; else the header's) stands, where one is asked for.

    The narrower limit goes first: who is beyond it uses up nothing that others share.
    """
    limits = call.services.limits
    names = _names(call, ctx, limits, visitor=visitor, signup=signup)
    for name, rate in names.items():
        spend(call.services.ops, name, rate, at=call.machine_now)
    if visitor:
        _require_human(call, call.headers.get(CAPTCHA_HEADER, "") if solution is None else solution)
    try:
        yield
    except PaymentDeclinedError:
        for name in names:
            count_declined(call.services.ops, name, limits, at=call.machine_now)
        raise


@contextmanager
def payment(call: Call[Any], customer_id: str, *, new_method: bool = False) -> Iterator[Context]:
    """A payment asked for with a secret key: yields the context to run it in. RateLimitedError before anything is
    charged once payments of this customer, or with this card, have failed too often.

    The card is the one on file, unless a `new_method` comes with the request: then it is known once it is
    attached. In a sandbox cards do not count: test cards are few, and everybody uses the same. A place is taken
    before and given back unless the payment failed, so that many at once are no way around it.
    """
    ctx = call.ctx
    ids.require("cus", customer_id)
    held = _Held(call, ctx.env)
    tally: Counter[str] = Counter()
    failed = False
    try:
        held.take(f"customer#{ctx.env}#{customer_id}")
        if not new_method and ctx.env == LIVE:
            account = ctx.store.get(account_key(ctx.env, customer_id))
            if account is not None and account.payment_method is not None:
                held.take_card(account.payment_method)
        yield replace(ctx, tally=tally, admit_method=held.take_card)
    except PaymentDeclinedError:
        failed = True
        raise
    finally:
        if not failed and not tally[_FAILED]:
            held.give_back()


def count_write(call: Call[Any], env: str, key_id: str) -> None:
    """Something is written with a publishable key, which anybody can read off the website. RateLimitedError."""
    limits, ops = call.services.limits, call.services.ops
    spend(ops, f"writes#{env}#{network_of(call.client)}", limits.writes, at=call.machine_now)
    spend(ops, f"key#{env}#{key_id}", limits.key_writes, at=call.machine_now)


def count_code(call: Call[Any], env: str) -> None:
    """A visitor's page says whether a coupon's code is right: nobody is to try them all. RateLimitedError."""
    name = f"codes#{env}#{network_of(call.client)}"
    spend(call.services.ops, name, call.services.limits.writes, at=call.machine_now)


def count_return(call: Call[Any], ctx: Context, checkout_id: str) -> None:
    """The processor is asked what became of a payment page because somebody opened the way back. RateLimitedError."""
    name = f"return#{ctx.env}#{checkout_id}"
    spend(call.services.ops, name, call.services.limits.returns, at=call.machine_now)


def network_of(address: str) -> str:
    """Whom an address stands for: itself, or in IPv6 the network of 2^64 that one subscriber is given."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return "unknown"
    if not isinstance(parsed, IPv6Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    rest = 128 - _NETWORK_BITS
    return f"{IPv6Address(int(parsed) >> rest << rest)}/{_NETWORK_BITS}"


class _Held:
    """Places taken among the failures that are allowed, each once."""

    def __init__(self, call: Call[Any], env: str) -> None:
        self._call = call
        self._env = env
        self._names: list[str] = []

    def take(self, name: str) -> None:
        if name not in self._names:
            spend(self._call.services.ops, name, self._rate, at=self._call.machine_now)
            self._names.append(name)

    def take_card(self, method: PaymentMethod) -> None:
        if self._env == LIVE and method.fingerprint:
            self.take(f"card#{self._env}#{ids.token('limited card', method.fingerprint)}")

    def give_back(self) -> None:
        for name in self._names:
            give_back(self._call.services.ops, name, self._rate, at=self._call.machine_now)

    @property
    def _rate(self) -> Rate:
        return self._call.services.limits.failures


def _require_human(call: Call[Any], solution: str) -> None:
    captcha = call.services.captcha
    if captcha is not None and not captcha.is_solved(solution, address=call.client):
        raise CaptchaRequiredError(
            "this needs a solved captcha",
            field=CAPTCHA_HEADER,
            fix=f"show the widget, and send its fresh solution as the header {CAPTCHA_HEADER}",
        )


def _names(
    call: Call[Any], ctx: Context, limits: Limits, *, visitor: bool, signup: str | None
) -> dict[str, Rate]:
    names: dict[str, Rate] = {}
    if visitor:
        names[f"address#{ctx.env}#{network_of(call.client)}"] = limits.address
    if signup is not None:
        names[f"signup#{ctx.env}#{signup}"] = limits.signup
    if visitor:
        names[f"visitors#{ctx.env}"] = limits.visitors
    return names
