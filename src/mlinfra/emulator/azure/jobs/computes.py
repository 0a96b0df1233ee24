"""Clusters of a workspace (AmlCompute): made, told and deleted; jobs name them. Their nodes are this machine."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

from mlinfra.emulator.azure import paging
from mlinfra.emulator.azure.jobs import machines
from mlinfra.emulator.azure.jobs.job import time
from mlinfra.emulator.azure.names import LOCATION, WORKSPACE, kind_of, own
from mlinfra.emulator.azure.operations import Operation, Reply, ml
from mlinfra.emulator.azure.wire import refusals
from mlinfra.emulator.table import Table

if TYPE_CHECKING:
    from datetime import datetime

    from mlinfra.emulator.azure.emulator import AzureEmulator
    from mlinfra.emulator.azure.operations import Request
    from mlinfra.emulator.progress import Progress

_KIND = "AmlCompute"
_LOW = "LowPriority"
_NODES = 64  # the most of a cluster that nobody described
DELAYS = {"computes.Creating": 2.0, "computes.Deleting": 1.0}


@dataclass
class Compute:
    """One cluster. `asked` is the document of its request."""

    id: str
    asked: dict[str, Any]
    created: datetime
    modified: datetime
    state: str = "Succeeded"

    @property
    def properties(self) -> dict[str, Any]:
        """Of the cluster itself."""
        found: dict[str, Any] = self.asked["properties"].get("properties") or {}
        return found

    @property
    def size(self) -> str:
        """Of its machines."""
        return str(self.properties.get("vmSize") or machines.DEFAULT)

    @property
    def low_priority(self) -> bool:
        """Whether its machines may be taken away."""
        return str(self.properties.get("vmPriority", "")).lower() == _LOW.lower()

    @property
    def most(self) -> int:
        """How many nodes it grows to."""
        return int((self.properties.get("scaleSettings") or {}).get("maxNodeCount") or _NODES)

    @property
    def identities(self) -> list[str]:
        """The resource ids of the identities that are assigned to it."""
        return list((self.asked.get("identity") or {}).get("userAssignedIdentities") or {})


class Computes:
    """The clusters of every workspace."""

    def __init__(self, emulator: AzureEmulator) -> None:
        self._emulator = emulator
        self.records: Table[Compute] = Table(emulator.clock, emulator.settings.list_lag)
        self._lock = Lock()
        self._taken: Counter[str] = Counter()

    def take(self, compute: Compute, nodes: int) -> bool:
        """Take nodes of a cluster for a job, where it has so many free."""
        with self._lock:
            if self._taken[compute.id] + nodes > compute.most:
                return False
            self._taken[compute.id] += nodes
            return True

    def give_back(self, compute: Compute, nodes: int) -> None:
        """Leave nodes that were taken."""
        with self._lock:
            self._taken[compute.id] -= nodes

    def create(self, workspace: str, name: str, properties: dict[str, Any] | None = None) -> Compute:
        """Make a cluster where there is none, as a stack would; `properties` are AmlCompute's own."""
        at = f"{workspace}/computes/{own(name)}"
        scale = {"minNodeCount": 0, "maxNodeCount": _NODES}
        usual = {"vmSize": machines.DEFAULT, "vmPriority": "Dedicated", "scaleSettings": scale}
        asked = {"properties": {"computeType": _KIND, "properties": {**usual, **(properties or {})}}}
        now = self._emulator.clock.now()
        with self.records.lock:
            found = self.records.get(at)
            if found is None:
                found = Compute(at, asked, now, now)
                self.records.add(at, found)
            return found

    def get(self, name: str) -> Compute:
        """A cluster by its id.

        Raises:
            Refusal: there is none.
        """
        found = self.records.get(name)
        if found is None:
            raise refusals.not_found(f"Compute {own(name)} was not found in the workspace.")
        return found

    def put(self, request: Request) -> Reply:
        """Make or change a cluster, a long-running operation."""
        self._emulator.workspaces.get(request.id)
        kind = request.body["properties"].get("computeType")
        if kind != _KIND:
            raise refusals.not_emulated(f"A compute of the type {kind}")
        size = (request.body["properties"].get("properties") or {}).get("vmSize")
        if size:
            machines.check(size, "properties.properties.vmSize")
        now = self._emulator.clock.now()
        before = self.records.get(request.id)
        made = Compute(request.id, dict(request.body), before.created if before else now, now, "Creating")
        self.records.put(request.id, made)

        def work(progress: Progress) -> dict[str, Any]:
            progress.wait("computes.Creating")
            made.state = "Succeeded"
            return self.told(made)

        return self._emulator.longrunning.start(request, work, self.told(made), created=before is None)

    def delete(self, request: Request) -> Reply:
        """Remove a cluster, a long-running operation."""
        found = self.get(request.id)

        def work(progress: Progress) -> None:
            progress.wait("computes.Deleting")
            self.records.remove(found.id)

        found.state = "Deleting"
        return self._emulator.longrunning.start(request, work, asynchronous=True)

    def listed(self, request: Request) -> dict[str, Any]:
        """Those of a workspace."""
        self._emulator.workspaces.get(request.id)
        found = [each for each in self.records.listed() if each.id.startswith(f"{request.id}/")]
        return paging.page(found, request, key=lambda each: str(each.id), told=self.told)

    def told(self, compute: Compute) -> dict[str, Any]:
        """The document of a cluster."""
        place = self._emulator.place
        state = {
            "allocationState": "Steady",
            "currentNodeCount": 0,
            "targetNodeCount": 0,
            "nodeStateCounts": dict.fromkeys(_NODE_STATES, 0),
            "errors": None,
        }
        return {
            "id": compute.id,
            "name": own(compute.id),
            "type": kind_of(compute.id),
            "location": compute.asked.get("location") or place.region,
            "tags": compute.asked.get("tags") or {},
            "identity": compute.asked.get("identity"),
            "properties": {
                "computeType": _KIND,
                "computeLocation": place.region,
                "provisioningState": compute.state,
                "createdOn": time(compute.created),
                "modifiedOn": time(compute.modified),
                "resourceId": None,
                "isAttachedCompute": False,
                "disableLocalAuth": True,
                "provisioningErrors": None,
                **{name: value for name, value in compute.asked["properties"].items() if name != "properties"},
                "properties": {**compute.properties, **state},
            },
        }


