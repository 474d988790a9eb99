"""Hosted pages of the processor in memory."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.adapters.memory.processor.charging import Charging
from chalicelib.adapters.memory.processor.records import HostedPage, SavedMethod
from chalicelib.adapters.stripe.errors import GatewayMisuseError
from chalicelib.application.ports import CheckoutPage, CheckoutRequest, CheckoutState
from chalicelib.domain.payment import Outcome


class Pages(Charging):
    """Pages where a customer pays or saves a card; `pay_checkout` is the customer."""

    __slots__ = ()

    def open_checkout(self, request: CheckoutRequest) -> CheckoutPage:
        with self._lock:
            self._begin("open_checkout")
            self._require_customer(request.processor_customer)
            if sum(item.amount for item in request.items) != request.amount:
                raise GatewayMisuseError("the page's items do not add up to its amount")
            page: CheckoutPage = self._once(f"checkout:{request.key}", request, lambda: self._open(request))
            return page

    def checkout(self, reference: str) -> CheckoutState:
        with self._lock:
            self._begin("checkout")
            return self._page(reference).state

    def close_checkout(self, reference: str) -> CheckoutState:
        with self._lock:
            self._begin("close_checkout")
            page = self._page(reference)
            if not page.state.complete:
                self._expire(page)
            return page.state

    def pay_checkout(self, reference: str, method: str = "pm_card_visa") -> CheckoutState:
        """The customer pays (or saves a card) on the hosted page; a declined card leaves the page open."""
        with self._lock:
            page = self._page(reference)
            if page.state.complete or not page.state.payable:
                raise ValueError(f"{reference} is closed")
            saved = self._attach(page.request.processor_customer, method)
            self._pay_page(page, saved)
            return page.state

    def _open(self, request: CheckoutRequest) -> CheckoutPage:
        if request.amount:
            self._require_chargeable(request.amount, request.currency)
        reference = f"cs_mem_{len(self.pages) + 1}"
        page = CheckoutPage(reference, f"https://pay.example/{reference}")
        self.pages[reference] = HostedPage(request, page, CheckoutState(complete=False, payable=True))
        return page

    def _pay_page(self, page: HostedPage, saved: SavedMethod) -> None:
        request, charge = page.request, None
        if request.amount:
            if page.payment is None:
                page.payment = self._new_payment(
                    request, request.processor_customer, request.currency, request.amount
                )
            page.payment.result = replace(page.payment.result, method=saved.method)
            on_session = "ok" if saved.behaviour == "authentication_required" else saved.behaviour
            self._decide(page.payment, on_session)
            charge = page.payment.result
        if charge is not None and charge.outcome is Outcome.DECLINED:
            return
        page.state = CheckoutState(complete=True, payable=False, charge=charge, method=saved.method)
        self._page(page.page.reference)
        self._notify("checkout.session.completed", page.page.reference, request)

    def _expire(self, page: HostedPage) -> None:
        if page.state.payable:
            page.state = CheckoutState(complete=False, payable=False)
            self._notify("checkout.session.expired", page.page.reference, page.request)

    def _page(self, reference: str) -> HostedPage:
        page = self.pages.get(reference)
        if page is None:
            raise GatewayMisuseError(f"no such checkout page: {reference!r}")
        if page.payment is not None and page.state.complete:
            under_way = page.payment.result.outcome is Outcome.PROCESSING
            page.state = replace(page.state, charge=page.payment.result, payable=under_way)
        return page
