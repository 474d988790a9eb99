"""The `Gateway` port over Stripe's API. Importing it loads the SDK; nothing else here does.

A charge is never repeated in here: the worker repeats it with the same key once it knows how much time it has,
and an outcome that nobody saw is UNKNOWN until then. Everything else is tried twice, which is safe because
Stripe keeps the key of each call.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from chalicelib.adapters.stripe import answers, currencies, declines, params
from chalicelib.adapters.stripe.answers import Json
from chalicelib.adapters.stripe.client import LONGEST_CALL_SECONDS, SAFETY_SECONDS, Admit, Client, admitted
from chalicelib.adapters.stripe.errors import (
    CustomerGoneError,
    GatewayMisuseError,
    MalformedNoticeError,
    RefusedError,
    UnansweredError,
)
from chalicelib.adapters.stripe.events import DETACHED, USED, notice_from, with_ids
from chalicelib.application.ports import (
    ChargeRequest,
    CheckoutPage,
    CheckoutRequest,
    CheckoutState,
    Confirmation,
    ProcessorNotice,
    RefundRequest,
    ReportedRefund,
)
from chalicelib.domain.customer import Customer, PaymentMethod
from chalicelib.domain.dispute import DisputeState
from chalicelib.domain.errors import GatewayUnavailableError, PaymentDeclinedError, ValidationError
from chalicelib.domain.payment import ChargeResult, Outcome
from chalicelib.domain.refund import RefundResult, RefundStatus

LEAST_FOR_CHARGE_SECONDS: Final = 5.0
IN_FLIGHT: Final = timedelta(minutes=2)
"""A call whose caller died may still reach Stripe for so long after its attempt was written down."""
_PAGE: Final = 100
_MOST_PAGES: Final = 20
_MOST_TYPES: Final = 20
_LISTS: Final = [USED[start : start + _MOST_TYPES] for start in range(0, len(USED), _MOST_TYPES)]
_SESSION_PARTS: Final = [
    "payment_intent.latest_charge",
    "payment_intent.payment_method",
    "setup_intent.payment_method",
]
_ID: Final = re.compile(r"[A-Za-z0-9_]{1,255}")
_log = logging.getLogger(__name__)


class StripeGateway:
    """Thread-safe; one for the life of the process.

    `budget` tells the seconds that are left to the present invocation: every call with its repetitions ends
    two seconds before, or is not begun. `admit` is asked before each call and may wait, or refuse it with
    GatewayUnavailableError. `return_url` is named to Stripe with every charge (see
    `charge_params`); it should not change while charges are under way. `now` is machine time.
    """

    def __init__(
        self,
        secret_key: str,
        *,
        return_url: str,
        api_base: str | None = None,
        budget: Callable[[], float] = lambda: SAFETY_SECONDS + LONGEST_CALL_SECONDS,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        admit: Admit = admitted,
    ) -> None:
        self._budget = budget
        self._now = now
        self._return_url = return_url
        self._client = Client(secret_key, api_base=api_base, budget=budget, admit=admit)

    def ensure_customer(self, env: str, customer: Customer) -> str:
        """Repeated with the same name and e-mail it answers the same id for some minutes; after that, or once they
        have changed, a second customer may come to be at Stripe, which is empty and does no harm. Stripe repeats
        a 500 for as long as it knows the key: a key for a day would keep the customer from paying for a day.
        """
        body = params.customer_params(env, customer)
        ten_minutes = f"{self._now():%Y%m%d%H%M}"[:-1]
        key = f"customer:{env}:{customer.id}:{params.fingerprint(body)}:{ten_minutes}"
        made = self._call("post", "/v1/customers", key=key, **body)
        return str(made["id"])

    def forget_customer(self, processor_customer: str) -> None:
        try:
            self._call("delete", _path("customers", processor_customer))
        except RefusedError as refusal:
            if refusal.status != 404:
                raise

    def charge(self, request: ChargeRequest) -> ChargeResult:
        """One call. Raises GatewayUnavailableError, with nothing charged, on a rate limit, when Stripe cannot
        be reached, or with less than five seconds left; KeyReusedError if the attempt is not what it was.
        """
        if not request.attempt.method:
            raise GatewayMisuseError("an attempt without a payment method")
        if self._budget() < LEAST_FOR_CHARGE_SECONDS:
            raise GatewayUnavailableError("there is too little time left to start a charge")
        body = params.charge_params(request, self._return_url)
        key = f"charge:{request.env}:{request.attempt.key}"
        try:
            return answers.charge_result(
                self._client.call("post", "/v1/payment_intents", key=key, retries=0, **body)
            )
        except UnansweredError:
            return ChargeResult(outcome=Outcome.UNKNOWN)
        except RefusedError as refusal:
            if refusal.status == 402:
                return answers.refused_charge(refusal.error)
            if self._is_about_the_method(refusal, request):
                return ChargeResult(
                    outcome=Outcome.DECLINED, decline=declines.decline(declines.METHOD_MISSING)
                )
            raise

    def find_charge(self, request: ChargeRequest) -> ChargeResult | None:
        """Lists are read, not the search index, which lags behind."""
        return answers.best_of(self._intents(request))

    def confirm_charge(self, request: ChargeRequest, *, return_url: str) -> Confirmation:
        """Where the intent went on meanwhile, or its card is gone, the answer is what it is now."""
        reference = request.attempt.reference
        if reference is None:
            raise GatewayMisuseError("an attempt without a payment to confirm")
        path = _path("payment_intents", reference)
        key = f"confirm:{request.env}:{request.attempt.key}:{request.attempt.tries}"
        try:
            body = params.confirm_params(request, return_url)
            return answers.confirmation(
                self._client.call("post", f"{path}/confirm", key=key, retries=1, **body)
            )
        except UnansweredError:
            return Confirmation(result=ChargeResult(outcome=Outcome.UNKNOWN, reference=reference))
        except RefusedError as refusal:
            if refusal.status == 402:
                return Confirmation(result=answers.refused_charge(refusal.error))
            if self._is_about_the_method(refusal, request):
                gone = declines.decline(declines.METHOD_MISSING)
                return Confirmation(
                    result=ChargeResult(outcome=Outcome.DECLINED, reference=reference, decline=gone)
                )
            return answers.confirmation(self._call("get", path, expand=["latest_charge"]))

    def cancel_charge(self, request: ChargeRequest) -> ChargeResult | None:
        """UNKNOWN while the attempt is so young that a call without an answer may still arrive."""
        intents = self._intents(request)
        if not intents and self._now() - request.attempt.written_at < IN_FLIGHT:
            return ChargeResult(outcome=Outcome.UNKNOWN)
        return answers.best_of([self._canceled(intent) for intent in intents])

    def refund(self, request: RefundRequest) -> RefundResult:
        """One call. Raises GatewayUnavailableError, with nothing refunded, on a rate limit or when Stripe cannot be
        reached; KeyReusedError if the refund is not what it was.
        """
        body = params.refund_params(request)
        key = f"refund:{request.env}:{request.key}"
        try:
            return answers.refund_result(self._client.call("post", "/v1/refunds", key=key, retries=0, **body))
        except UnansweredError:
            return RefundResult(status=RefundStatus.IN_FLIGHT)
        except RefusedError as refusal:
            if refusal.status not in (400, 402):
                raise
            return answers.refused_refund(refusal.error)

    def refunds_of(self, reference: str) -> tuple[ReportedRefund, ...]:
        query = {"payment_intent": reference, "limit": _PAGE}
        return tuple(
            answers.reported_refund(refund) for page in self._pages("/v1/refunds", query) for refund in page
        )

    def movable(self, amount: int, currency: str) -> int:
        return currencies.from_stripe(currencies.to_stripe(amount, currency), currency)

    def disputes(self, payment: str) -> list[DisputeState]:
        """One call: Stripe lists a payment's disputes with their balance transactions."""
        found = self._call("get", "/v1/disputes", payment_intent=payment, limit=_PAGE)
        return [answers.dispute_state(each) for each in reversed(found["data"])]

    def open_checkout(self, request: CheckoutRequest) -> CheckoutPage:
        """Stripe wants `expires_at` between 30 minutes and 24 hours from now."""
        if sum(item.amount for item in request.items) != request.amount:
            raise GatewayMisuseError("the page's items do not add up to its amount")
        body = params.checkout_params(request)
        session = self._call(
            "post", "/v1/checkout/sessions", key=f"checkout:{request.env}:{request.key}", **body
        )
        return CheckoutPage(session["id"], session["url"])

    def checkout(self, reference: str) -> CheckoutState:
        session = self._call("get", _path("checkout/sessions", reference), expand=_SESSION_PARTS)
        return answers.checkout_state(session)

    def close_checkout(self, reference: str) -> CheckoutState:
        try:
            session = self._call(
                "post", _path("checkout/sessions", reference, "expire"), expand=_SESSION_PARTS
            )
        except RefusedError as refusal:
            if refusal.status == 404:
                raise
            return self.checkout(reference)  # no longer open: paid, or closed before
        return answers.checkout_state(session)

    def attach_method(self, processor_customer: str, method: str) -> PaymentMethod:
        """Safe to run twice. Raises PaymentDeclinedError when the bank refuses the card, ValidationError for a
        method that does not exist or belongs to somebody else.
        """
        unusable = ValidationError(
            "this payment method cannot be used",
            field="payment_method",
            fix="Collect a new payment method and send its id.",
        )
        if not _ID.fullmatch(method):
            raise unusable
        try:
            path = _path("payment_methods", method, "attach")
            return answers.payment_method(self._call("post", path, customer=processor_customer))
        except RefusedError as refusal:
            if refusal.status == 402:
                raise PaymentDeclinedError(declines.decline_of(refusal.error).message) from None
            if refusal.param == "customer":
                if self._is_deleted(processor_customer):
                    raise CustomerGoneError("the customer was deleted at the payment provider") from None
                raise
            attached = self._attached(processor_customer, method)
            if attached is None:
                raise unusable from None
            return answers.payment_method(attached)

    def notices_since(self, since: datetime, cursor: str | None) -> tuple[list[ProcessorNotice], str | None]:
        """Stripe keeps events for 30 days and lists the newest first: each page is in order of time, and the
        next page is older. It takes twenty types at most, so there are several lists, one after the other: the
        cursor says in which we are. An event that leads nowhere is logged and left out, so that it does not
        hide the others.
        """
        which, _, after = (cursor or "").rpartition(":")
        number = int(which or 0)
        query: dict[str, Any] = {
            "created": {"gte": int(since.timestamp())},
            "types": list(_LISTS[number]),
            "limit": _PAGE,
        }
        if after:
            query["starting_after"] = after
        page = self._call("get", "/v1/events", **query)
        notices = [self._listed(event) for event in reversed(page["data"])]
        further = f"{number}:{page['data'][-1]['id']}" if page["has_more"] else _next_list(number)
        return [notice for notice in notices if notice is not None], further

    def locate(self, notice: ProcessorNotice) -> ProcessorNotice | None:
        """The notice with our ids, asked from Stripe where it has none (`env` is None): disputes and payment
        methods do not carry them. None: not ours. Raises MalformedNoticeError for one that leads nowhere.
        """
        if notice.env is not None:
            return notice
        if not notice.reference:
            raise MalformedNoticeError("it leads nowhere", event=notice.id, kind=notice.kind)
        if notice.kind == DETACHED:  # the method has forgotten its customer; only the event knows
            event = self._call("get", _path("events", notice.id))
            owner = (event["data"].get("previous_attributes") or {}).get("customer")
            customer = self._call("get", _path("customers", owner)) if owner else {}
            return with_ids(notice, customer.get("metadata") or {})
        if notice.reference.startswith("pm_"):
            method = self._call("get", _path("payment_methods", notice.reference), expand=["customer"])
            return with_ids(notice, (method.get("customer") or {}).get("metadata") or {})
        intent = self._call("get", _path("payment_intents", notice.reference))
        return with_ids(notice, intent["metadata"])

    def minimum(self, currency: str) -> int:
        return currencies.minimum(currency)

    def _is_about_the_method(self, refusal: RefusedError, request: ChargeRequest) -> bool:
        """Whether the method is detached, another customer's, or gone with its customer. Stripe does not always
        name the parameter.
        """
        attempt = request.attempt
        if refusal.param == "customer":
            return self._is_deleted(attempt.processor_customer)
        if refusal.param is not None:
            return bool(refusal.param == "payment_method")
        return self._attached(attempt.processor_customer, attempt.method) is None

    def _is_deleted(self, processor_customer: str) -> bool:
        """Whether the customer was there once; one that never was is a bug of ours."""
        try:
            return bool(self._call("get", _path("customers", processor_customer)).get("deleted"))
        except RefusedError:
            return False

    def _attached(self, processor_customer: str, method: str) -> Json | None:
        """The method, if it is this customer's."""
        try:
            found = self._call("get", _path("payment_methods", method))
        except RefusedError:
            return None
        return found if found.get("customer") == processor_customer else None

    def _intents(self, request: ChargeRequest) -> list[Json]:
        """Every payment intent of this attempt: the known one, or those that carry its metadata."""
        attempt = request.attempt
        if attempt.reference is not None:
            path = _path("payment_intents", attempt.reference)
            return [self._call("get", path, expand=["latest_charge"])]
        first = attempt.written_at - timedelta(hours=1)
        query = {
            "customer": attempt.processor_customer,
            "created": {"gte": int(first.timestamp())},
            "limit": _PAGE,
            "expand": ["data.latest_charge"],
        }
        wanted = params.labels(env=request.env, invoice=request.invoice_id, attempt=attempt.number)
        return [
            intent
            for page in self._pages("/v1/payment_intents", query)
            for intent in page
            if wanted.items() <= intent["metadata"].items()
        ]

    def _canceled(self, intent: Json) -> Json:
        if intent["status"] in ("succeeded", "canceled"):
            return intent
        path = _path("payment_intents", intent["id"])
        try:
            return self._call("post", f"{path}/cancel", expand=["latest_charge"])
        except RefusedError:  # it went on meanwhile, or is with the bank
            return self._call("get", path, expand=["latest_charge"])

    def _listed(self, event: Json) -> ProcessorNotice | None:
        try:
            notice = notice_from(event)
            return notice and self.locate(notice)
        except (MalformedNoticeError, GatewayMisuseError):
            _log.error("stripe event %s of type %s leads nowhere", event.get("id"), event.get("type"))
            return None

    def _pages(self, path: str, query: Mapping[str, Any]) -> Iterator[list[Json]]:
        query = dict(query)
        for _ in range(_MOST_PAGES):
            page = self._call("get", path, **query)
            yield page["data"]
            if not page["has_more"]:
                return
            query["starting_after"] = page["data"][-1]["id"]
        raise GatewayUnavailableError("the list is too long to look through")

    def _call(self, method: str, path: str, *, key: str | None = None, **body: Any) -> Json:
        """For what is safe to repeat: no answer is an outage, and whoever called may call again."""
        try:
            return self._client.call(method, path, key=key, retries=1, **body)
        except UnansweredError:
            raise GatewayUnavailableError("the payment provider did not answer") from None


def _next_list(number: int) -> str | None:
    return f"{number + 1}:" if number + 1 < len(_LISTS) else None


def _path(kind: str, reference: str, action: str = "") -> str:
    """The address of one object. An id can never lead to another address than its own."""
    if not _ID.fullmatch(reference):
        raise GatewayMisuseError("this is not an id of the payment provider's")
    return f"/v1/{kind}/{reference}" + (f"/{action}" if action else "")
