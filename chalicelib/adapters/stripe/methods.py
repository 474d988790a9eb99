"""Saved means of payment at Stripe, and the customers that they belong to."""

from __future__ import annotations

from chalicelib.adapters.stripe import answers, declines
from chalicelib.adapters.stripe.answers import Json
from chalicelib.adapters.stripe.calls import Calls, is_id, path_of
from chalicelib.adapters.stripe.errors import CustomerGoneError, RefusedError
from chalicelib.application.ports import ChargeRequest
from chalicelib.domain.customer import PaymentMethod
from chalicelib.domain.errors import PaymentDeclinedError, ValidationError


class Methods:
    """Thread-safe."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def attach(self, processor_customer: str, method: str) -> PaymentMethod:
        """Safe to run twice. Raises PaymentDeclinedError when the bank refuses the card, ValidationError for a
        method that does not exist or belongs to somebody else.
        """
        unusable = ValidationError(
            "this payment method cannot be used",
            field="payment_method",
            fix="Collect a new payment method and send its id.",
        )
        if not is_id(method):
            raise unusable
        try:
            path = path_of("payment_methods", method, "attach")
            return answers.payment_method(self._calls.call("post", path, customer=processor_customer))
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

    def is_at_fault(self, refusal: RefusedError, request: ChargeRequest) -> bool:
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
            return bool(self._calls.call("get", path_of("customers", processor_customer)).get("deleted"))
        except RefusedError:
            return False

    def _attached(self, processor_customer: str, method: str) -> Json | None:
        """The method, if it is this customer's."""
        try:
            found = self._calls.call("get", path_of("payment_methods", method))
        except RefusedError:
            return None
        return found if found.get("customer") == processor_customer else None
