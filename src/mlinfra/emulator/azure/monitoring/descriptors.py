"""The metrics that Azure Machine Learning writes for online endpoints and their deployments.

After "Supported metrics for Microsoft.MachineLearningServices/workspaces/onlineEndpoints" and "…/deployments" in the
documentation of Azure Monitor: names, units, usual aggregations, dimensions; each is sampled once a minute.
"""

from __future__ import annotations

from dataclasses import dataclass

from mlinfra.emulator.azure.names import ML

SAMPLED = 60  # s between two values
ENDPOINT = f"{ML}/workspaces/onlineEndpoints"
DEPLOYMENT = f"{ENDPOINT}/deployments"

REQUESTS = "RequestsPerMinute"
LATENCY = "RequestLatency"
PERCENTILES = {f"RequestLatency_P{p}": float(p) for p in (50, 90, 95, 99)}
COLLECTED = "DataCollectionEventsPerMinute"
NOT_COLLECTED = "DataCollectionErrorsPerMinute"
CPU = "CpuUtilizationPercentage"
MEMORY = "CpuMemoryUtilizationPercentage"
CAPACITY = "DeploymentCapacity"

_ALL = ("Average", "Minimum", "Maximum")


@dataclass(frozen=True)
class Descriptor:
    """One metric of a resource type. `aggregations` are those that it has, the usual one first."""

    name: str
    title: str
    about: str
    unit: str
    dimensions: tuple[str, ...]
    aggregations: tuple[str, ...] = ("Average",)


def _latency(name: str, dimensions: tuple[str, ...]) -> Descriptor:
    rank = name.rpartition("_")[2]
    about = f"The average {rank} request latency aggregated by all request latency values collected over the period"
    return Descriptor(name, f"Request Latency {rank}", about, "Milliseconds", dimensions)


def _collection(*dimensions: str) -> tuple[Descriptor, Descriptor]:
    return (
        Descriptor(
            COLLECTED,
            "Data Collection Events Per Minute",
            "The number of data collection events processed per minute.",
            "Count",
            (*dimensions, "type"),
            _ALL,
        ),
        Descriptor(
            NOT_COLLECTED,
            "Data Collection Errors Per Minute",
            "The number of data collection events dropped per minute.",
            "Count",
            (*dimensions, "reason", "type"),
            _ALL,
        ),
    )


_OF_ENDPOINTS = (
    Descriptor(
        REQUESTS,
        "Requests Per Minute",
        "The number of requests sent to online endpoint within a minute",
        "Count",
        ("deployment", "statusCode", "statusCodeClass", "modelStatusCode"),
    ),
    Descriptor(
        LATENCY,
        "Request Latency",
        "The average complete interval of time taken for a request to be responded in milliseconds",
        "Milliseconds",
        ("deployment",),
    ),
    *(_latency(name, ("deployment",)) for name in PERCENTILES),
    *_collection("deployment"),
)
_OF_DEPLOYMENTS = (
    Descriptor(
        REQUESTS,
        "Requests Per Minute",
        "The number of requests sent to online deployment within a minute",
        "Count",
        ("envoy_response_code",),
    ),
    *(_latency(name, ()) for name in PERCENTILES),
    Descriptor(
        CPU,
        "CPU Utilization Percentage",
        "Percentage of CPU utilization on an instance.",
        "Percent",
        ("instanceId",),
        _ALL,
    ),
    Descriptor(
        MEMORY,
        "CPU Memory Utilization Percentage",
        "Percentage of memory utilization on an instance.",
        "Percent",
        ("instanceId",),
        _ALL,
    ),
    Descriptor(
        CAPACITY,
        "Deployment Capacity",
        "The number of instances in the deployment.",
        "Count",
        ("instanceId", "State"),
        _ALL,
    ),
    *_collection("instanceId"),
)
DESCRIPTORS: dict[str, dict[str, Descriptor]] = {
    kind: {each.name: each for each in found}
    for kind, found in ((ENDPOINT, _OF_ENDPOINTS), (DEPLOYMENT, _OF_DEPLOYMENTS))
}
