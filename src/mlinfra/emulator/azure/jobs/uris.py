"""Where the data of a job lies: datastore addresses, assets' ids and other jobs' outputs, as addresses of blob storage.

The forms are those of azure-ai-ml (`_utils/_storage_utils.py`, `constants/_common.py`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.storage.names import Address, located
from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.registry.workspaces import Workspace

ARTIFACTS = "workspaceartifactstore"
_DATASTORE = re.compile(
    r"azureml://(?:subscriptions/[^/]+/resource[gG]roups/[^/]+/(?:providers/[^/]+/)?workspaces/[^/]+/)?"
    r"datastores/(?P<store>[^/]+)/(?:paths/)?(?P<path>.*)"
)
_JOB = re.compile(r"azureml://jobs/(?P<job>[^/]+)/outputs/(?P<output>[^/]+)(?:/paths/(?P<path>.*))?")
_WASBS = re.compile(r"wasbs?://(?P<container>[^@/]+)@(?P<account>[^.]+)\.blob\.[^/]+/(?P<path>.*)")
_ASSET = re.compile(
    r"(?:azureml:/subscriptions/|/subscriptions/|azureml://registries/).+/(?:data|models)/[^/]+/versions/[^/]+",
    re.IGNORECASE,
)
_REGISTRY = re.compile(r"azureml://registries/(?P<registry>[^/]+)/(?P<path>.+)")
_POINTERS = ("dataUri", "modelUri")


class Uris:
    """What the addresses of one workspace mean."""

    def __init__(self, emulator: AzureEmulator, workspace: Workspace) -> None:
        self._emulator = emulator
        self._workspace = workspace

    @property
    def account(self) -> str:
        """The workspace's own storage account."""
        return self._workspace.account

    def located(self, uri: str) -> Address:
        """The blob or folder of blobs that an address means.

        Raises:
            Refusal: it means nothing here.
        """
        if match := _DATASTORE.fullmatch(uri):
            return self._in_store(match["store"], match["path"])
        if match := _JOB.fullmatch(uri):
            base = self.located(self._output(match["job"], match["output"]))
            return base._replace(name="/".join(filter(None, (base.name.rstrip("/"), match["path"]))))
        if match := _WASBS.fullmatch(uri):
            return Address(match["account"], match["container"], match["path"])
        if match := _ASSET.fullmatch(uri):
            return self.located(self._asset(match[0]))
        return located(uri)

    def artifacts(self, job: str) -> Address:
        """The folder of a run's own files: logs, and what it leaves in `outputs`."""
        return self._in_store(ARTIFACTS, f"ExperimentRun/dcid.{job}")

    def _in_store(self, name: str, path: str) -> Address:
        found = self._workspace.datastores.get(name)
        if found is None:
            raise refusals.not_found(f"Datastore {name} was not found.")
        return Address(found["accountName"], found["containerName"], path)

    def _output(self, job: str, name: str) -> str:
        record = self._emulator.jobs.get(f"{self._workspace.id}/jobs/{job}")
        outputs: Mapping[str, Any] = record.asked.get("outputs") or {}
        if name not in outputs:
            raise refusals.not_found(f"The job {job} has no output {name}.")
        return str(outputs[name]["uri"])

    def _asset(self, name: str) -> str:
        properties = self._emulator.assets.version(asset_id(self._emulator, name)).properties
        return str(next(properties[pointer] for pointer in _POINTERS if pointer in properties))


def asset_id(emulator: AzureEmulator, name: str) -> str:
    """The ARM id of an asset that is named by it, or by its registry.

    Raises:
        Refusal: there is no such registry.
    """
    match = _REGISTRY.fullmatch(name)
    if match is None:
        return str(emulator.arm.routes.resource_id(name.removeprefix("azureml:")))
    registry = emulator.registries.find(match["registry"])
    if registry is None:
        raise refusals.not_found(f"Registry {match['registry']} was not found.")
    return f"{registry.id}/{match['path']}"
