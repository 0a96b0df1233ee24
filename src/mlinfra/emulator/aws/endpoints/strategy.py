"""How an update moves traffic from the old servers to the new: a DeploymentConfig as a list of steps.

From the documentation of DeploymentConfig in SageMaker's API description: blue/green brings up the whole new fleet
and moves the traffic at once, in two steps (canary) or in equal ones (linear); rolling brings up and takes down one
batch at a time. After each step alarms are watched for the wait interval. Without a policy it is blue/green, all at
once.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

_ALL_AT_ONCE: Mapping[str, Any] = {
    "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0},
    "TerminationWaitInSeconds": 0,
}
_LONGEST = 28_800.0  # s, the largest MaximumExecutionTimeoutInSeconds, where none is given
_HALF = 0.5
_TENTH = 0.1
_TWENTIETH = 0.05


class Unfit(ValueError):
    """A deployment configuration that does not suit the endpoint; its text is for the caller."""


@dataclass(frozen=True)
class Step:
    """From here on the new servers have these shares of their variants' capacity and traffic, 0 to 1."""

    shares: Mapping[str, float]
    bake: float  # seconds in which alarms are watched before the next step


@dataclass(frozen=True)
class Strategy:
    """The steps of an update. `rolling`: capacity goes along with traffic, batch by batch."""

    steps: tuple[Step, ...]
    rolling: bool = False
    termination_wait: float = 0.0  # seconds for which the old servers stay after the last step
    timeout: float = _LONGEST
    alarms: tuple[str, ...] = ()


def strategy(config: Mapping[str, Any] | None, counts: Mapping[str, int]) -> Strategy:
    """The steps for an endpoint whose variants will have so many instances.

    Raises:
        Unfit: two policies, a size beyond its bounds, a routing type without its size.
    """
    config = config or {}
    alarms = tuple(alarm["AlarmName"] for alarm in config.get("AutoRollbackConfiguration", {}).get("Alarms", ()))
    rolling = config.get("RollingUpdatePolicy")
    if rolling is not None:
        if "BlueGreenUpdatePolicy" in config:
            raise Unfit("Only one update policy should be used in the deployment configuration.")
        return Strategy(
            _linear(rolling["MaximumBatchSize"], rolling["WaitIntervalInSeconds"], counts, _TWENTIETH, "batch size"),
            rolling=True,
            timeout=rolling.get("MaximumExecutionTimeoutInSeconds", _LONGEST),
            alarms=alarms,
        )
    policy = config.get("BlueGreenUpdatePolicy", _ALL_AT_ONCE)
    return Strategy(
        _routed(policy["TrafficRoutingConfiguration"], counts),
        termination_wait=policy.get("TerminationWaitInSeconds", 0),
        timeout=policy.get("MaximumExecutionTimeoutInSeconds", _LONGEST),
        alarms=alarms,
    )


def _routed(routing: Mapping[str, Any], counts: Mapping[str, int]) -> tuple[Step, ...]:
    wait = routing["WaitIntervalInSeconds"]
    everything = Step(dict.fromkeys(counts, 1.0), wait)
    if routing["Type"] == "ALL_AT_ONCE":
        return (everything,)
    if routing["Type"] == "CANARY":
        first = _fractions(_size(routing, "CanarySize"), counts, 0.0, "canary size")
        return (Step(first, wait), everything)
    return _linear(_size(routing, "LinearStepSize"), wait, counts, _TENTH, "linear step size")


def _size(routing: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    if member not in routing:
        raise Unfit(f"{member} is required for traffic routing of type {routing['Type']}.")
    size: Mapping[str, Any] = routing[member]
    return size


def _linear(
    size: Mapping[str, Any], wait: float, counts: Mapping[str, int], least: float, what: str
) -> tuple[Step, ...]:
    parts = _fractions(size, counts, least, what)
    number = max((ceil(1 / part - 1e-9) for part in parts.values()), default=1)
    return tuple(
        Step({name: min(1.0, part * turn) for name, part in parts.items()}, wait) for turn in range(1, number + 1)
    )


def _fractions(size: Mapping[str, Any], counts: Mapping[str, int], least: float, what: str) -> dict[str, float]:
    """What part of each variant a size is, within its bounds."""
    percent = size["Type"] == "CAPACITY_PERCENT"
    parts = {name: size["Value"] / (100 if percent else max(count, 1)) for name, count in counts.items()}
    for name, part in parts.items():
        if not least <= part <= _HALF:
            bounds = f"{least:.0%} to {_HALF:.0%}" if least else f"at most {_HALF:.0%}"
            raise Unfit(f"The {what} must be {bounds} of the total instance count of variant {name}.")
    return parts
