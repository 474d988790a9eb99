"""What is measured in processes of their own: imports, memory, the start of the system."""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from infra.local.engine import PROJECT
from infra.local.ports import free_ports
from tests.bench.world import Bench, message_event

SDKS = "import chalice, boto3, stripe"
API = "import app"
NEVER_CHARGES = "import chalicelib.entrypoints.jobs.projector"
ADAPTERS = (
    "import boto3, chalicelib.settings, chalicelib.adapters.aws, chalicelib.adapters.sqs, "
    "chalicelib.adapters.dynamo.ops, chalicelib.adapters.dynamo.store, chalicelib.adapters.dynamo.tables"
)
"""What the first call of a function that charges nothing loads beside its own module."""
_TIMED = "import time; t = time.process_time(); {}; print(time.process_time() - t)"


@dataclass(frozen=True, slots=True)
class Imports:
    """Shares of the CPU that importing chalice, boto3 and stripe takes."""

    api: float
    never_charges: float
    api_with_adapters: float
    never_charges_with_adapters: float
    sdks_seconds: float


def imports(rounds: int = 5) -> Imports:
    """Medians of fresh processes that take turns; compiled files are there, as in a package."""
    statements = {
        "sdks": SDKS,
        "api": API,
        "quiet": NEVER_CHARGES,
        "api+": f"{API}; {ADAPTERS}",
        "quiet+": f"{NEVER_CHARGES}; {ADAPTERS}",
    }
    times: dict[str, list[float]] = {name: [] for name in statements}
    for _ in range(rounds + 1):
        for name, statement in statements.items():
            times[name].append(float(_python("-c", _TIMED.format(statement))))
    median = {name: statistics.median(taken[1:]) for name, taken in times.items()}
    sdks = median["sdks"]
    return Imports(
        median["api"] / sdks, median["quiet"] / sdks, median["api+"] / sdks, median["quiet+"] / sdks, sdks
    )


def loads_stripe(statement: str) -> bool:
    """Whether the statement loads the processor's SDK."""
    return _python("-c", f"{statement}; import sys; print('stripe' in sys.modules)").strip() == "True"


def worker_peak(bench: Bench) -> float:
    """Megabytes that a worker has held at most after one batch of ten renewals: everything in the process."""
    from chalicelib.adapters.codec import dumps, encode

    subscriptions = bench.subscribers(10)
    bench.a_month_on()
    bodies = [dumps(encode(bench.due_row(each))) for each in subscriptions]
    given = json.dumps({"now": bench.now.isoformat(), "event": message_event(bodies)})
    answer = json.loads(_python("-m", "tests.bench.worker", given=given).splitlines()[-1])
    assert answer["failed"] == [], answer
    return float(answer["peak_mb"])


def start_of_run(timeout: float = 30.0) -> float:
    """Seconds from the command to its screen, on a fresh state."""
    with tempfile.TemporaryDirectory(prefix="perennial-bench-") as folder:
        command = [
            sys.executable, "-m", "infra.local", "run", "--port", str(free_ports(3)),
            "--state", str(Path(folder) / "state"),
        ]  # fmt: skip
        started = time.perf_counter()
        with subprocess.Popen(
            command, cwd=PROJECT, env=_clean(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        ) as process:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    if re.search("Secret key", line):
                        return time.perf_counter() - started
                    if time.perf_counter() - started > timeout:
                        break
                raise AssertionError("make run showed no screen")
            finally:
                process.terminate()
                process.communicate(timeout=20)


def package() -> Path | None:
    """The newest zip that `make package` left, if any."""
    found = sorted((PROJECT / "build").glob("*/*.zip"), key=lambda file: file.stat().st_mtime)
    return found[-1] if found else None


def _python(*arguments: str, given: str | None = None) -> str:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=PROJECT, input=given, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{arguments}: {done.stderr[-2000:]}"
    return done.stdout


def _clean() -> dict[str, str]:
    """The environment without what points it at another system."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PERENNIAL_", "AWS_"))}
