"""Publishing: a version of a workspace's asset, copied with its files into a registry."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.jobs.uris import Uris
from mlinfra.emulator.azure.names import kind_of, own, parent
from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.operations import Reply, Request
    from mlinfra.emulator.azure.registry.assets import Version
    from mlinfra.emulator.progress import Progress

_POINTERS = ("codeUri", "modelUri", "dataUri")


def publish(emulator: AzureEmulator, request: Request) -> Reply:
    """Begin to copy a version into a registry.

    Raises:
        Refusal: there is no such version or registry, or the registry has one of that name and version.
    """
    emulator.workspaces.get(request.id)
    version = emulator.assets.version(request.resource)
    registry = emulator.registries.find(request.body.get("registryName") or "")
    if registry is None:
        raise refusals.not_found(f"Registry {request.body.get('registryName')} was not found.")
    name = request.body.get("destinationName") or own(parent(version.id))
    number = request.body.get("destinationVersion") or own(version.id)
    collection = kind_of(version.id).split("/")[2]
    target = f"{registry.id}/{collection}/{name}/versions/{number}"
    emulator.desk.allow(request.call, "Microsoft.MachineLearningServices/registries/assets/write", registry.id)
    if parent(target) in emulator.assets.containers and target in emulator.assets.container(parent(target)).versions:
        raise refusals.conflict(f"{name}:{number} already exists in registry {own(registry.id)}.")

    def work(progress: Progress) -> dict[str, Any]:
        progress.wait("publish.Copying")
        properties = _copied(emulator, version, registry.account, target)
        made, _ = emulator.assets.put_version(target, properties, request.principal)
        return emulator.assets.told(made)

    return emulator.longrunning.start(request, work)


def _copied(emulator: AzureEmulator, version: Version, account: str, target: str) -> dict[str, Any]:
    """The properties of the copy, whose files lie in the registry's own account."""
    properties = dict(version.properties)
    uris = Uris(emulator, emulator.workspaces.get(version.id))
    for pointer in _POINTERS:
        if properties.get(pointer):
            properties[pointer] = _brought(emulator, str(uris.located(properties[pointer])), account, target)
    return properties


def _brought(emulator: AzureEmulator, uri: str, account: str, target: str) -> str:
    """Copy a blob, or all below a folder, into a container of its own; the new address."""
    root = uri.rstrip("/")
    container = f"published-{uuid.uuid5(uuid.NAMESPACE_URL, target).hex}"
    copy = f"https://{account}.blob.core.windows.net/{container}/{own(root)}"
    emulator.storage.create_container(account, container)
    prefix = "/".join(root.split("/")[4:])  # in its container
    below = [each.name.removeprefix(prefix) for each in emulator.storage.list(f"{root}/")]
    for rest in below or [""]:
        emulator.storage.write(f"{copy}{rest}", emulator.storage.read(f"{root}{rest}"))
    return copy
