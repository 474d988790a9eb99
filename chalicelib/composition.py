"""Binds the adapters to the ports; the only importer of adapters.

Everything is made on first use and kept for the life of the process: importing this makes no client, reads no
environment, and a function that never charges never loads the processor's SDK.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from chalicelib.application.credentials import KeyRing
from chalicelib.application.ops import Ops
from chalicelib.application.ports import Captcha, Catalogs, Gateway, Mailer, ProcessorNotice, Queues, Store
from chalicelib.domain.environment import Environment

if TYPE_CHECKING:
    from chalicelib.adapters.dynamo.tables import Tables
    from chalicelib.adapters.parameters import Parameters
    from chalicelib.application.documents import Press, Shelf
    from chalicelib.application.limits import Limits
    from chalicelib.application.mail import Render
    from chalicelib.application.ports import UsageLog
    from chalicelib.domain.meter import UsageEvent
    from chalicelib.settings import Settings

T = TypeVar("T")
REQUEST_SECONDS = 28.0
"""Of the 29 that API Gateway waits."""
TIME_LEFT: ContextVar[Callable[[], float]] = ContextVar("time_left", default=lambda: REQUEST_SECONDS)
"""Seconds until the present invocation is cut off: jobs set it, an HTTP request has API Gateway's patience."""
IN_BACKGROUND: ContextVar[bool] = ContextVar("in_background", default=False)
"""Whether the present work can wait: something brings it back. Jobs say so; a person who asks cannot wait."""
CORRELATION: ContextVar[str] = ContextVar("correlation", default="")
"""The id of the request or invocation that everything here follows from; it travels with every message, as this
attribute.
"""
CORRELATION_ATTRIBUTE = "correlation_id"
LONGEST_WAIT_SECONDS = 10.0
"""For leave to call the processor; the due row of what waited longer brings it back."""
SECONDS_FOR_A_CALL = 7.0
"""What must be left of an invocation after such a wait: a charge is not begun with less."""


