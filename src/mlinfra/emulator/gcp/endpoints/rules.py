"""What a request may ask of an endpoint or of a deployed model, held against the documented rules.

After the descriptions in google-cloud-aiplatform: `CreateEndpointRequest.endpoint_id`, `Endpoint`, `DeployedModel`,
`DedicatedResources`, `AutoscalingMetricSpec`, `MutateDeployedModelRequest`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.endpoints import machines
from mlinfra.emulator.gcp.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Collection

    from mlinfra.emulator.calls import Refusal

CPU = "aiplatform.googleapis.com/prediction/online/cpu/utilization"
REQUESTS = "aiplatform.googleapis.com/prediction/online/request_count"
_DUTY_CYCLE = "aiplatform.googleapis.com/prediction/online/accelerator/duty_cycle"
_METRICS = (_DUTY_CYCLE, CPU, REQUESTS)
_ENDPOINT_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?|[1-9][0-9]{0,8}")
_DEPLOYED_ID = re.compile(r"[0-9]{1,10}")
_NETWORK = re.compile(r"projects/\d+/global/networks/[a-z0-9-]+")
_KEY = re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+")
_LONGEST_NAME = 128
_WHOLE = 100
_MOST_REPLICAS = 64  # as many processes as the host runs for one deployment
_LONGEST_INFERENCE = 3600.0  # s, of a dedicated endpoint
MUTABLE = frozenset(
    {
        "dedicated_resources.min_replica_count",
        "dedicated_resources.max_replica_count",
        "dedicated_resources.required_replica_count",
        "dedicated_resources.autoscaling_metric_specs",
        "disable_container_logging",
    }
)


def check_endpoint_id(own: str) -> None:
    """Refuse an id that the service would not take."""
    if not _ENDPOINT_ID.fullmatch(own):
        raise _refused(
            f"Endpoint id {own!r} is invalid. One that begins with a letter has up to 63 characters of [a-z0-9-] and "
            "ends in a letter or a number; one that begins with a number has up to 9 digits and no leading zero.",
            "endpoint_id",
        )


def check_display_name(name: str) -> None:
    """Refuse a display name that is missing or too long."""
    if not 0 < len(name) <= _LONGEST_NAME:
        raise _refused("The display name must have 1 to 128 characters.", "endpoint.display_name")


def check_endpoint(endpoint: Any) -> None:
    """Refuse an Endpoint message that breaks a rule of its fields."""
    check_display_name(endpoint.display_name)
    if endpoint.encryption_spec.kms_key_name and not _KEY.fullmatch(endpoint.encryption_spec.kms_key_name):
        raise _refused(
            f"Key {endpoint.encryption_spec.kms_key_name!r} is not of the form "
            "projects/PROJECT/locations/REGION/keyRings/RING/cryptoKeys/KEY.",
            "endpoint.encryption_spec.kms_key_name",
        )
    private = "private_service_connect_config" in endpoint or endpoint.enable_private_service_connect
    if endpoint.network and private:
        raise _refused("Only one of network and private service connect can be set.", "endpoint.network")
    if endpoint.network and not _NETWORK.fullmatch(endpoint.network):
        raise _refused(
            f"Network {endpoint.network!r} is not of the form projects/PROJECT_NUMBER/global/networks/NETWORK.",
            "endpoint.network",
        )
    if endpoint.dedicated_endpoint_enabled and (endpoint.network or private):
        raise _refused(
            "dedicated_endpoint_enabled cannot be combined with a network or private service connect.",
            "endpoint.dedicated_endpoint_enabled",
        )
    if endpoint.traffic_split:
        raise _refused("No model is deployed yet, so there is no traffic to split.", "endpoint.traffic_split")
    check_logging(endpoint.predict_request_response_logging_config)
    check_connection(endpoint)


def check_logging(config: Any) -> None:
    """Refuse a PredictRequestResponseLoggingConfig that logs nothing or nowhere."""
    if not config.enabled:
        return
    field = "endpoint.predict_request_response_logging_config"
    if not 0 < config.sampling_rate <= 1:
        raise _refused(f"sampling_rate must be in the range (0, 1], not {config.sampling_rate:g}.", field)
    if not config.bigquery_destination.output_uri.startswith("bq://"):
        raise _refused("bigquery_destination must name a project, a dataset or a table as bq://….", field)


def check_connection(endpoint: Any) -> None:
    """Refuse a time limit for predictions that is none, or that only a dedicated endpoint may have."""
    seconds = inference_timeout(endpoint)
    if seconds is None:
        return
    field = "endpoint.client_connection_config.inference_timeout"
    if not 0 < seconds <= _LONGEST_INFERENCE:
        raise _refused(f"inference_timeout must be above 0 s and at most 3600 s, not {seconds:g} s.", field)


def inference_timeout(endpoint: Any) -> float | None:
    """The time limit that an endpoint's configuration names, in seconds."""
    if "inference_timeout" not in endpoint.client_connection_config:
        return None
    return float(endpoint.client_connection_config.inference_timeout.total_seconds())


