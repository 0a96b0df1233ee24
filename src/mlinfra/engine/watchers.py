"""Who watches a rollout: the platform's own alarms where they can express it exactly, else the process. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlinfra.contract.capabilities import Capability, Level, support
from mlinfra.contract.endpoints import Guard
from mlinfra.engine.traffic import WHOLE
from mlinfra.errors import CapabilityError

if TYPE_CHECKING:
    from mlinfra.contract.capabilities import Capabilities
    from mlinfra.engine.releases import Release
    from mlinfra.engine.rollout_rules import Policy
    from mlinfra.environment import Environment
    from mlinfra.spec import EndpointSpec, RollbackRule

_GUARDED_STAGES = ("staging", "prod")
_LARGEST_CANARY = 50  # percent that a platform's own canary may get before everything
_SMALLEST_STEP = 10  # percent of equal steps
_FEWEST_REPLICAS = 2
_LONGEST_BAKE = 3600.0  # seconds between two steps
_ABOVE = " above "  # between the metric and the bound, in the name of an alarm that stands for a rule
_LONGEST_GUARD = 6 * 3600.0  # seconds of all of them; a platform's guard ends after 8 h, new servers' start included


@dataclass(frozen=True)
class Watcher:
    """Who watches, and why not the platform where it does not; `is_nobody` where there is nothing to go back from."""

    is_platform: bool
    reason: str = ""
    is_nobody: bool = False

    def __str__(self) -> str:
        if self.is_nobody:
            return f"nobody ({self.reason})"
        return "platform alarms" if self.is_platform else f"this process ({self.reason})"


def watcher_of(spec: EndpointSpec, environment: Environment, capabilities: Capabilities) -> Watcher:
    """Who would watch a rollout of this spec; `plan` prints it as `rollback watched by: …`.

    Raises:
        CapabilityError: the spec insists on the platform, which cannot.
    """
    if spec.replaced_whole:
        reason = "the new version takes the old one's place whole, and goes back only if it does not answer its example"
        return Watcher(is_platform=False, reason=reason, is_nobody=True)
    wish = spec.rollout.watch
    if wish == "process":
        return Watcher(is_platform=False, reason="the spec says so")
    reason = _unable(spec, environment, capabilities)
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


def watcher_beside(watcher: Watcher, spec: EndpointSpec, old: Release) -> Watcher:
    """Who watches the change from that release; a platform's guard knows one deployment in place of one.

    Raises:
        CapabilityError: the spec insists on the platform, which cannot.
    """
    if not watcher.is_platform or len(old.deployments) == 1:
        return watcher
    reason = f"{len(old.deployments)} deployments serve now, and it guards endpoints with one"
    if spec.rollout.watch == "platform":
        raise CapabilityError(
            f"the platform cannot watch this rollout: {reason}",
            given="rollout.watch: platform",
            allowed="auto, process",
            todo="write `watch: auto` for this change",
        )
    return Watcher(is_platform=False, reason=reason)


def guard_of(policy: Policy, spec: EndpointSpec, environment: Environment) -> Guard:
    """What the platform is told where it watches: the environment's alarms, and the rules for which it has none."""
    named = environment.observability.alarms
    written = zip(spec.rollout.rollback_on, policy.rules, strict=True)
    return Guard(
        steps=policy.steps,
        bake=policy.bake,
        alarms=_alarms(spec, environment),
        rules=tuple(rule for told, rule in written if rule_title(told) not in named),
        enough=policy.enough,
    )


def rule_title(rule: RollbackRule) -> str:
    """The name under which an environment tells the alarm that expresses a rule: `error_rate above 1%`."""
    return f"{rule.metric}{_ABOVE}{rule.above}"


def _alarms(spec: EndpointSpec, environment: Environment) -> tuple[str, ...]:
    """The environment's alarms that express a rule of the spec, and those that stand for no rule."""
    rules = set(map(rule_title, spec.rollout.rollback_on))
    named = environment.observability.alarms.items()
    return tuple(sorted({alarm for title, alarm in named if title in rules or _ABOVE not in title}))


def _unable(spec: EndpointSpec, environment: Environment, capabilities: Capabilities) -> str:
    """Why a platform's guard cannot express this rollout; empty when it can."""
    rollout, guard = spec.rollout, support(capabilities, Capability.ROLLOUT_NATIVE)
    steps = tuple(map(int, rollout.steps)) if rollout.strategy == "canary" else (WHOLE,)
    bakes = float(rollout.bake)
    reasons = {
        guard.reason or guard.level.value: guard.level is not Level.NATIVE,
        "rollback_on holds no rule, and the environment names no alarm": not (
            rollout.rollback_on or _alarms(spec, environment)
        ),
        f"it takes one step of at most {_LARGEST_CANARY} % before 100 %, or equal steps from {_SMALLEST_STEP} % up": (
            not _expressible(steps)
        ),
        "it shifts whole replicas, and with scale.min below 2 there is no part of them to begin with": (
            len(steps) > 1 and spec.scale.min < _FEWEST_REPLICAS
        ),
        f"it bakes {_LONGEST_BAKE:.0f} s a step and {_LONGEST_GUARD:.0f} s in all at most": (
            bakes > _LONGEST_BAKE or len(steps) * bakes > _LONGEST_GUARD
        ),
        "alarms know no min_requests": bool(rollout.min_requests),
        f"alarms know no on_no_data: {rollout.on_no_data}": rollout.on_no_data != "advance",
        "it guards endpoints with one deployment": len(spec.deployments) > 1,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def _expressible(steps: tuple[int, ...]) -> bool:
    one_step = len(steps) == 2 and steps[0] <= _LARGEST_CANARY  # noqa: PLR2004  a canary and everything
    sized = _SMALLEST_STEP <= steps[0] <= _LARGEST_CANARY
    equal = sized and all(step == steps[0] * (index + 1) for index, step in enumerate(steps)) and steps[-1] == WHOLE
    return one_step or equal or steps == (WHOLE,)
