"""What a deployed stage begins with: the live environment, the default catalog and the first keys."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from chalicelib.application.catalog import publish_default
from chalicelib.application.context import Context
from chalicelib.application.environments import open_environment
from chalicelib.application.records import environment_key
from chalicelib.composition import Services
from chalicelib.domain.environment import LIVE
from chalicelib.settings import Settings
from infra.package.build import CannotPackage


def bootstrap(
    stage: str, outputs: Mapping[str, str], *, again: bool = False, ports: Services | None = None
) -> None:
    """Make what is not there and print the live environment's two first keys, once.

    Runs on the operator's machine with the operator's AWS credentials, over the stack's tables. Safe to repeat:
    environment and keys derive from a fixed request and the stage's secret pepper. A second run shows nothing,
    unless `again`: for whoever lost the answer of the first.
    """
    ports = ports or services_of(stage, outputs)
    if ports.store.get(environment_key(LIVE)) is not None and not again:
        raise CannotPackage(
            f"stage {stage} has its live environment and showed its first keys"
            " (make bootstrap AGAIN=1 shows them again)"
        )
    now = datetime.now(UTC)
    opened = open_environment(
        ports.store, ports.keys, name="Live", request_key=f"bootstrap {stage}", machine_now=now, live=True
    )
    publish_default(Context(env=LIVE, now=now, machine_now=now, services=ports))
    print(f"Live environment of {ports.public_url}. Keep these keys: they are not shown again.")
    print(f"  secret key (admin)   {opened.secret_token}")
    print(f"  publishable key      {opened.publishable_token}")


def services_of(stage: str, outputs: Mapping[str, str]) -> Services:
    """The application's ports over a deployed stack's tables and secrets."""
    settings = Settings(
        stage=stage,
        billing_table=outputs["BillingTableName"],
        ops_table=outputs["OpsTableName"],
        parameter_prefix=f"/perennial/{stage}",
        public_url=outputs["PublicUrl"],
    )
    return Services(settings=settings)
