"""The application with everything that AWS would put around it: gateway, queues, stream, schedules."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from chalice.app import Chalice

from infra.local.activity import Activity
from infra.local.events import Context
from infra.local.functions import QueueFunction, ScheduledFunction, StreamFunction, functions_of
from infra.local.mail import MailCatcher
from infra.local.queue_pump import QueuePump, local_backoff
from infra.local.resources import NAME_PREFIX, client
from infra.local.scheduler import Scheduler
from infra.local.server import create_server
from infra.local.stream_pump import StreamPump


class Runtime:
    """Runs one Chalice app against the emulator at `endpoint`, in threads of this process.

    The environment that the app reads must be set before; tables and queues must exist.
    """

    def __init__(
        self,
        app: Chalice,
        *,
        endpoint: str,
        port: int,
        state: Path,
        config: Path | None = None,
        home: str | None = None,
        backoff: Callable[[int], int] = local_backoff,
    ) -> None:
        self._activity = Activity()
        self._server = create_server(
            app, port, local_page=MailCatcher(endpoint).page, home=home, on_activity=self._activity.touch
        )
        self._server_thread = threading.Thread(target=self._server.server.serve_forever, daemon=True)
        functions = functions_of(app, config)
        self._scheduler = Scheduler(
            [function for function in functions if isinstance(function, ScheduledFunction)],
            on_activity=self._activity.touch,
        )
        sqs, streams = client("sqs", endpoint), client("dynamodbstreams", endpoint)

        def url(queue: str) -> str:
            found: str = sqs.get_queue_url(QueueName=NAME_PREFIX + queue)["QueueUrl"]
            return found

        parked = url("StreamDeadLetterQueue")
        self._queue_pumps = [
            QueuePump(function, sqs, url(function.queue), on_activity=self._activity.touch, backoff=backoff)
            for function in functions
            if isinstance(function, QueueFunction)
        ]
        self._stream_pumps = [
            StreamPump(
                function,
                streams,
                table_name=NAME_PREFIX + function.table,
                position_file=state / f"stream-{function.name}.json",
                park=lambda body: sqs.send_message(QueueUrl=parked, MessageBody=body),
                activity=self._activity,
            )
            for function in functions
            if isinstance(function, StreamFunction)
        ]

    def start(self) -> None:
        Context.stopping.clear()
        self._server_thread.start()
        for queue_pump in self._queue_pumps:
            queue_pump.start()
        for stream_pump in self._stream_pumps:
            stream_pump.start()
        self._scheduler.start()

    def stop(self) -> None:
        """Takes nothing new, finishes what is at work, and leaves the rest in queues and stream."""
        Context.stopping.set()
        self._server.server.shutdown()
        self._server.server.server_close()
        stops = [self._scheduler.stop, *(pump.stop for pump in self._queue_pumps)]
        stops += [pump.stop for pump in self._stream_pumps]
        stopping = [threading.Thread(target=stop) for stop in stops]
        for thread in stopping:
            thread.start()
        for thread in stopping:
            thread.join()
