"""Fakes of the other ports: they record what they were asked, for tests to look at and to hand on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.application.ports import DueRow, Letter, ProcessorNotice


class MemoryQueues:
    """Lists instead of queues; a test takes from them as a worker would."""

    def __init__(self) -> None:
        self.due_rows: list[DueRow] = []
        self.processor_notices: list[ProcessorNotice] = []
        self.letters: list[Letter] = []
        self.advances: list[tuple[str, str]] = []

    def due(self, rows: Sequence[DueRow]) -> None:
        self.due_rows.extend(rows)

    def due_waiting(self) -> int:
        return len(self.due_rows)

    def notices(self, notices: Sequence[ProcessorNotice]) -> None:
        self.processor_notices.extend(notices)

    def mail(self, messages: Sequence[Letter]) -> None:
        self.letters.extend(messages)

    def wake_advance(self, env: str, advance_id: str) -> None:
        self.advances.append((env, advance_id))


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """A mail as it went out."""

    to: str
    subject: str
    html: str
    text: str
    reference: str


class MemoryShelf:
    """Documents by name; `made` has the names in the order in which they were put."""

    def __init__(self) -> None:
        self.documents: dict[str, bytes] = {}
        self.made: list[str] = []

    def has(self, name: str) -> bool:
        return name in self.documents

    def put(self, name: str, content: bytes, *, file_name: str) -> None:
        self.documents[name] = content
        self.made.append(name)

    def address(self, name: str) -> str:
        return f"https://documents.test/{name}"


class MemoryMailer:
    """Keeps every mail sent, in order."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []

    def send(self, *, to: str, subject: str, html: str, text: str, reference: str) -> None:
        self.sent.append(Sent(to=to, subject=subject, html=html, text=text, reference=reference))
