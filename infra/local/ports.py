"""Free ports on loopback."""

from __future__ import annotations

import socket
from contextlib import ExitStack

from infra.local.engine import LOOPBACK

FIRST, LAST = 20_000, 60_000


def free_ports(count: int) -> int:
    """The first of `count` neighbouring ports that nobody listens on now."""
    with socket.socket() as any_port:
        any_port.bind((LOOPBACK, 0))
        start = int(any_port.getsockname()[1]) % (LAST - FIRST) + FIRST
    for port in range(start, start + 500, count):
        with ExitStack() as stack:
            try:
                for offset in range(count):
                    stack.enter_context(socket.socket()).bind((LOOPBACK, port + offset))
            except OSError:
                continue
            return port
    raise OSError("no free ports on loopback")
