"""Check of claims: what only one may hold (an external id, a mailbox's trial) is held by somebody who is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chalicelib.adapters.dynamo.items import record_of
from chalicelib.application.customers import EXTERNAL_ID
from chalicelib.domain.customer import Claim, Customer, Member
from infra.ops.chart import Chart, Finding, Patient
from infra.ops.repairs import claim_again

ELSEWHERE = frozenset({"usage"})
"""Kinds whose owner lives in another table."""


class Claims:
    """Every claim's owner exists, and every external id is claimed by the customer who has it."""

    name = "claims"

    def __init__(self, patient: Patient) -> None:
        self._patient = patient
        self._owners: set[str] = set()
        self._named: list[Customer] = []
        self._seen = 0

    def see(self, chart: Chart) -> Iterator[Finding]:
        self._owners |= {chart.id, *(member.id for member in chart.of(Member))}
        self._named += [customer for customer in chart.of(Customer) if customer.external_id]
        yield from ()

    def end(self) -> Iterator[Finding]:
        if self._patient.claims is None:
            return
        held: dict[str | None, str] = {}
        for claim in self._patient.claims():
            self._seen += 1
            if claim.kind == EXTERNAL_ID:
                held[claim.value] = claim.owner
            if claim.owner not in self._owners and claim.kind not in ELSEWHERE:
                yield Finding(
                    text=f"a claim of kind {claim.kind} belongs to {claim.owner}, who is not there",
                    what_to_do="nobody else can have what it stands for; ask who deleted from the table",
                )
        for customer in self._named:
            if held.get(customer.external_id) != customer.id:
                yield Finding(
                    text=f"{customer.id} has not claimed its external id",
                    what_to_do="make doctor REPAIR=1 claims it, unless another customer has",
                    repair=lambda whose=customer: claim_again(self._patient, whose),  # type: ignore[misc]
                )

    def said(self) -> str:
        return "not read" if self._patient.claims is None else f"{self._seen} claims have their owners"


def scan(client: Any, table: str, env: str) -> Iterator[Claim]:
    """Every claim of an environment. There is no index: the whole table is read."""
    request = {
        "TableName": table,
        "FilterExpression": "begins_with(pk, :claims)",
        "ExpressionAttributeValues": {":claims": {"S": f"{env}#claim#"}},
    }
    for page in client.get_paginator("scan").paginate(**request):
        for item in page["Items"]:
            yield record_of(item)
