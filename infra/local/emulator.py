"""The AWS emulator as `make run` needs it: ministack, keeping three more things over a restart.

Ministack (pinned) saves tables, queues and parameters on a clean exit, but neither the records still on
a table's stream, nor the mail it took, and it leaves messages that were being worked on invisible for
minutes although nobody works on them any more. Its state hooks are extended here; nothing else is changed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from ministack import app
from ministack.services import dynamodb, ses, sqs

State = dict[str, Any]


def main() -> None:
    keep_more_state()
    app.main()


def keep_more_state() -> None:
    _extend(dynamodb, _stream_state, _restore_streams)
    _extend(ses, lambda: {"_sent_emails": ses._sent_emails}, _restore_mail)
    _extend(sqs, dict, lambda _: _release_messages())


def _extend(module: ModuleType, more: Callable[[], State], restore: Callable[[State], None]) -> None:
    save, load = module.get_state, module.load_persisted_state

    def get_state() -> State:
        return {**save(), **more()}

    def load_persisted_state(data: State) -> None:
        load(data)
        restore(data)

    module.get_state = get_state  # type: ignore[attr-defined]
    module.load_persisted_state = load_persisted_state  # type: ignore[attr-defined]


def _stream_state() -> State:
    return {
        "stream_records": dynamodb._stream_records,
        "stream_trimmed": dynamodb._stream_trimmed,
        "stream_sequence": dynamodb._stream_seq_counter,
    }


def _restore_streams(data: State) -> None:
    dynamodb._stream_records.update(data.get("stream_records", {}))
    dynamodb._stream_trimmed.update(data.get("stream_trimmed", {}))
    dynamodb._stream_seq_counter = data.get("stream_sequence", 0)


def _restore_mail(data: State) -> None:
    ses._restore_regional_store(ses._sent_emails, data.get("_sent_emails", {}))


def _release_messages() -> None:
    """Makes messages in flight visible: whoever had received them ended with the emulator."""
    now = time.time()
    for _, queue in sqs._queues.all_items():
        for message in queue.get("messages", []):
            if message.get("receive_count"):
                message["visible_at"] = min(message["visible_at"], now)


if __name__ == "__main__":
    main()
