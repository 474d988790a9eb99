"""The `Gateway` port over Stripe's API. Importing it loads the SDK; nothing else here does.

A charge is never repeated in here: the worker repeats it with the same key once it knows how much time it has,
and an outcome that nobody saw is UNKNOWN until then. Everything else is tried twice, which is safe because
Stripe keeps the key of each call.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

from chalicelib.adapters.stripe import answers, currencies, declines, params
from chalicelib.adapters.stripe.answers import Json
from chalicelib.adapters.stripe.calls import PAGE, Calls, path_of
from chalicelib.adapters.stripe.client import LONGEST_CALL_SECONDS, SAFETY_SECONDS, Admit, Client, admitted
from chalicelib.adapters.stripe.errors import (
    GatewayMisuseError,
    RefusedError,
    UnansweredError,
)
from chalicelib.adapters.stripe.event_list import EventList
from chalicelib.adapters.stripe.methods import Methods
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
from chalicelib.domain.errors import GatewayUnavailableError
from chalicelib.domain.payment import ChargeResult, Outcome
from chalicelib.domain.refund import RefundResult, RefundStatus

LEAST_FOR_CHARGE_SECONDS: Final = 5.0
IN_FLIGHT: Final = timedelta(minutes=2)
"""A call whose caller died may still reach Stripe for so long after its attempt was written down."""
_SESSION_PARTS: Final = [
    "payment_intent.latest_charge",
    "payment_intent.payment_method",
    "setup_intent.payment_method",
]


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
        calls = Calls(self._client)
        self._call, self._pages = calls.call, calls.pages
        self._methods, self._events = Methods(calls), EventList(calls)

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
            self._call("delete", path_of("customers", processor_customer))
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
            if self._methods.is_at_fault(refusal, request):
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
        path = path_of("payment_intents", reference)
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
            if self._methods.is_at_fault(refusal, request):
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
        query = {"payment_intent": reference, "limit": PAGE}
        return tuple(
            answers.reported_refund(refund) for page in self._pages("/v1/refunds", query) for refund in page
        )

    def movable(self, amount: int, currency: str) -> int:
        return currencies.from_stripe(currencies.to_stripe(amount, currency), currency)

    def disputes(self, payment: str) -> list[DisputeState]:
        """One call: Stripe lists a payment's disputes with their balance transactions."""
        found = self._call("get", "/v1/disputes", payment_intent=payment, limit=PAGE)
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
        session = self._call("get", path_of("checkout/sessions", reference), expand=_SESSION_PARTS)
        return answers.checkout_state(session)

    def close_checkout(self, reference: str) -> CheckoutState:
        try:
            session = self._call(
                "post", path_of("checkout/sessions", reference, "expire"), expand=_SESSION_PARTS
            )
        except RefusedError as refusal:
            if refusal.status == 404:
                raise
            return self.checkout(reference)  # no longer open: paid, or closed before
        return answers.checkout_state(session)

    def attach_method(self, processor_customer: str, method: str) -> PaymentMethod:
        return self._methods.attach(processor_customer, method)

    def notices_since(self, since: datetime, cursor: str | None) -> tuple[list[ProcessorNotice], str | None]:
        return self._events.since(since, cursor)

    def locate(self, notice: ProcessorNotice) -> ProcessorNotice | None:
        return self._events.locate(notice)

    def minimum(self, currency: str) -> int:
        return currencies.minimum(currency)

    def _intents(self, request: ChargeRequest) -> list[Json]:
        """Every payment intent of this attempt: the known one, or those that carry its metadata."""
        attempt = request.attempt
        if attempt.reference is not None:
            path = path_of("payment_intents", attempt.reference)
            return [self._call("get", path, expand=["latest_charge"])]
        first = attempt.written_at - timedelta(hours=1)
        query = {
            "customer": attempt.processor_customer,
            "created": {"gte": int(first.timestamp())},
            "limit": PAGE,
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
        path = path_of("payment_intents", intent["id"])
        try:
            return self._call("post", f"{path}/cancel", expand=["latest_charge"])
        except RefusedError:  # it went on meanwhile, or is with the bank
            return self._call("get", path, expand=["latest_charge"])
