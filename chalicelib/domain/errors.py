"""Everything that can be wrong with a request or a state, with a stable `code` and never an HTTP status.

`field` is the path of the offending input (`items[0].quantity`), `fix` says what the reader can do about it,
and `ids` name the things concerned. The HTTP layer alone turns a code into a status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


class DomainError(Exception):
    """Base of all refusals that are the caller's to understand."""

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, field: str | None = None, fix: str | None = None, **ids: str) -> None:
        super().__init__(message)
        self.message = message
        self.field = field
        self.fix = fix
        self.ids = ids


class ValidationError(DomainError):
    """An input breaks a rule; `field` says which."""

    code = "invalid_request"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong with a document, at the path `field`."""

    field: str
    message: str
    fix: str | None = None


class InvalidDocumentError(ValidationError):
    """A document breaks rules in several places; `problems` has all of them, `field` the first one's path."""

    def __init__(self, message: str, problems: tuple[Problem, ...]) -> None:
        first = problems[0]
        super().__init__(message, field=first.field, fix=first.fix)
        self.problems = problems


class CurrencyMismatchError(DomainError):
    """Two currencies met in one sum."""

    code = "currency_mismatch"


class NotFoundError(DomainError):
    """Missing, or not the caller's: both answer alike."""

    code = "not_found"


class ConflictError(DomainError):
    """Somebody else wrote first and the bounded retries are used up."""

    code = "conflict"


class PreviewStaleError(DomainError):
    """What was previewed would come to something else now; the ids name each figure, as shown and as it is."""

    code = "preview_stale"


class AlreadyExistsError(DomainError):
    """A value that must be unique in its environment is taken."""

    code = "already_exists"


class InvalidStateError(DomainError):
    """The thing exists, but what was asked is not possible in its present state."""

    code = "invalid_state"


class PreconditionFailedError(DomainError):
    """`If-Match` names another version than the current one."""

    code = "precondition_failed"


class PreconditionRequiredError(DomainError):
    """Without `If-Match` somebody else's work could be overwritten unseen."""

    code = "precondition_required"


class QuoteRequiredError(DomainError):
    """The plan is not sold by self-serve: sales must make an offer."""

    code = "quote_required"


class PaymentDeclinedError(DomainError):
    """The first payment was declined, so nothing was activated."""

    code = "payment_declined"


class PaymentPendingError(DomainError):
    """The outcome of a payment is not known yet; repeat the same request to learn it."""

    code = "payment_pending"


class UnauthenticatedError(DomainError):
    """No key, or one that is unknown, expired or revoked."""

    code = "unauthenticated"


class ForbiddenError(DomainError):
    """The key is valid, but its scopes do not cover this."""

    code = "forbidden"


class IdempotencyMismatchError(DomainError):
    """The Idempotency-Key was used before with another request."""

    code = "idempotency_mismatch"


class IdempotencyInFlightError(DomainError):
    """The first request with this Idempotency-Key is still running."""

    code = "idempotency_in_flight"


class RateLimitedError(DomainError):
    """Too many requests; wait and repeat."""

    code = "rate_limited"


class CaptchaRequiredError(DomainError):
    """The site asks its visitors to solve a captcha, and this request holds no solution that stands."""

    code = "captcha_required"


class CaptchaUnavailableError(DomainError):
    """Whoever checks captchas cannot be asked right now; an unchecked visitor does not pass."""

    code = "captcha_unavailable"


class GatewayUnavailableError(DomainError):
    """The payment provider cannot be asked right now; never the customer's failure."""

    code = "gateway_unavailable"
