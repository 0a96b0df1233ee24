"""CreateEndpointConfig, DescribeEndpointConfig, ListEndpointConfigs, DeleteEndpointConfig.

Rules beyond the description's own are those that its documentation states (ProductionVariant, ServerlessConfig,
ShadowProductionVariants, AsyncInferenceConfig). The service lets a configuration be deleted while an endpoint uses
it; the endpoint goes on with what it was made from.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.operations import Operation, named
from mlinfra.emulator.aws.paging import Listing
from mlinfra.emulator.aws.wire import refusals
from mlinfra.emulator.table import Duplicate, Table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.operations import Request

KIND = "endpoint configuration"
_GIBIBYTE = 1024  # MB, by which a serverless variant's memory grows
_UNSUPPORTED = (
    "AcceleratorType",
    "AcceleratorPartitionLayouts",
    "CapacityReservationConfig",
    "CoreDumpConfig",
    "InstancePools",
)
_LISTING = Listing("EndpointConfigs", "EndpointConfigName")
_DESCRIBED = (
    "EndpointConfigName",
    "ProductionVariants",
    "DataCaptureConfig",
    "KmsKeyId",
    "AsyncInferenceConfig",
    "ShadowProductionVariants",
    "ExecutionRoleArn",
    "VpcConfig",
    "EnableNetworkIsolation",
    "MetricsConfig",
)


@dataclass(frozen=True)
class EndpointConfig:
    """A configuration. `body` is what CreateEndpointConfig was given, defaults filled in."""

    arn: str
    created: datetime
    body: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Its name."""
        return str(self.body["EndpointConfigName"])


class EndpointConfigs:
    """The endpoint configurations of the account."""

    def __init__(self, emulator: AwsEmulator) -> None:
        self._emulator = emulator
        self._table: Table[EndpointConfig] = Table(emulator.clock, emulator.settings.list_lag)

    def get(self, name: str) -> EndpointConfig:
        """The configuration of that name. Refusal where there is none."""
        found = self._table.get(name)
        if found is None:
            raise refusals.could_not_find(KIND, self._arn(name))
        return found

    def leftovers(self) -> list[str]:
        """The ARNs of every configuration there is."""
        return [config.arn for config in self._table.values()]

    def create(self, request: Request) -> dict[str, Any]:
        """CreateEndpointConfig."""
        body = {name: value for name, value in request.body.items() if name != "Tags"}
        name = body["EndpointConfigName"]
        _check(body)
        for variant in _all_variants(body):
            _check_model(variant, self._emulator.models.containers(variant["ModelName"]))
        body["ProductionVariants"] = [_completed(variant) for variant in body["ProductionVariants"]]
        config = EndpointConfig(self._arn(name), self._emulator.clock.now(), body)
        self._emulator.tags.check(request.body.get("Tags", ()))
        try:
            self._table.add(name, config)
        except Duplicate:
            raise refusals.already_exists(KIND, config.arn) from None
        self._emulator.tags.put(config.arn, request.body.get("Tags", ()))
        return {"EndpointConfigArn": config.arn}

    def describe(self, request: Request) -> dict[str, Any]:
        """DescribeEndpointConfig."""
        config = self.get(request.body["EndpointConfigName"])
        told = {name: config.body[name] for name in _DESCRIBED if name in config.body}
        return {**told, "EndpointConfigArn": config.arn, "CreationTime": config.created}

    def list_(self, request: Request) -> dict[str, Any]:
        """ListEndpointConfigs."""
        entries = [
            {"EndpointConfigName": each.name, "EndpointConfigArn": each.arn, "CreationTime": each.created}
            for each in self._table.listed()
        ]
        return _LISTING.answer(entries, request.body)

    def delete(self, request: Request) -> dict[str, Any]:
        """DeleteEndpointConfig."""
        config = self.get(request.body["EndpointConfigName"])
        self._table.remove(config.name)
        self._emulator.tags.drop(config.arn)
        return {}

    def _arn(self, name: str) -> str:
        return self._emulator.arn("endpoint-config", name)


def _check(body: Mapping[str, Any]) -> None:
    """Refuse what contradicts itself, and what is not emulated."""
    for member in ("ExplainerConfig", "CrossRegionTrafficConfig"):
        if member in body:
            raise refusals.not_emulated(member)
    production, shadows = body["ProductionVariants"], body.get("ShadowProductionVariants", [])
    twice = [
        name for name, count in Counter(each["VariantName"] for each in [*production, *shadows]).items() if count > 1
    ]
    if twice:
        raise refusals.validation(f"Variant names must be unique within an endpoint configuration: {', '.join(twice)}")
    for variant in _all_variants(body):
        _check_variant(variant)
    if shadows:
        _check_shadows(production, shadows)
    if "AsyncInferenceConfig" in body:
        _check_async(body["AsyncInferenceConfig"], production)


