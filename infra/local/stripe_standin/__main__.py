"""Command line of the stand-in. See the package's docstring."""

from __future__ import annotations

import argparse
import signal
import sys
import threading
from pathlib import Path

from .context import DEFAULT_EVENTS, Settings
from .server import Server
from .store import StateError


def main(arguments: list[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    settings = Settings(
        secret_keys=options.secret_key or ["sk_test_standin"],
        webhook_secret=options.webhook_secret,
        webhook_url=options.webhook_url or None,
        events=options.events.split(",") if options.events else list(DEFAULT_EVENTS),
        public_url=(options.public_url or "").rstrip("/"),
        retry_wait=options.retry_wait,
        retry_limit=options.retry_limit,
    )
    try:
        server = Server(settings, port=options.port, state=options.state)
    except StateError as error:
        return refuse(str(error))
    except OSError as error:
        return refuse(f"Stripe stand-in: port {options.port} cannot be used: {error.strerror}")
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    server.start()
    print(f"Stripe stand-in: {server.url}", flush=True)
    stopped.wait()
    server.stop()
    return 0


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m infra.local.stripe_standin", description="A stand-in for Stripe's API."
    )
    p.add_argument("--port", type=int, default=8788)
    p.add_argument("--state", type=Path, help="folder for the state; without it nothing is kept")
    p.add_argument("--webhook-url")
    p.add_argument("--webhook-secret", default="whsec_standin")
    p.add_argument("--secret-key", action="append", help="an accepted API key; may be given several times")
    p.add_argument("--events", help="comma-separated event types to deliver")
    p.add_argument("--public-url", help="origin that browsers use for the hosted pages")
    p.add_argument(
        "--retry-wait", type=float, default=0.5, help="seconds before the first redelivery; doubles"
    )
    p.add_argument("--retry-limit", type=int, default=10, help="redeliveries before an event is given up")
    return p


def refuse(line: str) -> int:
    print(line, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
