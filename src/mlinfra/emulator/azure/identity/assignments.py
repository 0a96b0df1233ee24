"""Role assignments: who has which role on which scope, translated for the one evaluator.

An assignment reaches its scope and everything below it: a subscription, a resource group, a resource.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING

from mlinfra.emulator.azure.identity.roles import BUILT_IN, DATA_ACTIONS, Role
from mlinfra.emulator.policy import Statement

if TYPE_CHECKING:
    from mlinfra.emulator.azure.names import Place
    from mlinfra.emulator.policy import Policy


@dataclass(frozen=True)
class Assignment:
    """One principal's role on one scope."""

    name: str  # a GUID
    scope: str
    role: str  # the role definition's GUID
    principal: str  # object id


class Assignments:
    """Role definitions and assignments of one subscription. Thread-safe."""

    def __init__(self, policy: Policy, place: Place) -> None:
        self._policy = policy
        self._place = place
        self._lock = RLock()
        self._custom: dict[str, Role] = {}
        self._assigned: dict[str, Assignment] = {}  # by name

    def define(self, name: str, role: Role) -> None:
        """Make or change a custom role; `name` is its GUID."""
        with self._lock:
            self._custom[name] = role
            for each in list(self._assigned.values()):
                if each.role == name:
                    self._translate(each)

    def undefine(self, name: str) -> None:
        """Remove a custom role. Safe to repeat."""
        with self._lock:
            self._custom.pop(name, None)

    def roles(self) -> dict[str, Role]:
        """All role definitions, by GUID."""
        with self._lock:
            return {**BUILT_IN, **self._custom}

    def assign(self, principal: str, role: str, scope: str, name: str = "") -> Assignment:
        """Give a principal a role on a scope. Safe to repeat. KeyError where there is no such role.

        `role` is the definition's GUID; `scope` a resource id without a slash at its end.
        """
        with self._lock:
            if role not in self.roles():
                raise KeyError(role)
            for each in self._assigned.values():
                if (each.scope.lower(), each.role, each.principal) == (scope.lower(), role, principal):
                    return each
            own = name or str(uuid.uuid5(uuid.UUID(self._place.subscription), f"{principal} {role} {scope.lower()}"))
            made = Assignment(own, scope, role, principal)
            self._assigned[own] = made
            self._translate(made)
            return made

    def revoke(self, name: str) -> Assignment | None:
        """Take an assignment away. Safe to repeat."""
        with self._lock:
            gone = self._assigned.pop(name, None)
            if gone:
                self._policy.remove(gone.principal, _label(gone))
            return gone

    def get(self, name: str) -> Assignment | None:
        """One by its GUID."""
        with self._lock:
            return self._assigned.get(name)

    def all(self) -> list[Assignment]:
        """All assignments, in the order in which they were made."""
        with self._lock:
            return list(self._assigned.values())

    def _translate(self, assignment: Assignment) -> None:
        role = self.roles()[assignment.role]
        scope = assignment.scope.rstrip("/")
        resources = (scope, f"{scope}/*") if scope else ("*",)
        statements = []
        if role.actions:
            statements.append(Statement("allow", role.actions, resources, (*role.not_actions, *DATA_ACTIONS)))
        if role.data_actions:
            statements.append(Statement("allow", role.data_actions, resources, role.not_data_actions))
        self._policy.put(assignment.principal, _label(assignment), statements)


def _label(assignment: Assignment) -> str:
    return f"role assignment {assignment.name}"
