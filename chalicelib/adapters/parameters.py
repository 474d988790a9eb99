"""Secrets from Parameter Store, through Powertools' cache: a rotated one arrives within its age."""

from __future__ import annotations

from typing import Any


class Parameters:
    """SecureStrings below one prefix; `max_age` seconds of cache per process."""

    def __init__(self, prefix: str, *, max_age: int = 300) -> None:
        self._prefix = prefix.rstrip("/")
        self._max_age = max_age
        self._provider: Any = None

    def get(self, name: str) -> str:
        """The secret's value; the provider's GetParameterError when it is missing or not readable."""
        if self._provider is None:
            from aws_lambda_powertools.utilities.parameters import SSMProvider

            self._provider = SSMProvider()
        return str(self._provider.get(f"{self._prefix}/{name}", decrypt=True, max_age=self._max_age))
