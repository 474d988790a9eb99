"""Customers of the processor in memory, and the methods they saved."""

from __future__ import annotations

import re

from chalicelib.adapters.memory.processor.records import SavedMethod
from chalicelib.adapters.memory.processor.state import ALIASES, Processor
from chalicelib.adapters.stripe.declines import decline
from chalicelib.application.ports import ProcessorNotice
from chalicelib.domain.customer import Customer, PaymentMethod
from chalicelib.domain.errors import PaymentDeclinedError, ValidationError

BEHAVIOURS = {
    "pm_card_visa": "ok",
    "pm_card_mastercard": "ok",
    "pm_card_amex": "ok",
    "pm_card_chargeCustomerFail": "generic_decline",
    "pm_card_insufficient_funds": "insufficient_funds",
    "pm_card_lost": "lost_card",
    "pm_card_authenticationRequired": "authentication_required",
    "pm_debit_processing": "processing",
    "pm_sepaDebit": "processing",
    "pm_card_refundFail": "ok",
    "pm_card_pendingRefund": "ok",
}
"""Method name → `ok`, `processing`, or a decline code. Any other name that starts with `pm_` pays."""

REFUSED_AT_ATTACH = {
    "pm_card_chargeDeclined": "generic_decline",
    "pm_card_chargeDeclinedExpiredCard": "expired_card",
}
"""Cards that the bank refuses as soon as they are to be saved."""

_METHOD = re.compile(r"pm_[A-Za-z0-9_]+")


class Customers(Processor):
    """Who may be charged, and with what."""

    __slots__ = ()

    def ensure_customer(self, env: str, customer: Customer) -> str:
        with self._lock:
            self._begin("ensure_customer")
            reference = f"cus_mem_{env}_{customer.id}"
            while reference in self._deleted:
                reference += "_again"
            self.customers[reference] = customer.id
            self._envs[reference] = env
            return reference

    def forget_customer(self, processor_customer: str) -> None:
        with self._lock:
            self._begin("forget_customer")
            if self.customers.pop(processor_customer, None) is not None:
                self._deleted.add(processor_customer)
            for name in [name for name, each in self.methods.items() if each.owner == processor_customer]:
                del self.methods[name]

    def attach_method(self, processor_customer: str, method: str) -> PaymentMethod:
        with self._lock:
            self._begin("attach_method")
            self._require_customer(processor_customer)
            known = self.methods.get(method)
            if not _METHOD.fullmatch(method) or (known and known.owner != processor_customer):
                raise ValidationError("this payment method cannot be used", field="payment_method")
            if method in REFUSED_AT_ATTACH:
                raise PaymentDeclinedError(decline(REFUSED_AT_ATTACH[method]).message)
            return (known or self._attach(processor_customer, method)).method

    def behave(self, method: str, behaviour: str) -> None:
        """From now on `method` (its id) answers `ok`, `processing`, `decline`, or any decline code."""
        with self._lock:
            self.methods[method].behaviour = ALIASES.get(behaviour, behaviour)

    def detach(self, method: str) -> None:
        """As if the customer's bank or another system had removed the card."""
        with self._lock:
            owner = self.methods.pop(method).owner
            notice = ProcessorNotice(
                id=f"evt_mem_{len(self.notices) + 1}",
                kind="payment_method.detached",
                created=self.now(),
                reference=method,
                env=self._envs[owner],
                customer_id=self.customers[owner],
            )
            self.notices.append(notice)

    def delete_customer(self, reference: str) -> None:
        """As somebody would in the processor's dashboard: saved methods go with it."""
        with self._lock:
            for method in [name for name, held in self.methods.items() if held.owner == reference]:
                self.detach(method)
            env, customer_id = self._envs[reference], self.customers.pop(reference)
            self._deleted.add(reference)
            notice = ProcessorNotice(
                id=f"evt_mem_{len(self.notices) + 1}",
                kind="customer.deleted",
                created=self.now(),
                reference=reference,
                env=env,
                customer_id=customer_id,
            )
            self.notices.append(notice)

    def _attach(self, owner: str, name: str) -> SavedMethod:
        behaviour = BEHAVIOURS.get(name, "ok")
        method = PaymentMethod(
            id=f"pm_mem_{next(self._numbers)}_{name.removeprefix('pm_')}",
            kind="sepa_debit" if behaviour == "processing" else "card",
            brand="" if behaviour == "processing" else "visa",
            last4="4242",
            exp_month=12,
            exp_year=2034,
            fingerprint=f"print_{name}",
        )
        self.methods[method.id] = SavedMethod(owner, method, behaviour)
        return self.methods[method.id]
