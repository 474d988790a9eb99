"""`python -m infra.local run`: the whole system on one machine, in the foreground."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import logging
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from infra.local.engine import (
    LOOPBACK,
    PROJECT,
    Child,
    ChildFailed,
    emulator_url,
    start_child,
    start_emulator,
    wait_until_up,
)
from infra.local.preflight import Refused, check_ports, check_state, claim_state, clear_state
from infra.local.resources import LocalSecrets, aws_environment, create_resources, read_secrets
from infra.local.screen import Keys, screen, shell_file

log = logging.getLogger("infra.local")

Bootstrap = Callable[[Path], Keys]
APP = "app:app"
STANDIN = "infra.local.stripe_standin"


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0 after Ctrl-C, 1 when a part failed, 2 when it could not start."""
    options = _parse(arguments)
    try:
        with contextlib.closing(claim_state(options.state)):
            if options.reset:
                clear_state(options.state)
            check_state(options.state)
            check_ports(options.port)
            return System(options).run()
    except Refused as refusal:
        print(f"perennial: {refusal}", file=sys.stderr)
        return 2
    except ChildFailed as failure:
        print(f"perennial: {failure}", file=sys.stderr)
        return 1


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.local", description=__doc__)
    run = parser.add_subparsers(required=True).add_parser("run", help="start everything on loopback")
    run.add_argument("--port", type=int, default=8787, help="the next two ports are used too (default 8787)")
    run.add_argument("--state", type=Path, default=Path(".perennial"), help="folder for what must survive")
    run.add_argument(
        "--reset", action="store_true", help="start clean: forget everything in the state folder"
    )
    # Other apps than the project's own: the tests of this package bring theirs.
    run.add_argument("--app", default=APP, help=argparse.SUPPRESS)
    run.add_argument("--standin", default=STANDIN, help=argparse.SUPPRESS)
    run.add_argument("--bootstrap", default="infra.local.bootstrap:bootstrap", help=argparse.SUPPRESS)
    return parser.parse_args(arguments)


class System:
    """Every part of the local system: started together, stopped together."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._port: int = options.port
        self._state: Path = options.state
        self._url = f"http://{LOOPBACK}:{self._port}"
        self._asked_to_stop = threading.Event()

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._ask_to_stop)
        with contextlib.ExitStack() as stack:
            children = self._start_children(stack)
            terminal = stack.enter_context(_output_to(self._state / "app.log"))
            self._start_application(stack)
            terminal(screen(self._url, self._keys, self._state))
            return self._watch(children, terminal)

    def _ask_to_stop(self, number: int, _frame: object) -> None:
        self._asked_to_stop.set()
        signal.signal(
            number, signal.SIG_DFL
        )  # Asked twice, we go at once; the children follow by themselves.

    def _start_children(self, stack: contextlib.ExitStack) -> list[Child]:
        """The emulator first: it holds the secrets that the stand-in must know."""
        emulator = start_emulator(self._state, self._port + 2)
        stack.callback(emulator.stop)
        wait_until_up([(emulator, f"{self._endpoint}/_ministack/health")])
        self._secrets = read_secrets(self._endpoint) or LocalSecrets.generate()
        standin = self._start_standin()
        stack.callback(standin.stop)
        self._create_resources()
        wait_until_up([(standin, self._stripe_url)])
        return [emulator, standin]

    def _start_standin(self) -> Child:
        folder = (self._state / "stripe").resolve()
        folder.mkdir(exist_ok=True)
        return start_child(
            "stripe-standin",
            self._options.standin,
            *("--port", str(self._port + 1)),
            *("--state", str(folder)),
            *("--webhook-url", f"{self._url}/v1/webhooks/stripe"),
            *("--webhook-secret", self._secrets.stripe_webhook_secrets.split(",")[0]),
            *("--secret-key", self._secrets.stripe_secret_key),
            log_folder=self._state,
        )

    def _create_resources(self) -> None:
        os.environ.update(aws_environment(self._endpoint))
        os.environ.update(
            create_resources(
                self._endpoint,
                public_url=self._url,
                stripe_api_base=self._stripe_url,
                secrets=self._secrets,
            )
        )

    def _start_application(self, stack: contextlib.ExitStack) -> None:
        # Imported only now: the application reads its environment when it is first used.
        from infra.local.runtime import Runtime

        app = _load(self._options.app)
        self._keys: Keys = _load(self._options.bootstrap)(self._state)
        _write_private(self._state / "env", shell_file(self._url, self._keys))
        runtime = Runtime(
            app,
            endpoint=self._endpoint,
            port=self._port,
            state=self._state,
            config=PROJECT / ".chalice" / "config.json",
            home=f"/pricing?key={self._keys.publishable}",
        )
        runtime.start()
        stack.callback(runtime.stop)

    def _watch(self, children: list[Child], terminal: Callable[[str], None]) -> int:
        while not self._asked_to_stop.wait(0.5):
            for child in children:
                if child.ended:
                    terminal(f"perennial: {child.name} ended unexpectedly:\n{child.last_words()}")
                    return 1
        terminal("Stopping … (what is at work is finished first; Ctrl-C again goes at once)")
        return 0

    @property
    def _endpoint(self) -> str:
        return emulator_url(self._port + 2)

    @property
    def _stripe_url(self) -> str:
        return f"http://{LOOPBACK}:{self._port + 1}"


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


@contextlib.contextmanager
def _output_to(path: Path) -> Iterator[Callable[[str], None]]:
    """Sends what the application prints and logs to a file, warnings also to the terminal.

    Answers a function that still prints to the terminal.
    """
    terminal = sys.stdout
    errors = logging.StreamHandler(sys.stderr)
    errors.setLevel(logging.WARNING)
    errors.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    with path.open("a", encoding="utf-8", buffering=1) as file, contextlib.redirect_stdout(file):
        everything = logging.StreamHandler(file)
        everything.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
        logging.basicConfig(level=logging.INFO, handlers=[everything, errors], force=True)
        logging.getLogger("botocore").setLevel(logging.WARNING)
        yield lambda text: print(text, file=terminal, flush=True)
        logging.getLogger().removeHandler(everything)


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.chmod(0o600)
    path.write_text(text, encoding="utf-8")
