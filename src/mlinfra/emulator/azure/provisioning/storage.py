"""Storage accounts and their containers, for which Resource Manager has no door here: their shelves are written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.storage.names import Address
from mlinfra.emulator.provisioning import Kind, Refused, made, same

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.azure.provisioning.cloud import Cloud
    from mlinfra.emulator.provisioning import Declared, Made


def _account_create(cloud: Cloud, declared: Declared) -> Made:
    account = declared.inputs["accountName"]
    if account in cloud.emulator.storage.shelf.accounts():
        raise Refused(f"The storage account named {account} is already taken.", exists=True)
    cloud.emulator.place.settle(declared.id)
    cloud.emulator.storage.create_account(account)
    return made(declared)


def _account_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    return {} if declared.inputs["accountName"] in cloud.emulator.storage.shelf.accounts() else None


def _account_delete(cloud: Cloud, declared: Declared) -> None:
    """An account goes with all that it holds."""
    shelf, account = cloud.emulator.storage.shelf, declared.inputs["accountName"]
    if account in shelf.accounts():
        shelf.drop_account(account)


def _container_create(cloud: Cloud, declared: Declared) -> Made:
    if _container_read(cloud, declared) is not None:
        raise Refused(f"cannot create already existing resource '{declared.id}'", exists=True)
    cloud.emulator.storage.create_container(declared.inputs["accountName"], declared.inputs["containerName"])
    return made(declared)


def _container_read(cloud: Cloud, declared: Declared) -> Mapping[str, Any] | None:
    there = cloud.emulator.storage.has_container(declared.inputs["accountName"], declared.inputs["containerName"])
    return {} if there else None


def _container_delete(cloud: Cloud, declared: Declared) -> None:
    if _container_read(cloud, declared) is not None:
        at = Address(declared.inputs["accountName"], declared.inputs["containerName"], "")
        cloud.emulator.storage.shelf.delete_container(at)


KINDS: dict[str, Kind[Cloud]] = {
    "azure-native:storage:StorageAccount": Kind(_account_create, _account_delete, _account_read, same),
    "azure-native:storage:BlobContainer": Kind(_container_create, _container_delete, _container_read, same),
}
