"""Limits on what can test cards, as handlers use them: `with attempt(call, ctx, …): …`.

The address is the one API Gateway saw. Nothing that the caller sends names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address
from typing import Any

from chalicelib.application.context import Context
from chalicelib.application.limits import Limits, Rate, count_declined, spend
from chalicelib.domain.errors import PaymentDeclinedError
from chalicelib.entrypoints.http.endpoints import Call

_NETWORK_BITS = 64


@contextmanager
def attempt(call: Call[Any], ctx: Context, *, visitor: bool, subject: str | None = None) -> Iterator[None]:
    """One attempt: of the caller's address and of all visitors when it is a `visitor` (no secret key), and of
    `subject`, the customer or session that it is about. RateLimitedError before anything is done.

    The narrower limit goes first: who is beyond it uses up nothing that others share.
    """
    limits = call.services.limits
    names = _names(call, ctx, limits, visitor=visitor, subject=subject)
    for name, rate in names.items():
        spend(call.services.ops, name, rate, at=call.machine_now)
    try:
        yield
    except PaymentDeclinedError:
        for name in names:
            count_declined(call.services.ops, name, limits, at=call.machine_now)
        raise


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


def _names(
    call: Call[Any], ctx: Context, limits: Limits, *, visitor: bool, subject: str | None
) -> dict[str, Rate]:
    names: dict[str, Rate] = {}
    if visitor:
        names[f"address#{ctx.env}#{network_of(call.client)}"] = limits.address
    if subject is not None:
        names[f"subject#{ctx.env}#{subject}"] = limits.subject
    if visitor:
        names[f"visitors#{ctx.env}"] = limits.visitors
    return names
