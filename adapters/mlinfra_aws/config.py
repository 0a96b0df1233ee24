"""This platform's part of a spec: what is rationed, what an override may change, what a request must look like.

Requests are checked against `schema.json`, the operations used, extracted from botocore by `tools/schemas/aws.py`.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from mlinfra.catalog.aws.permissions import permissions, policy
from mlinfra.contract.adapter import Rate
from mlinfra.contract.manifest import PREFIX
from mlinfra.contract.overriding import Rules
from mlinfra.contract.schema import problems
from mlinfra.errors import KitFault, SpecError
from mlinfra.spec.limits import MANIFEST_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlinfra.contract.requests import Document, Request
    from mlinfra.environment import Environment
    from mlinfra.errors import Problem
    from mlinfra.spec import Spec

__all__ = [
    "QUOTAS",
    "check_overrides",
    "check_request",
    "overridden",
    "permissions",
    "policy",
    "tag_list",
    "tag_map",
]

SAGEMAKER, RUNTIME, LOGS, CLOUDWATCH, STORE = "sagemaker", "sagemaker-runtime", "logs", "cloudwatch", "store"
CREATE_JOB = "sagemaker:CreateTrainingJob"
READ, WRITE = "sagemaker:read", "sagemaker:write"
ALARMS = "cloudwatch:alarms"

QUOTAS: Mapping[str, Rate] = {
    CREATE_JOB: Rate(per_second=1.0, burst=1),
    READ: Rate(per_second=10.0, burst=20),  # AWS tells no rate for most reads; they are throttled at much more
    WRITE: Rate(per_second=5.0, burst=10),
    ALARMS: Rate(per_second=3.0, burst=3),  # CloudWatch's quotas of PutMetricAlarm and DeleteAlarms
}

# What the kit sets itself, by operation: dotted paths that no override may touch.
OWNED: Mapping[str, tuple[str, ...]] = {
    "CreateTrainingJob": (
        "TrainingJobName",
        "AlgorithmSpecification.ContainerEntrypoint",
        "AlgorithmSpecification.ContainerArguments",
        "InputDataConfig.0",  # the code; channels may be appended by their index
        "OutputDataConfig.S3OutputPath",
        "OutputDataConfig.CompressionType",
        "CheckpointConfig.LocalPath",
        *(f"Environment.{PREFIX}{number}" for number in range(MANIFEST_VARIABLES["job"].most)),
        "Tags",
    ),
    "CreateModel": (
        "ModelName",
        "PrimaryContainer.ModelDataSource",
        "PrimaryContainer.ModelDataUrl",
        *(f"PrimaryContainer.Environment.{PREFIX}{number}" for number in range(MANIFEST_VARIABLES["endpoint"].most)),
        "Tags",
    ),
    "CreateEndpointConfig": (
        "EndpointConfigName",
        "ProductionVariants.*.VariantName",
        "ProductionVariants.*.ModelName",
        "ProductionVariants.*.InitialVariantWeight",
        "AsyncInferenceConfig.OutputConfig.S3OutputPath",
        "AsyncInferenceConfig.OutputConfig.S3FailurePath",
        "Tags",
    ),
    "CreateEndpoint": ("EndpointName", "EndpointConfigName", "Tags"),
    "UpdateEndpoint": ("EndpointName", "EndpointConfigName", "RetainAllVariantProperties"),
    "RegisterScalableTarget": ("ServiceNamespace", "ResourceId", "ScalableDimension"),
    "PutScalingPolicy": ("ServiceNamespace", "ResourceId", "ScalableDimension", "PolicyName"),
    "PutMetricAlarm": ("AlarmName", "ComparisonOperator", "Metrics", "Threshold", "Tags"),
}
_SERVICES = {
    "RegisterScalableTarget": "application-autoscaling",
    "PutScalingPolicy": "application-autoscaling",
    "PutMetricAlarm": CLOUDWATCH,
}

# What protects a production stage: it may be switched on by an override, never off, and no other may take its place.
_PROTECTIONS: Mapping[str, tuple[str, ...]] = {
    "CreateTrainingJob": (
        "EnableNetworkIsolation",
        "EnableInterContainerTrafficEncryption",
        "OutputDataConfig.KmsKeyId",
        "ResourceConfig.VolumeKmsKeyId",
        "RoleArn",
        "VpcConfig",
        "RemoteDebugConfig",
    ),
    "CreateModel": ("EnableNetworkIsolation", "ExecutionRoleArn", "VpcConfig"),
    "CreateEndpointConfig": ("EnableNetworkIsolation", "ExecutionRoleArn", "KmsKeyId", "VpcConfig"),
}


def check_overrides(overrides: Mapping[str, Any], environment: Environment | None) -> None:
    """Refuse unknown operations and members, what the kit owns, and what weakens a production stage.

    Raises:
        SpecError: holds every problem, each with the nearest valid name.
    """
    _RULES.check(overrides, environment)


def overridden(operation: str, body: Document, spec: Spec, environment: Environment) -> Document:
    """The body of a request with the user's overrides, checked as a whole.

    Raises:
        SpecError: holds every member that is wrong, that the kit sets itself, or that weakens a production stage.
    """
    return _RULES.overridden(operation, body, spec.overrides.get("aws", {}).get(operation, {}), environment)


def check_request(request: Request) -> None:
    """Validate a request offline.

    Raises:
        SpecError: holds every member that is wrong.
        KitFault: the adapter sends what `schema.json` does not hold.
    """
    if request.service == STORE:
        return
    wrong = list(_problems(request.service, request.operation, request.body))
    if wrong:
        raise SpecError(f"{request.operation} does not take this body", problems=wrong)


def tag_list(tags: Mapping[str, str]) -> list[Document]:
    """Tags as the API takes them."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def tag_map(tags: list[Document] | None) -> dict[str, str]:
    """Tags as the API tells them."""
    return {tag["Key"]: tag.get("Value", "") for tag in tags or ()}


def _body(operation: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    known = _schema(_SERVICES.get(operation, SAGEMAKER))
    return known["operations"][operation], known


def _problems(service: str, operation: str, body: Mapping[str, Any]) -> Iterator[Problem]:
    known = _schema(service)
    if operation not in known["operations"]:
        raise KitFault(f"schema.json does not hold {service}.{operation}")
    yield from problems(known["operations"][operation], body, operation, known)


def _schema(service: str) -> Mapping[str, Any]:
    services = _services()
    if service not in services:
        raise KitFault(f"schema.json does not hold the service {service}")
    found: Mapping[str, Any] = services[service]
    return found


@cache
def _services() -> dict[str, Any]:
    text = resources.files(__package__).joinpath("schema.json").read_text()
    services: dict[str, Any] = json.loads(text)["services"]
    return services


_RULES = Rules(
    platform="aws",
    owned=OWNED,
    body=_body,
    problems=lambda operation, body: _problems(_SERVICES.get(operation, SAGEMAKER), operation, body),
    protections=_PROTECTIONS,
    variables=frozenset({"Environment"}),
)
