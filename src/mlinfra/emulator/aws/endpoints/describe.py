"""An endpoint as DescribeEndpoint tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlinfra.emulator.aws.endpoints.records import Endpoint, Generation, Variant

_ECHOED = ("ManagedInstanceScaling", "RoutingConfig")
_CONFIGURED = ("AsyncInferenceConfig", "MetricsConfig")


def described(endpoint: Endpoint) -> dict[str, Any]:
    """The answer of DescribeEndpoint."""
    with endpoint.lock:
        serving, pending = endpoint.serving, endpoint.pending
        document: dict[str, Any] = {
            "EndpointName": endpoint.name,
            "EndpointArn": endpoint.arn,
            "EndpointConfigName": endpoint.config_name,
            "EndpointStatus": endpoint.status,
            "CreationTime": endpoint.created,
            "LastModifiedTime": endpoint.modified,
            "FailureReason": endpoint.reason or None,
            "LastDeploymentConfig": endpoint.last_deployment,
        }
        if serving:
            document |= _serving(serving)
        if pending:
            document["PendingDeploymentSummary"] = _pending(pending)
    return document


def _serving(generation: Generation) -> dict[str, Any]:
    told = {name: generation.config[name] for name in _CONFIGURED if name in generation.config}
    told["ProductionVariants"] = _summaries(generation.variants.values())
    if generation.shadows:
        told["ShadowProductionVariants"] = _summaries(generation.shadows.values())
    capture = generation.config.get("DataCaptureConfig")
    if capture:
        told["DataCaptureConfig"] = {
            "EnableCapture": capture.get("EnableCapture", True),
            "CaptureStatus": "Started" if generation.capture else "Stopped",
            "CurrentSamplingPercentage": capture["InitialSamplingPercentage"],
            "DestinationS3Uri": capture["DestinationS3Uri"],
            "KmsKeyId": capture.get("KmsKeyId", ""),
        }
    return told


def _pending(generation: Generation) -> dict[str, Any]:
    document = {
        "EndpointConfigName": generation.config_name,
        "ProductionVariants": [_planned(variant) for variant in generation.variants.values()],
        "StartTime": generation.since,
    }
    if generation.shadows:
        document["ShadowProductionVariants"] = [_planned(variant) for variant in generation.shadows.values()]
    return document


def _planned(variant: Variant) -> dict[str, Any]:
    summary = _summary(variant)
    return summary | ({"InstanceType": variant.plan.instance_type} if variant.plan.instance_type else {})


def _summaries(variants: Iterable[Variant]) -> list[dict[str, Any]]:
    return [_summary(variant) for variant in variants]


def _summary(variant: Variant) -> dict[str, Any]:
    plan, container = variant.plan, variant.container
    document: dict[str, Any] = {
        "VariantName": variant.name,
        "DeployedImages": [
            {
                "SpecifiedImage": container.image,
                "ResolvedImage": container.resolved_image,
                "ResolutionTime": variant.resolved,
            }
        ],
        "CurrentWeight": float(variant.current_weight),
        "DesiredWeight": float(plan.weight),
        **{name: plan.document[name] for name in _ECHOED if name in plan.document},
    }
    if plan.serverless is None:
        document |= {"CurrentInstanceCount": variant.current_count, "DesiredInstanceCount": plan.count}
    else:
        document |= {
            "CurrentInstanceCount": 0,
            "CurrentServerlessConfig": dict(plan.serverless),
            "DesiredServerlessConfig": dict(plan.serverless),
        }
    if variant.status:
        document["VariantStatus"] = [_status(*variant.status)]
    return document


def _status(status: str, message: str, since: Any) -> Mapping[str, Any]:
    return {"Status": status, "StartTime": since, **({"StatusMessage": message} if message else {})}
