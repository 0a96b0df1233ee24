"""Resource ids: `/subscriptions/S/resourceGroups/G/providers/Microsoft.MachineLearningServices/workspaces/W/jobs/J`.

ARM compares them without their case. They are kept the way that the templates of the operations and the emulator's
own place write them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

ML = "Microsoft.MachineLearningServices"
SUBSCRIPTION = "/subscriptions/{subscriptionId}"
GROUP = SUBSCRIPTION + "/resourceGroups/{resourceGroupName}"
WORKSPACE = f"{GROUP}/providers/{ML}/workspaces/{{workspaceName}}"
REGISTRY = f"{GROUP}/providers/{ML}/registries/{{registryName}}"
LOCATION = f"{SUBSCRIPTION}/providers/{ML}/locations/{{location}}"
_GROUP_DEPTH, _RESOURCE_DEPTH = 4, 8  # parts of an id up to the group, and up to the first resource in it


@dataclass(frozen=True)
class Place:
    """One subscription of one tenant, and the workspace in it that everything is about."""

    subscription: str
    tenant: str
    resource_group: str
    workspace: str
    region: str
    homes: dict[tuple[str, ...], str] = field(default_factory=dict, compare=False)  # resource -> its group
    spellings: dict[str, str] = field(default_factory=dict, compare=False)  # of groups and workspaces

    def settle(self, name: str) -> None:
        """Remember in which group a resource lies, and how its names are written; `name` is its id. Safe to repeat."""
        group, _, rest = name.partition("/providers/")
        self.spellings[own(group).lower()] = own(group)
        self.spellings[own(rest).lower()] = own(rest)
        self.homes[tuple(rest.lower().split("/"))] = own(group)

    def spelled(self, name: str) -> str:
        """A group's or workspace's name as it is written here; ids are compared without their case."""
        known = {self.resource_group.lower(): self.resource_group, self.workspace.lower(): self.workspace}
        return {**known, **self.spellings}.get(name.lower(), name)

    @property
    def subscription_id(self) -> str:
        """The subscription's resource id."""
        return f"/subscriptions/{self.subscription}"

    @property
    def group_id(self) -> str:
        """The resource group's id."""
        return self.group(self.resource_group)

    @property
    def workspace_id(self) -> str:
        """The workspace's id."""
        return self.id(ML, "workspaces", self.workspace)

    def group(self, name: str) -> str:
        """The id of a resource group of the subscription."""
        return f"{self.subscription_id}/resourceGroups/{name}"

    def id(self, provider: str, *path: str) -> str:
        """A resource's id, in the group where it lies: `id("Microsoft.Storage", "storageAccounts", "x")`."""
        group = self.homes.get(tuple(each.lower() for each in (provider, *path[:2])), self.resource_group)
        return f"{self.group(group)}/providers/{provider}/{'/'.join(path)}"

    def child(self, *path: str) -> str:
        """The id of something in the workspace: `child("jobs", "j1")`."""
        return "/".join([self.workspace_id, *path])


def own(name: str) -> str:
    """The last part of an id."""
    return name.rpartition("/")[2]


def parent(name: str) -> str:
    """The id without its last two parts, a collection and a name."""
    return name.rsplit("/", 2)[0]


def group_of(name: str) -> str:
    """The id of the resource group that a resource lies in."""
    return "/".join(name.split("/")[: _GROUP_DEPTH + 1])


def owner_of(name: str) -> str:
    """The id of the workspace, registry or other resource of a group that something lies in."""
    return "/".join(name.split("/")[: _RESOURCE_DEPTH + 1])


def kind_of(name: str) -> str:
    """The resource's type: `Microsoft.MachineLearningServices/workspaces/jobs`."""
    parts = name.rpartition("/providers/")[2].split("/")
    return "/".join([parts[0], *parts[1::2]])


def told_time(moment: datetime) -> str:
    """A moment as ARM's documents have it."""
    return moment.isoformat().replace("+00:00", "Z")
