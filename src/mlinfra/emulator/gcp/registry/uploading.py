"""How versions come into being: uploaded, or copied from another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.cloud.aiplatform_v1 import types

from mlinfra.emulator.gcp.wire import refusals
from mlinfra.emulator.gcp.wire.messages import copied

if TYPE_CHECKING:
    from mlinfra.emulator.calls import Refusal
    from mlinfra.emulator.gcp.emulator import GcpEmulator
    from mlinfra.emulator.gcp.operations import Request
    from mlinfra.emulator.gcp.wire.longrunning import Progress


def upload(emulator: GcpEmulator, request: Request, own: str) -> Any:
    """Begin the upload of a model, or of a version where `parent_model` names one. `own` is the id of a new model.

    Raises:
        Refusal: the target is taken or missing, or the model is none that could be uploaded.
    """
    asked = request.message
    target = _target(emulator, asked.parent, asked.model_id or own, asked.parent_model)
    if asked.model_id and asked.model_id == target.rpartition("/")[2] and target in emulator.models.records:
        raise _taken(asked.model_id)
    if asked.service_account:
        emulator.act_as(request, asked.service_account)
    if not asked.model.container_spec.image_uri:
        raise refusals.invalid_argument("Required field is not set.", "model.container_spec")
    emulator.artifacts.check(asked.model.container_spec.image_uri, "model.container_spec.image_uri")
    message = _cleaned(asked.model)

    def work(progress: Progress) -> types.UploadModelResponse:
        progress.wait("upload.Uploading")
        if not asked.parent_model and target in emulator.models.records:
            raise _taken(target.rpartition("/")[2])  # somebody else's upload was done first
        copy = emulator.endpoints.copies.make(message.artifact_uri)
        version = emulator.models.put(target, message)
        emulator.endpoints.copies.keep(f"{target}@{version.id}", message.artifact_uri, copy)
        return types.UploadModelResponse(model=target, model_version_id=version.id)

    return emulator.longrunning.start("UploadModel", target, work, types.UploadModelOperationMetadata())


def copy(emulator: GcpEmulator, request: Request) -> Any:
    """Begin the copy of a model's version into another model.

    Raises:
        Refusal: the source is missing, or the target is taken or missing.
    """
    asked = request.message
    models = emulator.models
    source = models.asked(asked.source_model)
    record = models.record(source.name)
    version = record.find(source.which)
    own = asked.model_id or source.name.rpartition("/")[2]
    target = _target(emulator, asked.parent, own, asked.parent_model)
    if not asked.parent_model and target in models.records:
        raise _taken(own)
    if asked.custom_service_account:
        emulator.act_as(request, asked.custom_service_account)
    message = copied(version.message)
    message.display_name, message.version_aliases = record.display_name, []
    message.original_model_info = types.Model.OriginalModelInfo(model=f"{source.name}@{version.id}")

    def work(progress: Progress) -> types.CopyModelResponse:
        progress.wait("upload.Uploading")
        made = models.put(target, message)
        return types.CopyModelResponse(model=target, model_version_id=made.id)

    return emulator.longrunning.start("CopyModel", target, work, types.CopyModelOperationMetadata())


def _target(emulator: GcpEmulator, parent: str, own: str, parent_model: str) -> str:
    """The model that gets the version."""
    place = emulator.place.resolve(parent)
    if not parent_model:
        return f"{place}/models/{own}"
    return emulator.models.record(emulator.models.asked(parent_model).name).name


def _cleaned(model: types.Model) -> types.Model:
    """What is kept of an upload: not what the service says itself."""
    message: types.Model = copied(model)
    message.name = message.etag = ""
    return message


def _taken(own: str) -> Refusal:
    return refusals.already_exists(f"Model with ID {own} already exists.")
