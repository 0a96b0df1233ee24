"""All operations of our own, from the families that answer them, and what the fidelity table tells of them."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.aws import search, tags
from mlinfra.emulator.aws.cloudwatch import cloudwatch
from mlinfra.emulator.aws.endpoints import configs as endpointconfigs
from mlinfra.emulator.aws.endpoints import endpoints, runtime
from mlinfra.emulator.aws.identity import simulation
from mlinfra.emulator.aws.operations import Operation, anything
from mlinfra.emulator.aws.registry import models, packages
from mlinfra.emulator.aws.training import jobs as training
from mlinfra.emulator.aws.wire import motoside, shapes
from mlinfra.emulator.operations import Fidelity

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlinfra.emulator.aws.emulator import AwsEmulator
    from mlinfra.emulator.aws.operations import Request

_SAGEMAKER = (models, packages, training, endpointconfigs, endpoints, tags, search)
_CLOUDWATCH = (
    "PutMetricData",
    "GetMetricData",
    "GetMetricStatistics",
    "ListMetrics",
    "PutMetricAlarm",
    "DescribeAlarms",
    "DeleteAlarms",
    "SetAlarmState",
    "TagResource",
    "UntagResource",
    "ListTagsForResource",
)


def tables() -> dict[str, dict[str, Operation]]:
    """Operations by botocore's name of the service, and by their own."""
    families = {
        "sagemaker": chain.from_iterable(family.OPERATIONS for family in _SAGEMAKER),
        "sagemaker-runtime": iter(runtime.OPERATIONS),
        "cloudwatch": map(_metric_operation, _CLOUDWATCH),
        "iam": iter(simulation.OPERATIONS),
    }
    return {service: {each.name: each for each in operations} for service, operations in families.items()}


def _metric_operation(name: str) -> Operation:
    def handle(emulator: AwsEmulator, request: Request) -> dict[str, Any]:
        return emulator.cloudwatch.operations[name](request.body)

    resource = anything if "Metric" in name and "Alarm" not in name else _alarm
    return Operation(name, handle, resource, cloudwatch.DIFFERENCES.get(name, ()))


def _alarm(body: Mapping[str, Any]) -> str:
    """The alarm that is named; the permission for several is asked on the first, for none on all."""
    names = body.get("AlarmNames") or [body.get("AlarmName", "*")]
    return str(body.get("ResourceARN") or f"alarm:{names[0]}")


def fidelity() -> Iterator[Fidelity]:
    """What the fidelity table tells of each operation."""
    for service, table in tables().items():
        if service in motoside.SERVICES:  # moto plays the rest of it
            continue
        for name in shapes.service(service).operation_names:
            entry = table.get(name)
            model = shapes.operation(service, name)
            members = len(model.input_shape.members) if model.input_shape else 0
            yield Fidelity(
                service,
                name,
                emulated=entry is not None,
                validated=f"all {members} members and what is in them" if entry else "",
                differences=entry.differences if entry else (),
            )