_NODE_STATES = (
    "idleNodeCount",
    "leavingNodeCount",
    "preemptedNodeCount",
    "preparingNodeCount",
    "runningNodeCount",
    "unusableNodeCount",
)
_COMPUTE, _COMPUTES = f"{WORKSPACE}/computes/{{computeName}}", f"{WORKSPACE}/computes"
OPERATIONS = (
    Operation(
        "Compute_Get",
        "GET",
        _COMPUTE,
        lambda emulator, request: emulator.jobs.computes.told(emulator.jobs.computes.get(request.id)),
        ml("workspaces/computes/read"),
        differences=("AmlCompute alone; nodes are told as none, and are this machine",),
    ),
    Operation(
        "Compute_List",
        "GET",
        _COMPUTES,
        lambda emulator, request: emulator.jobs.computes.listed(request),
        ml("workspaces/computes/read"),
    ),
    Operation(
        "Compute_CreateOrUpdate",
        "PUT",
        _COMPUTE,
        lambda emulator, request: emulator.jobs.computes.put(request),
        ml("workspaces/computes/write"),
        differences=("AmlCompute alone; subnets, users and images are recorded",),
    ),
    Operation(
        "Compute_Delete",
        "DELETE",
        _COMPUTE,
        lambda emulator, request: emulator.jobs.computes.delete(request),
        ml("workspaces/computes/delete"),
    ),
    Operation(
        "VirtualMachineSizes_List",
        "GET",
        f"{LOCATION}/vmSizes",
        lambda _emulator, _request: {"value": machines.listed()},
        ml("locations/vmSizes/read"),
        differences=("those of the kit's catalogue",),
    ),
)
