"""`python -m infra.local run` as a user meets it: one screen, clear refusals, and nothing left behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from infra.local.command import main
from infra.local.preflight import MARKER
from infra.local.resources import client

pytestmark = pytest.mark.engine

Capture = pytest.CaptureFixture[str]

PROJECT = Path(__file__).resolve().parents[2]
SAMPLE = (
    *("--app", "tests.infra.sample_app:app"),
    *("--standin", "tests.infra.sample_app"),
    *("--bootstrap", "tests.infra.sample_app:bootstrap"),
)


class Run:
    """One run of the command, with every process that it started."""

    def __init__(self, port: int, state: Path, *more: str, parts: tuple[str, ...] = SAMPLE) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "infra.local",
                "run",
                "--port",
                str(port),
                *parts,
                "--state",
                str(state),
                *more,
            ],
            cwd=PROJECT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def screen(self) -> str:
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if "clock/advance" in line:
                return "".join(lines) + self.process.stdout.readline()
        raise AssertionError(f"it ended: {self.process.communicate()[1]}")

    def family(self) -> list[psutil.Process]:
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def get(self, path: str, *, key: str = "") -> Any:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        request = urllib.request.Request(self.url + path, headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    def finish(self, number: int) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err


@pytest.fixture
def port() -> int:
    """Three free ports in a row."""
    for candidate in range(21000 + os.getpid() % 5000 * 3, 60000, 3):
        with socket.socket() as one, socket.socket() as two, socket.socket() as three:
            try:
                for offset, probe in enumerate((one, two, three)):
                    probe.bind(("127.0.0.1", candidate + offset))
            except OSError:
                continue
            return candidate
    raise AssertionError("no three free ports")


@pytest.fixture
def start(port: int, tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def begin(*more: str, parts: tuple[str, ...] = SAMPLE) -> Run:
        runs.append(Run(port, tmp_path / "state", *more, parts=parts))
        return runs[-1]

    yield begin
    for run in runs:
        if run.process.poll() is None:
            run.process.kill()
            run.process.communicate()


def gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=10)
    return not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]


def test_a_day_with_it(start: Callable[..., Run], tmp_path: Path, capsys: Capture) -> None:
    """Starts, tells everything on one screen, works, stops on Ctrl-C, and knows everything when it is back."""
    run = start()
    screen = run.screen()
    lines = screen.splitlines()
    assert len(lines) <= 24
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 100
    for expected in (
        f"{run.url}/docs",
        f"{run.url}/_local/mail",
        "prn_test_",
        "prn_pub_",
        "4242 4242 4242 4242",
    ):
        assert expected in screen
    assert len(re.findall(r"^ +curl ", screen, re.MULTILINE)) == 3
    assert run.get("/ping") == {"pong": True}

    sqs = client("sqs", f"http://127.0.0.1:{run.port + 2}")
    sqs.send_message(
        QueueUrl=sqs.get_queue_url(QueueName="perennial-MailQueue")["QueueUrl"], MessageBody="kept"
    )
    family = run.family()
    assert len(family) == 3
    assert "another Perennial already runs on" in refusal(capsys, run.port + 3, tmp_path / "state")
    status, out, err = run.finish(signal.SIGINT)
    assert (status, err) == (0, "")
    assert "Stopping" in out
    assert gone(family)

    again = start()
    assert re.findall(r"prn_\w+", again.screen()) == re.findall(r"prn_\w+", screen)
    message = sqs.receive_message(
        QueueUrl=sqs.get_queue_url(QueueName="perennial-MailQueue")["QueueUrl"], WaitTimeSeconds=1
    )["Messages"][0]
    assert message["Body"] == "kept"
    assert again.finish(signal.SIGTERM)[0] == 0


def printed_invoice(url: str, key: str) -> bytes:
    """A subscription's first invoice, from where the API says that it lies: no key goes there."""
    headers = {"Authorization": f"Bearer {key}"}

    def post(path: str, body: dict[str, Any]) -> Any:
        answer = requests.post(url + path, json=body, headers=headers, timeout=20)
        assert answer.status_code == 201, answer.text
        return answer.json()

    customer = post("/v1/customers", {"email": "ada@example.com"})["id"]
    order = {"customer": customer, "plan": "starter", "trial_days": 0, "payment_method": "pm_card_visa"}
    invoice = post("/v1/subscriptions", order)["latest_invoice"]
    answer = requests.get(
        f"{url}/v1/invoices/{invoice}/pdf", headers=headers, timeout=20, allow_redirects=False
    )
    assert answer.status_code == 302, answer.text
    document = requests.get(answer.headers["Location"], timeout=20)
    assert document.headers["Content-Type"] == "application/pdf"
    return document.content


