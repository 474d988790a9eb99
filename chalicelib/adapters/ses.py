"""Mail through SES (version 2 of its API)."""

from __future__ import annotations

from typing import Any


class SesMailer:
    """`client` is a botocore `sesv2` client, `sender` a verified address."""

    def __init__(self, client: Any, *, sender: str) -> None:
        self._client = client
        self._sender = sender

    def send(self, *, to: str, subject: str, html: str, text: str, reference: str) -> None:
        """One mail. `reference` (the letter's id) travels as a header, so that a reply or a bounce leads home.

        SES has no idempotency: whoever calls this marks the letter as sent.
        """
        self._client.send_email(
            FromEmailAddress=self._sender,
            Destination={"ToAddresses": [to]},
            Content={
                "Simple": {
                    "Subject": _utf8(subject),
                    "Body": {"Html": _utf8(html), "Text": _utf8(text)},
                    "Headers": [
                        {"Name": "X-Perennial-Reference", "Value": reference},
                        {"Name": "Auto-Submitted", "Value": "auto-generated"},
                    ],
                }
            },
        )


def _utf8(text: str) -> dict[str, str]:
    return {"Data": text, "Charset": "UTF-8"}
