"""AWS clients with limits that fit inside a function: short timeouts, few retries, enough connections."""

from __future__ import annotations

from typing import Any


def client(service: str, **options: Any) -> Any:
    """A botocore client for the process's region and credentials, with more `options` of botocore's Config; make each
    once, they are slow to make.
    """
    import boto3
    from botocore.config import Config

    config = Config(
        connect_timeout=2,
        read_timeout=5,
        max_pool_connections=32,
        retries={"mode": "standard", "max_attempts": 3},
        **options,
    )
    return boto3.Session().client(service, config=config)  # type: ignore[call-overload]
