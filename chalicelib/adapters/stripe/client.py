"""One call to Stripe's API: the SDK over our transport, within the time that is left.

Requests go through the SDK's `raw_request`: its typed objects cost as much CPU again as the whole call, and
what they would give us is read once and dropped.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol
from urllib.parse import urlsplit

import stripe

from chalicelib.adapters.stripe.answers import Json
from chalicelib.adapters.stripe.errors import KeyReusedError, RefusedError, UnansweredError
from chalicelib.adapters.stripe.transport import AnswerLostError, NotSentError, Transport
from chalicelib.domain.errors import GatewayUnavailableError

API_VERSION: Final = "2026-10-28.endive"
SAFETY_SECONDS: Final = 2.0
LONGEST_CALL_SECONDS: Final = 25.0
BACK_OFF_SECONDS: Final = 0.5
"""What the SDK waits before the second try."""
_log = logging.getLogger(__name__)


class Admit(Protocol):
    """Returns when a call to an endpoint may be made, or raises GatewayUnavailableError."""

    def __call__(self, endpoint: str, *, wait: bool = True) -> None: ...


def admitted(endpoint: str, *, wait: bool = True) -> None:
    """As many calls as one likes."""


class Client:
    """Thread-safe. `budget` tells the seconds left to the invocation: each call, with its tries and the wait
    between them, ends SAFETY_SECONDS before that and takes LONGEST_CALL_SECONDS at most.
    """

    def __init__(
        self,
        secret_key: str,
        *,
        api_base: str | None,
        budget: Callable[[], float],
        admit: Admit = admitted,
    ) -> None:
        stripe.enable_telemetry = False
        logging.getLogger("stripe").setLevel(logging.WARNING)  # it logs messages and, in debug, whole bodies
        self._sdk = stripe.StripeClient(
            secret_key,
            stripe_version=API_VERSION,
            base_addresses={"api": api_base.rstrip("/")} if api_base else None,
            http_client=_Http(Transport(stripe.ca_bundle_path), budget, admit),
        )

    def call(self, method: str, path: str, *, key: str | None = None, retries: int, **body: Any) -> Json:
        """Stripe's object. Raises UnansweredError when nobody knows whether it was done,
        GatewayUnavailableError when nothing was done and it is not our fault, RefusedError (402 too) and
        KeyReusedError.
        """
        options: dict[str, Any] = {"max_network_retries": retries}
        if key is not None:
            options["idempotency_key"] = key
        try:
            answer: Any = self._sdk.raw_request(method, path, **options, **body)
        except stripe.StripeError as error:
            raise _translated(error) from None
        data: Json = answer.data
        return data


class _ConnectionFailed(stripe.APIConnectionError):
    """No answer; `sent` is False when the request cannot have reached Stripe."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason, should_retry=True)  # type: ignore[no-untyped-call]
        self.sent = sent


class _Http(stripe.HTTPClient):
    """The SDK's view of our transport, with the time that is left divided over a call's tries."""

    name = "urllib3"

    def __init__(self, transport: Transport, budget: Callable[[], float], admit: Admit) -> None:
        super().__init__()
        self._admit = admit
        self._transport = transport
        self._budget = budget
        self._call = threading.local()

    def request_with_retries(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        post_data: Any = None,
        max_network_retries: int | None = None,
        **rest: Any,
    ) -> Any:
        self._admit(_endpoint(url))
        self._call.is_repeated = False
        tries = 1 + (max_network_retries or 0)
        allowance = min(self._budget() - SAFETY_SECONDS, LONGEST_CALL_SECONDS)
        self._call.timeout = (allowance - BACK_OFF_SECONDS * (tries - 1)) / tries
        if self._call.timeout <= 0:
            raise _ConnectionFailed("no time left", sent=False)
        return super().request_with_retries(method, url, headers, post_data, max_network_retries, **rest)

    def request(self, method: str, url: str, headers: Any, post_data: Any = None, **rest: Any) -> Any:
        if self._call.is_repeated:
            self._admit(_endpoint(url), wait=False)
        self._call.is_repeated = True
        try:
            return self._transport.send(method, url, headers, post_data, timeout=self._call.timeout)
        except NotSentError as error:
            raise _ConnectionFailed(str(error), sent=False) from None
        except AnswerLostError as error:
            raise _ConnectionFailed(str(error), sent=True) from None

    def close(self) -> None:
        self._transport.close()


def _endpoint(url: str) -> str:
    """What Stripe counts together: the kind of object, whatever is done with which of them."""
    return urlsplit(url).path.strip("/").partition("/")[2].partition("/")[0]


def _translated(error: stripe.StripeError) -> Exception:
    """The SDK's exception in our terms, without its body and message, which may name people and secrets."""
    match error:
        case stripe.IdempotencyError():
            return KeyReusedError(f"this key was used with another request ({error.request_id})")
        case stripe.RateLimitError() | _ConnectionFailed(sent=False):
            return GatewayUnavailableError("the payment provider cannot be asked right now")
        case stripe.AuthenticationError() | stripe.PermissionError():
            _log.error("stripe refuses our key: %s, request %s", error.http_status, error.request_id)
            return GatewayUnavailableError("the payment provider does not accept our key")
        case stripe.CardError() | stripe.InvalidRequestError():
            return RefusedError(error.http_status or 400, _error_of(error), error.request_id)
    _log.warning("no answer from stripe: %s, request %s", error.http_status, error.request_id)
    return UnansweredError()


def _error_of(error: stripe.StripeError) -> Mapping[str, Any]:
    body = error.json_body
    found = body.get("error") if isinstance(body, Mapping) else None
    return found if isinstance(found, Mapping) else {}
