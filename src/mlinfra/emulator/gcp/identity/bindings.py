"""IAM policies: which member has which role on which resource, translated for the one evaluator.

A binding on the project reaches everything in it; one on a bucket reaches the bucket and its objects; one on another
resource reaches it and what is below it. Of conditions, `resource.name.startsWith("…")` is understood, one or several
joined by `||`; others are refused, so that none is passed over. A condition may name the project by its number, as
Secret Manager's have to.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from threading import RLock
from typing import TYPE_CHECKING

from mlinfra.emulator.gcp.identity.roles import ROLES
from mlinfra.emulator.gcp.wire import refusals
from mlinfra.emulator.policy import Statement

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlinfra.emulator.gcp.names import Place
    from mlinfra.emulator.policy import Policy

_PREFIX = re.compile(r'resource\.name\.startsWith\("([^"]*)"\)')
_ACCOUNT = "serviceAccount:"


@dataclass(frozen=True)
class Binding:
    """Members that have a role on a resource, where the condition holds."""

    role: str
    members: tuple[str, ...]
    condition: str = ""  # in the Common Expression Language

    def as_document(self) -> dict[str, object]:
        """As IAM tells it."""
        found: dict[str, object] = {"role": self.role, "members": list(self.members)}
        return {**found, "condition": {"title": "by name", "expression": self.condition}} if self.condition else found


class Bindings:
    """The policies of all resources. Thread-safe."""

    def __init__(self, policy: Policy, place: Place) -> None:
        self._policy = policy
        self._place = place
        self._lock = RLock()
        self._policies: dict[str, tuple[Binding, ...]] = {}
        self._custom: dict[str, tuple[str, ...]] = {}

    def define(self, role: str, permissions: Sequence[str]) -> None:
        """Make or change a custom role."""
        with self._lock:
            self._custom[role] = tuple(permissions)
            for resource, bindings in self._policies.items():
                self._translate(resource, bindings)

    def forget(self, role: str) -> None:
        """Delete a custom role: whoever had it has nothing by it any more. Safe to repeat."""
        with self._lock:
            for resource, bindings in self._policies.items():
                self.set(resource, [each for each in bindings if each.role != role])
            self._custom.pop(role, None)

    def defined(self, role: str) -> tuple[str, ...] | None:
        """The permissions of a custom role; None where there is none."""
        with self._lock:
            return self._custom.get(role)

    def of(self, resource: str) -> tuple[Binding, ...]:
        """The policy of a resource."""
        with self._lock:
            return self._policies.get(resource, ())

    def set(self, resource: str, bindings: Sequence[Binding]) -> None:
        """Put a policy in the place of the one that a resource has.

        Raises:
            Refusal: INVALID_ARGUMENT, an unknown role or a condition that is not understood; nothing was changed.
        """
        for binding in bindings:
            self._permissions(binding.role)
            self._patterns(resource, binding.condition)
        with self._lock:
            before = self._policies.get(resource, ())
            self._policies[resource] = tuple(bindings)
            for binding in before:
                for member in binding.members:
                    self._policy.remove(_principal(member), _label(resource, binding))
            self._translate(resource, bindings)

    def grant(self, resource: str, role: str, member: str, condition: str = "") -> None:
        """Add one member of a role on a resource. Safe to repeat."""
        with self._lock:
            bindings = list(self.of(resource))
            for number, each in enumerate(bindings):
                if (each.role, each.condition) == (role, condition):
                    members = tuple(dict.fromkeys([*each.members, member]))
                    bindings[number] = Binding(role, members, condition)
                    break
            else:
                bindings.append(Binding(role, (member,), condition))
            self.set(resource, bindings)

    def revoke(self, resource: str, role: str, member: str, condition: str = "") -> None:
        """Take one member out of a role on a resource. Safe to repeat."""
        with self._lock:
            left = [
                Binding(each.role, tuple(name for name in each.members if name != member), each.condition)
                if (each.role, each.condition) == (role, condition)
                else each
                for each in self.of(resource)
            ]
            self.set(resource, [each for each in left if each.members])

    def _translate(self, resource: str, bindings: Sequence[Binding]) -> None:
        for binding in bindings:
            patterns = self._patterns(resource, binding.condition)
            statement = Statement("allow", self._permissions(binding.role), patterns)
            for member in binding.members:
                self._policy.put(_principal(member), _label(resource, binding), (statement,))

    def _permissions(self, role: str) -> tuple[str, ...]:
        found = ROLES.get(role) or self._custom.get(role)
        if not found:
            raise refusals.invalid_argument(f"Role {role} is not supported for this resource.")
        return found

    def _patterns(self, resource: str, condition: str) -> tuple[str, ...]:
        """What of the world a binding reaches."""
        if not condition:
            return ("*",) if re.fullmatch(r"projects/[^/]+", resource) else (resource, f"{resource}/*")
        parts = [part.strip().strip("()") + ")" for part in condition.split("||")]
        found = [_PREFIX.fullmatch(part) for part in parts]
        if not all(found):
            raise refusals.invalid_argument(f"Condition expression is not emulated: {condition}")
        return tuple(f"{self._place.owned(each.group(1))}*" for each in found if each)


def _principal(member: str) -> str:
    return member.removeprefix(_ACCOUNT)


def _label(resource: str, binding: Binding) -> str:
    return f"{binding.role} on {resource} {binding.condition}".strip()
