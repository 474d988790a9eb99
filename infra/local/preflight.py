"""What must be true before anything starts; each complaint is one line that says what to do."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import shutil
import socket
from pathlib import Path
from typing import IO

from infra.local.engine import LOOPBACK

MARKER = "perennial.lock"


class Refused(Exception):
    """The local system cannot start; the message is for the terminal."""


def check_ports(port: int) -> None:
    """The application, the Stripe stand-in and the AWS emulator take three ports in a row."""
    if not 1024 <= port <= 65533:
        raise Refused(f"port {port} is not possible: choose one from 1024 to 65533, make run PORT=8787")
    for offset, purpose in enumerate(("the application", "the Stripe stand-in", "the AWS emulator")):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port + offset))
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    raise
                raise Refused(
                    f"port {port + offset} ({purpose}) is in use: choose another, make run PORT={port + 100}"
                ) from None


def claim_state(state: Path) -> IO[str]:
    """Makes the state folder ours for as long as the answered file stays open."""
    marker = state / MARKER
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = not any(state.iterdir())
        if not (new or marker.exists()):
            raise Refused(f"{state} holds something else: choose another folder, make run STATE=.perennial")
        lock = marker.open("a", encoding="utf-8")
    except OSError as error:
        raise Refused(f"the state folder {state} cannot be used: {error.strerror}") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        lock.close()
        raise Refused(
            f"another Perennial already runs on {state}: stop it, or make run STATE=other PORT=…"
        ) from None
    return lock


def clear_state(state: Path) -> None:
    """Removes everything in the claimed folder but the claim itself."""
    for entry in state.iterdir():
        if entry.name != MARKER:
            shutil.rmtree(entry) if entry.is_dir() and not entry.is_symlink() else entry.unlink()


def check_state(state: Path) -> None:
    """A write that does not succeed, or a state file cut short, is better found now."""
    probe = state / ".probe"
    try:
        probe.write_text("x", encoding="utf-8")
        probe.unlink()
        for saved in sorted(state.glob("aws/*.json")):
            _check_whole(saved)
    except OSError as error:
        raise Refused(f"the state folder {state} cannot be used: {error.strerror}") from None


def _check_whole(saved: Path) -> None:
    # The emulator would start empty without a word, and the stand-in's payments would have no invoices.
    with saved.open("rb") as file, contextlib.suppress(OSError):
        file.seek(-16, 2)
        if file.read().rstrip().endswith(b"}"):
            return
    raise Refused(f"{saved} is damaged: start clean with make run RESET=1")
