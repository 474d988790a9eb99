"""The payment processor's webhook: checked, queued, answered. Nothing else happens here."""

from __future__ import annotations

from chalice.app import Blueprint

from chalicelib.domain.errors import DomainError
from chalicelib.entrypoints.http.kit import Call, View, endpoint
from chalicelib.entrypoints.metrics import Metric, emit

bp = Blueprint(__name__)


class ReceivedView(View):
    received: bool


@endpoint(
    bp,
    "POST",
    "/v1/webhooks/stripe",
    public=True,
    raw=True,
    hidden=True,
    answer=ReceivedView,
    tag="Webhooks",
    summary="Events of the payment processor",
)
def receive_stripe(call: Call[None]) -> ReceivedView:
    """The signature over the raw bytes is the credential. One call to the queue; the answer comes before any
    work, and an event that was not queued is not acknowledged.
    """
    try:
        notice = call.services.notice_of(call.raw, call.headers.get("stripe-signature", ""))
    except DomainError as refusal:
        if refusal.code == "invalid_signature":
            emit(call.services, {Metric.WEBHOOKS_REFUSED: [1]})
        raise
    if notice is not None:
        call.services.queues.notices([notice])
    return ReceivedView(received=notice is not None)