def test_the_real_thing(start: Callable[..., Run], tmp_path: Path) -> None:
    """The project's own application, stand-in and bootstrap, and the shell file that the curl lines need."""
    run = start(parts=())
    run.screen()
    lines = (tmp_path / "state" / "env").read_text().splitlines()
    variables = dict(line.removeprefix("export ").split("=", 1) for line in lines)
    assert variables["URL"] == run.url
    assert run.get("/openapi.json")["openapi"].startswith("3.1")
    assert run.get("/v1/plans?currency=EUR", key=variables["PK"])["currency"] == "EUR"
    assert run.get("/v1/customers", key=variables["SK"])["data"] == []
    assert printed_invoice(run.url, variables["SK"]).startswith(b"%PDF-")
    family = run.family()
    assert len(family) == 3
    assert run.finish(signal.SIGINT)[0] == 0
    assert gone(family)


def test_reset_starts_clean(start: Callable[..., Run], tmp_path: Path) -> None:
    state = tmp_path / "state"
    (state / "aws").mkdir(parents=True)
    (state / MARKER).touch()
    (state / "keys.json").write_text('{"secret": "prn_test_old", "publishable": "prn_pub_old"}')
    (state / "aws" / "sqs.json").write_text("cut sho")
    run = start("--reset")
    assert "prn_test_old" not in run.screen()
    assert run.finish(signal.SIGINT)[0] == 0


def test_kill_9_leaves_no_process_and_loses_no_state(start: Callable[..., Run], tmp_path: Path) -> None:
    run = start()
    run.screen()
    family = run.family()
    run.finish(signal.SIGKILL)
    assert gone(family)
    saved = json.loads((tmp_path / "state" / "aws" / "dynamodb.json").read_text())
    assert "perennial-BillingTable" in json.dumps(saved)


def test_when_a_part_dies_everything_stops_and_says_which(start: Callable[..., Run]) -> None:
    run = start()
    run.screen()
    family = run.family()
    victim = next(process for process in family if "tests.infra.sample_app" in process.cmdline()[3:4])
    victim.kill()
    out, _ = run.process.communicate(timeout=20)
    assert run.process.returncode == 1
    assert "stripe-standin ended unexpectedly" in out
    assert gone(family)


def refusal(capsys: Capture, port: int, state: Path, *more: str) -> str:
    """The one line that the command prints when it will not start."""
    status = main(["run", "--port", str(port), "--state", str(state), *more])
    out, err = capsys.readouterr()
    assert (status, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("perennial: ")
    return str(line)


@pytest.mark.parametrize("offset", [0, 1, 2])
def test_a_port_in_use(capsys: Capture, port: int, tmp_path: Path, offset: int) -> None:
    with socket.create_server(("127.0.0.1", port + offset)):
        line = refusal(capsys, port, tmp_path / "state")
    assert f"port {port + offset} (" in line
    assert re.search(r"make run PORT=\d+$", line)


def test_a_port_that_is_none(capsys: Capture, tmp_path: Path) -> None:
    assert "from 1024 to 65533" in refusal(capsys, 80, tmp_path / "state")


def test_a_state_folder_that_is_a_file(capsys: Capture, port: int, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "cannot be used" in refusal(capsys, port, tmp_path / "file")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_state_folder_that_cannot_be_written(capsys: Capture, port: int, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o500)
    assert "cannot be used: Permission denied" in refusal(capsys, port, tmp_path / "locked")


def test_a_folder_that_holds_something_else_is_never_cleared(
    capsys: Capture, port: int, tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "thesis.txt").write_text("years of work")
    assert "holds something else" in refusal(capsys, port, tmp_path / "home", "--reset")
    assert (tmp_path / "home" / "thesis.txt").read_text() == "years of work"


def test_a_state_file_cut_short(capsys: Capture, port: int, tmp_path: Path) -> None:
    folder = tmp_path / "state" / "aws"
    folder.mkdir(parents=True)
    (tmp_path / "state" / MARKER).touch()
    (folder / "dynamodb.json").write_text('{"__ministack_format__": 2, "payload": {"tab')
    line = refusal(capsys, port, tmp_path / "state")
    assert "dynamodb.json is damaged" in line
    assert "RESET=1" in line


def test_an_old_python_is_told_in_one_line() -> None:
    """The check runs before anything that an old Python could not read; here it is run with its version faked."""
    source = (PROJECT / "infra" / "local" / "__main__.py").read_text(encoding="utf-8")
    code = f"import sys; sys.version_info = (3, 9, 6); exec({source!r})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == (
        "perennial: Python 3.11 or newer is needed, this is 3.9: make run PYTHON=python3.11\n"
    )


def test_a_part_that_does_not_start(start: Callable[..., Run]) -> None:
    run = start("--standin", "infra.local.nobody")
    _, err = run.process.communicate(timeout=20)
    assert run.process.returncode == 1
    assert "stripe-standin did not start" in err
    assert "nobody" in err
