"""The metrics that Vertex AI writes for endpoints, and the resource that they are written for.

After the list of Google Cloud metrics, section `aiplatform` (prediction/online/…): kinds, types, units and labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

MetricKind = Literal["GAUGE", "DELTA"]
ValueType = Literal["INT64", "DOUBLE", "DISTRIBUTION"]

RESOURCE = "aiplatform.googleapis.com/Endpoint"
SAMPLED = 60  # s between two values
_PREFIX = "aiplatform.googleapis.com/prediction/online/"
_MODEL = ("deployed_model_id", "spot", "model_display_name", "endpoint_display_name")
_REPLICA = ("deployed_model_id", "replica_id", "spot")

PREDICTIONS = f"{_PREFIX}prediction_count"
ERRORS = f"{_PREFIX}error_count"
LATENCIES = f"{_PREFIX}prediction_latencies"
RESPONSES = f"{_PREFIX}response_count"
REPLICAS = f"{_PREFIX}replicas"
TARGET_REPLICAS = f"{_PREFIX}target_replicas"
CPU = f"{_PREFIX}cpu/utilization"
MEMORY = f"{_PREFIX}memory/bytes_used"


@dataclass(frozen=True)
class Descriptor:
    """One metric. Values of a DELTA count within the minute that ends at their moment, those of a GAUGE at it."""

    type: str
    kind: MetricKind
    value: ValueType
    unit: str
    labels: tuple[str, ...]
    name: str


DESCRIPTORS: dict[str, Descriptor] = {
    each.type: each
    for each in (
        Descriptor(PREDICTIONS, "DELTA", "INT64", "1", _MODEL, "Prediction count"),
        Descriptor(ERRORS, "DELTA", "INT64", "1", _MODEL, "Error count"),
        Descriptor(LATENCIES, "DELTA", "DISTRIBUTION", "ms", ("latency_type", *_MODEL), "Prediction Latencies"),
        Descriptor(RESPONSES, "DELTA", "INT64", "1", ("response_code", *_MODEL), "Response count"),
        Descriptor(REPLICAS, "GAUGE", "INT64", "1", _MODEL, "Replica count"),
        Descriptor(TARGET_REPLICAS, "GAUGE", "INT64", "1", _MODEL, "Replica target"),
        Descriptor(CPU, "GAUGE", "DOUBLE", "10^2.%", _REPLICA, "CPU utilization"),
        Descriptor(MEMORY, "GAUGE", "INT64", "By", _REPLICA, "Memory usage"),
    )
}
