"""Dead letters, looked at and sent back: through the queue they came from, to the worker that failed on them.

That is safe whatever their age: a message only says where to look. An attempt whose key is older than 20 hours is
looked up at the processor and never sent again, a decision that was taken is not taken twice, a letter that went
out does not go again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from chalicelib.adapters.sqs import BATCH
from chalicelib.application.ports import DueRow, Letter, ProcessorNotice
from chalicelib.application.work import subject_of
from chalicelib.composition import read_message
from chalicelib.entrypoints.jobs.advance import Wake

HOLD_SECONDS = 900
"""How long what was received stays hidden from others; a command that dies gives it back after so long."""
MOST = 1_000
"""Messages per run. Run it again for more."""
_QUIET = 3
"""Answers without a new message after which the queue counts as read: SQS may answer nothing now and then."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """A queue's dead letters, where they go back to, and how to say what one is about. `read` raises on poison."""

    dead: str
    work: str | None
    read: Callable[[str], tuple[str, str]]


@dataclass(frozen=True, kw_only=True, slots=True)
class DeadLetter:
    """`kind` is None for what cannot be read: sent back it would only fail again."""

    id: str
    receipt: str
    body: str
    attributes: Mapping[str, Any]
    age: timedelta
    kind: str | None
    about: str


def _due(body: str) -> tuple[str, str]:
    row = read_message(DueRow, body)
    return row.kind, subject_of(row)


def _notice(body: str) -> tuple[str, str]:
    notice = read_message(ProcessorNotice, body)
    return notice.kind, notice.id


def _letter(body: str) -> tuple[str, str]:
    letter = read_message(Letter, body)
    return letter.template, letter.id


def _wake(body: str) -> tuple[str, str]:
    return "advance", read_message(Wake, body).advance_id


LANES = {
    "due": Lane(dead="DueDeadLetterQueue", work="DueQueue", read=_due),
    "webhook": Lane(dead="WebhookDeadLetterQueue", work="WebhookQueue", read=_notice),
    "mail": Lane(dead="MailDeadLetterQueue", work="MailQueue", read=_letter),
    "clock": Lane(dead="ClockDeadLetterQueue", work="ClockQueue", read=_wake),
    "stream": Lane(dead="StreamDeadLetterQueue", work=None, read=lambda body: ("stream record", "")),
}
"""By the name that the command knows them under. What the stream set aside is only a place on the stream: its
journal entries are published from the journal itself.
"""


def receive(sqs: Any, url: str, lane: Lane, *, now: datetime, most: int = MOST) -> list[DeadLetter]:
    """Up to `most` dead letters, hidden from others until `release`, `move` or HOLD_SECONDS."""
    found: dict[str, DeadLetter] = {}
    quiet = 0
    while len(found) < most and quiet < _QUIET:
        answer = sqs.receive_message(
            QueueUrl=url,
            MaxNumberOfMessages=min(BATCH, most - len(found)),
            VisibilityTimeout=HOLD_SECONDS,
            AttributeNames=["SentTimestamp"],
            MessageAttributeNames=["All"],
        )
        fresh = {each["MessageId"]: each for each in answer.get("Messages", [])}
        quiet = 0 if fresh.keys() - found.keys() else quiet + 1
        found |= {id_: _letter_of(message, lane, now) for id_, message in fresh.items()}
    return list(found.values())


def move(sqs: Any, letters: Sequence[DeadLetter], *, dead: str, work: str) -> int:
    """Send them to the queue `work` and delete them here; answers how many went.

    Sent first: whoever dies in between leaves a message in both places, and the second time it finds its work done.
    """
    moved = 0
    for batch in _batches([letter for letter in letters if letter.kind is not None]):
        entries = [
            {"Id": str(index), "MessageBody": letter.body, "MessageAttributes": dict(letter.attributes)}
            for index, letter in enumerate(batch)
        ]
        sent = sqs.send_message_batch(QueueUrl=work, Entries=entries).get("Successful", [])
        gone = [batch[int(each["Id"])] for each in sent]
        delete(sqs, gone, dead=dead)
        moved += len(gone)
    return moved


def delete(sqs: Any, letters: Sequence[DeadLetter], *, dead: str) -> None:
    for batch in _batches(letters):
        sqs.delete_message_batch(
            QueueUrl=dead,
            Entries=[{"Id": str(index), "ReceiptHandle": each.receipt} for index, each in enumerate(batch)],
        )


def release(sqs: Any, letters: Sequence[DeadLetter], *, dead: str) -> None:
    """Make them visible again."""
    for batch in _batches(letters):
        sqs.change_message_visibility_batch(
            QueueUrl=dead,
            Entries=[
                {"Id": str(index), "ReceiptHandle": each.receipt, "VisibilityTimeout": 0}
                for index, each in enumerate(batch)
            ],
        )


def report(letters: Sequence[DeadLetter]) -> list[str]:
    """A line per kind: how many, how old the oldest, and one that it is about."""
    kinds: dict[str | None, list[DeadLetter]] = defaultdict(list)
    for letter in letters:
        kinds[letter.kind].append(letter)
    lines = []
    for kind, of in sorted(kinds.items(), key=lambda each: (each[0] is None, str(each[0]))):
        oldest = max(of, key=lambda letter: letter.age)
        name = kind or "not readable"
        about = oldest.about if kind is not None else f"message {oldest.id}, stays where it is"
        lines.append(f"  {name:<28}{len(of):>5}   oldest {_span(oldest.age):<9}  {about}".rstrip())
    return lines


def _letter_of(message: Mapping[str, Any], lane: Lane, now: datetime) -> DeadLetter:
    kind: str | None
    try:
        kind, about = lane.read(message["Body"])
    except Exception:
        kind, about = None, ""
    sent = datetime.fromtimestamp(int(message["Attributes"]["SentTimestamp"]) / 1000, UTC)
    return DeadLetter(
        id=message["MessageId"],
        receipt=message["ReceiptHandle"],
        body=message["Body"],
        attributes={
            name: {"DataType": given["DataType"], "StringValue": given["StringValue"]}
            for name, given in message.get("MessageAttributes", {}).items()
            if "StringValue" in given
        },
        age=max(now - sent, timedelta()),
        kind=kind,
        about=about,
    )


def _batches(letters: Sequence[DeadLetter]) -> list[Sequence[DeadLetter]]:
    return [letters[start : start + BATCH] for start in range(0, len(letters), BATCH)]


def _span(age: timedelta) -> str:
    minutes = int(age.total_seconds() // 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 48 * 60 else f"{minutes // 1440} d"
