"""Letters as text and HTML from one template each: a subject, a line of `===`, paragraphs.

The words are English; amounts and dates are written as the customer's language does, dates in their zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from babel import Locale, UnknownLocaleError
from babel.dates import format_date
from jinja2 import Environment, PackageLoader, StrictUndefined

from chalicelib.application.mail import CONFIRM, Addressee, Rendered
from chalicelib.application.ports import Letter
from chalicelib.domain.calendar import local_day
from chalicelib.domain.currencies import exponent
from chalicelib.domain.environment import LIVE
from chalicelib.domain.invoice import Invoice

TEST_NOTE = "This is a test. No money was moved, and nothing is due."
_SPACES = re.compile(r"[ \t\r\n]+")
_DOWNLOAD = "Download the invoice as PDF"
_ACTIONS = {
    CONFIRM: "Confirm the payment",
    "receipt": _DOWNLOAD,
    "invoice": _DOWNLOAD,
    "invoice_overdue": _DOWNLOAD,
}
"""What the button says in a letter that leads somewhere."""
_WITH_LINES = {"receipt", "invoice"}
Row = tuple[str, str, bool]


def render(letter: Letter, addressee: Addressee) -> Rendered:
    """The letter as the addressee reads it. Raises on a template or a value that is missing: nothing half empty
    goes out.
    """
    locale = _locale(letter.language or addressee.customer.language)
    values = _values(letter, addressee, locale)
    subject, _, body = _texts().get_template(f"{letter.template}.txt").render(values).partition("===")
    link = addressee.confirmation_url if letter.template == CONFIRM else addressee.document_url
    about: dict[str, Any] = {
        "subject": _one_line(subject),
        "paragraphs": [text for part in body.split("\n\n") if (text := _one_line(part))],
        "action": _ACTIONS.get(letter.template) if link else None,
        "link": link,
        "rows": list(_rows(letter, addressee.invoice, locale)),
        "greeting": f"Hello {addressee.customer.name}," if addressee.customer.name else "Hello,",
        "sender": addressee.seller.name,
        "is_test": letter.env != LIVE,
        "test_note": TEST_NOTE,
    }
    return Rendered(
        subject=about["subject"],
        text=_texts().get_template("letter.txt").render(about),
        html=_pages().get_template("letter.html").render(about),
    )


def money(amount: int, currency: str, locale: Locale) -> str:
    """Minor units as people write them: `€1,900.00`, `1.900,00 €`, `¥8,000`."""
    places = exponent(currency)
    pattern = locale.currency_formats["standard"]
    written: str = pattern.apply(
        Decimal(amount).scaleb(-places), locale, currency=currency, force_frac=(places, places)
    )
    return written


def _values(letter: Letter, addressee: Addressee, locale: Locale) -> dict[str, Any]:
    zone, subscription = addressee.zone, addressee.subscription
    plan = letter.data.get("plan_name") or (subscription.plan.name if subscription else "")
    method = addressee.account.payment_method if addressee.account else None
    values = {"period_start": None, "period_end": None, "welcome": False}
    return {
        **values,
        **letter.data,
        "plan": plan,
        "card": method.last4 if method else "",
        "money": lambda amount, currency: money(amount, currency, locale),
        "date": lambda instant: format_date(
            local_day(datetime.fromisoformat(instant), zone), format="long", locale=locale
        ),
    }


def _rows(letter: Letter, invoice: Invoice | None, locale: Locale) -> Iterator[Row]:
    """Every line of the invoice and how they come to what is due."""
    if invoice is None or letter.template not in _WITH_LINES:
        return
    for line in invoice.lines:
        yield line.description, money(line.net, invoice.currency, locale), False
    parts = (
        ("Tax", invoice.tax),
        ("Credit", -invoice.credit_applied),
        ("Carried over", invoice.carried_in),
        ("Carried to the next invoice", -invoice.carried_out),
    )
    for label, amount in parts:
        if amount:
            yield label, money(amount, invoice.currency, locale), False
    label = "Paid" if letter.template == "receipt" else "Due"
    amount = letter.data.get("amount", invoice.amount_due)
    yield label, money(amount, invoice.currency, locale), True


def _one_line(text: str) -> str:
    """Line breaks and indents are the template's; a space that must not break is the locale's."""
    return _SPACES.sub(" ", text).strip()


@lru_cache(maxsize=64)
def _locale(language: str) -> Locale:
    """The nearest that is installed, else English."""
    for tag in (language, language.partition("-")[0]):
        try:
            return Locale.parse(tag, sep="-")
        except (UnknownLocaleError, ValueError, TypeError):
            continue
    return Locale.parse("en")


@lru_cache(maxsize=1)
def _texts() -> Environment:
    return Environment(loader=_loader(), undefined=StrictUndefined, trim_blocks=False, autoescape=False)


@lru_cache(maxsize=1)
def _pages() -> Environment:
    return Environment(loader=_loader(), undefined=StrictUndefined, autoescape=True)


def _loader() -> PackageLoader:
    return PackageLoader("chalicelib.adapters.mail")
