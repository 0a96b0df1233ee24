"""Who may do what on what: the one evaluator of permissions, for every cloud.

A principal's policies hold statements. Whatever no statement allows is refused, and one that denies outweighs all
that allow. IAM documents, Azure role assignments and Google bindings are translated into these statements by the
emulator that reads them.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import RLock
from typing import TYPE_CHECKING, Any, Literal

from mlinfra.emulator.conditions import check, hold
from mlinfra.emulator.patterns import matches

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


@dataclass(frozen=True)
class Statement:
    """Allow or deny actions on resources, under conditions. Patterns know `*` and `?`; the case of actions is ignored.

    It speaks of an action that one of `actions` describes and none of `not_actions`; without `actions`, of all that
    `not_actions` leaves. Resources work the same way. `conditions` is operator -> key -> value or values, as IAM
    writes them: all must hold, any one of the values suffices.
    """

    effect: Literal["allow", "deny"]
    actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ("*",)
    not_actions: tuple[str, ...] = ()
    conditions: Mapping[str, Any] = field(default_factory=dict)
    not_resources: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """ValueError where it could never mean anything: an unknown effect, no action, an unknown condition."""
        if self.effect not in {"allow", "deny"}:
            raise ValueError(f"effect must be allow or deny, not {self.effect!r}")
        if not (self.actions or self.not_actions):
            raise ValueError("a statement names actions or not_actions")
        check(self.conditions)

    def applies(self, action: str, resource: str, context: Mapping[str, Any]) -> bool:
        """Whether it speaks of this action on this resource in this context."""
        excluded = tuple(pattern.lower() for pattern in self.not_actions)
        return (
            _within(tuple(pattern.lower() for pattern in self.actions), excluded, action.lower())
            and _within(() if self.not_resources else self.resources, self.not_resources, resource)
            and hold(self.conditions, context)
        )


@dataclass(frozen=True)
class Decision:
    """Whether it is allowed, and why: `denied` tells an explicit denial from a permission that is missing."""

    allowed: bool
    because: str
    denied: bool = False


class Policy:
    """The policies of every principal. Thread-safe."""

    def __init__(self) -> None:
        self._lock = RLock()
        self._policies: dict[str, dict[str, tuple[Statement, ...]]] = {}
        self._taken: list[tuple[str, str]] = []

    def put(self, principal: str, name: str, statements: Sequence[Statement]) -> None:
        """Set a principal's policy of that name, in the place of an earlier one."""
        with self._lock:
            self._policies.setdefault(principal, {})[name] = tuple(statements)

    def remove(self, principal: str, name: str | None = None) -> None:
        """Take a policy away, or the principal with all of them. Safe to repeat."""
        with self._lock:
            if name is None:
                self._policies.pop(principal, None)
            else:
                self._policies.get(principal, {}).pop(name, None)

    def principals(self) -> list[str]:
        """Everybody who has or had a policy, in order."""
        with self._lock:
            return sorted(self._policies)

    def policies(self, principal: str) -> dict[str, tuple[Statement, ...]]:
        """A principal's policies by name."""
        with self._lock:
            return dict(self._policies.get(principal, {}))

    def decide(self, principal: str, action: str, resource: str, context: Mapping[str, Any] | None = None) -> Decision:
        """Whether a principal may do that: a denial counts most, then whatever allows, else it is refused."""
        with self._lock:
            policies = self._policies.get(principal)
            speaking = [
                (name, statement)
                for name, statements in (policies or {}).items()
                for statement in statements
                if statement.applies(action, resource, context or {})
            ]
            taken = any(who == principal and matches(what, action.lower()) for who, what in self._taken)
        denying = next((name for name, statement in speaking if statement.effect == "deny"), None)
        if denying is not None:
            return Decision(allowed=False, because=f"policy {denying} denies it", denied=True)
        if policies is None:
            return Decision(allowed=False, because=f"nothing is known of {principal or 'an anonymous caller'}")
        if speaking and not taken:
            return Decision(allowed=True, because=f"policy {speaking[0][0]} allows it")
        return Decision(allowed=False, because="no policy allows it")

    @contextmanager
    def without(self, principal: str, action: str) -> Iterator[None]:
        """Take one permission away for a while, as if no policy allowed it. `action` may be a pattern."""
        entry = (principal, action.lower())
        with self._lock:
            self._taken.append(entry)
        try:
            yield
        finally:
            with self._lock:
                self._taken.remove(entry)


def _within(patterns: tuple[str, ...], excluded: tuple[str, ...], text: str) -> bool:
    """Whether the text is described, and not excluded. Without patterns everything is described."""
    described = not patterns or any(matches(pattern, text) for pattern in patterns)
    return described and not any(matches(pattern, text) for pattern in excluded)
