"""One API request from headers to answer: faults, key, parameters, idempotency, then the endpoint."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from . import forms, params, routes
from .context import API_VERSION, Call, Standin, dumps
from .errors import ApiError, invalid
from .faults import Fault
from .idempotency import Saved
from .ids import new_id
from .listing import render

FORM = "application/x-www-form-urlencoded"


@dataclass
class Request:
    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass
class Answer:
    """What goes back. `lost` closes the connection instead."""

    status: int
    body: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    lost: bool = False


LOST = Answer(0, lost=True)


def answer(standin: Standin, request: Request) -> Answer:
    """The API's answer to a request under /v1."""
    request_id = new_id("request")
    headers = {"Request-Id": request_id, "Stripe-Version": API_VERSION}
    fault = standin.faults.next(request.method, request.path)
    try:
        if fault and (early := before(fault)):
            return early
        saved, replayed = outcome(standin, request, request_id, fault)
    except ApiError as error:
        saved, replayed = as_saved(error, request_id), False
    if replayed:
        headers["Idempotent-Replayed"] = "true"
    if key := request.headers.get("Idempotency-Key"):
        headers["Idempotency-Key"] = key
    headers.update(retry_advice(saved))
    if fault and (late := after(fault)):
        return late
    return Answer(saved.status, saved.body, headers)


def outcome(standin: Standin, request: Request, request_id: str, fault: Fault | None) -> tuple[Saved, bool]:
    """The outcome, and whether it is a replay of the first one under this idempotency key."""
    livemode = authorized(standin, request.headers)
    found = routes.find(request.method, request.path)
    if found is None:
        raise ApiError(404, f"Unrecognized request URL ({request.method}: {request.path}).")
    route, ids = found
    tree = forms.parse(request_text(request))
    checked = params.check(route.schema, tree)
    key = request.headers.get("Idempotency-Key") if request.method == "POST" else None
    call = Call(
        standin, livemode=livemode, params=checked, ids=ids, request_id=request_id, idempotency_key=key
    )
    if key is None:
        wait_if_slow(fault)
        with standin.store.lock:
            return execute(call, route, fault), False
    scope = "live" if livemode else "test"
    replay = standin.keys.begin(scope, key, path=request.path, params=tree, now=call.now)
    if replay:
        return replay, True
    try:
        wait_if_slow(fault)
        with standin.store.lock:
            saved = execute(call, route, fault)
            standin.keys.save(scope, key, path=request.path, params=tree, now=call.now, outcome=saved)
        return saved, False
    finally:
        standin.keys.release(scope, key)


def execute(call: Call, route: routes.Route, fault: Fault | None) -> Saved:
    """Run the endpoint with the store locked.

    From here on every outcome is kept under the idempotency key, refusals included; what was refused before
    (no key, unknown parameter, rate limit, a fault) is not.
    """
    try:
        if fault and fault.kind == "500":
            raise failure()
        result = render(call, route.handler(call))
        if fault and fault.kind == "500_after":
            raise failure()
        return Saved(200, result)
    except ApiError as error:
        return as_saved(error, call.request_id or "")


def as_saved(error: ApiError, request_id: str) -> Saved:
    url = f"https://dashboard.stripe.com/test/logs/{request_id}"
    return Saved(error.status, dumps({"error": {**error.error, "request_log_url": url}}))


def retry_advice(saved: Saved) -> dict[str, str]:
    if saved.status in (409, 503) or (saved.status == 429 and "lock_timeout" in saved.body):
        return {"Stripe-Should-Retry": "true"}
    return {"Stripe-Should-Retry": "false"} if saved.status in (400, 402, 404, 500) else {}


# --- Faults ------------------------------------------------------------------------------------------------


def before(fault: Fault) -> Answer | None:
    match fault.kind:
        case "drop_before":
            return LOST
        case "429":
            raise ApiError(429, "Too many requests hit the API too quickly. We recommend an exponential backoff.",
                           code="rate_limit")  # fmt: skip
        case "lock_timeout":
            raise ApiError(429, "This object cannot be accessed right now because another API request or Stripe "
                           "process is currently accessing it.", code="lock_timeout")  # fmt: skip
        case "503":
            raise ApiError(503, "The service is temporarily unavailable.", type="api_error")
    return None


def wait_if_slow(fault: Fault | None) -> None:
    if fault and fault.kind == "slow":
        time.sleep(fault.seconds)


def after(fault: Fault) -> Answer | None:
    if fault.kind == "slow_after":
        time.sleep(fault.seconds)
    return LOST if fault.kind == "lose_response" else None


def failure() -> ApiError:
    return ApiError(500, "An unknown error occurred", type="api_error")


# --- Reading a request -------------------------------------------------------------------------------------


def authorized(standin: Standin, headers: Mapping[str, str]) -> bool:
    """Whether the key is a live one. Raises 401 without a known secret key, 400 for another API version."""
    key = secret_key(headers.get("Authorization") or "")
    if not key:
        raise ApiError(
            401, "You did not provide an API key. Provide it in the Authorization header, as Bearer auth."
        )
    if key not in standin.settings.secret_keys:
        raise ApiError(401, f"Invalid API Key provided: {key[:8]}****{key[-4:]}")
    version = headers.get("Stripe-Version")
    if version and version != API_VERSION:
        raise invalid(f"Invalid Stripe API version: {version}. The stand-in answers as {API_VERSION} only.")
    return key.startswith(("sk_live_", "rk_live_"))


def secret_key(authorization: str) -> str:
    scheme, _, value = authorization.partition(" ")
    if scheme.lower() != "basic":
        return value.strip()
    try:
        return base64.b64decode(value).decode().partition(":")[0]
    except (binascii.Error, UnicodeDecodeError):
        return ""


def request_text(request: Request) -> str:
    if request.method != "POST":
        return request.query
    if request.body and FORM not in request.headers.get("Content-Type", ""):
        raise invalid(f"Invalid request: the content type must be {FORM}.")
    try:
        return request.body.decode()
    except UnicodeDecodeError:
        raise invalid("Invalid request: the body is not UTF-8.") from None
