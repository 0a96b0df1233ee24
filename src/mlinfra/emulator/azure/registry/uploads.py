"""Pending uploads: where the files of an asset are to be written before its version is made."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.operations import Request

_PERMISSIONS = "racwl"


def start(emulator: AzureEmulator, request: Request) -> dict[str, Any]:
    """A container of its own for one version, and an address that lets write to it for an hour.

    Without an id of an earlier one every call makes a new container, as the vendor's client notes of the service.
    """
    account = account_of(emulator, request)
    upload = request.body.get("pendingUploadId") or str(uuid.uuid4())
    container = f"upload-{uuid.uuid5(uuid.NAMESPACE_URL, f'{upload} {request.resource}').hex}"
    emulator.storage.create_container(account, container)
    uri = f"https://{account}.blob.core.windows.net/{container}"
    return {
        "pendingUploadId": upload,
        "pendingUploadType": "TemporaryBlobReference",
        "blobReferenceForConsumption": {
            "blobUri": uri,
            "storageAccountArmId": emulator.place.id("Microsoft.Storage", "storageAccounts", account),
            "credential": {"credentialType": "SAS", "sasUri": emulator.storage.signed(uri, _PERMISSIONS)},
        },
    }


def account_of(emulator: AzureEmulator, request: Request) -> str:
    """The storage account of the workspace or registry that a request is about.

    Raises:
        Refusal: there is no such workspace or registry.
    """
    if "registryName" in request.parts:
        return emulator.registries.get(request.id).account
    return emulator.workspaces.get(request.id).account
