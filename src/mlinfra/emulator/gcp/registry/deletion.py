"""How models and versions go: never while they are deployed, and never the last version alone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.cloud.aiplatform_v1 import types

from mlinfra.emulator.gcp.registry.records import DEFAULT
from mlinfra.emulator.gcp.wire import refusals

if TYPE_CHECKING:
    from mlinfra.emulator.gcp.emulator import GcpEmulator
    from mlinfra.emulator.gcp.operations import Request
    from mlinfra.emulator.gcp.registry.records import Record, Version
    from mlinfra.emulator.gcp.wire.longrunning import Progress


def delete_model(emulator: GcpEmulator, request: Request) -> Any:
    """Begin to delete a model with all its versions.

    Raises:
        Refusal: there is none, or one of its versions is deployed.
    """
    record = emulator.models.record(emulator.models.asked(request.message.name).name)
    _check_undeployed(emulator, record, record.versions.values())

    def work(progress: Progress) -> None:
        progress.wait("delete.Deleting")
        with emulator.models.lock:
            _check_undeployed(emulator, record, record.versions.values())
            emulator.models.records.remove(record.name)

    return emulator.longrunning.start("DeleteModel", record.name, work, types.DeleteOperationMetadata())


def delete_version(emulator: GcpEmulator, request: Request) -> Any:
    """Begin to delete one version.

    Raises:
        Refusal: the name tells no version by its id, it is deployed, the only one or the default one.
    """
    asked = emulator.models.asked(request.message.name)
    if not asked.which.isdigit():
        raise refusals.invalid_argument("The version ID must be explicitly included in the name.", "name")
    record = emulator.models.record(asked.name)
    version = record.find(asked.which)
    _check_removable(emulator, record, version)

    def work(progress: Progress) -> None:
        progress.wait("delete.Deleting")
        with emulator.models.lock:
            _check_removable(emulator, record, version)
            record.drop(version, emulator.clock.now())

    return emulator.longrunning.start("DeleteModelVersion", record.name, work, types.DeleteOperationMetadata())


def _check_removable(emulator: GcpEmulator, record: Record, version: Version) -> None:
    if len(record.versions) == 1:
        raise refusals.failed_precondition(
            f"Deleting the only version of Model {record.name} is not allowed; delete the Model instead."
        )
    if record.aliases.get(DEFAULT) == version.id:
        raise refusals.failed_precondition(
            f"Version {version.id} is the default version of Model {record.name} and cannot be deleted."
        )
    _check_undeployed(emulator, record, [version])


def _check_undeployed(emulator: GcpEmulator, record: Record, versions: list[Version]) -> None:
    used = [endpoint for version in versions for endpoint, _ in emulator.models.deployed(record, version)]
    if used:
        raise refusals.failed_precondition(
            f"The Model {record.name} is deployed or being deployed at the following Endpoint(s): "
            f"{', '.join(dict.fromkeys(used))}."
        )