def check_deployed_model(deployed: Any, taken: Collection[str]) -> None:
    """Refuse a DeployedModel of a DeployModel request. `taken` are the ids in use."""
    if deployed.id and not _DEPLOYED_ID.fullmatch(deployed.id):
        raise _refused(f"DeployedModel id {deployed.id!r} must have 1 to 10 digits.", "deployed_model.id")
    if deployed.id in taken:
        raise refusals.already_exists(f"DeployedModel with id {deployed.id} already exists in the Endpoint.")
    if len(deployed.display_name) > _LONGEST_NAME:
        raise _refused("The display name must have at most 128 characters.", "deployed_model.display_name")
    if "shared_resources" in deployed:
        raise refusals.not_emulated("Deploying to a DeploymentResourcePool")
    if "automatic_resources" in deployed:
        raise _refused("'automatic_resources' is not supported for Model.", "deployed_model.automatic_resources")
    if "dedicated_resources" not in deployed:
        raise _refused("'dedicated_resources' must be specified for the Model.", "deployed_model.prediction_resources")
    machines.check(deployed.dedicated_resources.machine_spec)
    check_resources(deployed.dedicated_resources)


def check_resources(resources: Any) -> None:
    """Refuse numbers of replicas that contradict each other, and targets of metrics that are none."""
    field = "deployed_model.dedicated_resources"
    least, most = resources.min_replica_count, resources.max_replica_count
    if least < 1:
        raise _refused(f"min_replica_count must be at least 1, not {least}.", f"{field}.min_replica_count")
    if most and most < least:
        raise _refused(f"max_replica_count {most} is below min_replica_count {least}.", f"{field}.max_replica_count")
    if max(least, most) > _MOST_REPLICAS:
        raise refusals.not_emulated(f"More than {_MOST_REPLICAS} replicas")
    required = resources.required_replica_count
    if not 0 <= required <= least:
        raise _refused(
            f"required_replica_count {required} must be between 1 and min_replica_count {least}.",
            f"{field}.required_replica_count",
        )
    seen: set[str] = set()
    for spec in resources.autoscaling_metric_specs:
        _check_metric(spec, seen, accelerated=bool(resources.machine_spec.accelerator_count))
        seen.add(spec.metric_name)


def check_mask(paths: Collection[str]) -> None:
    """Refuse an update mask of MutateDeployedModel that names what cannot be changed."""
    wrong = sorted(set(paths) - MUTABLE)
    if wrong or not paths:
        named = ", ".join(wrong) or "nothing"
        raise _refused(f"update_mask names {named}; of a DeployedModel can be changed: {', '.join(sorted(MUTABLE))}.")


def _check_metric(spec: Any, seen: Collection[str], *, accelerated: bool) -> None:
    field = "deployed_model.dedicated_resources.autoscaling_metric_specs"
    if spec.metric_name not in _METRICS:
        raise _refused(f"Metric {spec.metric_name!r} is not supported; supported: {', '.join(_METRICS)}.", field)
    if spec.metric_name in seen:
        raise _refused(f"At most one entry is allowed for the metric {spec.metric_name}.", field)
    if spec.metric_name == _DUTY_CYCLE and not accelerated:
        raise _refused("The accelerator's duty cycle needs machines with accelerators.", field)
    if spec.target < 0 or (spec.metric_name != REQUESTS and spec.target > _WHOLE):
        raise _refused(f"The target of {spec.metric_name} must be between 1 and 100, not {spec.target}.", field)


def _refused(message: str, field: str = "update_mask") -> Refusal:
    return refusals.invalid_argument(message, field)
