"""Failures as the Stripe API words them: an HTTP status and the `error` envelope."""

from __future__ import annotations

from typing import Any

DOCS = "https://stripe.com/docs/error-codes/"


class ApiError(Exception):
    """An answer other than 200."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        type: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        **more: Any,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.error: dict[str, Any] = {}
        if code:
            self.error["code"] = code
        self.error.update({name: value for name, value in more.items() if value is not None})
        if code:
            self.error["doc_url"] = DOCS + code.replace("_", "-")
        self.error["message"] = message
        if param:
            self.error["param"] = param
        self.error["type"] = type


def invalid(message: str, *, param: str | None = None, code: str | None = None, **more: Any) -> ApiError:
    return ApiError(400, message, param=param, code=code, **more)


def missing(noun: str, id: str, *, param: str = "id", other_mode: str | None = None) -> ApiError:
    """An id that is not there. In the path the answer is 404, in a parameter 400."""
    message = f"No such {noun}: '{id}'"
    if other_mode:
        message += f"; a similar object exists in {other_mode} mode, but another mode's key was used."
    return ApiError(404 if param == "id" else 400, message, code="resource_missing", param=param)


def required(param: str) -> ApiError:
    return invalid(f"Missing required param: {param}.", param=param, code="parameter_missing")


def declined(
    code: str, decline_code: str | None, message: str, *, param: str | None = None, **objects: Any
) -> ApiError:
    """A refusal by the card's issuer: 402."""
    return ApiError(
        402,
        message,
        type="card_error",
        code=code,
        decline_code=decline_code,
        param=param,
        **objects,
    )
