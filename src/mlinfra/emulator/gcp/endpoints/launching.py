"""From a DeployModel request to what will be started: the model, its image, its artifacts, its variables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlinfra.emulator.gcp.endpoints.containers import Where, container
from mlinfra.emulator.gcp.endpoints.records import Deployment
from mlinfra.emulator.gcp.names import new_id
from mlinfra.emulator.gcp.wire.messages import copied

if TYPE_CHECKING:
    from mlinfra.emulator.gcp.emulator import GcpEmulator
    from mlinfra.emulator.gcp.endpoints.copies import Copies
    from mlinfra.emulator.gcp.endpoints.fleets import Fleets
    from mlinfra.emulator.gcp.endpoints.records import Endpoint
    from mlinfra.emulator.gcp.operations import Request


class Launching:
    """Makes the records that operations work on. Changes nothing that serves."""

    def __init__(self, emulator: GcpEmulator, copies: Copies, fleets: Fleets) -> None:
        self._emulator = emulator
        self._copies = copies
        self._fleets = fleets

    def prepared(self, endpoint: Endpoint, request: Request) -> Deployment:
        """The deployment that a request asks for.

        Raises:
            Refusal: there is no such model, the caller may not act as the service account, the image is not there, or
                the artifacts cannot be copied.
        """
        asked = request.message.deployed_model
        model = self._emulator.models.version(asked.model)
        if asked.service_account:
            self._emulator.act_as(request, asked.service_account)
        contents = self._emulator.artifacts.contents(model.container_spec.image_uri)
        name = model.name.partition("@")[0]
        message = self._message(asked, model, name)
        storage = self._copies.of(f"{name}@{model.version_id}", model.artifact_uri)
        where = Where(self._emulator.project_number, endpoint.id, message.id, storage)
        account = asked.service_account or self._copies.reader
        if asked.service_account:
            self._copies.open_to(account)
        spec = container(model.container_spec, message, contents, where, self._own(endpoint, message.id, account))
        return Deployment(
            message=message,
            model_display_name=model.display_name,
            container=spec,
            wanted=message.dedicated_resources.min_replica_count,
        )

    def _message(self, asked: Any, model: Any, name: str) -> Any:
        """The DeployedModel as it will be told."""
        message = copied(asked)
        message.id = asked.id or new_id()
        message.model, message.model_version_id = name, model.version_id
        message.display_name = asked.display_name or model.display_name
        message.create_time = self._emulator.clock.now()
        resources = message.dedicated_resources
        resources.max_replica_count = resources.max_replica_count or resources.min_replica_count
        return message

    def _own(self, endpoint: Endpoint, deployed: str, account: str) -> dict[str, str]:
        """What stands for the machine around a container: its metadata server, and a place for files for a while."""
        folder = self._fleets.folder(endpoint, deployed)
        folder.mkdir(parents=True, exist_ok=True)
        return {"TMPDIR": str(folder), **self._emulator.metadata.variables(account)}
