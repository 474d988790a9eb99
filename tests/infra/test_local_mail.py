"""The mail catcher shows what was sent, lets none of it act, and keeps it over a restart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from infra.local.engine import running_emulator
from infra.local.mail import MailCatcher
from infra.local.resources import LocalSecrets, client, create_resources, read_secrets
from tests.infra.test_resources import free_port

pytestmark = pytest.mark.engine

SENDER = "Perennial <billing@perennial.test>"
HOSTILE = "<script>alert(1)</script>"


def provision(url: str) -> dict[str, str]:
    return create_resources(
        url,
        public_url="http://127.0.0.1:8787",
        stripe_api_base="http://127.0.0.1:8788",
        secrets=LocalSecrets.generate(),
    )


def send(url: str, subject: str, *, html: str = "", text: str = "plain") -> None:
    body = {"Text": {"Data": text}} | ({"Html": {"Data": html}} if html else {})
    client("sesv2", url).send_email(
        FromEmailAddress=SENDER,
        Destination={"ToAddresses": ["ada@example.test"]},
        Content={"Simple": {"Subject": {"Data": subject}, "Body": body}},
    )


@pytest.fixture(scope="module")
def catcher(tmp_path_factory: Any) -> Iterator[MailCatcher]:
    with running_emulator(tmp_path_factory.mktemp("state"), free_port()) as url:
        provision(url)
        send(url, "First receipt")
        send(url, f"Reçu {HOSTILE}", html=f"<h1>Reçu</h1>{HOSTILE}", text=HOSTILE)
        raw = EmailMessage()
        raw["From"], raw["To"], raw["Subject"] = SENDER, "bob@example.test", "Raw – ü"
        raw.set_content("raw text")
        raw.add_alternative("<b>raw html</b>", subtype="html")
        client("sesv2", url).send_email(
            Destination={"ToAddresses": ["bob@example.test"]}, Content={"Raw": {"Data": raw.as_bytes()}}
        )
        yield MailCatcher(url)


def test_newest_first(catcher: MailCatcher) -> None:
    assert [mail.subject[:5] for mail in catcher.mails()] == ["Raw –", "Reçu ", "First"]


def test_simple_and_raw_mail_are_read_alike(catcher: MailCatcher) -> None:
    raw, simple, _ = catcher.mails()
    assert (raw.to, raw.subject) == (["bob@example.test"], "Raw – ü")
    assert (raw.text.strip(), raw.html.strip()) == ("raw text", "<b>raw html</b>")
    assert (simple.sender, simple.to) == (SENDER, ["ada@example.test"])


def test_the_list_links_every_mail(catcher: MailCatcher) -> None:
    status, headers, body = catcher.page("mail", "")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    for mail in catcher.mails():
        assert f'href="/_local/mail/{mail.id}"' in body.decode()
        assert catcher.page(f"mail/{mail.id}", "")[0] == 200


def test_nothing_in_a_mail_gets_to_act(catcher: MailCatcher) -> None:
    mail = catcher.mails()[1]
    for path in ("mail", f"mail/{mail.id}"):
        assert HOSTILE not in catcher.page(path, "")[2].decode()
    assert "<iframe" in catcher.page(f"mail/{mail.id}", "")[2].decode()
    assert "sandbox " in catcher.page(f"mail/{mail.id}", "")[2].decode()
    _, headers, body = catcher.page(f"mail/{mail.id}/html", "")
    assert headers["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert body.decode() == mail.html


def test_programs_read_it_as_json(catcher: MailCatcher) -> None:
    mails = json.loads(catcher.page("mail.json", "")[2])
    assert [mail["id"] for mail in mails] == [mail.id for mail in catcher.mails()]


@pytest.mark.parametrize("path", ["", "mails", "mail/nobody", "mail/nobody/html", "mail/1/2/3"])
def test_there_is_nothing_else(catcher: MailCatcher, path: str) -> None:
    assert catcher.page(path, "")[0] == 404


def test_mail_and_secrets_survive_a_restart(tmp_path: Path) -> None:
    port = free_port()
    with running_emulator(tmp_path, port) as url:
        assert read_secrets(url) is None
        provision(url)
        secrets = read_secrets(url)
        assert secrets is not None
        send(url, "Before")
    with running_emulator(tmp_path, port) as url:
        environment = provision(url)
        assert read_secrets(url) == secrets
        assert environment["PERENNIAL_PARAMETER_PREFIX"] == "/perennial/local/"
        send(url, "After")
        assert [mail.subject for mail in MailCatcher(url).mails()] == ["After", "Before"]
