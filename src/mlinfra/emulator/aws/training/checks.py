"""What CreateTrainingJob refuses beyond its shapes: the rules that the documentation text of botocore states.

Texts are the service's where it has been quoted often enough to be known (spot limits, names); the others say the
documented rule. What the emulator does not do is refused as not emulated, never taken and dropped.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws.training.logs import Definitions
from mlinfra.emulator.aws.training.nodes import of as nodes_of
from mlinfra.emulator.aws.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Iterable

Body = Mapping[str, Any]  # a validated request, or a part of one
LONGEST_RUN = 28 * 86_400  # s, by MaxRuntimeInSeconds
_UNSUPPORTED = (
    "DebugHookConfig",
    "DebugRuleConfigurations",
    "ExperimentConfig",
    "MlflowConfig",
    "ModelPackageConfig",
    "ProfilerRuleConfigurations",
    "ServerlessJobConfig",
    "TensorBoardOutputConfig",
)
_SHAPES_OF_FLEET = ("InstanceType", "InstanceGroups", "InstancePreferences")
_NOT_WITH_PREFERENCES = ("InstanceType", "InstanceGroups", "InstancePlacementConfig")
_EBS_ONLY = re.compile(r"ml\.(c4|c5|c5n|c6i|c7i|c8i|m4|m5|m6i|m7i|m8i|r5|r6i|r7i|r8i|t3|p2|p3)(-flex)?\.")
_MOST_NODES = 64  # what the host runs at most as one job
_NOT_FOR_CHECKPOINTS = ("/opt/ml", "/opt/ml/input", "/opt/ml/model", "/opt/ml/output", "/opt/ml/code")


def check(body: Body) -> None:
    """Refuse a request that contradicts itself, or asks for what is not emulated."""
    for member in _UNSUPPORTED:
        if body.get(member):
            raise refusals.not_emulated(member)
    _check_switches(body)
    _check_algorithm(body.get("AlgorithmSpecification"))
    _check_fleet(body.get("ResourceConfig"), spot=body.get("EnableManagedSpotTraining", False))
    _check_limits(body)
    _check_channels(body.get("InputDataConfig", ()), body["AlgorithmSpecification"]["TrainingInputMode"])
    _check_places(body)


def _check_switches(body: Body) -> None:
    if body.get("RemoteDebugConfig", {}).get("EnableRemoteDebug"):
        raise refusals.not_emulated("Remote debugging")
    if body.get("SessionChainingConfig", {}).get("EnableSessionTagChaining"):
        raise refusals.not_emulated("SessionChainingConfig")


def _check_algorithm(algorithm: Body | None) -> None:
    if algorithm is None:
        raise refusals.validation("AlgorithmSpecification is required for a job that is not serverless")
    if "AlgorithmName" in algorithm:
        raise refusals.not_emulated("AlgorithmName")
    if not algorithm.get("TrainingImage"):
        raise refusals.validation("One of AlgorithmName and TrainingImage must be specified")
    if "TrainingImageConfig" in algorithm:
        raise refusals.not_emulated("An image of a private Docker registry")
    if not algorithm.get("ContainerEntrypoint"):
        raise refusals.not_emulated("The entry point of an image: a job without ContainerEntrypoint")
    try:
        Definitions(algorithm.get("MetricDefinitions", ()))
    except re.error as exc:
        raise refusals.validation(f"Invalid regular expression in MetricDefinitions: {exc}") from exc
    _check_unique("metric names", (each["Name"] for each in algorithm.get("MetricDefinitions", ())))


def _check_fleet(resources: Body | None, *, spot: bool) -> None:
    if resources is None:
        raise refusals.validation("ResourceConfig is required for a job that is not serverless")
    for member in ("TrainingPlanArn", "InstancePlacementConfig"):
        if member in resources:
            raise refusals.not_emulated(member)
    if "SelectedInstanceType" in resources or "SelectedInstanceCount" in resources:
        raise refusals.validation("SelectedInstanceType and SelectedInstanceCount are read-only")
    given = [member for member in _SHAPES_OF_FLEET if resources.get(member)]
    if len(given) != 1:
        raise refusals.validation(f"Exactly one of {', '.join(_SHAPES_OF_FLEET)} must be specified in ResourceConfig")
    if given == ["InstancePreferences"]:
        _check_preferences(resources, spot=spot)
    elif given == ["InstanceGroups"]:
        _check_groups(resources)
    elif resources.get("InstanceCount", 0) < 1:
        raise refusals.validation("InstanceCount must be at least 1")
    _check_size(resources)


def _check_size(resources: Body) -> None:
    _check_volume(resources)
    most = max(len(nodes_of(resources, machine)) for machine in machines(resources))
    if most > _MOST_NODES:
        raise refusals.not_emulated(f"A job with {most} instances, more than {_MOST_NODES},")


def _check_preferences(resources: Body, *, spot: bool) -> None:
    preferences = resources["InstancePreferences"]
    if spot:
        raise refusals.validation("InstancePreferences is mutually exclusive with EnableManagedSpotTraining")
    if any("TrainingPlanArns" in each for each in preferences):
        raise refusals.not_emulated("TrainingPlanArns")
    _check_unique("instance types in InstancePreferences", (each["InstanceType"] for each in preferences))
    counted = sum("InstanceCount" in each for each in preferences)
    if counted not in {0, len(preferences)} or (counted > 0) == ("InstanceCount" in resources):
        raise refusals.validation(
            "InstanceCount must be set either on every instance preference or once in ResourceConfig"
        )


def _check_groups(resources: Body) -> None:
    groups = resources["InstanceGroups"]
    if "InstanceCount" in resources:
        raise refusals.validation("InstanceCount cannot be specified together with InstanceGroups")
    _check_unique("instance group names", (each["InstanceGroupName"] for each in groups))
    if any(each["InstanceCount"] < 1 for each in groups):
        raise refusals.validation("InstanceCount must be at least 1 in every instance group")


def _check_volume(resources: Body) -> None:
    bare = [machine for machine in machines(resources) if _EBS_ONLY.match(machine)]
    if bare and not resources.get("VolumeSizeInGB"):
        raise refusals.validation(f"VolumeSizeInGB must be specified for {bare[0]}, which has no instance storage")
    if "VolumeKmsKeyId" in resources and not bare:
        raise refusals.validation("VolumeKmsKeyId is not supported for instance types with local storage")


def _check_limits(body: Body) -> None:
    limits = body.get("StoppingCondition", {})
    runtime, wait = limits.get("MaxRuntimeInSeconds", 86_400), limits.get("MaxWaitTimeInSeconds")
    if runtime > LONGEST_RUN:
        raise refusals.validation(f"MaxRuntimeInSeconds must be at most {LONGEST_RUN}")
    if body.get("EnableManagedSpotTraining"):
        if body["ResourceConfig"].get("KeepAlivePeriodInSeconds"):
            raise refusals.validation("KeepAlivePeriodInSeconds is not supported with managed spot training")
        if wait is None or wait < runtime:
            raise refusals.validation(
                "Invalid MaxWaitTimeInSeconds. It must be present and be greater than or equal to MaxRuntimeInSeconds"
            )
    elif wait is not None:
        raise refusals.validation(
            "Invalid MaxWaitTimeInSeconds. It is supported only when EnableManagedSpotTraining is set to true"
        )


def _check_channels(channels: Iterable[Body], job_mode: str) -> None:
    channels = list(channels)
    _check_unique("channel names", (each["ChannelName"] for each in channels))
    for channel in channels:
        name, source = channel["ChannelName"], channel["DataSource"]
        if name in {".", ".."}:
            raise refusals.validation(f"ChannelName {name} names no channel")
        if len(source) != 1:
            raise refusals.validation(f"Channel {name} needs exactly one data source")
        if "S3DataSource" not in source:
            raise refusals.not_emulated(f"{next(iter(source))} of channel {name}")
        _check_source(name, source["S3DataSource"], channel.get("InputMode", job_mode))
        if channel.get("CompressionType", "None") != "None" or channel.get("RecordWrapperType", "None") != "None":
            raise refusals.validation(f"CompressionType and RecordWrapperType of channel {name} are for Pipe mode only")


def _check_source(name: str, source: Body, mode: str) -> None:
    if mode == "Pipe":
        raise refusals.not_emulated(f"Pipe mode of channel {name}")
    if source["S3DataType"] == "AugmentedManifestFile":
        raise refusals.validation(f"AugmentedManifestFile of channel {name} can only be used in Pipe mode")
    if source["S3DataType"] == "Converse":
        raise refusals.not_emulated(f"S3DataType Converse of channel {name}")
    if source["S3DataType"] == "ManifestFile" and mode == "FastFile":
        raise refusals.validation(f"FastFile mode of channel {name} does not support ManifestFile")
    for member in ("ModelAccessConfig", "HubAccessConfig"):
        if member in source:
            raise refusals.not_emulated(f"{member} of channel {name}")


def _check_places(body: Body) -> None:
    """Refuse addresses that are not S3's, and a checkpoint folder in the way of others."""
    config = body.get("CheckpointConfig", {})
    addresses = [body["OutputDataConfig"]["S3OutputPath"], *([config["S3Uri"]] if config else [])]
    addresses += [each["DataSource"]["S3DataSource"]["S3Uri"] for each in body.get("InputDataConfig", ())]
    for address in addresses:
        if not address.startswith("s3://"):
            raise refusals.not_emulated(f"The address {address}, which is not s3://bucket/key,")
    path = config.get("LocalPath", "/opt/ml/checkpoints")
    parts = path.rstrip("/").split("/")
    if not path.startswith("/") or len(parts) < 2 or ".." in parts or path.rstrip("/") in _NOT_FOR_CHECKPOINTS:  # noqa: PLR2004  "/" alone has one part
        raise refusals.validation(f"The LocalPath {path} of CheckpointConfig is not supported")


def machines(resources: Body) -> list[str]:
    """Every instance type that a `ResourceConfig` names."""
    named = [*resources.get("InstanceGroups", ()), *resources.get("InstancePreferences", ())]
    return [each["InstanceType"] for each in named] or [resources["InstanceType"]]


def _check_unique(what: str, names: Iterable[str]) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise refusals.validation(f"Duplicate {what}: {', '.join(twice)}")
