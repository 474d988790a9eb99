"""One pooled HTTP client for all threads, which knows whether a failed request can have been received.

urllib3 directly, not requests: measured on the charge call it takes half the CPU, and it shares its
connections between threads, so that the short-lived threads of a batch do not each shake hands anew.
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Mapping

import urllib3
from urllib3.exceptions import (
    ClosedPoolError,
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
)

IDLE_SECONDS = 20.0
"""Connections that rested longer are not used again. A frozen Lambda does not see them die, and a request on a
dead one ends as an unknown outcome."""
CONNECTIONS = 16


class NotSentError(Exception):
    """The request cannot have been received."""


class AnswerLostError(Exception):
    """The request may have been received, and nobody knows what became of it."""


class Transport:
    """Thread-safe; nothing is retried and no redirect is followed here."""

    def __init__(self, ca_bundle: str) -> None:
        self._ca_bundle = ca_bundle
        self._pools: urllib3.PoolManager | None = None
        self._lock = threading.Lock()
        self._used = 0.0

    def send(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: str | None, *, timeout: float
    ) -> tuple[bytes, int, Mapping[str, str]]:
        """(body, status, headers); `timeout` is in seconds for connecting and for each wait that follows.

        Raises NotSentError or AnswerLostError.
        """
        try:
            answer = self._ready(url).request(
                method.upper(),
                url,
                headers=headers,
                body=body,
                timeout=urllib3.Timeout(total=timeout),
                retries=False,
                redirect=False,
            )
        except (NewConnectionError, ConnectTimeoutError, ClosedPoolError) as error:
            raise NotSentError(type(error).__name__) from None
        except (HTTPError, OSError) as error:
            raise AnswerLostError(type(error).__name__) from None
        return answer.data, answer.status, answer.headers

    def close(self) -> None:
        with self._lock:
            if self._pools is not None:
                self._pools.clear()

    def _ready(self, url: str) -> urllib3.PoolManager:
        with self._lock:
            now = time.time()  # the machine's clock goes on while a Lambda is frozen
            if self._pools is None:
                secure = url.startswith("https:")
                context = ssl.create_default_context(cafile=self._ca_bundle) if secure else None
                self._pools = urllib3.PoolManager(maxsize=CONNECTIONS, ssl_context=context)
            elif now - self._used > IDLE_SECONDS:
                self._pools.clear()
            self._used = now
            return self._pools