def _check_variant(variant: Mapping[str, Any]) -> None:
    name = variant["VariantName"]
    if "ModelName" not in variant:
        raise refusals.not_emulated("A variant without ModelName, for inference components,")
    for member in _UNSUPPORTED:
        if member in variant:
            raise refusals.not_emulated(f"{member} of a variant")
    if variant.get("ManagedInstanceScaling", {}).get("Status") == "ENABLED":
        raise refusals.not_emulated("ManagedInstanceScaling, which scales inference components,")
    serverless = variant.get("ServerlessConfig")
    if serverless is None:
        missing = [member for member in ("InstanceType", "InitialInstanceCount") if member not in variant]
        if missing:
            raise refusals.validation(f"{' and '.join(missing)} must be specified for production variant {name}.")
        return
    if {"InstanceType", "InitialInstanceCount"} & variant.keys():
        raise refusals.validation(
            f"Production variant {name} cannot have both ServerlessConfig and InstanceType or InitialInstanceCount."
        )
    _check_serverless(name, serverless)


def _check_serverless(name: str, serverless: Mapping[str, int]) -> None:
    if serverless["MemorySizeInMB"] % _GIBIBYTE:
        raise refusals.validation(
            f"MemorySizeInMB of production variant {name} must be one of 1024, 2048, 3072, 4096, 5120 and 6144."
        )
    if serverless.get("ProvisionedConcurrency", 0) > serverless["MaxConcurrency"]:
        raise refusals.validation(
            f"ProvisionedConcurrency of production variant {name} must be less than or equal to MaxConcurrency."
        )


def _check_model(variant: Mapping[str, Any], containers: Sequence[Mapping[str, Any]]) -> None:
    """`ModelDataSource` is not for serverless endpoints (documentation of ContainerDefinition)."""
    if "ServerlessConfig" in variant and any("ModelDataSource" in each for each in containers):
        raise refusals.validation(
            f"Model {variant['ModelName']} uses ModelDataSource, which serverless production variants do not support."
        )


def _check_shadows(production: Sequence[Mapping[str, Any]], shadows: Sequence[Mapping[str, Any]]) -> None:
    if len(production) != 1 or len(shadows) != 1:
        raise refusals.validation("A shadow variant needs exactly one production variant and one shadow variant.")
    if any("ServerlessConfig" in variant for variant in [*production, *shadows]):
        raise refusals.validation("Shadow variants are not supported for serverless endpoints.")


def _check_async(config: Mapping[str, Any], production: Sequence[Mapping[str, Any]]) -> None:
    if "NotificationConfig" in config["OutputConfig"]:
        topics = config["OutputConfig"]["NotificationConfig"]
        if topics.get("SuccessTopic") or topics.get("ErrorTopic"):
            raise refusals.not_emulated("A notification topic of AsyncInferenceConfig")
    if "S3OutputPath" not in config["OutputConfig"]:
        raise refusals.validation("S3OutputPath must be specified for AsyncInferenceConfig.")
    if any("ServerlessConfig" in variant for variant in production):
        raise refusals.validation("AsyncInferenceConfig is not supported for serverless endpoints.")


def _all_variants(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [*body["ProductionVariants"], *body.get("ShadowProductionVariants", [])]


def _completed(variant: Mapping[str, Any]) -> dict[str, Any]:
    """With the weight that the service fills in."""
    return {"InitialVariantWeight": 1.0, **variant}


_RESOURCE = named("endpoint-config", "EndpointConfigName")
OPERATIONS = (
    Operation(
        "CreateEndpointConfig",
        lambda emulator, request: emulator.endpoint_configs.create(request),
        _RESOURCE,
        (
            "instance pools, explainers, inference components, capacity reservations: 'not emulated'",
            "core dumps, accelerator partitions, notification topics: 'not emulated'",
            "VPC, KMS key, volume and download time-out are kept and described, and have no effect",
        ),
    ),
    Operation(
        "DescribeEndpointConfig", lambda emulator, request: emulator.endpoint_configs.describe(request), _RESOURCE
    ),
    Operation("ListEndpointConfigs", lambda emulator, request: emulator.endpoint_configs.list_(request)),
    Operation("DeleteEndpointConfig", lambda emulator, request: emulator.endpoint_configs.delete(request), _RESOURCE),
)
