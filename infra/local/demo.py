"""`python -m infra.local.demo`: a company's year in a minute, and whether the books agree at its end.

Starts a system of its own in a folder that is removed afterwards, makes a sandbox with 200 customers on a mix
of plans, currencies and cards, advances its clock month by month, and reconciles three independent
counts to the minor unit: what the processor took, what the paid invoices say, and what the ledger holds.
"""

from __future__ import annotations

import argparse
import contextlib
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from infra.local.demo_books import reconcile, tables
from infra.local.demo_company import found, sign_up
from infra.local.demo_months import live_through
from infra.local.ports import free_ports

WIDTH = 100


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=200)
    parser.add_argument("--months", type=int, default=12)
    options = parser.parse_args()
    console = Console()
    console.width = max(console.width, WIDTH)
    with _system() as (url, stripe, key):
        company = found(url, key)
        with _progress(console) as progress:
            started = time.monotonic()
            sign_up(company, options.customers, progress)
            signed_up = time.monotonic()
            months = live_through(company, options.months, progress)
        advanced = time.monotonic() - signed_up
        console.print(*tables(months))
        console.print(
            f"{options.customers} customers signed up in {signed_up - started:.0f} s; "
            f"{options.months} months in {advanced:.0f} s."
        )
        return reconcile(company, stripe, console)


@contextlib.contextmanager
def _system() -> Iterator[tuple[str, str, str]]:
    """(address, the processor's address, admin key) of a system that lives as long as this block."""
    with tempfile.TemporaryDirectory(prefix="perennial-demo-") as folder:
        port = free_ports(3)
        command = [sys.executable, "-m", "infra.local", "run", "--port", str(port), "--state", folder]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as system:
            try:
                key = _key_when_up(system, Path(folder))
                yield f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}", key
            finally:
                system.terminate()
                system.wait(20)


def _key_when_up(system: subprocess.Popen[str], folder: Path) -> str:
    assert system.stdout is not None
    said = []
    for line in system.stdout:
        said.append(line)
        if "Secret key" in line:
            # Its screen is not ours to show; read on so that it is never held up by a full pipe.
            threading.Thread(target=system.stdout.read, daemon=True).start()
            return line.split()[-1]
    raise SystemExit("the system did not start:\n" + "".join(said))


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<18}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        console=console,
    )


if __name__ == "__main__":
    sys.exit(main())
