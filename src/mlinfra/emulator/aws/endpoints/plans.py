"""What an endpoint configuration asks of each variant, and what an update keeps of what was."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

WEIGHT, COUNT = "DesiredWeight", "DesiredInstanceCount"  # VariantPropertyType
_START_TIMEOUT = 240.0  # s, what the hosting guide gives a container by default to answer its first health check


@dataclass(frozen=True)
class VariantPlan:
    """One production or shadow variant as it is wanted. `document` is the configuration's own words."""

    name: str
    model: str
    instance_type: str
    count: int
    weight: float
    start_timeout: float
    serverless: Mapping[str, int] | None = None
    document: Mapping[str, Any] = field(default_factory=dict)

    @property
    def provisioned(self) -> int:
        """How many servers there are before anybody asks."""
        if self.serverless is None:
            return self.count
        return 1 if self.serverless.get("ProvisionedConcurrency") else 0

    def resized(self, count: int) -> VariantPlan:
        """The same with another number of instances."""
        return replace(self, count=count)


def plan(variant: Mapping[str, Any]) -> VariantPlan:
    """What a ProductionVariant of CreateEndpointConfig asks for."""
    return VariantPlan(
        name=variant["VariantName"],
        model=variant["ModelName"],
        instance_type=variant.get("InstanceType", ""),
        count=variant.get("InitialInstanceCount", 0),
        weight=variant.get("InitialVariantWeight", 1.0),
        start_timeout=variant.get("ContainerStartupHealthCheckTimeoutInSeconds", _START_TIMEOUT),
        serverless=variant.get("ServerlessConfig"),
        document=variant,
    )


def plans(config: Mapping[str, Any], member: str = "ProductionVariants") -> list[VariantPlan]:
    """The variants of a configuration in its order."""
    return [plan(variant) for variant in config.get(member, ())]


def retained(
    wanted: VariantPlan, present: Mapping[str, tuple[float, int]], excluded: Collection[str] = ()
) -> VariantPlan:
    """The plan with weight and number of instances that a variant of that name has now, but for what is excluded."""
    if wanted.name not in present:
        return wanted
    weight, count = present[wanted.name]
    if WEIGHT not in excluded:
        wanted = replace(wanted, weight=weight)
    if COUNT not in excluded and wanted.serverless is None:
        wanted = replace(wanted, count=count)
    return wanted


def instances(wanted: Collection[VariantPlan]) -> dict[str, int]:
    """How many instances of each type the variants take together."""
    found: dict[str, int] = {}
    for variant in wanted:
        if variant.instance_type:
            found[variant.instance_type] = found.get(variant.instance_type, 0) + variant.count
    return found
