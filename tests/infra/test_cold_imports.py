"""Each function, imported as Lambda does it: by its handler string, from the zip's content alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.infra.packaged import Packaged, packaged

HANDLERS = {
    "APIHandler": "app.app",
    "Tick": "chalicelib.entrypoints.jobs.tick.tick",
    "WorkDue": "chalicelib.entrypoints.jobs.due.work_due",
    "ApplyNotices": "chalicelib.entrypoints.jobs.notices.apply_notices",
    "ProjectJournal": "chalicelib.entrypoints.jobs.projector.project_journal",
    "FoldUsage": "chalicelib.entrypoints.jobs.usage.fold_usage",
    "SendMail": "chalicelib.entrypoints.jobs.mailer.send_mail",
    "AdvanceClock": "chalicelib.entrypoints.jobs.advance.advance_clock",
    "Reconcile": "chalicelib.entrypoints.jobs.reconciler.reconcile",
}
CHARGING = {"APIHandler", "WorkDue", "ApplyNotices", "AdvanceClock", "Reconcile"}
IMPORT = """
import importlib, json
module, _, name = {handler!r}.rpartition(".")
assert callable(getattr(importlib.import_module(module), name))
outside = [m.__file__ for m in list(sys.modules.values())
           if getattr(m, "__file__", None) and "site-packages" in m.__file__]
unread = [m.__name__ for m in list(sys.modules.values())
          if (getattr(m, "__file__", None) or "").startswith(sys.path[0]) and m.__file__.endswith(".py")
          and not (m.__cached__ or "").endswith(".pyc")]
print(json.dumps({{"modules": sorted(sys.modules), "outside": outside, "unread": unread}}))
"""
USE = """
import os
os.environ.update(PERENNIAL_BILLING_TABLE="b", PERENNIAL_OPS_TABLE="o", AWS_DEFAULT_REGION="us-east-1",
                  AWS_ACCESS_KEY_ID="x", AWS_SECRET_ACCESS_KEY="x", PERENNIAL_PARAMETER_PREFIX="/p")
"""


@pytest.fixture(scope="module")
def package() -> Packaged:
    return packaged()


@pytest.fixture(scope="module")
def seen(package: Packaged) -> dict[str, Any]:
    return {name: json.loads(package.import_cold(IMPORT.format(handler=h))) for name, h in HANDLERS.items()}


def test_the_handlers_are_the_template_s(package: Packaged) -> None:
    assert {name: function["Handler"] for name, function in package.functions.items()} == HANDLERS


@pytest.mark.parametrize("function", HANDLERS)
def test_every_handler_imports_from_the_zip_alone(seen: dict[str, Any], function: str) -> None:
    assert seen[function]["outside"] == []
    assert seen[function]["unread"] == []


@pytest.mark.parametrize("function", [name for name in HANDLERS if name != "APIHandler"])
def test_a_job_imports_neither_the_application_nor_the_web(seen: dict[str, Any], function: str) -> None:
    modules = seen[function]["modules"]
    assert "app" not in modules
    assert not [name for name in modules if name.startswith("chalicelib.entrypoints.http")]


@pytest.mark.parametrize("function", HANDLERS)
def test_nobody_pays_for_printing_before_they_print(seen: dict[str, Any], function: str) -> None:
    assert not {"reportlab", "PIL"} & set(seen[function]["modules"])


def test_documents_are_drawn_by_what_is_in_the_zip(package: Packaged) -> None:
    """The fonts, the drawing library without what is left out of it, and what it imports of Pillow."""
    sheet = (
        'Sheet(title="Invoice", stamp="Draft", language="en", paper="a4", number="1", seller=("S",), '
        'buyer_label="Bill to", buyer=("株式会社 Ελλ",), facts=(), headline="€1", columns=("a", "", "", "b"), '
        'rows=(), totals=(), notes=(), carried="", brought="", foot="", page="{page}", file_name="x")'
    )
    program = f"from chalicelib.application.documents import Sheet\nsheet = {sheet}\n" + (
        "from chalicelib.composition import Services\nprint(Services().press.draw(sheet)[:5])"
    )
    assert package.import_cold(program).strip() == "b'%PDF-'"


@pytest.mark.parametrize("function", HANDLERS)
def test_the_payment_sdk_is_not_paid_for_at_import(seen: dict[str, Any], function: str) -> None:
    """Those that charge load it with their first charge; the others never do."""
    assert "stripe" not in seen[function]["modules"]
    assert "babel" not in seen[function]["modules"] or function == "SendMail"


def test_functions_that_never_charge_cannot_read_the_payment_key(package: Packaged) -> None:
    readers = {name for name in HANDLERS if "stripe_secret_key" in json.dumps(package.policy(name))}
    assert readers == CHARGING


def test_what_is_made_on_first_use_is_in_the_zip_too(package: Packaged) -> None:
    """Clients, tables, templates, locales and zones load from the pruned libraries."""
    package.import_cold(
        USE
        + """
from datetime import datetime, UTC
from zoneinfo import ZoneInfo
import zoneinfo; zoneinfo.reset_tzpath(to=[])
assert datetime(2027, 7, 1, tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin")).hour == 2
from chalicelib import composition
from chalicelib.adapters.aws import client
services = composition.Services()
services.tables, services.store, services.ops, services.queues, services.mailer, services.render
for name in ("sqs", "ssm", "sesv2", "dynamodb", "s3"):
    client(name)
from aws_lambda_powertools.utilities.parameters import SSMProvider
SSMProvider()
from chalicelib.entrypoints.log import log_info
log_info("hello", count=1)
from chalicelib.adapters.stripe.gateway import StripeGateway
StripeGateway("sk_test_x", return_url="https://x.test/r", api_base=None, budget=lambda: 20.0)
from babel.numbers import format_currency
assert format_currency(12, "EUR", locale="de") == "12,00\\xa0€"
from app import app
from chalicelib.entrypoints.http.openapi import *
"""
    )
