"""Scalable targets and their policies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.provisioning.sagemaker import pascal
from mlinfra.emulator.provisioning import Kind, put, whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.aws.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Declared, Inputs

_SERVICE = "application-autoscaling"
_TRACKING = "targetTrackingScalingPolicyConfiguration"


def _target_put(cloud: Cloud, declared: Declared, _before: Inputs) -> Mapping[str, Any]:
    inputs = declared.inputs
    cloud.call(
        _SERVICE,
        "RegisterScalableTarget",
        **_address(inputs),
        MinCapacity=whole(inputs["minCapacity"]),
        MaxCapacity=whole(inputs["maxCapacity"]),
        Tags=inputs.get("tags") or None,
    )
    return {}


def _target_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    address = _address(declared.inputs)
    asked = {"ResourceIds": [address.pop("ResourceId")], **address}
    found = cloud.call(_SERVICE, "DescribeScalableTargets", **asked)["ScalableTargets"]
    if not found:
        return None
    return {"minCapacity": float(found[0]["MinCapacity"]), "maxCapacity": float(found[0]["MaxCapacity"])}


def _target_delete(cloud: Cloud, declared: Declared) -> None:
    cloud.gone(_SERVICE, "DeregisterScalableTarget", **_address(declared.inputs))


def _policy_put(cloud: Cloud, declared: Declared, _before: Inputs) -> Mapping[str, Any]:
    inputs = declared.inputs
    cloud.call(
        _SERVICE,
        "PutScalingPolicy",
        **_address(inputs),
        PolicyName=inputs["name"],
        PolicyType=inputs.get("policyType"),
        TargetTrackingScalingPolicyConfiguration=pascal(inputs.get(_TRACKING)),
    )
    return {}


def _policy_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    asked = {"PolicyNames": [declared.inputs["name"]], **_address(declared.inputs)}
    return {} if cloud.call(_SERVICE, "DescribeScalingPolicies", **asked)["ScalingPolicies"] else None


def _policy_delete(cloud: Cloud, declared: Declared) -> None:
    cloud.gone(_SERVICE, "DeleteScalingPolicy", PolicyName=declared.inputs["name"], **_address(declared.inputs))


def _address(inputs: Inputs) -> dict[str, Any]:
    return {
        "ServiceNamespace": inputs["serviceNamespace"],
        "ResourceId": inputs["resourceId"],
        "ScalableDimension": inputs["scalableDimension"],
    }


KINDS: dict[str, Kind[Cloud]] = {
    "aws:appautoscaling/target:Target": Kind(put(_target_put), _target_delete, _target_read, _target_put),
    "aws:appautoscaling/policy:Policy": Kind(put(_policy_put), _policy_delete, _policy_read, _policy_put),
}
