"""What a killed run left open: operations that were begun and not recorded as done.

The engine keeps them in the state and warns. Here they are settled: a resource that may have been created is looked up
by the id that its inputs give it, and taken into the state where it is there; what was being changed or removed is read
again. Nothing is left that nobody knows of.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlinfra.errors import Conflict
from mlinfra.infra.automation.identities import TAKEN_UP, identity

if TYPE_CHECKING:
    from collections.abc import Mapping

CREATING: Final = "creating"
_PENDING: Final = "pending_operations"
_WORDS: Final = {
    CREATING: "being created",
    "updating": "being updated",
    "deleting": "being deleted",
    "reading": "being read",
    "importing": "being imported",
}


@dataclass(frozen=True)
class Operation:
    """An operation that was begun. `id` is under which the resource is there, if it is; empty where nothing tells."""

    kind: str
    urn: str
    type: str
    resource: Mapping[str, Any]
    id: str = ""

    @property
    def name(self) -> str:
        """The resource's name."""
        return self.urn.rpartition("::")[2]

    @property
    def told(self) -> str:
        """One line for people."""
        return f"{self.name} ({self.type}) was {_WORDS.get(self.kind, self.kind)}"

    @property
    def is_taken_up(self) -> bool:
        """Whether creating it again finds what is there by itself."""
        return self.kind == CREATING and self.type.startswith(TAKEN_UP)


def read(deployment: Mapping[str, Any], answers: Mapping[str, str]) -> list[Operation]:
    """The open operations of an exported state. `answers` give ids by URN; an empty one says that nothing is there."""
    found = []
    providers = {
        f"{each['urn']}::{each.get('id', '')}": each.get("inputs", {}) for each in deployment.get("resources") or []
    }
    for entry in deployment.get(_PENDING) or []:
        resource = entry["resource"]
        urn, kind = str(resource["urn"]), str(resource["type"])
        id_ = str(resource.get("id", "")) or answers.get(urn, "") or _identity(resource, providers)
        found.append(Operation(str(entry["type"]), urn, kind, resource, "" if answers.get(urn) == "" else id_))
    return found


def check(operations: list[Operation], answers: Mapping[str, str]) -> None:
    """Stop where a create cannot be looked up and nobody said what became of it.

    Raises:
        Conflict: names each such resource.
    """
    unclear = [
        operation
        for operation in operations
        if operation.kind == CREATING
        and not operation.id
        and not operation.is_taken_up
        and operation.urn not in answers
    ]
    if unclear:
        raise Conflict(
            "the last run was cut short, and of some resources nobody knows whether they were made",
            given="; ".join(operation.urn for operation in unclear),
            allowed="--found URN=ID where it is there, --found URN= where it is not",
            todo="look them up in the cloud's console and run the same command with an answer for each",
        )


def settle(deployment: Mapping[str, Any], operations: list[Operation]) -> dict[str, Any]:
    """The state without open operations: creates that have an id are in it, to be read again by a refresh. Pure."""
    settled = deepcopy(dict(deployment))
    settled.pop(_PENDING, None)
    resources = settled.setdefault("resources", [])
    for operation in operations:
        if operation.kind == CREATING and operation.id:
            for each in resources:
                if each["urn"] == operation.urn:
                    each["delete"] = True  # it was being replaced; the engine would have marked it after the create
            resources.append(
                {**operation.resource, "id": operation.id, "outputs": operation.resource.get("inputs", {})}
            )
    return settled


def to_refresh(deployment: Mapping[str, Any], operations: list[Operation]) -> list[str]:
    """The URNs in a settled state whose resources are to be read again."""
    there = {str(each["urn"]) for each in deployment.get("resources") or []}
    return sorted({operation.urn for operation in operations if operation.urn in there})


def _identity(resource: Mapping[str, Any], providers: Mapping[str, Mapping[str, Any]]) -> str:
    provider = providers.get(str(resource.get("provider", "")), {})
    return identity(str(resource["type"]), resource.get("inputs", {}), provider)
