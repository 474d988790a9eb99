"""The mail catcher: what the application sent through SES, on a page."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader

from infra.local.server import problem

Answer = tuple[int, dict[str, str], bytes]

_TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent / "templates"), autoescape=True)
# Whatever a mail holds: it loads nothing, runs nothing, and belongs to no origin.
_MAIL_POLICY = "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_PAGE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-src 'self'"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    id: str
    sender: str
    to: list[str]
    cc: list[str]
    subject: str
    text: str
    html: str
    sent_at: datetime


class MailCatcher:
    """Reads the mail that the emulator took at `endpoint`; the emulator keeps it over a restart."""

    def __init__(self, endpoint: str) -> None:
        self._url = f"{endpoint}/_ministack/ses/messages"

    def mails(self) -> list[Mail]:
        """Newest first."""
        with urllib.request.urlopen(self._url, timeout=10) as answer:
            accounts = json.load(answer)["messages"]
        found = [
            Mail(
                id=message["MessageId"].partition("@")[0],
                sender=message["Source"],
                to=message["To"],
                cc=message["CC"],
                subject=message["Subject"],
                text=message["BodyText"] or "",
                html=message["BodyHtml"] or "",
                sent_at=datetime.fromtimestamp(message["Timestamp"], UTC),
            )
            for messages in accounts.values()
            for message in messages
        ]
        return sorted(found, key=lambda mail: mail.sent_at, reverse=True)

    def page(self, path: str, _query: str) -> Answer:
        """Answers `mail`, `mail.json`, `mail/ID` and `mail/ID/html`."""
        parts = path.strip("/").split("/")
        match parts:
            case ["mail"]:
                return _page("mail_list.html", mails=self.mails())
            case ["mail.json"]:
                body = [asdict(mail) | {"sent_at": mail.sent_at.isoformat()} for mail in self.mails()]
                return 200, {"Content-Type": "application/json"}, json.dumps(body).encode()
            case ["mail", wanted, *rest] if rest in ([], ["html"]):
                mail = next((mail for mail in self.mails() if mail.id == wanted), None)
                if mail is not None:
                    return _html_part(mail) if rest else _page("mail.html", mail=mail)
        return problem(404, "not_found", "There is no such page.")


def _page(template: str, **values: object) -> Answer:
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": _PAGE_POLICY}
    return 200, headers, _TEMPLATES.get_template(template).render(**values).encode()


def _html_part(mail: Mail) -> Answer:
    headers = {"Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": _MAIL_POLICY}
    return 200, headers, mail.html.encode()
