"""Autoscale: a setting of Azure Monitor for each deployment, which changes its number of instances by rules.

Sources: the API description of autoscale settings (Microsoft.Insights, 2022-10-01), and the guide on autoscaling online
endpoints, for the metrics and the thresholds of the processors' use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mlinfra.contract.jobs import ID_TAG
from mlinfra_azure.config import overridden
from mlinfra_azure.places import resource
from mlinfra_azure.render.endpoint_names import NAME_TAG, setting_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.endpoints import EndpointDesired
    from mlinfra.contract.requests import Document
    from mlinfra.environment import Environment
    from mlinfra.spec import EndpointSpec

PUT_SETTING = "AutoscaleSettings_CreateOrUpdate"
PROCESSORS, REQUESTS = "CpuUtilizationPercentage", "RequestsPerMinute"  # of a deployment; of an endpoint
ANSWERED = "2xx"  # of the dimension statusCodeClass
_BUSY, _IDLE = 70, 30  # percent of the processors
_HALF = 0.5  # of a replica's load: the one that is left of two must not be overloaded by losing the other
_GRAIN, _WINDOW, _COOLDOWN = "PT1M", "PT5M", "PT5M"
_CHANGES = {"Increase": "GreaterThan", "Decrease": "LessThan"}  # direction -> when


class Bounds(NamedTuple):
    """What a setting says: whether it holds, its bounds, and direction -> metric and threshold of its rules."""

    enabled: bool
    least: int
    most: int
    rules: Mapping[str, tuple[str, float]]


def scales(spec: EndpointSpec) -> bool:
    """Whether the spec lets the number of replicas move."""
    return spec.scale.max > max(1, spec.scale.min)


def setting(desired: EndpointDesired, deployment: str, environment: Environment) -> Document:
    """A deployment's autoscale setting.

    Raises:
        SpecError: the overrides do not fit.
    """
    endpoint = resource(environment, "onlineEndpoints", desired.physical_name)
    target = f"{endpoint}/deployments/{deployment}"
    least, most = max(1, desired.spec.scale.min), desired.spec.scale.max
    capacity = {"minimum": str(least), "maximum": str(most), "default": str(least)}
    name = setting_name(desired.physical_name, deployment)
    rules = [_rule(direction, desired.spec, endpoint, deployment) for direction in _CHANGES]
    body: Document = {
        "location": environment.region,
        "tags": {**environment.tags, ID_TAG: desired.tags[ID_TAG], NAME_TAG: desired.name},
        "properties": {
            "name": name,
            "enabled": True,
            "targetResourceUri": target,
            "targetResourceLocation": environment.region,
            "profiles": [{"name": "replicas", "capacity": capacity, "rules": rules}],
        },
    }
    return overridden(PUT_SETTING, body, desired.spec, environment)


def told(setting: Mapping[str, Any]) -> Bounds:
    """What a setting says, as it was sent or as the service tells it, which adds defaults of its own."""
    properties = setting["properties"]
    profile: Mapping[str, Any] = next(iter(properties.get("profiles") or ()), {})
    capacity = profile.get("capacity") or {}
    rules = {
        rule["scaleAction"]["direction"]: (
            rule["metricTrigger"]["metricName"],
            float(rule["metricTrigger"]["threshold"]),
        )
        for rule in profile.get("rules") or ()
    }
    enabled = properties.get("enabled", True) is True
    return Bounds(enabled, int(capacity.get("minimum") or 0), int(capacity.get("maximum") or 0), rules)


def _rule(direction: str, spec: EndpointSpec, endpoint: str, deployment: str) -> Document:
    return {
        "metricTrigger": {
            **_metric(direction, spec, endpoint, deployment),
            "timeGrain": _GRAIN,
            "statistic": "Average",
            "timeWindow": _WINDOW,
            "timeAggregation": "Average",
            "operator": _CHANGES[direction],
        },
        "scaleAction": {"direction": direction, "type": "ChangeCount", "value": "1", "cooldown": _COOLDOWN},
    }


def _metric(direction: str, spec: EndpointSpec, endpoint: str, deployment: str) -> Document:
    """What is measured, and from which value on: requests where the spec says what a replica bears."""
    grows = direction == "Increase"
    load = spec.scale.per_replica.requests_per_minute
    if not load:
        own = {"metricName": PROCESSORS, "metricResourceUri": f"{endpoint}/deployments/{deployment}"}
        return {**own, "threshold": _BUSY if grows else _IDLE}
    chosen = {"deployment": deployment, "statusCodeClass": ANSWERED}  # else it is the average over all statuses
    return {
        "metricName": REQUESTS,
        "metricResourceUri": endpoint,
        "dimensions": [
            {"DimensionName": name, "Operator": "Equals", "Values": [value]} for name, value in chosen.items()
        ],
        "dividePerInstance": True,
        "threshold": load if grows else load * _HALF,
    }
