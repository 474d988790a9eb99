"""Where a customer may be sent after a hosted page: only to addresses of origins that were allowed beforehand."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlencode, urlsplit, urlunsplit

from chalicelib.domain.errors import ValidationError

PLACEHOLDER = "{CHECKOUT_SESSION_ID}"
LONGEST = 2_000


def require_allowed(url: str, origins: Iterable[str], *, field: str) -> str:
    """`url` if it is an http(s) address below one of `origins` (scheme, host and port), else ValidationError.

    A redirect to anywhere else would make this installation the bait of somebody's phishing mail.
    """
    origin = _origin(url)
    allowed = {_origin(each) for each in origins}
    if origin is None or origin not in allowed:
        names = ", ".join(sorted(each for each in allowed if each))
        raise ValidationError(
            "customers may not be sent to this address",
            field=field,
            fix=f"use an address below one of {names}, or allow its origin in PERENNIAL_ALLOWED_ORIGINS",
        )
    return url


def with_session(url: str, session_id: str) -> str:
    """`url` with the session's id: in place of `{CHECKOUT_SESSION_ID}`, or as `checkout_session=` appended."""
    if PLACEHOLDER in url:
        return url.replace(PLACEHOLDER, session_id)
    parts = urlsplit(url)
    added = urlencode({"checkout_session": session_id})
    return urlunsplit(parts._replace(query=f"{parts.query}&{added}" if parts.query else added))


def _origin(url: str) -> str | None:
    """`scheme://host:port` in lower case; None for what no browser should be sent to."""
    if len(url) > LONGEST or any(char.isspace() or not char.isprintable() for char in url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return None
    default = 443 if parts.scheme == "https" else 80
    return f"{parts.scheme}://{parts.hostname}" + ("" if port in (None, default) else f":{port}")
