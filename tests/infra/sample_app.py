"""A small Chalice app and its surroundings: what the tests of infra/local run instead of the real ones."""

from __future__ import annotations

import http.server
import json
import sys
import threading
from pathlib import Path
from typing import Any

from chalice import Blueprint, Chalice, Response

from infra.local.screen import Keys

jobs = Blueprint(__name__)
seen: dict[str, list[Any]] = {"due": [], "stream": [], "tick": []}
handled = threading.Condition()


def note(kind: str, value: Any) -> None:
    with handled:
        seen[kind].append(value)
        handled.notify_all()


def wait_for(condition: Any, timeout: float = 10.0) -> bool:
    with handled:
        return handled.wait_for(condition, timeout)


@jobs.on_sqs_message(queue_arn="arn:aws:sqs:::DueQueue", batch_size=10)
def due_worker(event: Any) -> dict[str, Any]:
    """Fails the messages that say so, one by one, and the whole batch for `explode`."""
    records = event.to_dict()["Records"]
    for record in records:
        note("due", (record["body"], int(record["attributes"]["ApproximateReceiveCount"])))
    if any(record["body"] == "explode" for record in records):
        raise RuntimeError("the whole batch")
    failed = [record["messageId"] for record in records if record["body"].startswith("poison")]
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in failed]}


@jobs.on_dynamodb_record(stream_arn="arn:aws:dynamodb:::BillingTable", batch_size=100)
def project_journal(event: Any) -> None:
    keys = [record["dynamodb"]["Keys"]["sk"]["S"] for record in event.to_dict()["Records"]]
    if any(key.startswith("bad") for key in keys):
        raise RuntimeError(f"cannot project {keys}")
    for key in keys:
        note("stream", key)


@jobs.schedule("rate(1 minute)")
def tick(event: Any) -> None:
    note("tick", event.to_dict()["resources"])


def make_app() -> Chalice:
    app = Chalice(app_name="perennial")

    @app.route("/ping")
    def ping() -> dict[str, bool]:
        return {"pong": True}

    @app.route("/v1/things", methods=["POST"], content_types=["application/octet-stream"])
    def echo() -> Response:
        headers = {"Content-Type": "application/octet-stream"}
        return Response(app.current_request.raw_body, headers=headers)

    @app.route("/v1/things/{thing}", methods=["GET", "PUT"], cors=True)
    def thing(thing: str) -> dict[str, Any]:
        return {
            "thing": thing,
            "address": app.current_request.context["identity"]["sourceIp"],
            "left": app.lambda_context.get_remaining_time_in_millis(),
        }

    @app.route("/v1/things/special")
    def special() -> dict[str, bool]:
        return {"special": True}

    @app.route("/empty/{status}")
    def empty(status: str) -> Response:
        return Response("", status_code=int(status), headers={"ETag": '"1"'})

    @app.route("/page")
    def page() -> Response:
        return Response("<p>é</p>", headers={"Content-Type": "text/html; charset=utf-8"})

    app.register_blueprint(jobs)
    return app


app = make_app()


def bootstrap(state: Path) -> Keys:
    file = state / "keys.json"
    if not file.exists():
        file.write_text(json.dumps({"secret": "prn_test_" + "s" * 50, "publishable": "prn_pub_" + "p" * 50}))
    return Keys(**json.loads(file.read_text()))


def stand_in(port: int) -> None:
    """As much of a Stripe stand-in as starting and stopping needs."""
    http.server.HTTPServer(("127.0.0.1", port), http.server.SimpleHTTPRequestHandler).serve_forever()


if __name__ == "__main__":
    stand_in(int(sys.argv[sys.argv.index("--port") + 1]))
