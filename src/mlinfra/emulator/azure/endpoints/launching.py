"""From a deployment's document to what will be started: environment, image, model, variables, collector."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure.endpoints import collector, settings
from mlinfra.emulator.azure.endpoints.collector import Collector
from mlinfra.emulator.azure.endpoints.containers import Model, container
from mlinfra.emulator.azure.endpoints.records import Fleet
from mlinfra.emulator.azure.jobs import variables
from mlinfra.emulator.azure.names import own, parent
from mlinfra.emulator.azure.registry.datastores import DEFAULT_STORE
from mlinfra.emulator.azure.wire import refusals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.endpoints.fleets import Fleets
    from mlinfra.emulator.azure.endpoints.identities import Identities
    from mlinfra.emulator.azure.endpoints.modelfiles import ModelFiles, Source
    from mlinfra.emulator.azure.endpoints.records import Deployment, Endpoint

_BUILT = ("build", "condaFile")


class Launching:
    """Makes what operations start. Changes nothing that serves."""

    def __init__(self, emulator: AzureEmulator, files: ModelFiles, fleets: Fleets, identities: Identities) -> None:
        self._emulator = emulator
        self._files = files
        self._fleets = fleets
        self._identities = identities

    def check(self, name: str, properties: Mapping[str, Any]) -> None:
        """Refuse a deployment, by its id, whose environment, model or data are not there, before anything begins."""
        self._environment(properties)
        self._model(properties)
        self._targets(name, properties)

    def fleet(self, endpoint: Endpoint, deployment: Deployment, document: Mapping[str, Any]) -> Fleet:
        """What a deployment's document makes, its model's files in place.

        Raises:
            Refusal: the image may not be pulled, or the model not be read, in the name of the endpoint's identity.
        """
        properties = document["properties"]
        environment = self._environment(properties)
        contents = self._emulator.containers.contents(environment["image"], endpoint.identity)
        deployment.launches += 1
        name = f"{deployment.name.lower()}-{deployment.launches}"
        folder = self._fleets.folder(endpoint, name)
        (folder / "tmp").mkdir(parents=True, exist_ok=True)
        source = self._model(properties)
        model = None
        if source is not None:
            deployment.initializer.append(f"Downloading {source.uri} to {source.name}/{source.version}")
            self._files.bring(source, folder / "model", endpoint.identity)
            deployment.initializer.append("Downloaded the model")
            model = Model(source.name, source.version, folder / "model")
        said = properties.get("environmentVariables") or {}
        ways = {name: value for name, value in variables.emulated(self._emulator).items() if name not in said}
        place = {"TMPDIR": str(folder / "tmp"), **ways}
        return Fleet(
            name,
            deployment.id,
            container(properties, environment, contents, model, {**place, **self._identities.variables(endpoint)}),
            settings.requests(properties),
            self._collector(endpoint, deployment, properties),
        )

    def _environment(self, properties: Mapping[str, Any]) -> dict[str, Any]:
        """The properties of the environment version, whose image is at hand as it is."""
        asked = self._emulator.arm.routes.resource_id(str(properties["environmentId"]))
        found = self._emulator.assets.version(asked).properties
        if any(found.get(each) for each in _BUILT) or not found.get("image"):
            raise refusals.not_emulated("An environment whose image has to be built")
        return found

    def _model(self, properties: Mapping[str, Any]) -> Source | None:
        asked = properties.get("model")
        return self._files.find(str(asked)) if asked else None

    def _collector(self, endpoint: Endpoint, deployment: Deployment, properties: Mapping[str, Any]) -> Collector | None:
        config = properties.get("dataCollector")
        targets = self._targets(deployment.id, properties)
        if not config or not targets:
            return None
        named = {each.get("dataId") for each in config["collections"].values()} - {None}
        principal = endpoint.identity if named else ""  # what the service keeps by itself, it writes itself

        def write(uri: str, data: bytes) -> None:
            self._emulator.storage.write(uri, data, principal, "application/json")

        return Collector(deployment.id, config, targets, write)

    def _targets(self, deployment: str, properties: Mapping[str, Any]) -> dict[str, str]:
        """Where each collection goes: what its data asset names, else a folder of the workspace's own store."""
        config = properties.get("dataCollector") or {}
        workspace = self._emulator.workspaces.get(deployment)
        store = workspace.datastores[DEFAULT_STORE]
        root = f"https://{store['accountName']}.blob.core.windows.net/{store['containerName']}"
        usual = f"{root}/{collector.PREFIX}/{own(parent(deployment))}/{own(deployment)}"
        found = {}
        for name in collector.collected(config):
            asset = config["collections"][name].get("dataId")
            found[name] = self._data(asset) if asset else f"{usual}/{name}"
        return found

    def _data(self, asset: str) -> str:
        version = self._emulator.assets.version(self._emulator.arm.routes.resource_id(asset))
        return self._files.located(str(version.properties["dataUri"]), version.id)
