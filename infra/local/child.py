"""Runs a module as a child that never outlives its parent, on Linux and macOS alike.

`python -m infra.local.child MODULE ARGS…`: the parent keeps the write end of our standard input open
for as long as it lives. When it ends, however it ends (kill -9 included), the read below returns and
the child stops itself in good order.
"""

from __future__ import annotations

import os
import runpy
import signal
import sys
import threading
import time

GRACE_SECONDS = 10.0


def stop_with_parent() -> None:
    """Sends this process SIGTERM once standard input closes, and ends it by force if that does not help."""
    threading.Thread(target=_watch, name="parent-watch", daemon=True).start()


def _watch() -> None:
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_SECONDS)
    os._exit(1)


def main() -> None:
    module, *arguments = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    stop_with_parent()
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
