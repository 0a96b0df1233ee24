"""Package groups, models, endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.provisioning.kind import removed, seen, tags
from mlinfra.emulator.provisioning import Kind, Refused, made, same

if TYPE_CHECKING:
    from mlinfra.emulator.aws.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Declared, Inputs, Made


def _group_create(cloud: Cloud, declared: Declared) -> Made:
    name = declared.inputs["modelPackageGroupName"]
    cloud.call("sagemaker", "CreateModelPackageGroup", ModelPackageGroupName=name, Tags=tags(declared.inputs))
    return made(declared)


def pascal(value: Any) -> Any:
    """Members as SageMaker spells them: `vpcConfig` becomes `VpcConfig`, at every depth."""
    if isinstance(value, Mapping):
        return {name[0].upper() + name[1:]: pascal(item) for name, item in value.items() if item is not None}
    if isinstance(value, list):
        return [pascal(item) for item in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _model_create(cloud: Cloud, declared: Declared) -> Made:
    inputs = declared.inputs
    container = dict(inputs["primaryContainer"])
    environment = container.pop("environment", None) or {}
    source = container.pop("modelDataSource", None)
    body = {**pascal(container), "Environment": environment}
    if source:
        (first,) = source["s3DataSources"]
        body["ModelDataSource"] = {"S3DataSource": pascal(first)}
    network = inputs.get("vpcConfig")
    cloud.call(
        "sagemaker",
        "CreateModel",
        ModelName=inputs["name"],
        ExecutionRoleArn=inputs["executionRoleArn"],
        PrimaryContainer=body,
        EnableNetworkIsolation=bool(inputs.get("enableNetworkIsolation")),
        VpcConfig=pascal(network) if network else None,
        Tags=tags(inputs),
    )
    return made(declared)


def _configuration_create(cloud: Cloud, declared: Declared) -> Made:
    inputs = declared.inputs
    cloud.call(
        "sagemaker",
        "CreateEndpointConfig",
        EndpointConfigName=inputs["name"],
        ProductionVariants=pascal(inputs["productionVariants"]),
        KmsKeyId=inputs.get("kmsKeyArn"),
        Tags=tags(inputs),
    )
    return made(declared)


def _endpoint_create(cloud: Cloud, declared: Declared) -> Made:
    inputs = declared.inputs
    cloud.call(
        "sagemaker",
        "CreateEndpoint",
        EndpointName=inputs["name"],
        EndpointConfigName=inputs["endpointConfigName"],
        Tags=tags(inputs),
    )
    _await_endpoint(cloud, inputs["name"])
    return made(declared)


def _endpoint_update(cloud: Cloud, declared: Declared, before: Inputs) -> Mapping[str, Any]:
    inputs = declared.inputs
    if inputs["endpointConfigName"] != before.get("endpointConfigName"):
        deployment = inputs.get("deploymentConfig")
        cloud.call(
            "sagemaker",
            "UpdateEndpoint",
            EndpointName=declared.id,
            EndpointConfigName=inputs["endpointConfigName"],
            DeploymentConfig=pascal(deployment) if deployment else None,
        )
        _await_endpoint(cloud, declared.id)
    return {}


def _await_endpoint(cloud: Cloud, name: str) -> None:
    """Wait until the endpoint stands, as the provider does."""
    while True:
        told = cloud.call("sagemaker", "DescribeEndpoint", EndpointName=name)
        if told["EndpointStatus"] == "InService":
            return
        if told["EndpointStatus"] == "Failed":
            raise Refused(f"endpoint {name} failed: {told.get('FailureReason', '')}")
        cloud.emulator.clock.sleep(1.0)


def _endpoint_delete(cloud: Cloud, declared: Declared) -> None:
    cloud.gone("sagemaker", "DeleteEndpoint", EndpointName=declared.id)
    while cloud.found("sagemaker", "DescribeEndpoint", EndpointName=declared.id) is not None:
        cloud.emulator.clock.sleep(1.0)


KINDS: dict[str, Kind[Cloud]] = {
    "aws:sagemaker/modelPackageGroup:ModelPackageGroup": Kind(
        _group_create,
        removed("sagemaker", "DeleteModelPackageGroup", "ModelPackageGroupName"),
        seen("sagemaker", "DescribeModelPackageGroup", "ModelPackageGroupName"),
        same,
    ),
    "aws:sagemaker/model:Model": Kind(
        _model_create,
        removed("sagemaker", "DeleteModel", "ModelName"),
        seen("sagemaker", "DescribeModel", "ModelName"),
        same,
    ),
    "aws:sagemaker/endpointConfiguration:EndpointConfiguration": Kind(
        _configuration_create,
        removed("sagemaker", "DeleteEndpointConfig", "EndpointConfigName"),
        seen("sagemaker", "DescribeEndpointConfig", "EndpointConfigName"),
        same,
    ),
    "aws:sagemaker/endpoint:Endpoint": Kind(
        _endpoint_create, _endpoint_delete, seen("sagemaker", "DescribeEndpoint", "EndpointName"), _endpoint_update
    ),
}
