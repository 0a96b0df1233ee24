"""The operations on workspaces, datastores, registries and assets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlinfra.emulator.azure.names import GROUP, ML, REGISTRY, SUBSCRIPTION, WORKSPACE
from mlinfra.emulator.azure.operations import Operation, ml
from mlinfra.emulator.azure.registry import datastores, methods, publishing, uploads

if TYPE_CHECKING:
    from collections.abc import Iterator

# Collection, name of its operations in the generated client.
_KINDS = (("codes", "Code"), ("environments", "Environment"), ("data", "Data"), ("models", "Model"))
_ORDERS = ("only the orders by times and version are known",)
_FILTERS = (*_ORDERS, "of filters by text only `version`, `tags`, `properties` and `listViewType` are understood")
_INFERRED = ("what may change of a version is read from the models' visibility and the client's own messages",)
_IN_USE = ("models that a deployment runs are refused: known from the guide, not the words",)


def _container(base: str, scheme: str, group: str, verbs: str) -> Iterator[Operation]:
    path = f"{base}/{scheme}/{{name}}"
    name = f"{group}Containers"
    yield Operation(f"{name}_Get", "GET", path, methods.get_container, ml(f"{verbs}/read"))
    yield Operation(f"{name}_CreateOrUpdate", "PUT", path, methods.put_container, ml(f"{verbs}/write"))
    yield Operation(
        f"{name}_Delete",
        "DELETE",
        path,
        methods.delete,
        ml(f"{verbs}/delete"),
        differences=_IN_USE if scheme == "models" else (),
    )
    yield Operation(f"{name}_List", "GET", path.rpartition("/")[0], methods.list_containers, ml(f"{verbs}/read"))


def _versions(base: str, scheme: str, group: str, verbs: str) -> Iterator[Operation]:
    path = f"{base}/{scheme}/{{name}}/versions/{{version}}"
    name = f"{group}Versions"
    yield Operation(f"{name}_Get", "GET", path, methods.get_version, ml(f"{verbs}/read"))
    yield Operation(
        f"{name}_CreateOrUpdate", "PUT", path, methods.put_version, ml(f"{verbs}/write"), differences=_INFERRED
    )
    yield Operation(
        f"{name}_Delete",
        "DELETE",
        path,
        methods.delete,
        ml(f"{verbs}/delete"),
        differences=_IN_USE if scheme == "models" else (),
    )
    yield Operation(
        f"{name}_List", "GET", path.rpartition("/")[0], methods.list_versions, ml(f"{verbs}/read"), differences=_FILTERS
    )


def _uploads(base: str, group: str, scheme: str, action: str) -> Operation:
    path = f"{base}/{scheme}/{{name}}/versions/{{version}}/startPendingUpload"
    return Operation(f"{group}Versions_CreateOrGetStartPendingUpload", "POST", path, uploads.start, ml(action))


def _assets() -> Iterator[Operation]:
    for scheme, group in _KINDS:
        yield from _container(WORKSPACE, scheme, group, f"workspaces/{scheme}")
        yield from _versions(WORKSPACE, scheme, group, f"workspaces/{scheme}/versions")
        yield from _container(REGISTRY, scheme, f"Registry{group}", "registries/assets")
        yield from _versions(REGISTRY, scheme, f"Registry{group}", "registries/assets")
        if scheme != "environments":
            yield _uploads(REGISTRY, f"Registry{group}", scheme, "registries/assets/write")
        path = f"{WORKSPACE}/{scheme}/{{name}}/versions/{{version}}/publish"
        action = ml(f"workspaces/{scheme}/versions/publish/action")
        yield Operation(f"{group}Versions_Publish", "POST", path, publishing.publish, action)
    yield _uploads(WORKSPACE, "Code", "codes", "workspaces/codes/versions/write")


_STORE = f"{WORKSPACE}/datastores/{{name}}"
_READ, _WRITE, _DELETE = (ml(f"workspaces/{verb}") for verb in ("read", "write", "delete"))
_STORES = "workspaces/datastores"
_BLOBS_ALONE = ("blob containers alone, read and written in the caller's name",)

OPERATIONS: tuple[Operation, ...] = (
    Operation("Workspaces_Get", "GET", WORKSPACE, methods.get_workspace, _READ),
    Operation("Workspaces_CreateOrUpdate", "PUT", WORKSPACE, methods.put_workspace, _WRITE),
    Operation("Workspaces_Update", "PATCH", WORKSPACE, methods.update_workspace, _WRITE),
    Operation("Workspaces_Delete", "DELETE", WORKSPACE, methods.delete_workspace, _DELETE),
    Operation(
        "Workspaces_ListByResourceGroup", "GET", f"{GROUP}/providers/{ML}/workspaces", methods.list_workspaces, _READ
    ),
    Operation(
        "Workspaces_ListBySubscription",
        "GET",
        f"{SUBSCRIPTION}/providers/{ML}/workspaces",
        methods.list_workspaces,
        _READ,
    ),
    Operation("Datastores_Get", "GET", _STORE, datastores.get, ml(f"{_STORES}/read")),
    Operation(
        "Datastores_CreateOrUpdate", "PUT", _STORE, datastores.put, ml(f"{_STORES}/write"), differences=_BLOBS_ALONE
    ),
    Operation("Datastores_Delete", "DELETE", _STORE, datastores.delete, ml(f"{_STORES}/delete")),
    Operation("Datastores_List", "GET", f"{WORKSPACE}/datastores", datastores.listed, ml(f"{_STORES}/read")),
    Operation(
        "Datastores_ListSecrets",
        "POST",
        f"{_STORE}/listSecrets",
        datastores.secrets,
        ml(f"{_STORES}/listSecrets/action"),
    ),
    Operation("Registries_Get", "GET", REGISTRY, methods.get_registry, ml("registries/read")),
    Operation(
        "Registries_List", "GET", f"{GROUP}/providers/{ML}/registries", methods.list_registries, ml("registries/read")
    ),
    *_assets(),
)
DELAYS: dict[str, float] = {
    "workspaces.Creating": 30.0,
    "workspaces.Deleting": 20.0,
    "registry.Copying": 5.0,
    "publish.Copying": 10.0,
}
