"""How many replicas a deployed model has: its bounds, and what they follow.

The API of v1 knows no number to begin with, only a least one. So while a newcomer takes over from a deployment of the
same variant, its least number is as many as the load needed there; afterwards it is the spec's again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlinfra.contract.endpoints import DeploymentDesired, EndpointDesired
    from mlinfra.contract.requests import Document
    from mlinfra.spec import EndpointSpec

REQUESTS = "aiplatform.googleapis.com/prediction/online/request_count"  # a minute; without it CPU at 60 % decides
MASK = ",".join(
    f"dedicatedResources.{name}" for name in ("minReplicaCount", "maxReplicaCount", "autoscalingMetricSpecs")
)


def bounds(spec: EndpointSpec) -> tuple[int, int]:
    """Replicas at least and at most; v1 takes no less than one."""
    least = max(1, spec.scale.min)
    return least, max(least, spec.scale.max)


def first_least(desired: EndpointDesired, deployment: DeploymentDesired) -> int:
    """The least number of replicas that a deployment begins with."""
    least, most = bounds(desired.spec)
    return min(most, max(least, deployment.replicas)) if _takes_over(desired, deployment) else least


def follows(spec: EndpointSpec) -> list[Document]:
    """What the number follows between its bounds; empty for the platform's own rule, which is CPU at 60 %."""
    least, most = bounds(spec)
    target = spec.scale.per_replica.requests_per_minute
    return [{"metricName": REQUESTS, "target": target}] if target and most > least else []


def fits(there: Document, wanted: Document, most_at_least: int) -> bool:
    """Whether machines that are there need no change: the least number may lie above the wanted one, up to a bound."""
    least = int(there.get("minReplicaCount") or 1)
    return (
        int(wanted.get("minReplicaCount") or 1) <= least <= max(most_at_least, int(wanted.get("minReplicaCount") or 1))
        and int(there.get("maxReplicaCount") or least) == max(least, int(wanted.get("maxReplicaCount") or least))
        and (there.get("autoscalingMetricSpecs") or []) == (wanted.get("autoscalingMetricSpecs") or [])
    )


def _takes_over(desired: EndpointDesired, deployment: DeploymentDesired) -> bool:
    """Whether another deployment of its variant stands beside it."""
    return sum(each.variant == deployment.variant for each in desired.deployments) > 1
