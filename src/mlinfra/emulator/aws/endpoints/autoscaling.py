"""What Application Auto Scaling does to endpoints: targets and policies are moto's records, acted upon here.

After its API description: a target says between which numbers a variant's DesiredInstanceCount may move; a policy that
tracks SageMakerVariantInvocationsPerInstance keeps the requests a minute of each instance at its target value.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from math import ceil
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.cloudwatch import series as metrics
from mlinfra.emulator.aws.endpoints import records
from mlinfra.emulator.aws.endpoints.metrics import NAMESPACE
from mlinfra.emulator.aws.wire import motoside
from mlinfra.emulator.calls import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.endpoints.records import Endpoint, Variant

DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_INVOCATIONS = "SageMakerVariantInvocationsPerInstance"
_SPACE = "sagemaker"
_MINUTE = 60
DIFFERENCES = (
    "of scaling policies only target tracking of SageMakerVariantInvocationsPerInstance is acted upon",
    "a decision looks at the last whole minute, once a virtual minute; it scales in after the cool-down alone",
)


class Autoscaling:
    """Looks at the scalable targets of endpoints."""

    def __init__(self, emulator: AwsEmulator) -> None:
        self._emulator = emulator
        self._scaled: dict[str, float] = {}  # resource id -> the clock's second of the last change

    def check(self, body: Mapping[str, Any]) -> None:
        """Refuse a RegisterScalableTarget of a variant that is not there. `body` is the call's."""
        if body.get("ServiceNamespace") != _SPACE:
            return
        resource = str(body.get("ResourceId", ""))
        parts = resource.split("/")
        if body.get("ScalableDimension") != DIMENSION or len(parts) != len(("endpoint", "e", "variant", "v")):
            raise _refused(f"Unsupported service namespace, resource type or scalable dimension: {resource}")
        endpoint = self._emulator.endpoints.find(parts[1])
        if endpoint is None or endpoint.serving is None or parts[3] not in endpoint.serving.variants:
            raise _refused(f"Could not find endpoint or variant of resource ID: {resource}")

    def targets(self, endpoint: str) -> set[str]:
        """The variants of an endpoint that are scalable targets."""
        found = (target.resource_id.split("/") for target in self._targets().values())
        return {parts[3] for parts in found if parts[1].lower() == endpoint.lower()}

    def leftovers(self) -> list[str]:
        """The ARNs of all targets."""
        return [target.arn for target in self._targets().values()]

    def look(self) -> None:
        """Change the numbers of instances that targets and policies want changed."""
        for target in self._targets().values():
            _, name, _, variant_name = target.resource_id.split("/")
            endpoint = self._emulator.endpoints.find(name)
            variant = endpoint.serving.variants.get(variant_name) if endpoint and endpoint.serving else None
            if endpoint and variant and endpoint.status == records.IN_SERVICE:
                wanted = self._wanted(endpoint, variant, target)
                if wanted != variant.plan.count:
                    self._scaled[target.resource_id] = self._emulator.clock.monotonic()
                    with suppress(Refusal):  # no instances to be had, or somebody was quicker
                        wish = {"VariantName": variant_name, "DesiredInstanceCount": wanted}
                        self._emulator.endpoints.adjust(endpoint, [wish])

    def _wanted(self, endpoint: Endpoint, variant: Variant, target: Any) -> int:
        present = variant.plan.count
        wanted = [self._tracked(endpoint, variant, policy) for policy in self._policies(target)]
        number = max(wanted, default=present)
        return int(min(max(number, target.min_capacity), target.max_capacity))

    def _tracked(self, endpoint: Endpoint, variant: Variant, policy: Any) -> int:
        """How many instances a policy wants: as many as bring each one's requests to the target value."""
        config = policy.target_tracking_scaling_policy_configuration or {}
        predefined = config.get("PredefinedMetricSpecification", {}).get("PredefinedMetricType")
        present = variant.plan.count
        if policy.policy_type != "TargetTrackingScaling" or predefined != _INVOCATIONS:
            return present
        now = self._emulator.clock.now()
        until = now - timedelta(seconds=now.timestamp() % _MINUTE)
        dimensions = {"EndpointName": endpoint.name, "VariantName": variant.name}
        name = metrics.key(NAMESPACE, "Invocations")
        asked = self._emulator.metrics.query(name, dimensions, until - timedelta(seconds=_MINUTE), until, _MINUTE)
        wanted = max(1, ceil(sum(bucket.total for bucket in asked) / float(config["TargetValue"]) - 1e-9))
        if wanted < present and config.get("DisableScaleIn"):
            return present
        cooldown = config.get("ScaleOutCooldown" if wanted > present else "ScaleInCooldown", 300)
        since = self._emulator.clock.monotonic() - self._scaled.get(policy.resource_id, float("-inf"))
        return wanted if since >= cooldown else present

    def _targets(self) -> dict[str, Any]:
        found: Mapping[str, Any] = self._backend.targets.get(DIMENSION, {})
        return {name: target for name, target in dict(found).items() if target.service_namespace == _SPACE}

    def _policies(self, target: Any) -> list[Any]:
        return [policy for policy in list(self._backend.policies.values()) if policy.resource_id == target.resource_id]

    @property
    def _backend(self) -> Any:
        return motoside.backend("application-autoscaling", self._emulator.account, self._emulator.region)


def _refused(message: str) -> Refusal:
    return Refusal("ValidationException", message)
