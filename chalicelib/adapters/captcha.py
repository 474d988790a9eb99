"""Captchas: the providers share one way of checking a solution (`siteverify`).

A solution is checked at the provider's own address, which is fixed here: nothing that a visitor or a setting says
leads anywhere else, redirects are not followed, and little is read. What cannot be checked does not pass: whoever
turned the captcha on is being attacked, and Retry-After brings honest people back.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from chalicelib.domain.errors import CaptchaUnavailableError

SECONDS: Final = 3.0
LONGEST_SOLUTION: Final = 8192
_LONGEST_ANSWER: Final = 65536
_OUR_FAULT: Final = {"missing-input-secret", "invalid-input-secret", "sitekey-secret-mismatch", "bad-request"}
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Provider:
    """Where it checks, what its script is, and the origins that the script and its frames come from."""

    verify: str
    script: str
    sources: tuple[str, ...]
    widget: str
    field: str


PROVIDERS: Final = {
    "turnstile": Provider(
        verify="https://challenges.cloudflare.com/turnstile/v0/siteverify",
        script="https://challenges.cloudflare.com/turnstile/v0/api.js",
        sources=("https://challenges.cloudflare.com",),
        widget="cf-turnstile",
        field="cf-turnstile-response",
    ),
    "hcaptcha": Provider(
        verify="https://api.hcaptcha.com/siteverify",
        script="https://js.hcaptcha.com/1/api.js",
        sources=("https://hcaptcha.com", "https://*.hcaptcha.com"),
        widget="h-captcha",
        field="h-captcha-response",
    ),
    "recaptcha": Provider(
        verify="https://www.google.com/recaptcha/api/siteverify",
        script="https://www.google.com/recaptcha/api.js",
        sources=("https://www.google.com/recaptcha/", "https://www.gstatic.com/recaptcha/"),
        widget="g-recaptcha",
        field="g-recaptcha-response",
    ),
}


class SiteVerify:
    """The port `Captcha` at one provider. `secret` is asked for at the first check, not at start."""

    def __init__(self, provider: Provider, *, site_key: str, secret: Callable[[], str]) -> None:
        self.field = provider.field
        self.widget = provider.widget
        self.script = provider.script
        self.sources = provider.sources
        self.site_key = site_key
        self._verify = provider.verify
        self._secret = secret
        self._pools: Any = None

    def is_solved(self, solution: str, *, address: str) -> bool:
        """One POST. The provider takes each solution once, so a second check of it says no."""
        if not solution or len(solution) > LONGEST_SOLUTION:
            return False
        fields = {"secret": self._secret(), "response": solution}
        if address:
            fields["remoteip"] = address
        answer = self._ask(fields)
        codes = answer.get("error-codes")
        ours = _OUR_FAULT.intersection(codes) if isinstance(codes, list) else set()
        if ours:
            _log.error("the captcha's provider refuses our settings: %s", ", ".join(sorted(ours)))
            raise _unavailable()
        return answer.get("success") is True

    def _ask(self, fields: dict[str, str]) -> dict[str, Any]:
        import urllib3  # what never checks a captcha does not load it

        if self._pools is None:
            self._pools = urllib3.PoolManager(num_pools=1, maxsize=4)
        try:
            response = self._pools.request(
                "POST",
                self._verify,
                body=urlencode(fields),
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                timeout=urllib3.Timeout(total=SECONDS),
                retries=False,
                redirect=False,
                preload_content=False,
            )
            try:
                raw = response.read(_LONGEST_ANSWER)
            finally:
                response.release_conn()
            answer = json.loads(raw) if response.status == 200 else None
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            _log.warning("a captcha could not be checked: %s", type(error).__name__)
            raise _unavailable() from None
        if not isinstance(answer, dict):
            _log.warning("a captcha could not be checked: status %s", response.status)
            raise _unavailable()
        return answer


def _unavailable() -> CaptchaUnavailableError:
    return CaptchaUnavailableError(
        "the captcha cannot be checked right now", fix="repeat the request with a new solution"
    )
