"""Around every request: the request for the thread that serves it, headers for every answer, one log line, and
problems instead of Chalice's own errors.

Chalice's middleware sees no exception of a view, but it does see the answers that Chalice itself gives to a
wrong method or media type. Unknown paths never arrive here: the gateway answers them.
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

from chalice.app import Chalice, Request, Response

from chalicelib import composition
from chalicelib.entrypoints.http.problems import internal_problem, problem
from chalicelib.entrypoints.http.serving import CURRENT, request_id_of
from chalicelib.entrypoints.log import bound, log_error, log_info

_EVERY_ANSWER = {
    "Cache-Control": "no-store",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
PDF = "application/pdf"
"""The one type that the gateway is told to hand out as bytes."""
_CSP = "Content-Security-Policy"
_PAGE_CSP = (
    "default-src 'self'; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_DATA_CSP = "default-src 'none'; frame-ancestors 'none'"
_CHALICE_CODES = {
    405: ("method_not_allowed", "this method is not possible here"),
    415: ("unsupported_media_type", "send Content-Type: application/json"),
}


def install(app: Chalice) -> None:
    """Put the edge around the app's routes."""
    app.api.binary_types.append(PDF)
    app.register_middleware(_edge, "http")


def _edge(request: Request, get_response: Callable[[Request], Response]) -> Response:
    """Whatever is logged or sent on the way carries the request's id."""
    request_id = request_id_of(request)
    correlation = composition.CORRELATION.set(request_id)
    try:
        with bound(request_id=request_id, correlation_id=request_id):
            return _answered(request, get_response)
    finally:
        composition.CORRELATION.reset(correlation)


def _answered(request: Request, get_response: Callable[[Request], Response]) -> Response:
    token = CURRENT.set(request)
    started = perf_counter()
    left = composition.TIME_LEFT.set(lambda: composition.REQUEST_SECONDS - (perf_counter() - started))
    try:
        response = _translated(get_response(request), request)
    finally:
        CURRENT.reset(token)
        composition.TIME_LEFT.reset(left)
    _add_headers(response, request)
    log_info(
        "request",
        method=request.method,
        route=request.path,
        status=response.status_code,
        milliseconds=round((perf_counter() - started) * 1000),
    )
    return response


def unexpected(error: Exception, request: Request) -> Response:
    """The answer to what nobody expected, logged once under the request's id."""
    log_error(
        "unexpected error",
        error,
        method=request.method,
        route=request.path,
    )
    return internal_problem(base=_base(), request_id=request_id_of(request))


def _translated(response: Response, request: Request) -> Response:
    """Chalice's own answer as a problem; ours as it is."""
    body: Any = response.body
    if not (isinstance(body, dict) and body.keys() == {"Code", "Message"}):
        return response
    if response.status_code not in _CHALICE_CODES:
        return internal_problem(base=_base(), request_id=request_id_of(request))
    code, detail = _CHALICE_CODES[response.status_code]
    headers = {name: str(value) for name, value in response.headers.items()}
    return problem(code, detail=detail, base=_base(), request_id=request_id_of(request), headers=headers)


def _add_headers(response: Response, request: Request) -> None:
    present = {name.lower() for name in response.headers}
    content_type = str(response.headers.get("Content-Type", ""))
    wanted = _EVERY_ANSWER | {
        "X-Request-Id": request_id_of(request),
        _CSP: _PAGE_CSP if content_type.startswith("text/html") else _DATA_CSP,
    }
    for name, value in wanted.items():
        if name.lower() not in present:
            response.headers[name] = value


def _base() -> str:
    """The public address, or nothing when even the settings are broken."""
    try:
        return composition.services().public_url
    except Exception:
        return ""
