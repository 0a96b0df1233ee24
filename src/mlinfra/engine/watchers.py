"""Who watches a rollout: the platform's own alarms where they can express it exactly, else the process. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.contract.capabilities import Capability, Level, support
from mlinfra.engine.traffic import WHOLE
from mlinfra.errors import CapabilityError

if TYPE_CHECKING:
    from mlinfra.contract.capabilities import Capabilities
    from mlinfra.environment import Environment
    from mlinfra.spec import EndpointSpec

_GUARDED_STAGES = ("staging", "prod")
_LARGEST_CANARY = 50  # percent that a platform's own canary may get before everything


@dataclass(frozen=True)
class Watcher:
    """Who watches, and why not the platform where it does not."""

    is_platform: bool
    reason: str = ""

    def __str__(self) -> str:
        return "platform alarms" if self.is_platform else f"this process ({self.reason})"


def watcher_of(spec: EndpointSpec, environment: Environment, capabilities: Capabilities) -> Watcher:
    """Who would watch a rollout of this spec; `plan` prints it as `rollback watched by: …`.

    Raises:
        CapabilityError: the spec insists on the platform, which cannot.
    """
    wish = spec.rollout.watch
    if wish == "process":
        return Watcher(is_platform=False, reason="the spec says so")
    reason = _unable(spec, capabilities)
    if wish == "platform" and reason:
        raise CapabilityError(
            f"{environment.platform} cannot watch this rollout: {reason}",
            given="rollout.watch: platform",
            allowed="auto, process",
            todo="write `watch: auto`, or a rollout that its alarms can express",
        )
    if not reason and wish == "auto" and environment.stage not in _GUARDED_STAGES:
        reason = f"stage {environment.stage}"
    return Watcher(is_platform=not reason, reason=reason)


def _unable(spec: EndpointSpec, capabilities: Capabilities) -> str:
    """Why a platform's guard cannot express this rollout; empty when it can."""
    rollout = spec.rollout
    guard = support(capabilities, Capability.ROLLOUT_NATIVE)
    if guard.level is not Level.NATIVE:
        return guard.reason
    if rollout.strategy == "canary" and not _expressible(tuple(map(int, rollout.steps))):
        return f"it takes one step of at most {_LARGEST_CANARY} % before 100 %, or equal steps"
    if rollout.min_requests:
        return "alarms know no min_requests"
    if rollout.on_no_data != "advance":
        return f"alarms know no on_no_data: {rollout.on_no_data}"
    if len(spec.deployments) > 1:
        return "it guards endpoints with one deployment"
    return ""


def _expressible(steps: tuple[int, ...]) -> bool:
    one_step = len(steps) == 2 and steps[0] <= _LARGEST_CANARY  # noqa: PLR2004  a canary and everything
    equal = all(step == steps[0] * (index + 1) for index, step in enumerate(steps)) and steps[-1] == WHOLE
    return one_step or equal or steps == (WHOLE,)
