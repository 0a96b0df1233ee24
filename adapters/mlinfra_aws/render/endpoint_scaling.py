"""Autoscaling: targets and policies of Application Auto Scaling, which knows an endpoint by its variants."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.contract.requests import Ref, Request
from mlinfra_aws.config import overridden
from mlinfra_aws.render.endpoint_choices import REQUESTS_PER_MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mlinfra.contract.endpoints import EndpointDesired
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment
    from mlinfra_aws.render.endpoint_state import Standing, Variant

SERVICE = "application-autoscaling"
DIMENSION = "sagemaker:variant:DesiredInstanceCount"
_NAMESPACE = "sagemaker"


def reads(physical_name: str) -> tuple[Request, ...]:
    """The targets of the variants that the configuration names, and the policies that bear the endpoint's name."""
    variants = Ref("config", "ProductionVariants.*.VariantName", resource_id(physical_name, "{}"))
    targets: Document = {"ServiceNamespace": _NAMESPACE, "ScalableDimension": DIMENSION, "ResourceIds": variants}
    policies: Document = {
        "ServiceNamespace": _NAMESPACE,
        "ScalableDimension": DIMENSION,
        "PolicyNames": [physical_name],
    }
    return (
        Request(step="targets", service=SERVICE, operation="DescribeScalableTargets", body=targets, effect=False),
        Request(
            step="policies",
            service=SERVICE,
            operation="DescribeScalingPolicies",
            body=policies,
            effect=False,
            depends_on=("config",),
        ),
    )


def resource_id(physical_name: str, variant: str) -> str:
    """How a variant is called there."""
    return f"endpoint/{physical_name}/variant/{variant}"


def variant_of(resource_id: str) -> str:
    """The inverse of `resource_id`."""
    return resource_id.rpartition("/")[2]


def scales(desired: EndpointDesired) -> bool:
    """Whether the spec lets the number of replicas move."""
    return desired.spec.scale.max > desired.spec.scale.min


def registrations(
    desired: EndpointDesired, variants: Iterable[Variant], standing: Standing, environment: Environment
) -> tuple[Request, ...]:
    """What makes these variants scale as the spec says: nothing where they do.

    The policy comes last and is looked for as well, so a half done registration is seen and done again.
    """
    bounds, target = _bounds(desired), _requests_per_minute(desired)
    return tuple(
        request
        for each in variants
        if standing.targets.get(each.name) != bounds or standing.policies.get(each.name) != target
        for request in (_register(desired, each.name, environment), _policy(desired, each.name, environment))
    )


def deregistrations(desired: EndpointDesired, names: Iterable[str], standing: Standing) -> tuple[Request, ...]:
    """What takes the targets of these variants away, with their policies."""
    return tuple(
        _act(f"deregister-{name}", "DeregisterScalableTarget", _address(desired.physical_name, name))
        for name in names
        if name in standing.targets
    )


def _register(desired: EndpointDesired, variant: str, environment: Environment) -> Request:
    low, high = _bounds(desired)
    body = {**_address(desired.physical_name, variant), "MinCapacity": low, "MaxCapacity": high}
    body = overridden("RegisterScalableTarget", body, desired.spec, environment)
    return _act(f"register-{variant}", "RegisterScalableTarget", body)


def _policy(desired: EndpointDesired, variant: str, environment: Environment) -> Request:
    body: Document = {
        **_address(desired.physical_name, variant),
        "PolicyName": desired.physical_name,
        "PolicyType": "TargetTrackingScaling",
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": _requests_per_minute(desired),
            "PredefinedMetricSpecification": {"PredefinedMetricType": "SageMakerVariantInvocationsPerInstance"},
        },
    }
    body = overridden("PutScalingPolicy", body, desired.spec, environment)
    return _act(f"policy-{variant}", "PutScalingPolicy", body)


def _bounds(desired: EndpointDesired) -> tuple[int, int]:
    return max(1, desired.spec.scale.min), desired.spec.scale.max


def _requests_per_minute(desired: EndpointDesired) -> float:
    return float(desired.spec.scale.per_replica.requests_per_minute or REQUESTS_PER_MINUTE)


def _address(physical_name: str, variant: str) -> Document:
    return {
        "ServiceNamespace": _NAMESPACE,
        "ResourceId": resource_id(physical_name, variant),
        "ScalableDimension": DIMENSION,
    }


def _act(step: str, operation: str, body: Document) -> Request:
    return Request(step=step, service=SERVICE, operation=operation, body=body, repeatable=True)
