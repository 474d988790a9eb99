"""A worker as Lambda runs it, for one batch: the event comes on standard input, peak memory goes to the output."""

from __future__ import annotations

import json
import resource
import sys
from datetime import datetime


class Context:
    """Lambda's, without loading anything of the local system."""

    function_name = "work_due"
    aws_request_id = "bench"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def main() -> None:
    from chalicelib import composition
    from chalicelib.entrypoints.jobs import due

    given = json.load(sys.stdin)
    now = datetime.fromisoformat(given["now"])
    with composition.use(composition.Services(machine_now=lambda: now)):
        answer = due.work_due(given["event"], Context())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    kilobytes = peak / 1024 if sys.platform == "darwin" else peak
    print(json.dumps({"failed": answer["batchItemFailures"], "peak_mb": kilobytes / 1024}))


if __name__ == "__main__":
    main()
