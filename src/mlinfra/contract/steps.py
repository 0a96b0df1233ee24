"""What a procedure wants next.

A procedure is a pure function `next_step(desired, observed) -> Step`. The engine observes, asks, obeys and
asks again until `Done` or `Failed`; so it may be killed anywhere and run again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlinfra.contract.requests import Request


@dataclass(frozen=True)
class Send:
    """Send these requests in order, then observe again."""

    requests: tuple[Request, ...]


@dataclass(frozen=True)
class Wait:
    """Nothing to send: observe again after `poll_after` seconds. `until` says to people what is awaited."""

    until: str
    poll_after: float


@dataclass(frozen=True)
class Done:
    """What was desired is there."""

    result: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Failed:
    """It cannot get there. `reason` is the platform's own, `todo` what the user may do."""

    reason: str
    todo: str = ""


Step: TypeAlias = Send | Wait | Done | Failed
