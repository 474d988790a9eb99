"""AWS list prices, us-east-1, on demand, no free tier, no discounts; written down on 2026-11-20.

DynamoDB as listed since its cut of November 2024; the others have not moved in years. Check before you quote.
"""

from __future__ import annotations

MILLION = 1_000_000
WRITE_UNITS = 0.625
"""Dollars per million write request units of DynamoDB, standard class."""
READ_UNITS = 0.125
SQS_REQUESTS = 0.40
LAMBDA_REQUESTS = 0.20
LAMBDA_GB_SECONDS = 16.6667
"""Per million, x86."""
API_REQUESTS = 3.50
"""REST API of API Gateway, first 333 million a month."""
MEMORY_GB = 0.5
BATCH_SECONDS = 1.5
"""Assumed for a batch of ten at work: the processor's answer (a second, ten in parallel) and the rest."""
WEBHOOK_SECONDS = 0.03
"""Assumed for accepting one: our CPU and one request to SQS."""


def renewal(*, write_units: float, read_units: float, sqs: float, invocations: float) -> float:
    """Dollars per million renewals, all of it up to the settled payment."""
    return (
        write_units * WRITE_UNITS
        + read_units * READ_UNITS
        + sqs * SQS_REQUESTS
        + invocations * (LAMBDA_REQUESTS + BATCH_SECONDS * MEMORY_GB * LAMBDA_GB_SECONDS)
    )


def webhook(*, read_units: float, sqs: float, invocations: float) -> float:
    """Dollars per million webhooks of payments that are settled already: accepted, queued in vain, looked at."""
    return (
        API_REQUESTS
        + LAMBDA_REQUESTS
        + WEBHOOK_SECONDS * MEMORY_GB * LAMBDA_GB_SECONDS
        + read_units * READ_UNITS
        + sqs * SQS_REQUESTS
        + invocations * (LAMBDA_REQUESTS + WEBHOOK_SECONDS * MEMORY_GB * LAMBDA_GB_SECONDS)
    )


def feed(*, write_units: float, read_units: float) -> float:
    """Dollars per million renewals for their events and books; the stream itself is free for Lambda."""
    return write_units * WRITE_UNITS + read_units * READ_UNITS