class Services:
    """The ports and what the edge needs beside them. `Services(store=…, ops=…, pepper=…)` binds others: tests
    hand over fakes, and whatever they leave out would be the real thing.
    """

    def __init__(self, **bound: Any) -> None:
        unknown = [name for name in bound if not hasattr(type(self), name)]
        if unknown:
            raise TypeError(f"no such services: {unknown}")
        for name, value in bound.items():
            setattr(self, name, value)
        self.live_environment: tuple[datetime, Environment] | None = None
        """The live environment as it was read at an instant of machine time."""

    def machine_now(self) -> datetime:
        return datetime.now(UTC)

    def time_left(self) -> float:
        return TIME_LEFT.get()()

    def notice_of(self, raw: bytes, signature: str) -> ProcessorNotice | None:
        """A webhook's body as the processor's notice; None: of no use to us. Raises when it is not signed, or of
        another mode (test, live) than the processor's key.
        """
        from chalicelib.adapters.stripe.webhook import notice_of

        live = self.secrets.get("stripe_secret_key").partition("_")[2].startswith("live_")
        secrets = self.secrets.get("stripe_webhook_secrets").split(",")
        return notice_of(raw, signature, secrets, self.machine_now(), livemode=live)

    @cached_property
    def settings(self) -> Settings:
        from chalicelib.settings import settings

        return settings()

    @cached_property
    def public_url(self) -> str:
        return self.settings.public_url

    @cached_property
    def allowed_origins(self) -> tuple[str, ...]:
        return (self.public_url, *self.settings.allowed_origins)

    @cached_property
    def secrets(self) -> Parameters:
        from chalicelib.adapters.parameters import Parameters

        return Parameters(self.settings.parameter_prefix)

    @cached_property
    def pepper(self) -> bytes:
        return self.secrets.get("key_pepper").encode()

    @cached_property
    def keys(self) -> KeyRing:
        return KeyRing(self.ops, self.pepper)

    @cached_property
    def tables(self) -> Tables:
        from chalicelib.adapters.dynamo.tables import open_tables

        return open_tables(billing=self.settings.billing_table, ops=self.settings.ops_table)

    @cached_property
    def ops(self) -> Ops:
        from chalicelib.adapters.dynamo.ops import DynamoOps

        return DynamoOps(self.tables.client, self.settings.ops_table)

    @cached_property
    def store(self) -> Store:
        from chalicelib.adapters.dynamo.store import DynamoStore

        return DynamoStore(self.tables)

    @cached_property
    def usage_log(self) -> UsageLog:
        from chalicelib.adapters.dynamo.usage import DynamoUsageLog

        return DynamoUsageLog(self.tables.client, self.settings.usage_table)

    @cached_property
    def catalogs(self) -> Catalogs:
        from chalicelib.adapters.catalogs import CachedCatalogs

        return CachedCatalogs(self.store)

    @cached_property
    def limits(self) -> Limits:
        from chalicelib.application.limits import Limits, Rate

        own = self.settings
        return Limits(
            address=Rate.of(own.address_limit),
            signup=Rate.of(own.signup_limit),
            visitors=Rate.of(own.visitors_limit),
            failures=Rate.of(own.failures_limit),
            returns=Rate.of(own.returns_limit),
            writes=Rate.of(own.writes_limit),
            key_writes=Rate.of(own.key_writes_limit),
            declined_weight=own.declined_attempt_weight,
        )

    @cached_property
    def captcha(self) -> Captcha | None:
        """None: visitors need not show that they are people."""
        if not self.settings.captcha_provider:
            return None
        from chalicelib.adapters.captcha import PROVIDERS, SiteVerify

        return SiteVerify(
            PROVIDERS[self.settings.captcha_provider],
            site_key=self.settings.captcha_site_key,
            secret=lambda: self.secrets.get("captcha_secret"),
        )

    @cached_property
    def admit(self) -> Callable[..., None]:
        """`admit(endpoint, wait=True)` before each call to Stripe: see Throttle. What a person waits for passes."""
        from chalicelib.adapters.stripe.throttle import Rates, Throttle

        own = self.settings
        rates = Rates(
            in_all=own.stripe_calls_per_second,
            per_endpoint=own.stripe_endpoint_calls_per_second,
            reserve_percent=own.stripe_reserve_percent,
            lease=own.stripe_lease,
        )
        throttle = Throttle(self.ops, rates)

        def admit(endpoint: str, *, wait: bool = True) -> None:
            if rates.in_all and IN_BACKGROUND.get():
                spare = min(LONGEST_WAIT_SECONDS, self.time_left() - SECONDS_FOR_A_CALL)
                throttle.admit(endpoint, patience=spare if wait else 0)

        return admit

    @cached_property
    def gateway(self) -> Gateway:
        from chalicelib.adapters.stripe.gateway import StripeGateway

        return StripeGateway(
            self.secrets.get("stripe_secret_key"),
            return_url=f"{self.public_url}/checkout/return",
            api_base=self.settings.stripe_api_base,
            budget=self.time_left,
            admit=self.admit,
        )

    @cached_property
    def queues(self) -> Queues:
        from chalicelib.adapters.aws import client
        from chalicelib.adapters.sqs import SqsQueues

        return SqsQueues(
            client("sqs"),
            due=self.settings.due_queue_url,
            notices=self.settings.webhook_queue_url,
            mail=self.settings.mail_queue_url,
            clock=self.settings.clock_queue_url,
            correlation=(CORRELATION_ATTRIBUTE, CORRELATION.get),
        )

    @cached_property
    def render(self) -> Render:
        from chalicelib.adapters.mail.render import render

        return render

    @cached_property
    def press(self) -> Press:
        from chalicelib.adapters.pdf.press import PdfPress

        return PdfPress()

    @cached_property
    def shelf(self) -> Shelf:
        from chalicelib.adapters.aws import client
        from chalicelib.adapters.documents import OPTIONS, S3Shelf

        return S3Shelf(client("s3", **OPTIONS), self.settings.documents_bucket)

    @cached_property
    def mailer(self) -> Mailer:
        from chalicelib.adapters.aws import client
        from chalicelib.adapters.ses import SesMailer

        return SesMailer(client("sesv2"), sender=self.settings.mail_from)


_current: Services | None = None


def services() -> Services:
    """The services of this process."""
    global _current
    if _current is None:
        _current = Services()
    return _current


def read_message(type_: type[T], body: str) -> T:
    """What was put on a queue as a record of this type (DueRow, ProcessorNotice, Letter)."""
    from chalicelib.adapters.codec import decode

    return decode(type_, json.loads(body))


def read_image(image: Mapping[str, Mapping[str, Any]]) -> tuple[str, Any]:
    """(environment, record) of the new image in a record of the table's stream."""
    from chalicelib.adapters.dynamo.items import from_image

    return from_image(image)


def read_usage(image: Mapping[str, Mapping[str, Any]]) -> tuple[str, int, UsageEvent]:
    """(environment, lane, event) of the new image in a record of the usage table's stream."""
    from chalicelib.adapters.dynamo.usage import read_event

    return read_event(image)


def stream_position(sequence_number: str) -> str:
    """A place on a table's stream: a later one is greater."""
    from chalicelib.adapters.dynamo.usage import position_of

    return position_of(sequence_number)


@contextmanager
def use(replacement: Services) -> Iterator[Services]:
    """Work with other services inside the block, in every thread: for tests and the local system."""
    global _current
    before, _current = _current, replacement
    try:
        yield replacement
    finally:
        _current = before
