"""Who is seeded, and what a stack would let each of them do: no more than its part needs.

`deployer` calls for people and pipelines, `trainer` and `server` are what jobs and endpoints run as, `approver` is
the only one who writes approvals.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.emulator.azure.identity.roles import Role
from mlinfra.emulator.azure.operations import ml

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

Grant = tuple[str, str]  # scope, name of a built-in role or of one of ROLES

MARKER = "mlinfra marks models"
# No built-in role lets change models and nothing else.
ROLES = {
    "6f0a5b1c-3a5e-5a57-9d0e-0d3c6f1f6a01": Role(
        MARKER,
        (
            ml("workspaces/models/read"),
            ml("workspaces/models/versions/read"),
            ml("workspaces/models/versions/write"),
        ),
        custom=True,
    )
}
_READ, _WRITE = "Storage Blob Data Reader", "Storage Blob Data Contributor"


@dataclass(frozen=True)
class Grounds:
    """What grants name: the place, containers' ids by store, identities' and registries' ids."""

    group: str
    stores: Mapping[str, str]  # name -> the container's resource id
    identities: Mapping[str, str]  # name -> the identity's resource id
    workspace: str
    account: str  # its storage account's
    registries: tuple[str, ...] = ()  # of images
    vaults: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()  # registries of models


def grants(identity: str, grounds: Grounds) -> list[Grant]:
    """What one identity is granted; nothing where it is none of ours."""
    return list(_GRANTS[identity](grounds)) if identity in _GRANTS else []


def _objects(grounds: Grounds, role: str, *names: str) -> Iterator[Grant]:
    for name in names:
        if name in grounds.stores:
            yield grounds.stores[name], role


def _deployer(grounds: Grounds) -> Iterator[Grant]:
    yield grounds.workspace, "AzureML Data Scientist"
    yield grounds.group, "Monitoring Contributor"
    for name in ("trainer", "server"):
        if name in grounds.identities:
            yield grounds.identities[name], "Managed Identity Operator"
    for registry in grounds.registries:
        yield registry, "AcrPush"
    for registry in grounds.shared:
        yield registry, "AzureML Registry User"
    yield from _objects(grounds, _WRITE, *(name for name in grounds.stores if name != "approvals"))
    yield from _objects(grounds, _READ, "approvals")


def _worker(grounds: Grounds) -> Iterator[Grant]:
    yield grounds.workspace, "AzureML Metrics Writer (preview)"
    for registry in grounds.registries:
        yield registry, "AcrPull"


def _trainer(grounds: Grounds) -> Iterator[Grant]:
    yield from _worker(grounds)
    yield grounds.workspace, "AzureML Data Scientist"
    for vault in grounds.vaults:
        yield vault, "Key Vault Secrets User"
    yield from _objects(grounds, _WRITE, *(name for name in grounds.stores if name not in {"approvals", "captures"}))


def _server(grounds: Grounds) -> Iterator[Grant]:
    yield from _worker(grounds)
    for registry in grounds.shared:
        yield registry, "AzureML Registry User"
    for vault in grounds.vaults:
        yield vault, "Key Vault Secrets User"
    yield from _objects(grounds, _READ, *(name for name in grounds.stores if name not in {"approvals", "captures"}))
    yield from _objects(grounds, _WRITE, "captures")


def _service(grounds: Grounds) -> Iterator[Grant]:
    """What a workspace's own identity gets with it, and from a stack for its images."""
    yield grounds.account, _WRITE
    for registry in grounds.registries:
        yield registry, "AcrPull"


def _approver(grounds: Grounds) -> Iterator[Grant]:
    for scope in (grounds.workspace, *grounds.shared):
        yield scope, "Reader"
    yield grounds.workspace, MARKER
    yield from _objects(grounds, _READ, "data", "captures")
    yield from _objects(grounds, _WRITE, "approvals", "artefacts")


WORKSPACE = "workspace"  # stands for the workspace's own identity

_GRANTS: dict[str, Callable[[Grounds], Iterator[Grant]]] = {
    "deployer": _deployer,
    "trainer": _trainer,
    "server": _server,
    "approver": _approver,
    WORKSPACE: _service,
}
