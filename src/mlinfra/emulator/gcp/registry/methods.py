"""The RPCs of ModelService that are emulated: upload, copy, look-ups, lists, changes and deletion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from google.cloud.aiplatform_v1 import types

from mlinfra.emulator.gcp import filters, listing, paging
from mlinfra.emulator.gcp.names import new_id
from mlinfra.emulator.gcp.operations import Method, Request, named
from mlinfra.emulator.gcp.registry.deletion import delete_model, delete_version
from mlinfra.emulator.gcp.registry.uploading import copy, upload

if TYPE_CHECKING:
    from mlinfra.emulator.gcp.emulator import GcpEmulator

_SERVICE = "ModelService"
_FIELDS = {"model": filters.own_id(), "display_name": filters.text("display_name")}
_ORDERS = ("display_name", "create_time", "update_time")


def _get(emulator: GcpEmulator, request: Request) -> types.Model:
    return emulator.models.version(request.message.name)


def _list(emulator: GcpEmulator, request: Request) -> types.ListModelsResponse:
    asked = request.message
    emulator.place.resolve(asked.parent)
    models = [emulator.models.told(record, record.find("")) for record in emulator.models.records.listed()]
    newest_first = list(reversed(models))
    found = listing.ordered(filters.matching(asked.filter, newest_first, _FIELDS), asked.order_by, _ORDERS)
    page = paging.page(found, asked, key=lambda each: each.name)
    shown = [listing.only(each, asked.read_mask) for each in page.items]
    return types.ListModelsResponse(models=shown, next_page_token=page.token)


def _list_versions(emulator: GcpEmulator, request: Request) -> types.ListModelVersionsResponse:
    asked = request.message
    record = emulator.models.record(emulator.models.asked(asked.name).name)
    versions = [emulator.models.told(record, each, versioned=True) for each in record.versions.listed()]
    found = listing.ordered(filters.matching(asked.filter, versions, {}), asked.order_by, _ORDERS[1:])
    page = paging.page(found, asked, key=lambda each: each.version_id)
    shown = [listing.only(each, asked.read_mask) for each in page.items]
    return types.ListModelVersionsResponse(models=shown, next_page_token=page.token)


def _update(emulator: GcpEmulator, request: Request) -> types.Model:
    message = request.message.model
    asked = emulator.models.asked(message.name)
    return emulator.models.change(asked, message, list(request.message.update_mask.paths))


def _merge(emulator: GcpEmulator, request: Request) -> types.Model:
    return emulator.models.merge(emulator.models.asked(request.message.name), list(request.message.version_aliases))


def _upload(emulator: GcpEmulator, request: Request) -> Any:
    return upload(emulator, request, new_id())


_INFERRED_LABELS = "labels that come with an upload are taken to be the version's: the documentation does not say"
_INFERRED_NAME = "a name asked with a version is told with its version's id; without one it is told without"
_INFERRED_ETAG = "an etag that is not the newest is ABORTED; versions and aliases leave it: neither is documented"
_NO_BASE = "`base_model_name` cannot be filtered by"
_INFERRED_PERMISSION = "the permission asked for is inferred from its siblings'"

METHODS: tuple[Method, ...] = (
    Method(
        _SERVICE,
        "UploadModel",
        _upload,
        "aiplatform.models.upload",
        named("parent"),
        "submit",
        (_INFERRED_LABELS, "the image and the artefacts are not copied: they are read where they lie, at deployment"),
    ),
    Method(
        _SERVICE,
        "CopyModel",
        copy,
        "aiplatform.models.upload",
        named("parent"),
        "submit",
        ("within the project's one region alone", _INFERRED_PERMISSION),
    ),
    Method(_SERVICE, "GetModel", _get, "aiplatform.models.get", named("name"), "read", (_INFERRED_NAME,)),
    Method(_SERVICE, "ListModels", _list, "aiplatform.models.list", named("parent"), "read", (_NO_BASE,)),
    Method(
        _SERVICE,
        "ListModelVersions",
        _list_versions,
        "aiplatform.models.list",
        named("name"),
        "read",
        (_INFERRED_PERMISSION,),
    ),
    Method(
        _SERVICE, "UpdateModel", _update, "aiplatform.models.update", named("model", "name"), "read", (_INFERRED_ETAG,)
    ),
    Method(
        _SERVICE,
        "MergeVersionAliases",
        _merge,
        "aiplatform.models.update",
        named("name"),
        "read",
        ("an alias that another version has moves: the documentation does not say", _INFERRED_PERMISSION),
    ),
    Method(
        _SERVICE,
        "DeleteModelVersion",
        delete_version,
        "aiplatform.models.delete",
        named("name"),
        "submit",
        ("the default version is refused: inferred from there always being one", _INFERRED_PERMISSION),
    ),
    Method(_SERVICE, "DeleteModel", delete_model, "aiplatform.models.delete", named("name"), "submit"),
)
DELAYS = {"upload.Uploading": 2.0, "delete.Deleting": 1.0}
